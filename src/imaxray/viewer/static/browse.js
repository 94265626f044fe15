// Shows the images of a dataset that a filter finds, page by page.
import { addressOf, get } from "./api.js";
import { make, percent, plural, say } from "./dom.js";
import { folded } from "./facts.js";
import { setKeys } from "./keys.js";
import { openPython } from "./python.js";
import { go, writeRoute } from "./route.js";

const NAMES = {
  task: "Tasks (all of)", split: "Split", from: "Source", view: "View", origin: "Origin of facts",
  quality: "Grade of facts", conflict: "Rule of a conflict",
};
const MARKS = { wrong: "wrong", doubtful: "doubtful", note: "note", no: "no mark" };
const SORTS = {
  "": "order of the dataset", id: "id", patient: "patient", tasks: "number of tasks", entries: "number of entries",
  annotations: "number of annotations", conflicts: "number of conflicts", age: "age", width: "width",
};

const WORDS = {
  task: "task", split: "split", from: "source", view: "view", origin: "origin", quality: "grade", conflict: "rule of a conflict",
  conflicted: "conflicts", mark: "your mark", q: "text", arm: "arm", low: "right at least", high: "right at most", disagree: "arms disagree",
};
const OF_TABLES = ["task", "from", "origin", "quality", "conflict", "conflicted", "low", "high", "disagree", "arm"];

export class Browse {
  constructor(about, route) {
    this.about = about;
    this.form = make("form", { class: "filters", "aria-label": "Filters", onsubmit: (event) => event.preventDefault() });
    this.list = make("ul", { class: "cards", "aria-label": "Images" });
    this.total = make("h1", { class: "total", tabindex: "-1" }, "Images");
    this.pages = make("nav", { class: "pages", "aria-label": "Pages" });
    this.chosen = make("p", { class: "chosen" });
    this.reading = make("p", { class: "reading" });
    this.problem = make("p", { class: "problem", role: "alert", hidden: true });
    this.element = make("div", { class: "browse" }, this.form,
      make("div", { class: "found" }, make("div", { class: "found-head" }, this.total, make("button", { type: "button", onclick: () => this.copy() }, "Copy as Python"), this.pages), about.notes.map((note) => make("p", { class: "note" }, note)), this.reading, this.problem, this.chosen, this.list));
    this.tell(about.reading);
    this.build(route.filter);
    setKeys("List of images", [
      { keys: ["n", "ArrowRight"], what: "next page", run: () => this.turn(1) },
      { keys: ["p", "ArrowLeft"], what: "previous page", run: () => this.turn(-1) },
      { keys: ["/"], what: "search for an id", run: () => { this.panel.open = true; this.search.focus(); } },
      { keys: ["x"], what: "clear the filters", run: () => this.clear() },
      { keys: ["c"], what: "copy the list as Python", run: () => this.copy() },
    ]);
  }

  build() {
    const { about } = this;
    const counted = { tasks: 1, entries: 1, annotations: 1, conflicts: 1 };
    const sorts = Object.entries(SORTS).filter(([name]) => !about.reading || !counted[name]);
    this.search = make("input", { type: "search", name: "q", id: "q", autocomplete: "off", spellcheck: "false", oninput: () => this.later() });
    this.sort = this.select("sort", "Sort by", {
      ...Object.fromEntries(sorts),
      ...(about.candidates ? { candidates: "number of pseudo annotations" } : {}),
      ...(about.arms.length ? { score: "right answers of the arm", disagreements: "disagreement of arms" } : {}),
    });
    this.order = this.select("order", "Order", { "": "ascending", desc: "descending" });
    // on a narrow page the images would stand far below all filters
    this.panel = make("details", { open: matchMedia("(min-width: 62rem)").matches }, make("summary", {}, make("h2", {}, "Filters")));
    this.form.append(this.panel);
    this.panel.append(
      make("p", { class: "field" }, make("label", { for: "q" }, "Id of image, patient or study"), this.search),
      this.sort.field, this.order.field,
      make("button", { type: "button", onclick: () => this.clear() }, "Clear filters"));
    if (about.arms.length) this.panel.append(this.answers());
    this.boxes = [];
    for (const [name, values] of Object.entries(about.facets)) {
      if (values.length) this.panel.append(this.facet(name, NAMES[name] ?? name, values.map((value) => [value, value || "(not stated)"])));
    }
    this.panel.append(
      about.reading ? "" : this.facet("conflicted", "Conflicts", [["yes", "has a conflict"], ["no", "has none"]], true),
      this.facet("mark", "Your marks", Object.entries(MARKS), true));
  }

  select(name, label, choices) {
    const id = `choose-${name}`;
    const input = make("select", { id, name, onchange: () => this.changed() },
      Object.entries(choices).map(([value, text]) => make("option", { value }, text)));
    return { input, field: make("p", { class: "field" }, make("label", { for: id }, label), input) };
  }

  answers() {
    this.arm = this.select("arm", "Arm", Object.fromEntries(this.about.arms.map((arm) => [arm, arm])));
    const share = (name, label) => {
      const input = make("input", { type: "number", name, id: name, min: "0", max: "100", step: "5", oninput: () => this.later() });
      this[name] = input;
      return make("p", { class: "field" }, make("label", { for: name }, label), input);
    };
    this.disagree = make("input", { type: "checkbox", name: "disagree", id: "disagree", onchange: () => this.changed() });
    return make("fieldset", {}, make("legend", {}, "Answers of arms"), this.arm.field,
      make("div", { class: "pair" }, share("low", "Right, at least %"), share("high", "Right, at most %")),
      make("p", { class: "check" }, this.disagree, make("label", { for: "disagree" }, "arms disagree (one right, another wrong)")));
  }

  facet(name, title, values, plain = false) {
    const rows = values.map(([value, text], place) => {
      const id = `${name}-${place}`;
      const input = make("input", { type: "checkbox", id, name, value, onchange: () => this.changed(name === "conflicted" ? { name, value } : null) });
      const count = plain ? null : make("span", { class: "count" });
      this.boxes.push({ name, value, input, count });
      return make("li", {}, input, make("label", { for: id }, text), count ?? "");
    });
    const open = values.length <= 12;
    return make("fieldset", {}, make("legend", {}, title), make("ul", { class: `values${open ? "" : " many"}`, ...(open ? {} : { tabindex: "0" }) }, rows));
  }

  /** Say how far the reading of the tables is; null when they were read. */
  tell(reading) {
    const left = reading?.seconds_left;
    this.reading.hidden = !reading;
    this.reading.textContent = !reading ? "" : [
      `Reading annotations, entries and answers: ${Math.floor(100 * reading.share)} %`,
      left === null ? "" : `, about ${plural(Math.max(1, Math.ceil(left)), "second")} left`,
      `. All ${plural(this.about.images, "image")} are listed; the other filters follow.`,
    ].join("");
  }

  /** Return the filter that the form asks for. */
  read() {
    const filter = new URLSearchParams();
    if (this.about.reading) { // of an address; the form does not show these filters yet
      for (const [name, value] of this.filter ?? []) if (OF_TABLES.includes(name)) filter.append(name, value);
    }
    const add = (name, value) => { if (value) filter.append(name, value); };
    add("q", this.search.value.trim());
    for (const { name, value, input } of this.boxes) if (input.checked) filter.append(name, value);
    if (this.about.arms.length) {
      const low = Number(this.low.value) / 100;
      const high = Number(this.high.value) / 100;
      if (this.low.value && low >= 0 && low <= 1) filter.append("low", low);
      if (this.high.value && high >= 0 && high <= 1) filter.append("high", high);
      if (this.disagree.checked) filter.append("disagree", "1");
      const scored = filter.has("low") || filter.has("high") || this.sort.input.value === "score";
      if (scored) add("arm", this.arm.input.value);
    }
    add("sort", this.sort.input.value);
    add("order", this.order.input.value);
    return filter;
  }

  write(filter) {
    if (document.activeElement !== this.search) this.search.value = filter.get("q") ?? "";
    for (const { name, value, input } of this.boxes) input.checked = filter.getAll(name).includes(value);
    this.sort.input.value = filter.get("sort") ?? "";
    this.order.input.value = filter.get("order") ?? "";
    if (this.about.arms.length) {
      this.arm.input.value = filter.get("arm") ?? this.about.arms[0];
      for (const name of ["low", "high"]) {
        if (document.activeElement === this[name]) continue;
        this[name].value = filter.has(name) ? Math.round(100 * Number(filter.get(name))) : "";
      }
      this.disagree.checked = filter.has("disagree");
    }
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.changed(), 200);
  }

  changed(either = null) {
    if (either) { // of two values only one can be chosen
      for (const { name, value, input } of this.boxes) {
        if (name === either.name && value !== either.value) input.checked = false;
      }
    }
    go({ dataset: this.about.dataset, page: "images", filter: this.read() }, { quietly: true });
  }

  clear() {
    this.search.value = "";
    go({ dataset: this.about.dataset, page: "images", filter: new URLSearchParams() });
  }

  copy() {
    openPython(this.about.dataset, "", this.filter ?? new URLSearchParams());
  }

  turn(steps, quietly = false) {
    const last = Math.max(1, Math.ceil((this.count ?? 0) / (this.size ?? 1)));
    const page = Math.min(Math.max(this.page + steps, 1), last);
    if (page === this.page) return;
    const filter = new URLSearchParams(this.filter);
    if (page > 1) filter.set("page", page);
    else filter.delete("page");
    go({ dataset: this.about.dataset, page: "images", filter }, { quietly });
    if (!quietly) this.total.focus();
  }

  async show(route) {
    this.filter = route.filter;
    this.page = Math.max(1, Math.trunc(Number(route.filter.get("page") ?? 1)) || 1);
    this.write(route.filter);
    this.asking?.abort();
    this.asking = new AbortController();
    const parameters = [["dataset", this.about.dataset], ...route.filter];
    this.list.setAttribute("aria-busy", "true");
    try {
      const found = await get("/api/images", parameters, this.asking.signal);
      if (found.sha256 !== this.about.sha256) dispatchEvent(new Event("replaced"));
      if (found.total && !found.images.length) { // a page behind the last one, of an old address
        this.size = found.size;
        this.count = found.total;
        this.turn(0, true);
        return;
      }
      this.fill(found);
      const { facets } = await get("/api/facets", parameters, this.asking.signal);
      for (const { name, value, count } of this.boxes) {
        if (count) count.textContent = (facets[name]?.[value] ?? 0).toLocaleString("en");
      }
      this.list.setAttribute("aria-busy", "false");
    } catch (error) {
      if (error.name === "AbortError") return;
      this.list.setAttribute("aria-busy", "false");
      this.list.replaceChildren();
      this.pages.replaceChildren();
      this.total.textContent = "Images";
      this.chosen.textContent = "";
      this.problem.hidden = false;
      this.problem.textContent = error.message;
    }
  }

  fill(found) {
    this.problem.hidden = !found.marks_problem;
    this.problem.textContent = found.marks_problem ? `Your marks are not shown. ${found.marks_problem}` : "";
    this.count = found.total;
    this.size = found.size;
    const last = Math.max(1, Math.ceil(found.total / found.size));
    document.title = `${this.about.dataset} · imaxray`;
    this.total.textContent = plural(found.total, "image");
    const button = (label, steps, off) =>
      make("button", { type: "button", disabled: off, onclick: () => this.turn(steps) }, label);
    this.pages.replaceChildren(
      button("First", -last, found.page <= 1), button("Previous", -1, found.page <= 1),
      make("span", { class: "at" }, `page ${found.page.toLocaleString("en")} of ${last.toLocaleString("en")}`),
      button("Next", 1, found.page >= last), button("Last", last, found.page >= last));
    const filters = [...this.filter].filter(([name]) => !["page", "sort", "order"].includes(name));
    this.chosen.textContent = filters.length ? `Filtered by ${filters.map(([name, value]) => name === "disagree" ? WORDS[name] : `${WORDS[name] ?? name}: ${["low", "high"].includes(name) ? percent(value) : value || "(not stated)"}`).join(", ")}` : "";
    this.list.replaceChildren(...found.images.map((image) => this.card(image)));
    if (!found.total) this.list.append(make("li", { class: "empty" }, "No image is as the filters ask. Clear one of them."));
  }

  card(image) {
    const { dataset, arms } = this.about;
    const href = writeRoute({ dataset, page: "image", id: image.image_id, filter: this.filter });
    const picture = image.pixels
      ? make("img", { src: addressOf("/api/picture", { dataset, id: image.image_id }), alt: "", loading: "lazy", width: 192, height: 192 })
      : make("span", { class: "no-picture" }, "no pixels");
    const facts = [
      [image.view, image.split, image.sex, image.age === null ? null : `${image.age} years`].filter(Boolean).join(" · "),
      image.entries === null ? "annotations and entries: being read" : `${plural(image.tasks_count, "task")} · ${plural(image.entries, "entry", "entries")} · ${plural(image.annotations, "annotation")}`,
      ...(image.conflicts ? [plural(image.conflicts, "conflict")] : []),
      ...(image.candidates ? [plural(image.candidates, "pseudo annotation")] : []),
    ];
    const shares = image.right.filter((share) => share !== null);
    const range = () => `${plural(shares.length, "arm")}: ${percent(Math.min(...shares))} to ${percent(Math.max(...shares))} right`;
    return make("li", { class: "card" },
      make("a", { href }, make("span", { class: "picture" }, picture), make("span", { class: "id" }, image.image_id)),
      make("ul", { class: "facts" }, facts.map((fact) => make("li", {}, fact))),
      make("p", { class: "chips" }, (image.task ?? []).map((task) => make("span", { class: "chip" }, task)),
        (image.origin ?? []).filter((origin) => !["human", "silver"].includes(origin)).map((origin) => make("span", { class: "chip origin" }, origin)),
        image.marks.map((mark) => make("span", { class: `chip mark ${mark}` }, `marked: ${mark}`))),
      shares.length ? make("ul", { class: "facts scores" },
        folded(arms.map((arm, place) => make("li", {}, `${arm}: ${percent(image.right[place])} right`)), range),
        image.disagreements ? make("li", {}, `arms disagree on ${plural(image.disagreements, "entry", "entries")}`) : "") : "");
  }
}
