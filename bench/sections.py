"""Counts how many small reports of the golden table are split into the right sections.

Run: python bench/sections.py
The last line is one JSON object. The module also runs with older versions of the reader, which know
no unknown section.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from imaxray.sources._shared.sections import report_sections

GOLDEN = Path(__file__).parents[1] / "tests/sources/_shared/golden_sections.jsonl"
WRONG = "wrong text"
MISSED = "missed"


def read(report: str) -> dict[str, str]:
    """Return the sections that the reader finds in a report."""
    if hasattr(report_sections, "report_texts"):
        return {section.name: section.text for section in report_sections.report_texts(report)}
    return report_sections.findings_and_impression(report)


def judge(row: dict[str, Any]) -> str:
    """Return ``right``, or ``missed`` if a text is lacking only, else ``wrong text``."""
    wanted = {name: row[name] for name in ("findings", "impression", "unknown") if row[name]}
    found = read(row["report"])
    if found == wanted:
        return "right"
    return MISSED if found.items() <= wanted.items() else WRONG


def main() -> None:
    """Print the counts per kind of report, and all of them as JSON."""
    rows = [json.loads(line) for line in GOLDEN.read_text(encoding="utf-8").splitlines()]
    counts: dict[str, Counter[str]] = {}
    for row in rows:
        counts.setdefault(row["kind"], Counter())[judge(row)] += 1
    print(f"{'kind':24}{'right':>8}{MISSED:>10}{WRONG:>12}")
    for kind, found in counts.items():
        print(f"{kind:24}{found['right']:>8}{found[MISSED]:>10}{found[WRONG]:>12}")
    total = sum(counts.values(), Counter())
    print(json.dumps({"reports": len(rows), **{k: total[k] for k in ("right", MISSED, WRONG)}}))


if __name__ == "__main__":
    main()
