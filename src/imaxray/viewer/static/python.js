// Shows the Python code that gets what the page shows.
import { get } from "./api.js";
import { make, openDialog, say } from "./dom.js";

export async function openPython(dataset, id, filter) {
  const parameters = [["dataset", dataset], ...(id ? [["id", id]] : []), ...filter];
  try {
    const { python } = await get("/api/python", parameters);
    const area = make("textarea", { class: "code", readonly: true, rows: Math.min(18, python.split("\n").length + 1), "aria-label": "Python code", spellcheck: "false" });
    area.value = python;
    openDialog("As Python", area, make("p", {}, make("button", {
      type: "button", class: "main",
      onclick: async () => {
        try {
          await navigator.clipboard.writeText(python);
          say("The code is copied.");
        } catch {
          area.select();
          say("The code is selected; copy it with the keys of your system.");
        }
      },
    }, "Copy")));
    area.focus();
  } catch (error) {
    say(error.message, { lasting: true });
  }
}
