// @ts-check
// preact and htm: markup in template literals. Text is text: preact escapes all values.
import { h } from "./vendor/preact/preact.js";
import * as hooks from "./vendor/preact/hooks.js";
import htm from "./vendor/htm/htm.js";

export const html = htm.bind(h);
export { render } from "./vendor/preact/preact.js";

// The vendored files carry no types; these are what the page uses of preact's own.
/** @type {<T>(initial: T | (() => T)) => [T, (next: T | ((was: T) => T)) => void]} */
export const useState = hooks.useState;
/** @type {<T>(initial: T) => { current: T }} */
export const useRef = hooks.useRef;
/** @type {(effect: () => void | (() => void), inputs?: unknown[]) => void} */
export const useEffect = hooks.useEffect;
/** @type {<T extends Function>(callback: T, inputs: unknown[]) => T} */
export const useCallback = hooks.useCallback;
