// @ts-check
// Which files of duplicates could go; a script that moves them is downloaded, and run by the user or nobody.
import { html, useEffect, useState } from "./html.js";
import { script, send } from "./api.js";
import { counted, size } from "./words.js";

const RULES = [["resolution", "most pixels"], ["format", "raw, then HEIC"], ["date", "with a date"], ["bytes", "most bytes"], ["oldest", "the oldest"]];
const KINDS = [["copy", "near copies"], ["exact", "exact copies"], ["burst", "bursts"]];
const MOST_SHOWN = 100;

/** @param {any} props */
function Checks({ legend, all, chosen, onChange, ordered }) {
  return html`<fieldset class="row"><legend>${legend}</legend>${all.map(([name, text]) => html`<label><input type="checkbox" checked=${chosen.includes(name)}
    onChange=${(/** @type {any} */ event) => onChange(event.target.checked ? [...chosen, name] : chosen.filter((/** @type {string} */ one) => one !== name))} /> ${text}${ordered && chosen.includes(name) ? ` (${chosen.indexOf(name) + 1})` : ""}</label>`)}</fieldset>`;
}

/** @param {{onError: (error: any) => void}} props */
export function Plan({ onError }) {
  const [kinds, setKinds] = useState(["copy", "exact"]);
  const [keep, setKeep] = useState(/** @type {string[]} */ ([]));
  const [plan, setPlan] = useState(/** @type {any} */ (null));
  const [said, setSaid] = useState("");
  const [trash, setTrash] = useState("");
  const failed = (/** @type {any} */ error) => { onError(error); setSaid(error.message); };
  useEffect(() => {
    const stop = new AbortController();
    setPlan(null);
    if (!kinds.length) { setSaid("Choose a kind."); return undefined; }
    setSaid("Planning…");
    send("plans", { kinds, keep }, stop.signal).then((found) => { setPlan(found); setSaid(""); }, (error) => { if (!stop.signal.aborted) failed(error); });
    return () => stop.abort();
  }, [kinds, keep]);
  const download = async () => {
    try {
      const link = document.createElement("a");
      link.href = URL.createObjectURL(await script({ kinds, keep, trash }));
      link.download = "move-duplicates.sh";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    } catch (error) { failed(error); }
  };
  return html`<section class="box plan" aria-label="What could go">
    <${Checks} legend="Kinds" all=${KINDS} chosen=${kinds} onChange=${setKinds} />
    <${Checks} legend="Keep, in this order of rules" all=${RULES} chosen=${keep} onChange=${setKeep} ordered />
    <p role="status">${said}${plan && html`<b>${counted(plan.files, "file")}, ${size(plan.savings)}</b> could go. Nothing is deleted here: the script moves files to a folder, and checks each before.`}</p>
    ${plan && html`<p class="row"><label>Move them to <input value=${trash} placeholder="/path/of/a/folder" onInput=${(/** @type {any} */ event) => setTrash(event.target.value)} /></label>
        <button disabled=${!plan.files || !trash.startsWith("/")} onClick=${download}>Download the script</button></p>
      <ul>${plan.groups.slice(0, MOST_SHOWN).map((/** @type {any} */ group) => html`<li>keep <bdi>${group.keep.path}</bdi><ul>${group.remove.map((/** @type {any} */ file) => html`<li>move <bdi>${file.path}</bdi> <small class="muted">${size(file.size)}</small></li>`)}</ul></li>`)}</ul>
      ${plan.groups.length > MOST_SHOWN && html`<p class="muted">and ${counted(plan.groups.length - MOST_SHOWN, "group")} more, in the script</p>`}`}
  </section>`;
}
