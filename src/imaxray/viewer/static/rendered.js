// Shows the entries of an image as a model gets them: text, boxes, image tokens, and how they are packed.
import { get } from "./api.js";
import { make, plural } from "./dom.js";
import { table } from "./facts.js";

export function renderedEntries(page) {
  const { models } = page.about;
  const place = make("div", { "aria-live": "polite" });
  const input = make("select", { id: "model" }, models.map((model) => make("option", { value: model }, model)));
  const button = make("button", {
    type: "button",
    onclick: async () => {
      button.disabled = true;
      place.replaceChildren(make("p", {}, "Loading the model …"));
      try {
        const found = await get("/api/rendered", { dataset: page.about.dataset, id: page.page.image.image_id, model: input.value });
        place.replaceChildren(...shown(found));
      } catch (error) {
        place.replaceChildren(make("p", { class: "problem" }, error.message));
      }
      button.disabled = false;
    },
  }, "Show");
  return [make("p", { class: "sides" }, make("label", { for: "model" }, "Model "), input, " ", button), place];
}

function shown(found) {
  const segments = found.rows.map((row, number) => make("div", { class: "row" },
    make("p", {}, `Row ${number + 1}: ${plural(row.tokens, "token")}, of which ${row.shared.toLocaleString("en")} are shared by ${plural(row.entries.length, "entry", "entries")}`),
    make("div", { class: "packed", role: "img", "aria-label": `Shared prefix of ${row.shared} tokens with the image, then ${row.parts.map((part) => `${part.entry_id} ${part.tokens}`).join(", ")}` },
      row.shared ? bar("prefix", row.shared, row.tokens, `prefix with image, ${row.shared}`) : "",
      row.parts.map((part, place) => bar(`part-${place % 2}`, part.tokens, row.tokens, `${part.task}, ${part.tokens}`)))));
  const rows = found.entries.map((entry) => make("tr", {},
    make("td", {}, make("span", { class: "chip" }, entry.task), make("br"), make("span", { class: "count" }, entry.entry_id)),
    ...(entry.problem ? [make("td", { colspan: "3", class: "problem" }, entry.problem)] : [
      make("td", {}, make("span", { class: "text code" }, pieces(entry.prompt))),
      make("td", {}, make("span", { class: "text code" }, entry.target)),
      make("td", {}, `${entry.prompt_tokens} + ${entry.target_tokens}`)])));
  return [
    make("p", {}, `${found.model} (${found.family}), boxes as ${found.convention}; the image is ${plural(found.image_tokens, "token")}, at places ${found.image_span[0]} to ${found.image_span[1]} of the sequence.`),
    make("h3", {}, "Packed"), ...segments,
    found.dropped.length ? make("p", { class: "problem" }, `Left out, because they are longer than the context: ${found.dropped.join(", ")}`) : "",
    make("h3", {}, "Rendered"),
    table("Entries as text; ⟦…⟧ stands for the image", ["Entry", "Prompt", "Target", "Tokens"], rows),
  ];
}

function pieces(parts) {
  return parts.map((part) => (part.image ? make("mark", {}, `⟦image: ${part.image} tokens⟧`) : part.text));
}

function bar(kind, tokens, all, label) {
  const element = make("span", { class: `bar ${kind}`, title: label }, label);
  element.style.flexGrow = String(tokens / all);
  return element;
}
