// Knows the keys, calls what they stand for, and lists them.
import { make, openDialog } from "./dom.js";

const groups = new Map(); // name of a group → [{keys, what, run}]

/** Set the keys of a group: `{keys: ["n"], what: "next image", run}`; an empty list removes it. */
export function setKeys(group, entries) {
  groups.set(group, entries);
}

export function listKeys() {
  const parts = [];
  for (const [group, entries] of groups) {
    if (!entries.length) continue;
    parts.push(make("h3", {}, group), make("dl", { class: "keys" }, entries.map(({ keys, what }) => [
      make("dt", {}, keys.map((key, place) => [place ? " or " : "", make("kbd", {}, shown(key))])),
      make("dd", {}, what),
    ])));
  }
  parts.push(make("p", {}, "Mouse on the image: the wheel zooms, dragging moves the image, and dragging with ",
    make("kbd", {}, "Shift"), " or the right button changes the window (sideways: width, up and down: level)."));
  openDialog("Keys", ...parts);
}

function shown(key) {
  const names = { ArrowLeft: "←", ArrowRight: "→", ArrowUp: "↑", ArrowDown: "↓" };
  return names[key] ?? key;
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (document.getElementById("dialog").open) return;
  const at = event.target;
  if (at instanceof HTMLElement && at.matches("input:not([type=checkbox]):not([type=radio]), textarea, select")) return;
  for (const entries of groups.values()) {
    for (const { keys, run, only } of entries) {
      if (keys.includes(event.key) && (!only || only(event))) {
        event.preventDefault();
        run();
        return;
      }
    }
  }
});
