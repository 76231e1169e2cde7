// @ts-check
// What is compared, and how.
import { html, useEffect, useState } from "./html.js";
import { go, withValues } from "./address.js";
import { get } from "./api.js";
import { FUSED, weightsOf } from "./question.js";
import { plain } from "./words.js";

/** @param {any} props */
export function Choice({ label, value, options, onChange }) {
  return html`<label>${label} <select aria-label=${label} value=${value} onChange=${(/** @type {any} */ event) => onChange(event.target.value)}>
    ${options.map(([key, text]) => html`<option value=${key} selected=${key === value}>${text}</option>`)}</select></label>`;
}

/** @param {{known: any, place: any, set: (changed: Record<string, string>) => void}} props */
function Weights({ known, place, set }) {
  const fusion = place.values.fusion || "evidence";
  const usual = Object.fromEntries(known.map((/** @type {any} */ one) => [one.feature, fusion === "evidence" ? one.evidence_weight : one.fused_weight]));
  const weights = weightsOf(place.values.weights || "") || usual;
  const change = (/** @type {string} */ name, /** @type {string} */ value) => {
    const all = { ...usual, ...weights, [name]: Number(value) };
    set({ weights: Object.entries(all).map(([feature, weight]) => `${feature}:${weight}`).join(",") });
  };
  return html`<details class="weights"><summary>Weights${place.values.weights ? " (yours)" : ""}</summary>
    ${known.map((/** @type {any} */ one) => html`<label>${plain(one.feature)}
      <input type="range" min="0" max="2" step="0.1" value=${weights[one.feature] ?? 0} onChange=${(/** @type {any} */ event) => change(one.feature, event.target.value)} />
      <output>${weights[one.feature] ?? 0}</output></label>`)}
    ${place.values.weights && html`<button class="link" onClick=${() => set({ weights: "" })}>usual weights</button>`}
  </details>`;
}

/** @param {{place: any, onError: (error: any) => void}} props */
export function Options({ place, onError }) {
  const [known, setKnown] = useState(/** @type {any} */ (null));
  useEffect(() => { get("features").then(setKnown, onError); }, []);
  if (!known) return html`<div class="options"></div>`;
  const set = (/** @type {Record<string, string>} */ changed) => go(withValues(place, { cut: "", ...changed }));
  const one = known.find((/** @type {any} */ feature) => feature.feature === place.feature);
  const features = [...known.map((/** @type {any} */ feature) => [feature.feature, plain(feature.feature)]), [FUSED, "all, fused"]];
  return html`<div class="options" role="group" aria-label="What is compared">
    <${Choice} label="Compare" value=${place.feature} options=${features}
      onChange=${(/** @type {string} */ feature) => go({ ...withValues(place, { metric: "", cut: "" }), feature })} />
    ${one && one.metrics.length > 1 && html`<${Choice} label="by" value=${place.values.metric || one.metrics[0]} options=${one.metrics.map((/** @type {string} */ metric) => [metric, metric])}
      onChange=${(/** @type {string} */ metric) => set({ metric: metric === one.metrics[0] ? "" : metric })} />`}
    ${place.feature === FUSED && html`<${Choice} label="by" value=${place.values.fusion || "evidence"} options=${[["evidence", "evidence"], ["reciprocal_rank", "reciprocal rank"]]}
      onChange=${(/** @type {string} */ fusion) => set({ fusion: fusion === "evidence" ? "" : fusion, weights: "" })} /><${Weights} known=${known} place=${place} set=${set} />`}
    ${place.likes.length > 1 && html`<${Choice} label="Likes" value=${place.values.combine || "mean"} options=${[["mean", "by their mean"], ["min", "near to any"]]}
      onChange=${(/** @type {string} */ combine) => set({ combine: combine === "mean" ? "" : combine })} />`}
    <label class="check"><input type="checkbox" checked=${place.values.method === "exact"} onChange=${(/** @type {any} */ event) => set({ method: event.target.checked ? "exact" : "" })} /> exact</label>
  </div>`;
}
