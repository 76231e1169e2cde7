// @ts-check
// Duplicates: one pair after the other, a verdict by one key, and a preview of what could go. It deletes nothing.
import { html, useCallback, useEffect, useRef, useState } from "./html.js";
import { go, withValues } from "./address.js";
import { get, send, thumbnail } from "./api.js";
import { Choice } from "./options.js";
import { Pair } from "./pair.js";
import { Plan } from "./plan.js";
import { counted, fileName, size } from "./words.js";

const PAGE = 50;
const ORDERS = [["savings", "largest savings"], ["closeness", "most alike"]];
const KINDS = [["", "all kinds"], ["copy", "near copies"], ["exact", "exact copies"], ["burst", "bursts"]];

/** @param {string} path */
const folderOf = (path) => path.slice(0, Math.max(path.lastIndexOf("/"), path.lastIndexOf("\\")));
/** @param {any} group */
const oneFolder = (group) => new Set(group.photos.map((/** @type {any} */ photo) => folderOf(photo.path))).size === 1;

/** @param {any} place @param {(error: any) => void} onError */
function useGroups(place, onError) {
  const [found, setFound] = useState(/** @type {any} */ ({ items: [], next: null, groups: 0, savings: 0, busy: true, error: null }));
  const order = place.values.order || "savings";
  const kind = place.values.kind || "";
  const load = useCallback(async (/** @type {any[]} */ before, /** @type {any} */ after) => {
    setFound((/** @type {any} */ was) => ({ ...was, busy: true, error: null }));
    try {
      const query = new URLSearchParams({ order, k: String(PAGE), ...(kind ? { kind } : {}), ...(after ? { after } : {}) });
      const page = await get(`duplicates?${query}`);
      setFound({ ...page, items: [...before, ...page.items], busy: false, error: null });
    } catch (error) {
      onError(error);
      setFound((/** @type {any} */ was) => ({ ...was, busy: false, error }));
    }
  }, [order, kind]);
  useEffect(() => { load([], null); }, [load]);
  return { ...found, more: () => load(found.items, found.next) };
}

/** @param {{groups: any[], at: number, said: Map<string, string>, onPick: (at: number) => void}} props */
function Groups({ groups, at, said, onPick }) {
  const list = useRef(/** @type {any} */ (null));
  useEffect(() => { list.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" }); }, [at]);
  return html`<ul class="groups" ref=${list} aria-label="Groups of duplicates" tabindex="0">${groups.map((group, number) => {
    const done = group.photos.slice(1).filter((/** @type {any} */ photo) => said.has(key(group, photo))).length;
    return html`<li key=${group.group_id}><button aria-current=${number === at ? "true" : undefined} onClick=${() => onPick(number)}>
      <img loading="lazy" src=${thumbnail(group.photos[0].image_id)} alt="" />
      <span><bdi>${fileName(group.photos[0].path)}</bdi><small>${group.kind} · ${counted(group.photos.length, "image")} · ${size(group.savings)}${done ? ` · ${done} judged` : ""}</small></span></button></li>`;
  })}</ul>`;
}

/** @param {any} group @param {any} photo */
const key = (group, photo) => [group.photos[0].image_id, photo.image_id].sort().join();

/** @param {{place: any, onError: (error: any) => void}} props */
export function Duplicates({ place, onError }) {
  const found = useGroups(place, onError);
  const hide = place.values.across === "yes";
  const groups = hide ? found.items.filter((/** @type {any} */ group) => !oneFolder(group)) : found.items;
  const at = Math.min(Number(place.values.group || 0), Math.max(0, groups.length - 1));
  const group = groups[at];
  const others = group ? group.photos.slice(1) : [];
  const other = Math.min(Number(place.values.photo || 1), Math.max(1, others.length));
  const [said, setSaid] = useState(/** @type {Map<string, string>} */ (new Map()));
  const [done, setDone] = useState(/** @type {any[]} */ ([]));
  const [told, setTold] = useState("");
  const [planning, setPlanning] = useState(false);
  const move = (/** @type {number} */ toGroup, /** @type {number} */ toPhoto) =>
    go(withValues(place, { group: toGroup ? String(toGroup) : "", photo: toPhoto > 1 ? String(toPhoto) : "" }), true);
  const step = (/** @type {number} */ by) => {
    if (by > 0 && other < others.length) move(at, other + 1);
    else if (by < 0 && other > 1) move(at, other - 1);
    else if (groups[at + by]) move(at + by, by < 0 ? Math.max(1, groups[at + by].photos.length - 1) : 1);
  };
  const tell = async (/** @type {string} */ one, /** @type {string} */ two, /** @type {string | null} */ verdict) => {
    try {
      return await send(`verdicts/${one}/${two}`, { verdict }, undefined, "PUT");
    } catch (error) {
      onError(error);
      setTold(/** @type {Error} */ (error).message);
      return null;
    }
  };
  const judge = async (/** @type {string} */ verdict) => {
    const photo = others[other - 1];
    if (!photo) return;
    const answer = await tell(group.photos[0].image_id, photo.image_id, verdict);
    if (!answer) return;
    setSaid((was) => new Map(was).set(key(group, photo), verdict));
    setDone((was) => [...was, { one: group.photos[0].image_id, two: photo.image_id, before: answer.before ?? null, key: key(group, photo), at, other }]);
    setTold(`${verdict}: ${fileName(photo.path)}`);
    step(1);
  };
  const undo = async () => {
    const last = done[done.length - 1];
    if (!last || !(await tell(last.one, last.two, last.before))) return;
    setDone((was) => was.slice(0, -1));
    setSaid((was) => { const now = new Map(was); now.delete(last.key); if (last.before) now.set(last.key, last.before); return now; });
    setTold("undone");
    move(last.at, last.other);
  };
  const doing = { s: () => judge("same"), a: () => judge("alternate"), d: () => judge("different"), u: undo, arrowright: () => step(1), arrowleft: () => step(-1) };
  const now = useRef(doing);
  now.current = doing;
  useEffect(() => {
    const keyed = (/** @type {KeyboardEvent} */ event) => {
      const target = /** @type {HTMLElement} */ (event.target);
      if (event.ctrlKey || event.metaKey || event.altKey || target.matches("input, select, textarea, dialog *")) return;
      const action = now.current[/** @type {keyof doing} */ (event.key.toLowerCase())];
      if (action) { event.preventDefault(); action(); }
    };
    addEventListener("keydown", keyed);
    return () => removeEventListener("keydown", keyed);
  }, []);
  const set = (/** @type {Record<string, string>} */ changed) => go(withValues(place, { group: "", photo: "", ...changed }));
  return html`<main data-ready=${found.busy ? "no" : "yes"}>
    <div class="row">
      <${Choice} label="Order" value=${place.values.order || "savings"} options=${ORDERS} onChange=${(/** @type {string} */ order) => set({ order })} />
      <${Choice} label="Show" value=${place.values.kind || ""} options=${KINDS} onChange=${(/** @type {string} */ kind) => set({ kind })} />
      <label><input type="checkbox" checked=${hide} onChange=${(/** @type {any} */ event) => set({ across: event.target.checked ? "yes" : "" })} /> hide groups within one folder</label>
      <button onClick=${() => setPlanning(!planning)} aria-expanded=${planning}>What could go?</button>
    </div>
    <p class="answer" role="status">${found.error ? html`<span class="problem">${found.error.message}</span>` : found.busy && !groups.length ? "Reading…"
      : `${counted(found.groups, "group")}, ${size(found.savings)} in copies. ${told}`}</p>
    ${planning && html`<${Plan} onError=${onError} />`}
    ${!found.busy && !groups.length && !found.error && html`<p>No duplicates are known. Look for them with <code>imrec-pg duplicates find</code>.</p>`}
    ${group && html`<div class="review">
      <div><${Groups} groups=${groups} at=${at} said=${said} onPick=${(/** @type {number} */ to) => move(to, 1)} />
        ${found.next && html`<button disabled=${found.busy} onClick=${found.more}>More groups</button>`}</div>
      <section aria-label="The pair">
        ${others.length ? html`<${Pair} key=${`${group.group_id}`} keeper=${group.photos[0]} photo=${others[other - 1]} said=${said.get(key(group, others[other - 1]))} />
        <div class="keys">
          <button onClick=${doing.s}>Same <kbd>S</kbd></button><button onClick=${doing.a}>Alternate <kbd>A</kbd></button>
          <button onClick=${doing.d}>Different <kbd>D</kbd></button><button disabled=${!done.length} onClick=${undo}>Undo <kbd>U</kbd></button>
          <button onClick=${() => step(-1)} aria-label="the pair before">←</button><button onClick=${() => step(1)} aria-label="the next pair">→</button>
          <span class="muted">image ${other + 1} of ${group.photos.length}, group ${at + 1} of ${groups.length}${found.next ? "+" : ""}</span></div>`
        : html`<p>All ${counted(group.photos[0].copies, "file")} hold exactly the same bytes: ${fileName(group.photos[0].path)}.</p><img src=${thumbnail(group.photos[0].image_id, 1024)} alt="" />`}
      </section></div>`}
  </main>`;
}
