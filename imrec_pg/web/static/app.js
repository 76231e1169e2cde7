// @ts-check
// The page: which view is shown, and what is said above all of them.
import { html, render, useCallback, useEffect, useState } from "./html.js";
import { VIEWS, go, placeOf } from "./address.js";
import { get } from "./api.js";
import { Duplicates } from "./duplicates.js";
import { Library } from "./library.js";
import { MapView } from "./map.js";
import { Search } from "./search.js";

const NAMES = { search: "Search", duplicates: "Duplicates", map: "Map", library: "Library" };
const SCREENS = { search: Search, duplicates: Duplicates, map: MapView, library: Library };
const AGAIN_MS = 3000;

/** Says that the server is away, and asks until it is back. @param {{error: any, onBack: () => void}} props */
function Away({ error, onBack }) {
  useEffect(() => {
    const timer = setInterval(() => get("status").then(onBack, () => {}), AGAIN_MS);
    return () => clearInterval(timer);
  }, [error]);
  return html`<p class="away" role="alert"><strong>${error.message}</strong> Asking again every few seconds.</p>`;
}

function App() {
  const [place, setPlace] = useState(() => placeOf(location.hash));
  const [away, setAway] = useState(/** @type {any} */ (null));
  const [round, setRound] = useState(0);
  useEffect(() => {
    const moved = () => setPlace(placeOf(location.hash));
    for (const name of ["popstate", "hashchange", "imrec-place"]) addEventListener(name, moved);
    return () => { for (const name of ["popstate", "hashchange", "imrec-place"]) removeEventListener(name, moved); };
  }, []);
  useEffect(() => { document.title = `${NAMES[/** @type {keyof NAMES} */ (place.view)]} – imrec-pg`; }, [place.view]);
  const onError = useCallback((/** @type {any} */ error) => { if (error.away) setAway(error); }, []);
  const Screen = SCREENS[/** @type {keyof SCREENS} */ (place.view)];
  return html`
    <header>
      <a class="brand" href="#search">imrec-pg</a>
      <nav aria-label="Views">${VIEWS.map((view) => html`
        <a href=${`#${view}`} aria-current=${view === place.view ? "page" : undefined}
          onClick=${(/** @type {MouseEvent} */ event) => {
            if (event.ctrlKey || event.metaKey || event.shiftKey) return;
            event.preventDefault();
            // Filters and the query stay with the search.
            go(view === "search" || view === "map" ? { ...place, view } : placeOf(`#${view}`));
          }}>${NAMES[/** @type {keyof NAMES} */ (view)]}</a>`)}
      </nav>
    </header>
    ${away && html`<${Away} error=${away} onBack=${() => { setAway(null); setRound((n) => n + 1); }} />`}
    <${Screen} key=${`${place.view}${round}`} place=${place} onError=${onError} />`;
}

const root = document.getElementById("app");
if (root) render(html`<${App} />`, root);
