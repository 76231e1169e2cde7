// @ts-check
// Which colour a point of the map has.
import { get } from "./api.js";

export const COLOURS = [["cluster", "cluster, by the feature"], ["map-cluster", "cluster, on the map"], ["folder", "folder"], ["year", "year"]];
const NONE = [128, 128, 128];

/** @param {string} text such as #1f77b4 @returns {number[]} */
const parsed = (text) => [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16));

/** @param {number} hue of 360 @returns {number[]} */
function ofHue(hue) {
  const part = (/** @type {number} */ n) => {
    const k = (n + hue / 30) % 12;
    return Math.round(255 * (0.52 - 0.33 * Math.max(-1, Math.min(k - 3, 9 - k, 1))));
  };
  return [part(0), part(8), part(4)];
}

/** Return a colour for each point, and a legend of [name, colour, size, cluster or null].
 * @param {string} path @param {string} colour @param {Uint16Array} points @param {AbortSignal} signal */
export async function colouring(path, colour, points, signal) {
  const count = points.length / 4;
  try {
    const found = await get(`${path}/groups?colour=${colour}`, signal);
    const palette = found.colours.map(parsed);
    const numbers = Uint8Array.from(atob(found.numbers), (one) => one.charCodeAt(0));
    return {
      of: (/** @type {number} */ i) => palette[numbers[i]] || NONE,
      legend: found.names.map((/** @type {any[]} */ [name, number, size]) => ({ name, colour: palette[number] || NONE, size, cluster: null })),
    };
  } catch (error) {
    if (signal.aborted || colour !== "cluster") throw error;
  }
  const sizes = new Map();
  for (let i = 0; i < count; i += 1) sizes.set(points[4 * i + 3], (sizes.get(points[4 * i + 3]) || 0) + 1);
  const colourOf = new Map([...sizes.keys()].map((number) => [number, number ? ofHue(number * 137.508 % 360) : NONE]));
  return {
    of: (/** @type {number} */ i) => colourOf.get(points[4 * i + 3]) || NONE,
    legend: [...sizes].sort((one, other) => one[0] - other[0]).map(([number, size]) => ({
      name: number ? `cluster ${number}` : "in no cluster", colour: colourOf.get(number), size, cluster: number || null })),
  };
}
