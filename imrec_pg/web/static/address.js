// @ts-check
// What is shown stands in the address, behind the #, so that a view can be bookmarked, shared and gone back to.

export const VIEWS = ["search", "duplicates", "map", "library"];
const FEATURE = "embedding";
const LISTS = ["likes", "dislikes", "uploads", "trail"];

/** @typedef {{view: string, likes: string[], dislikes: string[], uploads: string[], trail: string[], feature: string,
 *   values: Record<string, string>}} Place */

/** Return the state of an address. @param {string} hash @returns {Place} */
export function placeOf(hash) {
  const [name, query] = hash.replace(/^#/, "").split("?");
  const found = new URLSearchParams(query || "");
  /** @type {any} */
  const place = { view: VIEWS.includes(name) ? name : VIEWS[0], feature: found.get("feature") || FEATURE, values: {} };
  for (const list of LISTS) place[list] = (found.get(list) || "").split(",").filter(Boolean);
  for (const [key, value] of found) if (key !== "feature" && !LISTS.includes(key)) place.values[key] = value;
  return place;
}

/** Return the address of a state. @param {Place} place */
export function hashOf(place) {
  const query = new URLSearchParams();
  for (const list of LISTS) {
    const ids = /** @type {any} */ (place)[list];
    if (ids.length) query.set(list, ids.join(","));
  }
  if (place.feature !== FEATURE) query.set("feature", place.feature);
  for (const [key, value] of Object.entries(place.values)) if (value !== "") query.set(key, value);
  const text = query.toString().replaceAll("%2C", ",");
  return `#${place.view}${text ? `?${text}` : ""}`;
}

/** Go there; one can come back unless it replaces where one was. @param {Place} place @param {boolean} [replace] */
export function go(place, replace = false) {
  const hash = hashOf(place);
  if (hash === location.hash) return;
  if (replace) history.replaceState(null, "", hash);
  else history.pushState(null, "", hash);
  dispatchEvent(new Event("imrec-place"));
}

/** @param {Place} place @param {Record<string, string>} changed @returns {Place} */
export const withValues = (place, changed) => ({ ...place, values: { ...place.values, ...changed } });
