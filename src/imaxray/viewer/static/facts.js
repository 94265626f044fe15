// Makes the tables of annotations, entries, conflicts, rejected rows and pseudo annotations.
import { make, percent, placeOf, plural } from "./dom.js";
import { badges, keyOf } from "./marks.js";

/** Make a table that can be scrolled by itself. */
export function table(caption, heads, rows) {
  return make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption },
    make("table", {}, make("caption", {}, caption),
      make("thead", {}, make("tr", {}, heads.map((head) => make("th", { scope: "col" }, head)))),
      make("tbody", {}, rows)));
}

const cell = (...content) => make("td", {}, ...content);

/** Show the boxes of a row strongly while the row is pointed at or has the focus. */
function emphasising(page, boxes, row) {
  if (!boxes.length) return row;
  for (const name of ["pointerenter", "focusin"]) row.addEventListener(name, () => page.emphasise(boxes));
  for (const name of ["pointerleave", "focusout"]) row.addEventListener(name, () => page.emphasise(null));
  return row;
}

/** Say how many boxes do not lie within the image, or have no area. */
function strayBoxes(boxes, { width, height }) {
  const within = ([x1, y1, x2, y2]) => x1 >= 0 && y1 >= 0 && x2 <= width && y2 <= height && x1 < x2 && y1 < y2;
  const stray = boxes.filter((box) => !within(box)).length;
  return stray ? make("p", { class: "problem" }, `${plural(stray, "box does", "boxes do")} not lie within the image, or ${stray === 1 ? "has" : "have"} no area`) : "";
}

export function annotationTable(page) {
  const { annotations, image, releases } = page.page;
  const places = [];
  const rows = annotations.map((one) => {
    const release = releases[one.source];
    const place = make("span", { class: "badges" });
    places.push([one, place]);
    const boxes = (one.boxes ?? []).map((box) => ({ box, kind: one.quality === "anatomy" ? "anatomy" : "finding", label: one.name ?? one.kind }));
    const title = release ? `${release.title} ${release.version}` : one.source;
    return emphasising(page, boxes, make("tr", { class: one.disputed ? "disputed" : null },
      cell(one.kind, one.name ? [make("br"), make("strong", {}, one.name)] : ""),
      cell(make("span", { class: "stated" }, one.states), one.raw === null ? "" : make("details", {}, make("summary", {}, "as published"), make("p", { class: "raw" }, one.raw)),
        boxes.length ? make("span", { class: "count" }, ` ${plural(boxes.length, "box", "boxes")}`) : "",
        strayBoxes(one.boxes ?? [], image)),
      cell(make("span", { class: `origin ${one.origin}` }, one.origin), one.quality ? `, ${one.quality}` : "", one.reader ? `, reader ${one.reader}` : ""),
      cell(make("span", { title }, one.source), make("br"), make("span", { class: "count" }, placeOf(one.file, one.row))),
      cell(place, make("button", { type: "button", class: "small", "aria-label": `Mark ${one.kind} ${one.name ?? ""} of ${one.source}`, onclick: () => page.markable(one) }, "Mark"))));
  });
  page.refreshMarks = (marks) => {
    for (const [one, place] of places) place.replaceChildren(...badges(marks, keyOf(one)));
  };
  return table("Annotations with their provenance", ["Kind, name", "States", "Origin, grade, reader", "Release, file, row", "Your mark"], rows);
}

export function verdict(right) {
  if (right === null || right === undefined) return make("span", { class: "verdict undecided" }, "? not decided");
  return make("span", { class: `verdict ${right ? "right" : "wrong"}` }, right ? "✓ right" : "✗ wrong");
}

const MOST_SHOWN = 4;

/** Return a list of what arms answered; of many arms, a summary that can be opened. */
export function folded(list, summary) {
  return list.length > MOST_SHOWN ? make("details", {}, make("summary", {}, summary()), list) : list;
}

export function entryList(page) {
  const { entries } = page.page;
  const rows = entries.map((entry) => {
    const truth = entry.target_boxes.map((box) => ({ box, kind: "truth", label: "target" }));
    const asked = entry.prompt_boxes.map((box) => ({ box, kind: "truth", label: "prompt" }));
    const given = entry.answers.flatMap((answer) => answer.boxes.map((box) => ({ box, kind: `arm-${page.about.arms.indexOf(answer.arm) % 6}`, label: answer.arm })));
    return emphasising(page, [...truth, ...asked, ...given], make("tr", {},
      cell(make("span", { class: "chip" }, entry.task), make("br"), make("span", { class: "count" }, entry.split ?? "")),
      cell(make("span", { class: "text" }, entry.prompt)),
      cell(make("span", { class: "text" }, entry.target)),
      cell(folded(entry.answers.map((answer) => make("p", { class: "answer" }, make("span", { class: "who" }, answer.arm), " ", verdict(answer.right), " ", make("span", { class: "text" }, answer.text ?? "(no answer)"))),
        () => `${entry.answers.filter((answer) => answer.right).length} of ${plural(entry.answers.length, "arm")} right`)),
      cell(make("span", { class: "count" }, `${(entry.sources ?? []).join(", ")}; ${entry.quality ?? ""}; ${entry.template}; ${entry.entry_id}`))));
  });
  return table("Entries; boxes are written in percent of width and height", ["Task", "Prompt", "Target", "Answers of arms", "Made from"], rows);
}

export function conflictTable(conflicts) {
  const fact = (row, of) => `${row[`${of}name`] ?? ""} ${row[`${of}value`] ?? ""} (${row[`${of}source`]}, ${placeOf(row[`${of}file`], row[`${of}row`])})`;
  return table("Contradictions between annotations", ["Rule", "One fact", "The other", "Effect"],
    conflicts.map((row) => make("tr", {}, cell(row.rule), cell(fact(row, "")), cell(fact(row, "other_")), cell(row.effect))));
}

export function rejectTable(rejects) {
  return table("Rows that did not make it into the dataset", ["Code", "Why", "Release, file, row", "Key"],
    rejects.map((row) => make("tr", {}, cell(row.code), cell(row.message), cell(`${row.source}, ${placeOf(row.file, row.row)}`), cell(row.key))));
}

export function candidateTable(page) {
  const { candidates } = page.page;
  return table("Answers of a model about tasks that the image lacks", ["Task", "Prompt", "Answer", "Sure", "Model"],
    candidates.map((one) => {
      const boxes = one.target_boxes.map((box) => ({ box, kind: "candidate", label: one.task }));
      return emphasising(page, boxes, make("tr", {},
        cell(make("span", { class: "chip" }, one.task)),
        cell(make("span", { class: "text" }, one.prompt), make("br"), make("span", { class: "count" }, `prompt from: ${one.prompt_from}`)),
        cell(make("span", { class: "text" }, one.text ?? ""), one.answer === null ? make("span", { class: "verdict wrong" }, " ✗ cannot be read") : ""),
        cell(`log-probability ${one.logprob === null ? "–" : one.logprob.toFixed(3)}; agreement ${percent(one.agreement)}${one.ended ? "" : "; not ended"}`),
        cell(`${one.model}, round ${one.round}`)));
    }));
}
