// @ts-check
// The REST API as functions; each throws an ApiError whose text can be shown.

const BASE = "/api/v1/";

export class ApiError extends Error {
  /** @param {number} status @param {string} text @param {string} kind */
  constructor(status, text, kind) {
    super(text);
    this.status = status;
    this.kind = kind;
  }

  /** Whether the server or its database is away, and asking again may help. */
  get away() { return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504; }
}

/** @param {string} path @param {RequestInit} [init] */
async function asked(path, init = {}) {
  let response;
  try {
    response = await fetch(BASE + path, { credentials: "same-origin", ...init });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new ApiError(0, "imrec-pg serve does not answer. Is it still running?", "Unreachable");
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => ({}));
  const text = problem.detail || problem.title || `the server said ${response.status}`;
  throw new ApiError(response.status, typeof text === "string" ? text : JSON.stringify(text), problem.kind || "");
}

/** @param {string} path @param {AbortSignal} [signal] */
export const get = async (path, signal) => (await asked(path, { signal })).json();

/** @param {string} path @param {unknown} body @param {AbortSignal} [signal] @param {string} [method] */
export const send = async (path, body, signal, method = "POST") => (await asked(path, json(body, signal, method))).json();

/** @param {unknown} body @param {AbortSignal} [signal] @param {string} [method] @returns {RequestInit} */
const json = (body, signal, method = "POST") =>
  ({ method, signal, body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });

/** Return the text of a script that moves duplicates away. @param {unknown} body */
export const script = async (body) => (await asked("plans/script", json(body))).blob();

/** Send an image that may not be stored; its id can then be liked. @param {Blob} image */
export const upload = async (image) => (await asked("queries", {
  method: "POST", body: image, headers: { "Content-Type": image.type || "application/octet-stream" },
})).json();

/** Return the buffer of a map, with its headers. @param {string} path @param {AbortSignal} [signal] */
export async function binary(path, signal) {
  const response = await asked(path, { signal });
  return { headers: response.headers, buffer: await response.arrayBuffer() };
}

/** @param {string} id @param {256 | 1024} [size] */
export const thumbnail = (id, size = 256) => `${BASE}images/${encodeURIComponent(id)}/thumbnail?size=${size}`;
/** @param {string} id */
export const uploaded = (id) => `${BASE}queries/${encodeURIComponent(id)}/thumbnail`;
/** @param {string} id */
export const original = (id) => `${BASE}images/${encodeURIComponent(id)}/original`;
