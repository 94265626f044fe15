// Lets the user mark an image or an annotation; marks are kept in the user's own file.
import { get, post } from "./api.js";
import { make, openDialog, plural, say } from "./dom.js";
import { writeRoute } from "./route.js";

const VERDICTS = {
  wrong: "wrong",
  doubtful: "doubtful",
  note: "note: only a remark",
  none: "no mark",
};

/** Return what names an annotation in a mark. */
export function keyOf(annotation) {
  const { kind, name, source, reader, fact, file, row } = annotation;
  return { kind, name, source, reader, fact, file, row };
}

function same(one, other) {
  if (one === null || other === null) return one === other;
  return ["kind", "name", "source", "reader", "fact"].every((name) => (one[name] ?? null) === (other[name] ?? null));
}

const find = (marks, key) => marks.find((mark) => same(mark.annotation ?? null, key));

/** Return what shows the mark of an image (key null) or of an annotation. */
export function badges(marks, key) {
  const mark = find(marks, key);
  return mark ? [make("span", { class: `chip mark ${mark.verdict}`, title: mark.note || null }, `marked: ${mark.verdict}`)] : [];
}

export function openMark({ about, image, annotation, marks, saved }) {
  const key = annotation ? keyOf(annotation) : null;
  const present = find(marks, key);
  const radios = Object.entries(VERDICTS).map(([value, text]) => {
    const id = `verdict-${value}`;
    return make("p", { class: "check" },
      make("input", { type: "radio", name: "verdict", id, value, checked: value === (present?.verdict ?? "wrong") }), make("label", { for: id }, text));
  });
  const note = make("textarea", { id: "note", rows: 3, maxlength: about.longest_note }, present?.note ?? "");
  const form = make("form", {
    onsubmit: async (event) => {
      event.preventDefault();
      const verdict = form.querySelector("input[name=verdict]:checked").value;
      try {
        const answer = await post("/api/marks", { dataset: about.dataset }, { image_id: image, verdict, annotation: key, note: note.value });
        saved(answer.marks);
        document.getElementById("dialog").close();
        say(verdict === "none" ? "The mark is withdrawn." : `Marked as ${verdict}.`);
      } catch (error) {
        problem.textContent = error.message;
      }
    },
  });
  const problem = make("p", { class: "problem", role: "alert" });
  form.append(
    make("p", {}, annotation ? `${annotation.kind} ${annotation.name ?? ""} of ${annotation.source} on ${image}` : image),
    make("fieldset", {}, make("legend", {}, "Mark as"), radios),
    make("p", { class: "field" }, make("label", { for: "note" }, "Note"), note),
    problem,
    make("p", {}, make("button", { type: "submit", class: "main" }, "Save the mark")));
  openDialog(annotation ? "Mark the annotation" : "Mark the image", form);
  form.querySelector("input[name=verdict]:checked").focus();
}

export async function openMarks(dataset) {
  try {
    const { file, marks } = await get("/api/marks");
    const rows = marks.map((mark) => make("li", {},
      make("a", { href: writeRoute({ dataset, page: "image", id: mark.image_id }), onclick: () => document.getElementById("dialog").close() }, mark.image_id),
      ` ${mark.verdict}`, mark.annotation ? `, ${mark.annotation.kind} ${mark.annotation.name ?? ""} of ${mark.annotation.source}` : "", mark.note ? `: ${mark.note}` : ""));
    openDialog("Your marks",
      make("p", {}, `${plural(marks.length, "mark")} in ${file}`),
      make("p", {}, make("a", { href: "/api/marks/export", download: "marks.jsonl" }, "Export the marks that count")),
      make("ul", { class: "all-marks" }, rows));
  } catch (error) {
    say(error.message, { lasting: true });
  }
}
