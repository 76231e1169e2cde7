// @ts-check
// Search: likes and dislikes, what is compared and how, which photos may be in the answer, and the answer.
import { html, useCallback, useEffect, useRef, useState } from "./html.js";
import { go, withValues } from "./address.js";
import { get, send, thumbnail, upload, uploaded } from "./api.js";
import { Grid } from "./cards.js";
import { Details } from "./details.js";
import { Filters } from "./filters.js";
import { Options } from "./options.js";
import { moreLike, questionOf, toggled } from "./question.js";
import { counted, distance } from "./words.js";

const PAGE = 60; // another number may stand in the address, as k
const MOST_PAGE = 1000;

/** Return the answer so far, and what fetches more of it. @param {any} place @param {(error: any) => void} onError */
function useAnswer(place, onError) {
  const [answer, setAnswer] = useState(/** @type {any} */ ({ items: [], next: null, about: null, busy: false, error: null, of: "" }));
  const asking = useRef(/** @type {any} */ (null));
  const k = Math.min(MOST_PAGE, Math.max(1, Number(place.values.k) || PAGE));
  const [name, body] = questionOf(place, k);
  const question = JSON.stringify([name, body]);
  const asked = place.likes.length > 0;
  const ask = useCallback(async (/** @type {any[]} */ before, /** @type {any} */ after) => {
    asking.current?.abort();
    const stop = new AbortController();
    asking.current = stop;
    setAnswer((/** @type {any} */ was) => ({ ...was, busy: true, error: null }));
    try {
      const [to, what] = JSON.parse(question);
      // As many again as there are: each page is ranked anew from the first photo on.
      const many = Math.min(MOST_PAGE, Math.max(k, before.length));
      const found = await (asked ? send(to, after ? { ...what, after, k: many } : what, stop.signal) : get(`images?k=${many}${after ? `&after=${after}` : ""}`, stop.signal));
      setAnswer({ items: [...before, ...found.items], next: found.next ?? null, about: asked ? found.answer : null, busy: false, error: null, of: question });
    } catch (error) {
      if (stop.signal.aborted) return;
      onError(error);
      setAnswer((/** @type {any} */ was) => ({ ...was, items: before, busy: false, error, next: null, of: question }));
    }
  }, [question, asked, k]);
  useEffect(() => { ask([], null); return () => asking.current?.abort(); }, [ask]);
  const more = () => { if (answer.next && !answer.busy && answer.of === question) ask(answer.items, answer.next); };
  // The first look at a new question still shows the answer to the one before.
  return { ...answer, busy: answer.busy || answer.of !== question, more };
}

/** Calls back when the end of the list comes near. @param {{onNear: () => void, busy: boolean}} props */
function End({ onNear, busy }) {
  const end = useRef(/** @type {any} */ (null));
  useEffect(() => {
    const watcher = new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) onNear(); }, { rootMargin: "800px" });
    watcher.observe(end.current);
    return () => watcher.disconnect();
  });
  return html`<p ref=${end} class="end">${busy ? "Searching…" : ""}</p>`;
}

/** The images one searches by. @param {{place: any, files: any}} props */
function QueryStrip({ place, files }) {
  const chip = (/** @type {string} */ id, /** @type {"likes" | "dislikes"} */ what) => html`<li class=${`chip ${what}`}>
    <img src=${place.uploads.includes(id) ? uploaded(id) : thumbnail(id)} alt=${what === "likes" ? "liked image" : "disliked image"} />
    <button aria-label=${`remove from ${what}`} title="remove" onClick=${() => go(toggled(place, id, what))}>✕</button></li>`;
  return html`<section class="strip" aria-label="Query">
    <label class="drop">Drop, paste or <span class="link">choose an image</span>
      <input type="file" accept="image/*" onChange=${(/** @type {any} */ event) => { files(event.target.files); event.target.value = ""; }} /></label>
    <ul>${place.likes.map((/** @type {string} */ id) => chip(id, "likes"))}${place.dislikes.map((/** @type {string} */ id) => chip(id, "dislikes"))}</ul>
    ${place.likes.length + place.dislikes.length > 0 && html`<button class="link" onClick=${() => go({ ...place, likes: [], dislikes: [], uploads: [], trail: [] })}>clear</button>`}
    ${place.trail.length > 0 && html`<nav aria-label="Where you came from"><ol class="trail">${place.trail.map((/** @type {string} */ id, /** @type {number} */ at) => html`<li>
      <button title="back to this" aria-label=${`back to step ${at + 1}`} onClick=${() => go({ ...place, likes: [id], dislikes: [], trail: place.trail.slice(0, at) })}>
        <img src=${place.uploads.includes(id) ? uploaded(id) : thumbnail(id)} alt="" /></button></li>`)}</ol></nav>`}
  </section>`;
}

/** How certain the answer is. @param {{about: any}} props */
function Certainty({ about }) {
  if (!about) return null;
  if (about.certainty === "exact") return html`<span class="badge good" title="compared with every photo: certainly the nearest">exact</span>`;
  const recall = about.recall === null || about.recall === undefined ? "recall not measured: imrec-pg tune does" : `${(about.recall * 100).toFixed(1)} % of the nearest found, as measured`;
  return html`<span class="badge" title=${`found by an index, which may miss one now and then; ${recall}`}>${about.certainty}${typeof about.recall === "number" ? ` · recall ${(about.recall * 100).toFixed(1)} %` : ""}</span>`;
}

/** @param {{items: any[], cut: string, onCut: (value: string) => void}} props */
function CutOff({ items, cut, onCut }) {
  const far = items.map((item) => item.distance).filter((one) => typeof one === "number");
  if (far.length < 2) return null;
  const most = Math.max(...far);
  const least = Math.min(...far);
  const value = cut === "" ? most : Math.min(Number(cut), most);
  return html`<label class="cut">within <output>${distance(value)}</output>
    <input type="range" aria-label="largest distance shown" min=${least} max=${most} step=${Number.isInteger(most) && Number.isInteger(least) ? 1 : (most - least) / 200 || 1}
      value=${value} onInput=${(/** @type {any} */ event) => onCut(Number(event.target.value) >= most ? "" : event.target.value)} /></label>`;
}

/** @param {{place: any, onError: (error: any) => void}} props */
export function Search({ place, onError }) {
  const answer = useAnswer(place, onError);
  const [said, setSaid] = useState("");
  const [looked, setLooked] = useState(/** @type {any} */ (null));
  const current = useRef(place);
  current.current = place;
  const files = useCallback(async (/** @type {Iterable<File>} */ list) => {
    const image = [...list].find((one) => !one.type || one.type.startsWith("image/"));
    if (!image) { setSaid("That is no image."); return; }
    setSaid(`Reading ${image.name || "the image"}…`);
    try {
      const query = await upload(image);
      setSaid("");
      go(moreLike(current.current, query.image_id, !query.stored));
    } catch (error) {
      onError(error);
      setSaid(/** @type {Error} */ (error).message);
    }
  }, []);
  useEffect(() => {
    const dropped = (/** @type {DragEvent} */ event) => { event.preventDefault(); if (event.dataTransfer?.files.length) files(event.dataTransfer.files); };
    const over = (/** @type {DragEvent} */ event) => event.preventDefault();
    const pasted = (/** @type {ClipboardEvent} */ event) => { if (event.clipboardData?.files.length) files(event.clipboardData.files); };
    addEventListener("drop", dropped); addEventListener("dragover", over); addEventListener("paste", pasted);
    return () => { removeEventListener("drop", dropped); removeEventListener("dragover", over); removeEventListener("paste", pasted); };
  }, []);
  const cut = place.values.cut || "";
  const shown = cut === "" ? answer.items : answer.items.filter((/** @type {any} */ item) => item.distance <= Number(cut));
  const on = {
    more: (/** @type {any} */ item) => { go(moreLike(place, item.image_id)); scrollTo(0, 0); },
    like: (/** @type {any} */ item) => go(toggled(place, item.image_id, "likes")),
    dislike: (/** @type {any} */ item) => go(toggled(place, item.image_id, "dislikes")),
    look: setLooked,
  };
  const step = (/** @type {number} */ by) => {
    const at = shown.findIndex((/** @type {any} */ one) => one.image_id === looked.image_id) + by;
    if (shown[at]) setLooked(shown[at]);
  };
  return html`<main class="search" data-ready=${answer.busy ? "no" : "yes"}>
    <${QueryStrip} place=${place} files=${files} />
    <div class="controls"><${Options} place=${place} onError=${onError} /><${Filters} place=${place} onError=${onError} /></div>
    <p class="answer" role="status">${said || (answer.error ? html`<span class="problem">${answer.error.message}</span>` : html`
      ${place.likes.length ? counted(shown.length, "photo") : "Some photos to begin with: choose one, or drop your own."}
      ${place.likes.length && answer.next && cut === "" ? " so far" : ""} <${Certainty} about=${answer.about} />`)}
      <${CutOff} items=${place.likes.length ? answer.items : []} cut=${cut} onCut=${(/** @type {string} */ value) => go(withValues(place, { cut: value }), true)} /></p>
    ${!answer.busy && !answer.error && !shown.length && html`<p class="muted">No photo fits. Fewer filters show more.</p>`}
    <${Grid} items=${shown} place=${place} on=${on} label=${place.likes.length ? "Photos, nearest first" : "Photos"} />
    <${End} onNear=${cut === "" ? answer.more : () => {}} busy=${answer.busy} />
    ${looked && html`<${Details} item=${looked} onClose=${() => setLooked(null)} onMore=${on.more} onStep=${step} />`}
  </main>`;
}
