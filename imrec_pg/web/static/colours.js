// @ts-check
// Which colour a point of the map has: by cluster, folder or year.
import { binary, get } from "./api.js";

export const COLOURS = [["cluster", "cluster, by the feature"], ["map-cluster", "cluster, on the map"], ["folder", "folder"], ["year", "year"]];
const NONE = [128, 128, 128];
const GOLDEN = 137.508; // degrees: hues of groups next to each other are far apart

/** @param {number} hue of 360 @returns {number[]} */
function ofHue(hue) {
  const part = (/** @type {number} */ n) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (0.52 - 0.33 * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [part(0), part(8), part(4)];
}

/** Which version of a map an answer is of. @param {{headers: Headers}} answer */
export const versionOf = (answer) => answer.headers.get("X-Imrec-Version") || "";

/** What a search for a group's photos filters by; years and folders have no number. @param {string} name @param {string} colour @param {string} map */
function filterOf(name, colour, map) {
  const found = /^cluster (\d+)$/.exec(name);
  if (!found || !colour.endsWith("cluster")) return null;
  const [feature, dims] = map.split("/");
  return { cluster: found[1], by_feature: feature, on_map: colour === "map-cluster" ? dims : "", in_box: "" };
}

/** Return the colour of each point, and the legend. @param {string} map @param {string} colour @param {string} version @param {AbortSignal} signal */
export async function colouring(map, colour, version, signal) {
  const query = `?colour=${encodeURIComponent(colour)}`;
  const [groups, points] = await Promise.all([get(`maps/${map}/groups${query}`, signal), binary(`maps/${map}/points${query}`, signal)]);
  if (versionOf(points) !== version) throw new Error("The map has been made anew. Load this page again to see it.");
  const numbers = new Uint16Array(points.buffer);
  const many = groups.names.length;
  // Years and the like in their order, as a scale; else neighbours as different as can be.
  const palette = [NONE, ...groups.names.map((/** @type {string} */ _, /** @type {number} */ at) => ofHue(groups.in_order ? 240 - 240 * at / Math.max(1, many - 1) : at * GOLDEN % 360))];
  return {
    of: (/** @type {number} */ i) => palette[numbers[4 * i + 3]] || NONE,
    legend: [
      ...groups.names.map((/** @type {string} */ name, /** @type {number} */ at) => ({ name, colour: palette[at + 1], size: groups.sizes[at], filter: filterOf(name, colour, map) })),
      ...groups.grey.map((/** @type {any} */ one) => ({ ...one, colour: NONE, filter: null })),
    ],
  };
}
