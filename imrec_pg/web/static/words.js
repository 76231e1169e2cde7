// @ts-check
// Numbers and names for people.

/** @param {number | null | undefined} bytes */
export function size(bytes) {
  if (bytes === null || bytes === undefined) return "";
  const units = ["B", "kB", "MB", "GB", "TB"];
  let at = 0;
  let value = bytes;
  while (value >= 1000 && at < units.length - 1) { value /= 1000; at += 1; }
  return `${at && value < 10 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}

/** @param {number} value */
export const number = (value) => Number(value).toLocaleString("en");

/** @param {number} count @param {string} one @param {string} [many] */
export const counted = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;

/** @param {number | null | undefined} value */
export function distance(value) {
  if (value === null || value === undefined) return "–";
  return Number.isInteger(value) ? String(value) : value.toPrecision(3);
}

/** The name of a path's file. @param {string | null | undefined} path */
export const fileName = (path) => (path || "no file").replace(/[\\/]+$/, "").split(/[\\/]/).pop() || String(path);

/** @param {string} name */
export const plain = (name) => name.replaceAll("_", " ");

/** How much evidence speaks for a copy, in words. @param {number | null | undefined} decibans */
export function evidence(decibans) {
  if (decibans === null || decibans === undefined) return "";
  const sign = decibans > 0 ? "+" : "";
  return `${sign}${decibans.toFixed(0)}`;
}

/** @param {number} decibans */
export function odds(decibans) {
  const times = 10 ** (Math.abs(decibans) / 10);
  const shown = times >= 1e6 ? "over 1,000,000" : number(Number(times.toPrecision(2)));
  if (Math.abs(decibans) < 1) return "says nothing for or against a copy";
  return decibans > 0 ? `${shown} times likelier between copies` : `${shown} times likelier between unrelated photos`;
}
