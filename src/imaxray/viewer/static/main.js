// Starts the page and shows what the address asks for.
import { get } from "./api.js";
import { Browse } from "./browse.js";
import { make, say, unsay } from "./dom.js";
import { ImagePage } from "./image.js";
import { listKeys, setKeys } from "./keys.js";
import { openMarks } from "./marks.js";
import { openPython } from "./python.js";
import { go, readRoute, writeRoute } from "./route.js";

const main = document.getElementById("main");
let about = null;
let page = null;
let turn = 0; // of showing: a late answer for an earlier address must change nothing

async function show() {
  const route = readRoute();
  const own = ++turn;
  try {
    if (!about || (route.dataset && route.dataset !== about.dataset)) {
      const found = await get("/api/about", route.dataset ? { dataset: route.dataset } : {});
      if (own !== turn) return;
      about = found;
      page = null;
      head();
      follow();
    }
  } catch (error) {
    if (own !== turn) return;
    about = null;
    main.replaceChildren(make("h1", { tabindex: "-1" }, "imaxray"), make("p", { class: "problem" }, error.message), make("p", {}, make("a", { href: "#/" }, "Back to the first dataset")));
    return;
  }
  route.dataset ||= about.dataset;
  const wanted = route.page === "image" ? ImagePage : Browse;
  if (!(page instanceof wanted)) {
    page?.leave?.();
    page = new wanted(about, route);
    main.replaceChildren(page.element);
  }
  document.getElementById("home").href = writeRoute({ dataset: about.dataset, page: "images", filter: new URLSearchParams() });
  await page.show(route);
}

/** While the tables are read, say how far; then show the page with all that is known. */
function follow() {
  clearTimeout(follow.timer);
  if (!about?.reading) return;
  const { dataset } = about;
  follow.timer = setTimeout(async () => {
    try {
      const now = await get("/api/about", { dataset });
      if (about?.dataset !== dataset) return; // the user went to another one
      if (now.reading) {
        about.reading = now.reading;
        page?.tell?.(now.reading);
      } else {
        const focused = document.activeElement?.id;
        about = now;
        page?.leave?.();
        page = null;
        await show();
        if (focused) document.getElementById(focused)?.focus();
      }
    } catch (error) {
      say(error.message, { lasting: true });
      return;
    }
    follow();
  }, 400);
}

function head() {
  document.getElementById("subject").textContent = about.title;
  const select = document.getElementById("dataset");
  select.replaceChildren(...about.datasets.map((name) => make("option", { value: name, selected: name === about.dataset }, name)));
  select.onchange = () => go({ dataset: select.value, page: "images", filter: new URLSearchParams() });
  document.getElementById("show-marks").onclick = () => openMarks(about.dataset);
}

document.getElementById("show-keys").onclick = listKeys;
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address stands for the page that is shown
  main.focus();
});
setKeys("Everywhere", [
  { keys: ["?"], what: "this list", run: listKeys },
  { keys: ["M"], what: "your marks", run: () => about && openMarks(about.dataset) },
  { keys: ["C"], what: "copy the filter as Python", run: () => about && openPython(about.dataset, "", readRoute().filter) },
]);
addEventListener("hashchange", () => {
  unsay();
  show();
});
addEventListener("replaced", () => { // the dataset was built anew while the viewer runs
  about = null;
  say("The dataset was built anew; this is its new content.");
  show();
});
show().catch((error) => say(error.message, { lasting: true }));
