// @ts-check
// The elbow: how alike the images in each cluster are, by how many clusters there are.
import { html, useState } from "./html.js";
import { distance } from "./words.js";

/** @param {{clustering: any}} props */
export function Elbow({ clustering }) {
  const curve = clustering.curve || [];
  const [at, setAt] = useState(clustering.k);
  if (curve.length < 2) return null;
  const ks = curve.map((/** @type {number[]} */ one) => one[0]);
  const inertias = curve.map((/** @type {number[]} */ one) => one[1]);
  const [least, most] = [Math.min(...ks), Math.max(...ks)];
  const top = Math.max(...inertias) || 1;
  const x = (/** @type {number} */ k) => 6 + 188 * (Math.log(k) - Math.log(least)) / (Math.log(most) - Math.log(least) || 1);
  const y = (/** @type {number} */ inertia) => 84 - 78 * inertia / top;
  const nearest = curve.reduce((/** @type {number[]} */ best, /** @type {number[]} */ one) => (Math.abs(one[0] - at) < Math.abs(best[0] - at) ? one : best));
  return html`<details><summary>How many clusters? ${clustering.k} (${clustering.k_chosen === "auto" ? "at the elbow" : "as given"})</summary>
    <svg class="elbow" viewBox="0 0 200 90" role="img" aria-label=${`Inertia falls from ${distance(inertias[0])} at ${ks[0]} clusters to ${distance(inertias[inertias.length - 1])} at ${most}`}>
      <line x1=${x(clustering.k)} x2=${x(clustering.k)} y1="0" y2="90" />
      <polyline points=${curve.map((/** @type {number[]} */ [k, inertia]) => `${x(k)},${y(inertia)}`).join(" ")} />
      <circle cx=${x(nearest[0])} cy=${y(nearest[1])} r="3.5" /></svg>
    <label>k <input type="range" min="0" max=${curve.length - 1} value=${ks.indexOf(nearest[0])} onInput=${(/** @type {any} */ event) => setAt(ks[Number(event.target.value)])} /></label>
    <p>${nearest[0]} clusters: mean squared distance ${distance(nearest[1])}.${nearest[0] !== clustering.k ? html` To have them: <code>imrec-pg cluster build --k ${nearest[0]}</code>` : ""}</p></details>`;
}
