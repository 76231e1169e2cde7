// @ts-check
// Which photos may be in the answer.
import { html, useEffect, useState } from "./html.js";
import { go, withValues } from "./address.js";
import { get } from "./api.js";
import { FILTERS } from "./question.js";
import { fileName, number, plain } from "./words.js";

/** @param {any} props */
function Field({ label, name, type = "text", place, set, list, ...rest }) {
  return html`<label>${label} <input aria-label=${label} type=${type} value=${place.values[name] || ""} list=${list ? `list-${name}` : undefined} ...${rest}
      onChange=${(/** @type {any} */ event) => set({ [name]: event.target.value })} />
    ${list && html`<datalist id=${`list-${name}`}>${list.map((/** @type {string} */ value) => html`<option value=${value} />`)}</datalist>`}</label>`;
}

/** @param {any} props */
function Picked({ label, name, place, set, options }) {
  const value = place.values[name] || "";
  const all = options.some((/** @type {any[]} */ [key]) => key === value) || !value ? options : [[value, value], ...options];
  return html`<label>${label} <select aria-label=${label} value=${value} onChange=${(/** @type {any} */ event) => set({ [name]: event.target.value })}>
    <option value="" selected=${!value}>any</option>
    ${all.map(([key, text]) => html`<option value=${key} selected=${key === value}>${text}</option>`)}</select></label>`;
}

/** @param {any} cluster */
const named = (cluster) => {
  const about = [cluster.folder && fileName(cluster.folder), cluster.year].filter(Boolean).join(", ");
  return `${cluster.cluster}: ${number(cluster.size)} photos${about ? `, ${about}` : ""}`;
};

/** What is there to choose from; what a library lacks, such as clusters, is left out. */
function useChoices(/** @type {boolean} */ wanted, /** @type {string} */ under, /** @type {(error: any) => void} */ onError) {
  const [choices, setChoices] = useState(/** @type {any} */ ({ roots: [], cameras: [], formats: [], clusters: [], folders: [] }));
  const asked = (/** @type {string} */ path, /** @type {string} */ name, /** @type {(found: any) => any} */ of = (found) => found) =>
    get(path).then((found) => setChoices((/** @type {any} */ was) => ({ ...was, [name]: of(found) })), (error) => { if (error.status !== 404) onError(error); });
  useEffect(() => {
    if (!wanted) return;
    asked("roots", "roots"); asked("cameras", "cameras"); asked("formats", "formats");
    asked("clusters", "clusters", (found) => found.clusters);
  }, [wanted]);
  useEffect(() => { if (wanted) asked(`folders${under ? `?under=${encodeURIComponent(under)}` : ""}`, "folders"); }, [wanted, under]);
  return choices;
}

/** @param {{place: any, onError: (error: any) => void}} props */
export function Filters({ place, onError }) {
  const active = FILTERS.filter((key) => place.values[key]);
  const [open, setOpen] = useState(active.length > 0);
  const choices = useChoices(open, place.values.under || "", onError);
  const set = (/** @type {Record<string, string>} */ changed) => go(withValues(place, { cut: "", ...changed }));
  const props = { place, set };
  return html`<details class="filters" open=${open} onToggle=${(/** @type {any} */ event) => setOpen(event.target.open)}>
    <summary>Filters${active.length ? ` (${active.length})` : ""}</summary>
    <div class="fields">
      <${Field} label="Folder" name="under" list=${choices.folders} placeholder="any" ...${props} />
      <${Picked} label="Root" name="root" options=${choices.roots.map((/** @type {any} */ one) => [one.name, one.name])} ...${props} />
      <${Field} label="Taken from" name="after" type="date" ...${props} />
      <${Field} label="before" name="before" type="date" ...${props} />
      <${Picked} label="Camera" name="camera" options=${choices.cameras.map((/** @type {any} */ one) => [one.name, `${one.name} (${number(one.images)})`])} ...${props} />
      <${Picked} label="Format" name="format" options=${choices.formats.map((/** @type {any} */ one) => [one.name, `${one.name} (${number(one.images)})`])} ...${props} />
      <${Field} label="Width from" name="min_width" type="number" min="1" placeholder="pixels" ...${props} />
      <${Field} label="Height from" name="min_height" type="number" min="1" placeholder="pixels" ...${props} />
      <${Field} label="Size from" name="min_size" type="number" min="0" placeholder="bytes" ...${props} />
      <${Field} label="to" name="max_size" type="number" min="0" placeholder="bytes" ...${props} />
      ${choices.clusters.length > 0 && html`<${Picked} label="Cluster" name="cluster" options=${choices.clusters.map((/** @type {any} */ one) => [String(one.cluster), named(one)])} ...${props} />`}
    </div>
    ${active.length > 0 && html`<p class="row">${active.map((key) => html`<button class="tag" aria-label=${`remove filter ${plain(key)}`} onClick=${() => set({ [key]: "" })}>${plain(key)}: ${place.values[key].slice(0, 40)} ✕</button>`)}
      <button class="link" onClick=${() => set(Object.fromEntries(FILTERS.map((key) => [key, ""])))}>remove all</button></p>`}
  </details>`;
}
