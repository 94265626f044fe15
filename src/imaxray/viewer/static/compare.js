// Shows the answers of two arms side by side, task by task, with right and wrong marked.
import { make, percent } from "./dom.js";
import { table, verdict } from "./facts.js";

let remembered = null; // the two arms, from image to image

export function comparison(page) {
  const { arms } = page.about;
  const { entries } = page.page;
  const answered = entries.filter((entry) => entry.answers.length);
  if (!answered.length) return make("p", { class: "none" }, "No arm answered entries of this image; arms answer the test split.");
  if (!remembered || !remembered.every((arm) => arms.includes(arm))) remembered = [arms[0], arms[1] ?? arms[0]];
  const place = make("div", {});
  const select = (side) => {
    const id = `side-${side}`;
    const input = make("select", { id, onchange: () => { remembered[side] = input.value; fill(); } },
      arms.map((arm) => make("option", { value: arm, selected: arm === remembered[side] }, arm)));
    return [make("label", { for: id }, side ? "with " : "Compare "), input];
  };
  const differing = make("input", { type: "checkbox", id: "differing", onchange: () => fill() });
  const fill = () => place.replaceChildren(...compared(answered, remembered, differing.checked));
  fill();
  return [
    make("p", { class: "sides" }, select(0), " ", select(1), " ", differing, make("label", { for: "differing" }, "only entries that one answers right and the other wrong")),
    place,
  ];
}

function compared(entries, [one, other], differing) {
  const of = (entry, arm) => entry.answers.find((answer) => answer.arm === arm);
  const parts = [];
  const tasks = [...new Set(entries.map((entry) => entry.task))];
  for (const task of tasks) {
    const all = entries.filter((entry) => entry.task === task);
    const shown = all.filter((entry) => {
      const [left, right] = [of(entry, one)?.right, of(entry, other)?.right];
      return !differing || (typeof left === "boolean" && typeof right === "boolean" && left !== right);
    });
    if (!shown.length) continue;
    const share = (arm) => {
      const decided = all.map((entry) => of(entry, arm)?.right).filter((right) => typeof right === "boolean");
      const right = decided.filter(Boolean).length;
      return `${arm}: ${right} of ${decided.length} right${decided.length ? ` (${percent(right / decided.length)})` : ""}`;
    };
    const answer = (entry, arm) => {
      const given = of(entry, arm);
      if (!given) return make("td", {}, "(not asked)");
      return make("td", { class: given.right === null ? "undecided" : given.right ? "is-right" : "is-wrong" },
        verdict(given.right), make("br"), make("span", { class: "text" }, given.text ?? "(no answer)"));
    };
    parts.push(make("h3", {}, task, make("span", { class: "count" }, ` ${share(one)}; ${share(other)}`)),
      table(`${task}: ${one} and ${other}`, ["Prompt", "Target", one, other], shown.map((entry) => make("tr", {},
        make("td", {}, make("span", { class: "text" }, entry.prompt)), make("td", {}, make("span", { class: "text" }, entry.target)),
        answer(entry, one), answer(entry, other)))));
  }
  return parts.length ? parts : [make("p", { class: "none" }, "The two arms agree on every entry of this image.")];
}
