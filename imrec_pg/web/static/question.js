// @ts-check
// What the address says, as the API is asked; and the other way round for a click.

export const TEXT_FILTERS = ["root", "under", "after", "before", "camera", "format"];
export const NUMBER_FILTERS = ["min_width", "min_height", "min_size", "max_size", "cluster", "on_map"];
export const FILTERS = [...TEXT_FILTERS, ...NUMBER_FILTERS, "by_feature", "in_box"];
export const FUSED = "fused";
const MOST_TRAIL = 12;

/** @typedef {import("./address.js").Place} Place */

/** @param {Record<string, string>} values */
export function filterOf(values) {
  /** @type {Record<string, unknown>} */
  const filter = {};
  for (const key of FILTERS) {
    const value = values[key];
    if (!value) continue;
    if (key === "in_box") filter[key] = value.split(",").map(Number);
    else filter[key] = NUMBER_FILTERS.includes(key) ? Number(value) : value;
  }
  return filter;
}

/** Return the endpoint and the body of a search. @param {Place} place @param {number} k */
export function questionOf(place, k) {
  const { values } = place;
  const body = {
    likes: place.likes, dislikes: place.dislikes, k, filter: filterOf(values),
    combine: values.combine || "mean", method: values.method || "auto",
  };
  if (place.feature === FUSED) {
    const weights = weightsOf(values.weights || "");
    return ["fuse", { ...body, fusion: values.fusion || "evidence", ...(weights ? { weights } : {}) }];
  }
  return ["recommend", { ...body, feature: place.feature, ...(values.metric ? { metric: values.metric } : {}) }];
}

/** Return weights written as embedding:1,histogram:0.5. @param {string} text @returns {Record<string, number> | null} */
export function weightsOf(text) {
  const pairs = text.split(",").map((one) => one.split(":")).filter(([name, weight]) => name && Number.isFinite(Number(weight)));
  return pairs.length ? Object.fromEntries(pairs.map(([name, weight]) => [name, Number(weight)])) : null;
}

/** More like this one. @param {Place} place @param {string} id @param {boolean} [isUpload] @returns {Place} */
export function moreLike(place, id, isUpload = false) {
  const before = place.likes.length === 1 ? place.likes : [];
  const trail = [...place.trail, ...before].filter((one) => one !== id).slice(-MOST_TRAIL);
  const uploads = [...place.uploads, ...(isUpload ? [id] : [])].filter((one) => trail.includes(one) || one === id);
  return { ...place, view: "search", likes: [id], dislikes: [], uploads: [...new Set(uploads)], trail, values: { ...place.values, cut: "" } };
}

/** Like or dislike it, or take that back. @param {Place} place @param {string} id @param {"likes" | "dislikes"} what */
export function toggled(place, id, what) {
  const other = what === "likes" ? "dislikes" : "likes";
  const has = place[what].includes(id);
  return {
    ...place, view: "search", [what]: has ? place[what].filter((one) => one !== id) : [...place[what], id],
    [other]: place[other].filter((one) => one !== id), values: { ...place.values, cut: "" },
  };
}
