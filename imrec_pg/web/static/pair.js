// @ts-check
// Two images: side by side with one zoom for both, one after the other in one place, or their difference.
import { html, useEffect, useRef, useState } from "./html.js";
import { thumbnail } from "./api.js";
import { distance, fileName, size } from "./words.js";

const MODES = [["beside", "Side by side", "1"], ["flip", "Flip", "2"], ["difference", "Difference", "3"]];
const MOST_ZOOM = 16;

/** @param {{photo: any, label: string, keeper?: any}} props */
function Caption({ photo, label, keeper }) {
  const near = keeper && [
    typeof photo.difference_bits === "number" && `difference hash ${photo.difference_bits} bits`,
    typeof photo.perceptual_bits === "number" && `perceptual hash ${photo.perceptual_bits} bits`,
    typeof photo.embedding === "number" && `embedding ${distance(photo.embedding)}`,
    typeof photo.histogram === "number" && `histogram ${distance(photo.histogram)}`,
  ].filter(Boolean).join(" · ");
  return html`<figcaption><b>${label}</b> <bdi title=${photo.path}>${fileName(photo.path)}</bdi><br />
    ${photo.width} × ${photo.height}, ${photo.format}, ${size(photo.size)}${photo.copies > 1 ? `, ${photo.copies} files` : ""}
    ${near && html`<br /><span class="muted">${near}</span>`}</figcaption>`;
}

/** @param {{keeper: any, photo: any, said?: string}} props */
export function Pair({ keeper, photo, said }) {
  const [mode, setMode] = useState("beside");
  const [flipped, setFlipped] = useState(false);
  const [zoom, setZoom] = useState({ scale: 1, x: 0, y: 0 });
  const dragged = useRef(/** @type {any} */ (null));
  useEffect(() => { setZoom({ scale: 1, x: 0, y: 0 }); setFlipped(false); }, [photo.image_id]);
  useEffect(() => {
    const keyed = (/** @type {KeyboardEvent} */ event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || /** @type {HTMLElement} */ (event.target).matches("input, select, textarea")) return;
      const chosen = MODES.find(([, , key]) => key === event.key);
      if (chosen) setMode(chosen[0]);
      else if (event.key.toLowerCase() === "f") { setMode("flip"); setFlipped((was) => !was); }
      else if (event.key === "+" || event.key === "-") setZoom((was) => scaled(was, event.key === "+" ? 1.5 : 1 / 1.5, 0.5, 0.5));
      else if (event.key === "0") setZoom({ scale: 1, x: 0, y: 0 });
    };
    addEventListener("keydown", keyed);
    return () => removeEventListener("keydown", keyed);
  }, []);
  const wheel = (/** @type {any} */ event) => {
    event.preventDefault();
    const box = event.currentTarget.getBoundingClientRect();
    setZoom((was) => scaled(was, event.deltaY < 0 ? 1.2 : 1 / 1.2, (event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height));
  };
  const down = (/** @type {any} */ event) => { dragged.current = [event.clientX, event.clientY]; event.currentTarget.setPointerCapture(event.pointerId); };
  const moved = (/** @type {any} */ event) => {
    if (!dragged.current) return;
    const box = event.currentTarget.getBoundingClientRect();
    const [x, y] = dragged.current;
    dragged.current = [event.clientX, event.clientY];
    setZoom((was) => kept({ ...was, x: was.x + (event.clientX - x) / box.width, y: was.y + (event.clientY - y) / box.height }));
  };
  const style = { transform: `translate(${zoom.x * 100}%, ${zoom.y * 100}%) scale(${zoom.scale})` };
  const on = { onWheel: wheel, onPointerDown: down, onPointerMove: moved, onPointerUp: () => { dragged.current = null; } };
  const picture = (/** @type {any} */ one, /** @type {string} */ name = "") => html`<img draggable=${false} class=${name} style=${style} src=${thumbnail(one.image_id, 1024)} alt=${fileName(one.path)} />`;
  const shown = flipped ? photo : keeper;
  return html`<div class="row" role="group" aria-label="How the two are shown">
      ${MODES.map(([name, text, key]) => html`<button aria-pressed=${mode === name} onClick=${() => { setMode(name); if (name === "flip" && mode === "flip") setFlipped(!flipped); }}>${text} <kbd>${key}</kbd></button>`)}
      <span class="muted"><kbd>F</kbd> flips, wheel or <kbd>+</kbd> <kbd>-</kbd> zooms both, <kbd>0</kbd> shows all.</span>
      ${said && html`<span class="badge">${said}</span>`}</div>
    ${mode === "beside" ? html`<div class="pair">
      <figure><div class="pane" ...${on}>${picture(keeper)}</div><${Caption} photo=${keeper} label="Best kept" /></figure>
      <figure><div class="pane" ...${on}>${picture(photo)}</div><${Caption} photo=${photo} label="The other" keeper=${keeper} /></figure></div>`
    : html`<div class="pair one"><figure><div class=${`pane ${mode === "difference" ? "differing" : ""}`} ...${on}>
        ${mode === "flip" ? picture(shown) : html`${picture(keeper, "stretched")}${picture(photo, "stretched over")}`}</div></figure>
      <div class="row">${mode === "flip" ? html`<${Caption} photo=${shown} label=${flipped ? "The other" : "Best kept"} keeper=${flipped ? keeper : null} />`
        : html`<p class="muted">Black is alike; what shines differs. Both are stretched to one size.</p>`}</div></div>`}`;
}

/** @param {{scale: number, x: number, y: number}} was @param {number} by @param {number} atX @param {number} atY */
function scaled(was, by, atX, atY) {
  const scale = Math.min(MOST_ZOOM, Math.max(1, was.scale * by));
  const factor = scale / was.scale;
  return kept({ scale, x: atX - (atX - was.x) * factor, y: atY - (atY - was.y) * factor });
}

/** Keep the picture over its pane. @param {{scale: number, x: number, y: number}} zoom */
function kept({ scale, x, y }) {
  const within = (/** @type {number} */ value) => Math.min(0, Math.max(1 - scale, value));
  return { scale, x: within(x), y: within(y) };
}
