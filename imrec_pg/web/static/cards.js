// @ts-check
// Photos in a grid, each with what is known of why it is there.
import { html, useRef } from "./html.js";
import { thumbnail } from "./api.js";
import { distance, evidence, fileName, odds, plain } from "./words.js";

/** What each feature says of a photo, as bars. @param {{features: Record<string, any>}} props */
export function Evidence({ features }) {
  return html`<ul class="evidence" aria-label="what each feature says">${Object.entries(features).map(([name, said]) => {
    const told = typeof said.evidence === "number";
    const told_of = told ? `, ${evidence(said.evidence)} decibans: ${odds(said.evidence)}` : "";
    const title = `${plain(name)}: distance ${distance(said.distance)}, rank ${said.rank ?? "behind all ranked"}${told_of}`;
    return html`<li title=${title}>
      <span>${plain(name)}</span>
      ${told ? html`<meter min="-20" max="60" low="0" high="20" optimum="60" value=${said.evidence} aria-label=${title}></meter>` : html`<span></span>`}
      <span>${told ? evidence(said.evidence) : said.rank === null ? "behind" : `#${said.rank}`}</span>
    </li>`;
  })}</ul>`;
}

/** @param {{item: any, place: any, on: {more: (item: any) => void, like: (item: any) => void, dislike: (item: any) => void, look: (item: any) => void}}} props */
export function Card({ item, place, on }) {
  const liked = place.likes.includes(item.image_id);
  const disliked = place.dislikes.includes(item.image_id);
  const name = fileName(item.path);
  const said = item.fused !== undefined ? `fused ${distance(item.fused)}` : item.distance !== undefined ? `distance ${distance(item.distance)}` : "";
  return html`<li class="card" data-id=${item.image_id}>
    <button class="picture" title=${`${item.path}\nMore like this`} onClick=${() => on.more(item)}>
      <img loading="lazy" decoding="async" src=${thumbnail(item.image_id)} alt=${`${name}: more like this`} width="256" height="256" />
    </button>
    <div class="about">
      <span class="name"><bdi>${name}</bdi></span>
      <span class="said">${item.rank ? html`<b>${item.rank}</b> ` : ""}${said}
        ${item.copies > 1 ? html` <span class="tag" title="files hold exactly these bytes">×${item.copies}</span>` : ""}
        ${item.missing ? html` <span class="tag warn">missing</span>` : ""}</span>
      ${item.features && html`<${Evidence} features=${item.features} />`}
    </div>
    <div class="choices">
      <button aria-pressed=${liked} title="Like: nearer to this (L)" aria-label=${`like ${name}`} onClick=${() => on.like(item)}>♥</button>
      <button aria-pressed=${disliked} title="Dislike: farther from this (D)" aria-label=${`dislike ${name}`} onClick=${() => on.dislike(item)}>✕</button>
      <button title="Look at it (Space)" aria-label=${`look at ${name}`} onClick=${() => on.look(item)}><svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true"><path d="M1 4V1h3M8 1h3v3M11 8v3H8M4 11H1V8" fill="none" stroke="currentColor" stroke-width="1.5" /></svg></button>
    </div>
  </li>`;
}

/** The grid; arrow keys move in it, L and D like and dislike, Space looks, Enter asks for more like this.
 * @param {{items: any[], place: any, on: any, label: string}} props */
export function Grid({ items, place, on, label }) {
  const list = useRef(/** @type {any} */ (null));
  const drawn = useRef(/** @type {Map<any, any>} */ (new Map()));
  const drawnFor = useRef(place);
  if (drawnFor.current !== place) {
    drawnFor.current = place;
    drawn.current = new Map();
  }
  const keyed = (/** @type {KeyboardEvent} */ event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const pictures = /** @type {HTMLElement[]} */ ([...list.current.querySelectorAll(".picture")]);
    const card = /** @type {HTMLElement} */ (event.target).closest(".card");
    const at = pictures.findIndex((one) => one.closest(".card") === card);
    if (at < 0) return;
    const row = pictures.filter((one) => Math.abs(one.getBoundingClientRect().top - pictures[0].getBoundingClientRect().top) < 4).length;
    const steps = /** @type {Record<string, number>} */ ({ ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row });
    const doing = /** @type {Record<string, any>} */ ({ l: on.like, d: on.dislike, " ": on.look })[event.key.toLowerCase()];
    if (event.key in steps) pictures[Math.min(pictures.length - 1, Math.max(0, at + steps[event.key]))].focus();
    else if (event.key === "Home") pictures[0].focus();
    else if (event.key === "End") pictures[pictures.length - 1].focus();
    else if (doing && (event.key !== " " || /** @type {HTMLElement} */ (event.target).matches(".picture"))) doing(items[at]);
    else return;
    event.preventDefault();
  };
  return html`<ol class="grid" ref=${list} aria-label=${label} onKeyDown=${keyed}>
    ${items.map((item) => {
      // What is drawn already is not even compared: else each page of thousands costs more than the one before.
      if (!drawn.current.has(item)) drawn.current.set(item, html`<${Card} key=${item.image_id} item=${item} place=${place} on=${on} />`);
      return drawn.current.get(item);
    })}
  </ol>`;
}
