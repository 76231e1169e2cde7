// @ts-check
// The map: all photos as points, alike ones side by side.
import { html, useEffect, useRef, useState } from "./html.js";
import { go, withValues } from "./address.js";
import { binary, get, thumbnail } from "./api.js";
import { COLOURS, colouring, versionOf } from "./colours.js";
import { Elbow } from "./elbow.js";
import { Choice } from "./options.js";
import { moreLike } from "./question.js";
import { boxOf, idOf, inside, spread } from "./selecting.js";
import { density, hasWebGL, sceneOf } from "./scene.js";
import { counted, number } from "./words.js";

const MOST_THUMBNAILS = 60;
const MOST_LIKES = 5;
const MOST_CHOSEN = 40;
const APART = 84; // pixels between thumbnails
const ZOOMED = 300; // as many points in sight are few enough for thumbnails

/** @param {any} info */
const nameOf = (info) => `${info.feature}/${info.dims}`;

/** Return the points and the ids of one version of the map: it may be made anew between the two.
 * @param {string} name @param {AbortSignal} signal */
async function matching(name, signal) {
  for (let tries = 0; ; tries += 1) {
    const both = await Promise.all([binary(`maps/${name}/points`, signal), binary(`maps/${name}/ids`, signal)]);
    if (versionOf(both[0]) === versionOf(both[1])) return both;
    if (tries > 2) throw new Error("The map is being made anew. Load this page again in a moment.");
  }
}

/** @param {string} name @param {(error: any) => void} onError */
function useMap(name, onError) {
  const [data, setData] = useState(/** @type {any} */ (null));
  const [clustering, setClustering] = useState(/** @type {any} */ (null));
  useEffect(() => {
    if (!name) return undefined;
    const stop = new AbortController();
    setData(null);
    const dims = Number(name.split("/")[1]);
    matching(name, stop.signal).then(([points, ids]) => setData({
      version: versionOf(points), points: new Uint16Array(points.buffer), ids: new Uint8Array(ids.buffer), count: points.buffer.byteLength / 8, dims,
      corners: (points.headers.get("X-Imrec-Box") || "").split(",").map(Number) }), (error) => { if (!stop.signal.aborted) onError(error); });
    get(`clusters?feature=${name.split("/")[0]}`, stop.signal).then(setClustering, () => setClustering(null));
    return () => stop.abort();
  }, [name]);
  return [data, clustering];
}

/** What a lasso chose. @param {any} props */
function Chosen({ chosen, data, place, name, onClear }) {
  const ids = chosen.slice(0, MOST_CHOSEN).map((/** @type {number} */ i) => idOf(data.ids, i));
  const likes = spread(chosen, MOST_LIKES).map((i) => idOf(data.ids, i));
  const filter = { in_box: boxOf(data, chosen).join(","), by_feature: name.split("/")[0], cluster: "", on_map: "" };
  return html`<section class="chosen" aria-label="Chosen photos"><div class="row"><b>${counted(chosen.length, "photo")}</b>
      <button onClick=${() => go({ ...place, view: "search", likes, dislikes: [], trail: [] })}>Search for more like these</button>
      <button title="the photos within the box around them" onClick=${() => go(withValues({ ...place, view: "search" }, filter))}>Search only around here</button>
      <button class="link" onClick=${onClear}>clear</button></div>
    <ul>${ids.map((/** @type {string} */ id) => html`<li key=${id}><button title="more like this" onClick=${() => go(moreLike(place, id))}><img loading="lazy" src=${thumbnail(id)} alt="more like this photo" /></button></li>`)}</ul></section>`;
}

/** @param {any} props */
function Drawn({ data, place, name, colour, onError, onLegend }) {
  const view = useRef(/** @type {any} */ (null));
  const scene = useRef(/** @type {any} */ (null));
  const [ready, setReady] = useState(false);
  const [hovered, setHovered] = useState(/** @type {any} */ (null));
  const [thumbs, setThumbs] = useState(/** @type {any[]} */ ([]));
  const [lasso, setLasso] = useState(/** @type {number[][] | null} */ (null));
  const [tool, setTool] = useState("move");
  const [chosen, setChosen] = useState(/** @type {number[]} */ ([]));
  const current = useRef(place);
  current.current = place;
  const picture = () => {
    if (!scene.current) return;
    const [width, height] = scene.current.box();
    /** @type {any[]} */
    const seen = [];
    scene.current.project((/** @type {number} */ i, /** @type {number} */ x, /** @type {number} */ y) => { if (x > 40 && y > 40 && x < width - 40 && y < height - 40) seen.push({ i, x, y }); });
    /** @type {any[]} */
    const apart = [];
    if (seen.length <= ZOOMED) for (const one of seen) {
      if (apart.length === MOST_THUMBNAILS) break;
      if (apart.every((other) => Math.max(Math.abs(one.x - other.x), Math.abs(one.y - other.y)) > APART)) apart.push(one);
    }
    setThumbs(apart);
  };
  useEffect(() => {
    let gone = false;
    const on = {
      onMove: () => { setThumbs([]); setHovered(null); },
      onRest: (/** @type {string} */ eye) => { picture(); go(withValues(current.current, { eye }), true); },
    };
    sceneOf(view.current, data, on).then((made) => {
      if (gone) { made.close(); return; }
      scene.current = made;
      if (current.current.values.eye) made.look(current.current.values.eye);
      setReady(true);
      picture();
    }, onError);
    return () => { gone = true; scene.current?.close(); scene.current = null; };
  }, [data]);
  useEffect(() => {
    if (!ready) return undefined;
    const stop = new AbortController();
    colouring(name, colour, data.version, stop.signal).then((found) => { scene.current?.paint(found.of); onLegend(found.legend); },
      (error) => { if (!stop.signal.aborted) { onError(error); onLegend([]); } });
    return () => stop.abort();
  }, [ready, colour, data]);
  useEffect(() => { scene.current?.hold(tool === "move"); }, [tool, ready]);
  const at = (/** @type {any} */ event) => { const box = view.current.getBoundingClientRect(); return [event.clientX - box.left, event.clientY - box.top]; };
  const looking = useRef(false);
  const pressed = useRef(/** @type {any} */ (null));
  const down = (/** @type {any} */ event) => { pressed.current = at(event); if (tool === "lasso") setLasso([at(event)]); };
  const moved = (/** @type {any} */ event) => {
    if (lasso) { setLasso([...lasso, at(event)]); return; }
    if (event.buttons || !scene.current) return;
    const [x, y] = at(event);
    if (looking.current) return;
    looking.current = true; // once a frame: all points are gone through
    requestAnimationFrame(() => {
      looking.current = false;
      if (!scene.current) return;
      const i = scene.current.under(x, y);
      setHovered(i < 0 ? null : { id: idOf(data.ids, i), x, y });
    });
  };
  const up = (/** @type {any} */ event) => {
    const [x, y] = at(event);
    if (lasso) {
      setChosen(lasso.length > 2 ? inside(scene.current, lasso) : []);
      setLasso(null);
    } else if (pressed.current && Math.hypot(x - pressed.current[0], y - pressed.current[1]) < 4) {
      const i = scene.current.under(x, y);
      setChosen(i < 0 ? [] : [i]);
    }
  };
  return html`<div class="view" ref=${view} data-ready=${ready ? "yes" : "no"} onPointerDown=${down} onPointerMove=${moved} onPointerUp=${up} onPointerLeave=${() => setHovered(null)}></div>
    <div class="thumbs" aria-hidden="true">${thumbs.map(({ i, x, y }) => html`<img key=${i} src=${thumbnail(idOf(data.ids, i))} alt="" style=${{ left: `${x - 38}px`, top: `${y - 38}px` }} />`)}</div>
    ${lasso && html`<svg class="lasso" aria-hidden="true"><path d=${`M${lasso.map((one) => one.join(" ")).join("L")}`} /></svg>`}
    ${hovered && !lasso && html`<div class="hovered" style=${{ left: `${Math.min(hovered.x + 16, innerWidth - 190)}px`, top: `${Math.max(0, hovered.y - 90)}px` }}><img src=${thumbnail(hovered.id)} alt="" /></div>`}
    <div class="tools"><button aria-pressed=${tool === "lasso"} onClick=${() => setTool(tool === "lasso" ? "move" : "lasso")}>Lasso</button>
      <button aria-label="zoom in" onClick=${() => scene.current?.zoom(1.5)}>+</button><button aria-label="zoom out" onClick=${() => scene.current?.zoom(1 / 1.5)}>−</button>
      <button onClick=${() => { scene.current?.all(); }}>All</button></div>
    ${chosen.length > 0 && html`<${Chosen} chosen=${chosen} data=${data} place=${place} name=${name} onClear=${() => setChosen([])} />`}`;
}

/** @param {any} props */
function Density({ data }) {
  const canvas = useRef(/** @type {any} */ (null));
  useEffect(() => density(canvas.current, data), [data]);
  return html`<canvas ref=${canvas} class="density" role="img" aria-label="How many photos lie where"></canvas>`;
}

/** @param {{place: any, onError: (error: any) => void}} props */
export function MapView({ place, onError }) {
  const [maps, setMaps] = useState(/** @type {any[] | null} */ (null));
  const [legend, setLegend] = useState(/** @type {any[]} */ ([]));
  const [trouble, setTrouble] = useState("");
  const failed = (/** @type {any} */ error) => { onError(error); setTrouble(error.message); };
  useEffect(() => { get("maps").then((found) => setMaps(found.items || found), failed); }, []);
  const names = (maps || []).map(nameOf);
  const name = names.includes(place.values.map) ? place.values.map : names[0] || "";
  const [data, clustering] = useMap(name, failed);
  const webgl = useRef(hasWebGL());
  const colour = place.values.colour || "cluster";
  if (maps && !maps.length) return html`<main><p>There is no map yet. Make one with <code>imrec-pg map build</code>.</p></main>`;
  return html`<main class="map">
    ${data && (webgl.current ? html`<${Drawn} key=${name} data=${data} place=${place} name=${name} colour=${colour} onError=${failed} onLegend=${setLegend} />` : html`<${Density} data=${data} />`)}
    <section class="panel" aria-label="About the map">
      ${names.length > 0 && html`<${Choice} label="Map" value=${name} options=${(maps || []).map((one) => [nameOf(one), `${one.feature}, ${one.dims}-D`])} onChange=${(/** @type {string} */ map) => go(withValues(place, { map, eye: "" }))} />`}
      ${webgl.current && html`<p><${Choice} label="Colour" value=${colour} options=${COLOURS} onChange=${(/** @type {string} */ one) => { setTrouble(""); go(withValues(place, { colour: one === "cluster" ? "" : one })); }} /></p>`}
      <p role="status">${trouble ? html`<span class="problem">${trouble}</span>` : data ? counted(data.count, "photo") : "Reading…"}</p>
      ${!webgl.current && html`<p class="muted">This browser has no WebGL: the darker, the more photos lie there.</p>`}
      <ul class="legend">${legend.slice(0, 60).map((one) => html`<li><button disabled=${!one.filter} title=${one.filter ? "search within this cluster" : one.name}
        onClick=${() => go(withValues({ ...place, view: "search" }, one.filter))}>
        <svg viewBox="0 0 2 2" aria-hidden="true"><circle cx="1" cy="1" r="1" fill=${`rgb(${one.colour.join(" ")})`} /></svg><span><bdi>${one.name}</bdi> <small class="muted">${number(one.size)}</small></span></button></li>`)}</ul>
      ${clustering && html`<${Elbow} clustering=${clustering} />`}
    </section></main>`;
}
