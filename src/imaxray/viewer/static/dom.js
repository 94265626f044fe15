// Makes elements. Every text that comes from data becomes a text node, never markup.

/** Make an element: attributes by name, `on…` functions as listeners, then children. */
export function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** Make an element of an SVG. */
export function makeSvg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else element.setAttribute(name, String(value));
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

/** Say a sentence to the user, also through a screen reader. */
export function say(sentence, { lasting = false } = {}) {
  const place = document.getElementById("said");
  place.textContent = sentence;
  place.classList.toggle("shown", Boolean(sentence));
  clearTimeout(say.timer);
  say.lasts = lasting;
  if (sentence && !lasting) say.timer = setTimeout(() => place.classList.remove("shown"), 6000);
}

/** Take back a lasting sentence, which was about a page that the user left. */
export function unsay() {
  if (say.lasts) say("");
}

/** Open the dialog with a title and content; it closes by Escape or its button. */
export function openDialog(title, ...content) {
  const dialog = document.getElementById("dialog");
  dialog.replaceChildren(
    make("div", { class: "dialog-head" },
      make("h2", { id: "dialog-title" }, title),
      make("button", { type: "button", onclick: () => dialog.close() }, "Close")),
    ...content);
  if (!dialog.open) dialog.showModal();
  return dialog;
}

export const plural = (count, one, many = `${one}s`) =>
  `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

/** Return where a statement stands; what was derived stands in no row of a release. */
export const placeOf = (file, row) =>
  row === null || row === undefined ? file ?? "" : `${file}, row ${row.toLocaleString("en")}`;

export const percent = (share) => (share === null || share === undefined ? "–" : `${Math.round(100 * share)} %`);
