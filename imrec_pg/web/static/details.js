// @ts-check
// One photo large, with all that is known of it.
import { html, useEffect, useRef, useState } from "./html.js";
import { get, original, thumbnail } from "./api.js";
import { Evidence } from "./cards.js";
import { fileName, number, size } from "./words.js";

/** @param {{item: any, onClose: () => void, onMore: (item: any) => void, onStep: (by: number) => void}} props */
export function Details({ item, onClose, onMore, onStep }) {
  const dialog = useRef(/** @type {any} */ (null));
  const [known, setKnown] = useState(/** @type {any} */ (null));
  const [error, setError] = useState("");
  useEffect(() => { if (!dialog.current.open) dialog.current.showModal(); }, []);
  useEffect(() => {
    const stop = new AbortController();
    setKnown(null);
    setError("");
    get(`images/${item.image_id}`, stop.signal).then(setKnown, (one) => { if (one.name !== "AbortError") setError(one.message); });
    return () => stop.abort();
  }, [item.image_id]);
  const keyed = (/** @type {KeyboardEvent} */ event) => {
    const by = /** @type {Record<string, number>} */ ({ ArrowRight: 1, ArrowLeft: -1 })[event.key];
    if (by) { event.preventDefault(); onStep(by); }
  };
  const camera = known && [known.camera_make, known.camera_model].filter(Boolean).join(" ");
  return html`<dialog ref=${dialog} class="details" aria-label=${fileName(item.path)} onClose=${onClose} onKeyDown=${keyed}>
    <button class="close" aria-label="close" onClick=${() => dialog.current.close()}>✕</button>
    <img src=${thumbnail(item.image_id, 1024)} alt=${fileName(item.path)} />
    <div>
      <h2><bdi>${fileName(item.path)}</bdi></h2>
      ${error && html`<p role="alert">${error}</p>`}
      ${known && html`<p>${known.format}, ${known.width} × ${known.height}, ${size(known.size)}
        ${known.taken_at && html`<br />taken ${known.taken_at.replace("T", " ")}`}
        ${camera && html`<br />${camera}`}</p>
        <ul class="files">${known.files.map((/** @type {any} */ file) => html`<li><bdi>${file.path}</bdi>${file.missing_since && html` <span class="tag warn">missing</span>`}</li>`)}</ul>`}
      ${item.features && html`<h3>What each feature says</h3><${Evidence} features=${item.features} />`}
      <p class="row"><button onClick=${() => { dialog.current.close(); onMore(item); }}>More like this</button>
        <a href=${original(item.image_id)} target="_blank" rel="noreferrer">Original</a></p>
      ${item.copies > 1 && html`<p>${number(item.copies)} files hold exactly these bytes.</p>`}
      <p class="muted">← and → show the photos beside it.</p>
    </div>
  </dialog>`;
}
