// @ts-check
// Which points a lasso holds, which images they are, and the box of the map around them.
const VALUES = 4;
const MOST = 65535;

/** Return the id of a point's image. @param {Uint8Array} ids @param {number} i */
export function idOf(ids, i) {
  const hex = [...ids.subarray(16 * i, 16 * i + 16)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** Return the numbers of the points within a closed line on the screen. @param {any} scene @param {number[][]} line */
export function inside(scene, line) {
  /** @type {number[]} */
  const found = [];
  const xs = line.map((one) => one[0]);
  const ys = line.map((one) => one[1]);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  scene.project((/** @type {number} */ i, /** @type {number} */ x, /** @type {number} */ y) => {
    if (x < left || x > right || y < top || y > bottom) return;
    let within = false;
    for (let a = 0, b = line.length - 1; a < line.length; b = a, a += 1) {
      const [[ax, ay], [bx, by]] = [line[a], line[b]];
      if (ay > y !== by > y && x < (bx - ax) * (y - ay) / (by - ay) + ax) within = !within;
    }
    if (within) found.push(i);
  });
  return found;
}

/** Return some of them, evenly. @param {number[]} all @param {number} most */
export const spread = (all, most) => (all.length <= most ? all : Array.from({ length: most }, (_, at) => all[Math.floor(at * all.length / most)]));

/** Return the corners of the box around points, in the map's coordinates: lowest, then highest.
 * @param {{points: Uint16Array, dims: number, corners: number[]}} data with the lowest x, y and z, then the highest @param {number[]} chosen */
export function boxOf({ points, dims, corners }, chosen) {
  const axes = [...Array(dims).keys()];
  const value = (/** @type {number} */ axis, /** @type {number} */ level) => corners[axis] + level / MOST * (corners[axis + 3] - corners[axis]);
  const ends = axes.map((axis) => {
    let [low, high] = [MOST, 0];
    for (const i of chosen) {
      low = Math.min(low, points[VALUES * i + axis]);
      high = Math.max(high, points[VALUES * i + axis]);
    }
    // A level is coarser than a coordinate: half of one more on each side.
    return [value(axis, low - 0.5), value(axis, high + 0.5)];
  });
  return [...ends.map((one) => one[0]), ...ends.map((one) => one[1])];
}
