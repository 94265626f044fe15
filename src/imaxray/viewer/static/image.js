// Shows one image with everything that is known about it.
import { get, getPixels } from "./api.js";
import { comparison } from "./compare.js";
import { make, placeOf, say } from "./dom.js";
import { annotationTable, candidateTable, conflictTable, entryList, rejectTable } from "./facts.js";
import { setKeys } from "./keys.js";
import { badges, openMark } from "./marks.js";
import { openPython } from "./python.js";
import { renderedEntries } from "./rendered.js";
import { go, writeRoute } from "./route.js";
import { Viewport } from "./viewport.js";

const PAN = 60;

export class ImagePage {
  constructor(about, route) {
    this.about = about;
    this.route = route;
    this.shown = new Set(["finding", "candidate"]);
    this.strong = null;
    this.element = make("div", { class: "image-page" });
  }

  async show(route) {
    this.route = route;
    const parameters = [["dataset", this.about.dataset], ["id", route.id]];
    this.asking?.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    try {
      const [page, beside] = await Promise.all([
        get("/api/image", parameters, signal),
        get("/api/neighbours", [...parameters, ...route.filter], signal).catch((error) => {
          if (error.name === "AbortError") throw error;
          return { place: null, problem: error.message }; // of the filter; the image is shown all the same
        }),
      ]);
      this.page = page;
      this.beside = beside;
      this.build();
      const problem = beside.problem ?? (page.marks_problem && `Your marks are not shown. ${page.marks_problem}`);
      if (problem) say(problem, { lasting: true });
      await this.load(parameters, signal);
    } catch (error) {
      if (error.name === "AbortError") return;
      this.element.replaceChildren(make("h1", { tabindex: "-1" }, "Image"), make("p", { class: "problem" }, error.message),
        make("p", {}, make("a", { href: this.back() }, "Back to the list of images")));
      say(error.message, { lasting: true });
    }
  }

  /** Say how far the reading of the tables is; null when they were read. */
  tell(reading) {
    if (reading && this.reading) this.reading.textContent = `Reading answers of arms and pseudo annotations: ${Math.floor(100 * reading.share)} %; they are shown then.`;
  }

  back() {
    return writeRoute({ dataset: this.about.dataset, page: "images", filter: this.route.filter });
  }

  leave() {
    this.asking?.abort();
    setKeys("Image", []);
  }

  async load(parameters, signal) {
    const { image } = this.page;
    const size = { width: image.width, height: image.height };
    this.viewport.show(size, null, `Radiograph ${image.image_id}`);
    this.overlay();
    if (!image.pixels) {
      this.note.textContent = `The image cannot be shown, because ${image.why_not}. Its boxes are shown without it.`;
      return;
    }
    this.note.textContent = "Reading the image …";
    try {
      const pixels = await getPixels(parameters, signal);
      this.viewport.show(size, pixels, `Radiograph ${image.image_id}`);
      const { bits, width, height } = pixels.about;
      const same = width === size.width && height === size.height;
      this.note.textContent = `${bits} bits, ${width} × ${height} pixels${same ? "" : `; the table states ${size.width} × ${size.height}, so pixels and boxes are stretched to that`}`;
      this.element.dataset.loaded = "true";
      this.controls();
    } catch (error) {
      if (error.name === "AbortError") throw error;
      this.note.textContent = error.message;
    }
  }

  build() {
    const { image, annotations, conflicts, rejects, entries, candidates } = this.page;
    const { place, total, previous, next } = this.beside;
    document.title = `${image.image_id} · imaxray`;
    delete this.element.dataset.loaded;
    const to = (id) => writeRoute({ dataset: this.about.dataset, page: "image", id, filter: this.route.filter });
    this.heading = make("h1", { tabindex: "-1" }, image.image_id);
    this.badges = make("span", { class: "badges" });
    this.viewport = new Viewport({ onchange: () => this.controls(), onpoint: (point) => this.point(point) });
    this.note = make("p", { class: "note", role: "status" });
    this.where = make("p", { class: "where" });
    const head = make("div", { class: "image-head" },
      make("nav", { "aria-label": "Images of the list" },
        make("a", { href: this.back() }, "Back to the list"),
        previous ? make("a", { href: to(previous), rel: "prev" }, "Previous") : make("span", { class: "off" }, "Previous"),
        make("span", {}, place ? `${place.toLocaleString("en")} of ${total.toLocaleString("en")}` : "not in the filtered list"),
        next ? make("a", { href: to(next), rel: "next" }, "Next") : make("span", { class: "off" }, "Next")),
      make("div", { class: "actions" },
        make("button", { type: "button", onclick: () => this.mark() }, "Mark the image"),
        make("button", { type: "button", onclick: () => this.copyLink() }, "Copy link"),
        make("button", { type: "button", onclick: () => openPython(this.about.dataset, image.image_id, this.route.filter) }, "Copy as Python")));
    const left = make("div", { class: "left" }, this.toolbar(), this.viewport.element, make("div", { class: "under" }, this.note, this.where), this.legend());
    this.markable = (annotation) => this.mark(annotation);
    const arms = this.about.arms;
    const right = make("div", { class: "right" },
      this.about_image(image),
      section("Annotations", annotations.length, annotationTable(this)),
      section("Entries", entries.length, entryList(this)),
      arms.length ? section("Two arms side by side", null, comparison(this)) : "",
      candidates.length ? section("Pseudo annotations", candidates.length, candidateTable(this)) : "",
      section("Conflicts", conflicts.length, conflictTable(conflicts)),
      section("Rejected rows about this image or its study", rejects.length, rejectTable(rejects)),
      this.about.models.length ? section("As a model sees it", null, renderedEntries(this)) : "");
    const waiting = this.about.reading && (this.about.answers || this.about.candidates);
    this.reading = make("p", { class: "reading", hidden: !waiting });
    this.tell(this.about.reading);
    this.element.replaceChildren(this.heading, this.badges, head, this.reading, make("div", { class: "columns" }, left, right));
    this.marksChanged(this.page.marks);
    this.keys();
  }

  about_image(image) {
    const release = this.page.releases[image.source];
    const rows = [
      ["Patient", image.patient_id], ["Study", image.study_id], ["Split", image.split], ["View", image.view],
      ["Sex, age", [image.sex, image.age === null ? null : `${image.age} years`].filter(Boolean).join(", ")],
      ["Size", `${image.width} × ${image.height} pixels`],
      ["Release", release ? `${release.title} ${release.version}` : image.source],
      ["Row", placeOf(image.file, image.row)], ["Path", image.path],
    ];
    return make("section", { "aria-label": "Image" },
      make("dl", { class: "about" }, rows.filter(([, value]) => value).map(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])));
  }

  toolbar() {
    const view = this.viewport;
    const button = (label, run, name = label) => make("button", { type: "button", "aria-label": name, title: name, onclick: run }, label);
    const number = (label) => {
      const input = make("input", { type: "number", step: "any", "aria-label": label, onchange: () => this.typed() });
      return input;
    };
    this.level = number("Window level");
    this.width = number("Window width");
    this.invertButton = make("button", { type: "button", "aria-pressed": "false", onclick: () => view.invert() }, "Invert");
    this.zoomed = make("output", { class: "zoomed", "aria-label": "Zoom" });
    return make("div", { class: "toolbar", role: "group", "aria-label": "Image view" },
      button("−", () => view.zoom(1 / 1.25), "Zoom out"), this.zoomed, button("+", () => view.zoom(1.25), "Zoom in"),
      button("Fit", () => view.fit(), "Fit the image"), button("1:1", () => view.setScale(1), "One pixel of the image per pixel"),
      make("span", { class: "gap" }),
      make("label", {}, "Level ", this.level), make("label", {}, "Width ", this.width),
      this.invertButton, button("Reset", () => view.resetWindow(), "Reset the window"));
  }

  /** Show the state of the image in the toolbar. */
  controls() {
    const view = this.viewport;
    if (!view || !this.zoomed) return;
    this.zoomed.textContent = `${Math.round(100 * view.scale)} %`;
    if (!view.pixels) return;
    const { slope, offset } = view.pixels.about;
    const shown = (value) => Number(value.toPrecision(6));
    if (document.activeElement !== this.level) this.level.value = shown(((view.low + view.high) / 2) * slope + offset);
    if (document.activeElement !== this.width) this.width.value = shown((view.high - view.low) * slope);
    this.invertButton.setAttribute("aria-pressed", String(view.inverted));
    this.element.dataset.window = `${shown(view.low)} ${shown(view.high)} ${view.inverted}`;
  }

  typed() {
    const view = this.viewport;
    if (!view.pixels) return;
    const { slope, offset } = view.pixels.about;
    const level = (Number(this.level.value) - offset) / slope;
    const width = Number(this.width.value) / slope;
    if (Number.isFinite(level) && width > 0) view.setWindow(level - width / 2, level + width / 2);
  }

  point(point) {
    if (!point) this.where.textContent = "";
    else this.where.textContent = `x ${point.x}, y ${point.y}${point.value === null ? "" : `: ${Number(point.value.toPrecision(7))}`}`;
  }

  /** List what boxes can be shown, with a switch each. */
  groups() {
    const { annotations, entries, candidates } = this.page;
    const boxed = annotations.filter((one) => one.boxes?.length);
    const found = [
      { kind: "finding", name: "findings and phrases", boxes: boxed.filter((one) => one.quality !== "anatomy").flatMap(labelled("finding")) },
      { kind: "anatomy", name: "regions of anatomy", boxes: boxed.filter((one) => one.quality === "anatomy").flatMap(labelled("anatomy")) },
    ];
    found.push({
      kind: "truth", name: "targets of entries (truth)",
      boxes: entries.flatMap((entry) => entry.target_boxes.map((box) => ({ box, kind: "truth", label: `target: ${entry.prompt.slice(0, 40)}`, of: entry.entry_id }))),
    });
    this.about.arms.forEach((arm, place) => {
      const kind = `arm-${place % 6}`;
      const boxes = entries.flatMap((entry) => entry.answers.filter((one) => one.arm === arm)
        .flatMap((one) => one.boxes.map((box) => ({ box, kind, label: `${arm}: ${entry.prompt.slice(0, 40)}`, of: entry.entry_id }))));
      found.push({ kind, name: `answers of ${arm}`, boxes });
    });
    found.push({
      kind: "candidate", name: "pseudo annotations",
      boxes: candidates.flatMap((one) => one.target_boxes.map((box) => ({ box, kind: "candidate", label: one.prompt.slice(0, 40), of: one.pseudo_id }))),
    });
    return found.filter((group) => group.boxes.length);
  }

  legend() {
    this.switches = new Map();
    const rows = this.groups().map(({ kind, name, boxes }) => {
      const id = `show-${kind}`;
      const input = make("input", { type: "checkbox", id, checked: this.shown.has(kind), onchange: () => this.toggle(kind, input.checked) });
      this.switches.set(kind, input);
      return make("li", { class: `legend ${kind}` }, input, make("span", { class: "swatch", "aria-hidden": "true" }), make("label", { for: id }, `${name} (${boxes.length})`));
    });
    return rows.length
      ? make("fieldset", { class: "overlays" }, make("legend", {}, "Boxes"), make("ul", {}, rows))
      : make("p", { class: "overlays" }, "There are no boxes of this image.");
  }

  toggle(kind, on) {
    if (on) this.shown.add(kind);
    else this.shown.delete(kind);
    const input = this.switches.get(kind);
    if (input) input.checked = on;
    this.overlay();
  }

  toggleAll() {
    const kinds = [...this.switches.keys()];
    const on = !kinds.some((kind) => this.shown.has(kind));
    for (const kind of kinds) this.toggle(kind, on);
    say(on ? "All boxes are shown." : "All boxes are hidden.");
  }

  overlay() {
    const shown = this.groups().filter((group) => this.shown.has(group.kind)).flatMap((group) => group.boxes);
    const strong = this.strong ? this.strong.map((box) => ({ ...box, strong: true })) : [];
    this.viewport.setBoxes([...shown, ...strong]);
  }

  /** Show some boxes strongly, while a row that names them is pointed at or has the focus. */
  emphasise(boxes) {
    this.strong = boxes;
    this.overlay();
  }

  mark(annotation = null) {
    openMark({
      about: this.about, image: this.page.image.image_id, annotation, marks: this.page.marks,
      saved: (marks) => this.marksChanged(marks),
    });
  }

  marksChanged(marks) {
    this.page.marks = marks;
    this.badges.replaceChildren(...badges(marks, null));
    this.refreshMarks?.(marks);
  }

  async copyLink() {
    try {
      await navigator.clipboard.writeText(location.href);
      say("The link is copied. It works in this browser while the viewer runs.");
    } catch {
      say(`The link: ${location.href}`, { lasting: true });
    }
  }

  keys() {
    const view = this.viewport;
    const { previous, next } = this.beside;
    const visit = (id) => id && go({ dataset: this.about.dataset, page: "image", id, filter: this.route.filter });
    const here = (event) => event.target === view.element || event.target === document.body || event.target.id === "main" || event.target.tagName === "H1";
    setKeys("List of images", []);
    setKeys("Image", [
      { keys: ["n"], what: "next image of the list", run: () => visit(next) },
      { keys: ["p"], what: "previous image of the list", run: () => visit(previous) },
      { keys: ["l"], what: "back to the list", run: () => { location.hash = this.back(); } },
      { keys: ["+", "="], what: "zoom in", run: () => view.zoom(1.25) },
      { keys: ["-"], what: "zoom out", run: () => view.zoom(1 / 1.25) },
      { keys: ["0"], what: "fit the image", run: () => view.fit() },
      { keys: ["1"], what: "one pixel of the image per pixel", run: () => view.setScale(1) },
      { keys: ["ArrowLeft"], what: "move the image", only: here, run: () => view.pan(PAN, 0) },
      { keys: ["ArrowRight"], what: "move the image", only: here, run: () => view.pan(-PAN, 0) },
      { keys: ["ArrowUp"], what: "move the image", only: here, run: () => view.pan(0, PAN) },
      { keys: ["ArrowDown"], what: "move the image", only: here, run: () => view.pan(0, -PAN) },
      { keys: ["w"], what: "darker (higher level)", run: () => view.shiftWindow(0.05, 0) },
      { keys: ["s"], what: "brighter (lower level)", run: () => view.shiftWindow(-0.05, 0) },
      { keys: ["d"], what: "less contrast (wider window)", run: () => view.shiftWindow(0, 0.1) },
      { keys: ["a"], what: "more contrast (narrower window)", run: () => view.shiftWindow(0, -0.1) },
      { keys: ["r"], what: "reset the window", run: () => view.resetWindow() },
      { keys: ["i"], what: "invert", run: () => view.invert() },
      { keys: ["b"], what: "show or hide all boxes", run: () => this.toggleAll() },
      { keys: ["m"], what: "mark the image", run: () => this.mark() },
      { keys: ["c"], what: "copy as Python", run: () => openPython(this.about.dataset, this.page.image.image_id, this.route.filter) },
    ]);
  }
}

function labelled(kind) {
  return (one) => one.boxes.map((box) => ({ box, kind, label: one.name ?? one.text ?? one.kind, of: one.fact }));
}

function section(title, count, content) {
  const id = `section-${title.replaceAll(/\W+/g, "-").toLowerCase()}`;
  return make("section", { "aria-labelledby": id },
    make("h2", { id }, title, count === null ? "" : make("span", { class: "count" }, ` ${count.toLocaleString("en")}`)),
    count === 0 ? make("p", { class: "none" }, "There are none.") : content);
}

