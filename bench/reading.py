"""Measures how answers of models are read, on a table of answers with the values they state.

    python bench/reading.py [--table tests/tasks/golden_answers.jsonl] [--show misread]

Each row of the table has a task, a template, the prompt, an answer, and the value that a careful
reader notes; ``null`` means that the answer cannot be read. The outcome of a row is *right*,
*unreadable* (the value was not read) or *misread* (another value was read, e.g. the opposite). The
script prints the outcomes for each task and, as its last line, one JSON object.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

from imaxray.boxes import get_convention
from imaxray.metrics import normalise
from imaxray.tasks import get_task, read_answer

TABLE = Path(__file__).parents[1] / "tests" / "tasks" / "golden_answers.jsonl"


def read(row: dict[str, Any]) -> Any:
    """Read the answer of a row as scoring does."""
    return read_answer(
        get_task(row["task"]),
        row["answer"],
        row["template"],
        prompt=row["prompt"],
        convention=get_convention(row["convention"] or "percent"),
        size=row["size"] or (1000, 1000),
    ).value


def comparable(row: dict[str, Any], value: Any) -> Any:
    """Return a value in a form that is equal for two values that say the same."""
    if value is None:
        return None
    if row["task"] == "findings":
        return {label: said for label, said in value.items() if said != 0}
    if row["task"] == "calculation":
        return round(value, 3)
    if row["task"] == "rec":
        return sorted([round(side) for side in box] for box in value)
    if row["task"] == "vqa" and row["value"] in ("yes", "no", None) and "closed" in row["template"]:
        verdict = re.search(r"\b(yes|no)\b", value)  # as the metric decides it
        return verdict.group() if verdict else None
    if row["task"] == "report":
        return {name: " ".join(text.split()) for name, text in value.items()}
    return normalise(value) if isinstance(value, str) else value


def outcome(row: dict[str, Any]) -> tuple[str, Any]:
    """Return the outcome of a row and the value that was read."""
    value = read(row)
    found, wanted = comparable(row, value), comparable(row, row["value"])
    if found == wanted:
        return "right", value
    return ("unreadable" if found is None else "misread"), value


def main() -> None:
    """Print the outcomes of all rows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--table", type=Path, default=TABLE)
    parser.add_argument("--show", choices=("misread", "unreadable", "all"))
    options = parser.parse_args()
    rows = [json.loads(line) for line in options.table.read_text().splitlines()]
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        said, value = outcome(row)
        counts.setdefault(row["task"], Counter())[said] += 1
        if said != "right" and options.show in (said, "all"):
            print(f"{said}: {row['task']} {row['answer']!r}: {row['value']!r}, read {value!r}")
    names = ("right", "misread", "unreadable")
    print(f"{'task':12} {'answers':>8} " + " ".join(f"{name:>10}" for name in names))
    for task, count in counts.items():
        print(f"{task:12} {count.total():8} " + " ".join(f"{count[name]:10}" for name in names))
    total = sum(counts.values(), Counter())
    result = {"answers": total.total(), **{name: total[name] for name in names}}
    print(json.dumps({**result, "tasks": {task: dict(count) for task, count in counts.items()}}))


if __name__ == "__main__":
    main()
