// @ts-check
// The library: what is stored, what runs, what failed, and whether all is well.
import { html, useEffect, useState } from "./html.js";
import { get } from "./api.js";
import { counted, number, plain, size } from "./words.js";

/** @param {string} path @param {(error: any) => void} onError @param {boolean} [wanted] @returns {[any, string]} */
function useGot(path, onError, wanted = true) {
  const [found, setFound] = useState(/** @type {any} */ (null));
  const [error, setError] = useState("");
  useEffect(() => {
    if (!wanted) return undefined;
    const stop = new AbortController();
    get(path, stop.signal).then(setFound, (one) => { if (!stop.signal.aborted) { onError(one); setError(one.message); } });
    return () => stop.abort();
  }, [path, wanted]);
  return [found, error];
}

/** The ingests at work, as the server tells of them. */
function useRunning() {
  const [running, setRunning] = useState(/** @type {any[]} */ ([]));
  useEffect(() => {
    const events = new EventSource("/api/v1/events");
    events.addEventListener("running", (/** @type {MessageEvent} */ event) => setRunning(JSON.parse(event.data)));
    return () => events.close();
  }, []);
  return running;
}

/** @param {{title: string, error?: string, children?: any}} props */
const Box = ({ title, error, children }) => html`<section class="box"><h2>${title}</h2>${error && html`<p class="problem">${error}</p>`}${children}</section>`;

/** @param {{status: any}} props */
function Counts({ status }) {
  const lacking = Object.entries(status.lacking || {}).filter(([, count]) => count);
  return html`<dl>
    <dt>Images</dt><dd>${number(status.images)}</dd>
    <dt>Files</dt><dd>${number(status.files)}${status.photo_size ? `, ${size(status.photo_size)}` : ""}</dd>
    ${status.missing_files > 0 && html`<dt>Missing</dt><dd>${counted(status.missing_files, "file")}</dd>`}
    ${status.failures > 0 && html`<dt>Failures</dt><dd>${counted(status.failures, "file")}</dd>`}
    <dt>Database</dt><dd>${size(status.database_size)}</dd>
    ${lacking.length > 0 && html`<dt>Lacking</dt><dd>${lacking.map(([name, count]) => `${plain(name)} of ${number(Number(count))}`).join(", ")}</dd>`}
  </dl>`;
}

/** The indexes, and what tune measured of them. @param {{status: any}} props */
function Indexes({ status }) {
  const built = status.indexes.filter((/** @type {any} */ one) => one.name);
  if (!built.length) return html`<p class="muted">None: searches compare with every photo, and are exact. <code>imrec-pg index build</code> builds one.</p>`;
  return html`<dl>${built.map((/** @type {any} */ one) => {
    const measured = status.tunings.find((/** @type {any} */ each) => each.feature === one.feature && each.metric === one.metric);
    return html`<dt>${plain(one.feature)}, ${one.metric}</dt><dd>${size(one.size)}${!one.valid ? html` <span class="tag warn">unusable: build it again</span>` : ""}${measured ? `, recall ${(measured.recall * 100).toFixed(1)} %, ${measured.p50_ms.toFixed(1)} ms` : html`, not measured: <code>imrec-pg tune</code>`}</dd>`;
  })}</dl>`;
}

/** @param {{items: any[]}} props */
function Failures({ items }) {
  if (!items.length) return html`<p class="muted">Every file could be read.</p>`;
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Files that could not be read"><table><thead><tr><th>File</th><th>Why</th></tr></thead><tbody>${items.map((one) => html`<tr><td><bdi>${one.path}</bdi></td><td>${one.error_class}: ${one.error}</td></tr>`)}</tbody></table></div>
    <p class="muted">Files are tried again when they have changed, or by <code>imrec-pg ingest --retry</code>.</p>`;
}

/** @param {{findings: any[]}} props */
function Findings({ findings }) {
  const serious = findings.filter((one) => one.level !== "ok");
  return html`<p>${counted(findings.length - serious.length, "check")} found all well.</p>
    <dl>${serious.map((one) => html`<dt class=${`level-${one.level}`}>${one.level}</dt><dd><b>${one.what}</b><br />${one.why}${one.fix && html`<br />What helps: <code>${one.fix}</code>`}</dd>`)}</dl>`;
}

/** @param {{place: any, onError: (error: any) => void}} props */
export function Library({ onError }) {
  const [status, trouble] = useGot("status", onError);
  const [roots, noRoots] = useGot("roots", onError);
  const [failures, noFailures] = useGot("failures?k=200", onError);
  const [asked, setAsked] = useState(false);
  const [found, noDoctor] = useGot("doctor", onError, asked);
  const running = useRunning();
  const findings = found && (Array.isArray(found) ? found : found.findings || found.items);
  const failed = failures && (failures.items || failures);
  return html`<main data-ready=${status && failures ? "yes" : "no"}><div class="sheet">
    <${Box} title="Library" error=${trouble}>${status && html`<${Counts} status=${status} />`}<//>
    <${Box} title="At work now">${running.length ? html`<ul aria-live="polite">${running.map((one) => html`<li>an ingest on ${one.host}${one.pid ? `, process ${one.pid}` : ""}${typeof one.files === "number" ? `: ${counted(one.files, "file")} in hand` : ""}</li>`)}</ul>`
      : html`<p class="muted">No ingest is running. <code>imrec-pg ingest</code> starts one, <code>imrec-pg watch</code> keeps at it.</p>`}<//>
    <${Box} title="Roots" error=${noRoots}>${roots && html`<ul class="files">${roots.map((/** @type {any} */ one) => html`<li><b><bdi>${one.name}</bdi></b> ${typeof one.files === "number" ? counted(one.files, "file") : ""}${one.path && one.path !== one.name ? html`<br /><bdi>${one.path}</bdi>` : ""} ${one.gone && html`<span class="tag warn">not here now</span>`}</li>`)}</ul>`}<//>
    <${Box} title="Indexes">${status && html`<${Indexes} status=${status} />`}<//>
    <${Box} title="Doctor" error=${noDoctor}>${findings ? html`<${Findings} findings=${findings} />` : html`<button disabled=${asked && !noDoctor} onClick=${() => setAsked(true)}>${asked && !noDoctor ? "Examining…" : "Examine the library"}</button>`}<//>
    <${Box} title="Files that could not be read" error=${noFailures}>${failed && html`<${Failures} items=${failed} />`}<//>
  </div></main>`;
}
