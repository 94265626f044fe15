"""Measures the report labeller on worked sentences and on Open-I's reports.

    python bench/labeller.py [--open-i FOLDER] [--half held-out|development] [--context] [--write]

The worked sentences are in ``tests/labeller/sentences.jsonl``. The Open-I reports and their MeSH
headings come with the package torchxrayvision, which ``make readers`` fetches into ``.readers``.
The headings are mapped to labels by ``labeller_headings.csv``; docs/results/labeller.md says why.

The reports are split by patient into two halves by a hash. Rules are developed on the half
``development`` only; the half ``held-out`` gives the published numbers. To measure an earlier
version, run the script with that version's ``src`` first on PYTHONPATH. ``--context`` also measures
medspaCy's ConText with the labeller's phrases (it needs the package medspacy, which the project
does not install). ``--write`` writes the numbers that are shown beside clinical scores.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import sys
import tarfile
from collections.abc import Callable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import Element

from defusedxml.ElementTree import fromstring

from imaxray import labeller
from imaxray.labeller import LABELLER_VERSION, label_report
from imaxray.schema import CHEXPERT

ROOT: Final = Path(__file__).resolve().parents[1]
SENTENCES: Final = ROOT / "tests" / "labeller" / "sentences.jsonl"
HEADINGS: Final = Path(__file__).with_name("labeller_headings.csv")
OPEN_I: Final = ROOT / ".readers" / "torchxrayvision"
LABELS: Final = tuple(label for label in CHEXPERT if label != "No Finding")
HALVES: Final = ("development", "held-out")

Reader = Callable[[str], Mapping[str, int]]
Report = tuple[str, str, list[str]]  # id, text, headings


def main() -> None:
    parser = argparse.ArgumentParser(description="Agreement of the report labeller.")
    parser.add_argument("--open-i", type=Path, default=OPEN_I)
    parser.add_argument("--half", choices=HALVES, default="held-out")
    parser.add_argument("--context", action="store_true")
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    readers: dict[str, Reader] = {f"labeller {LABELLER_VERSION}": label_report}
    if args.context:
        try:
            from labeller_context import context_reader
        except ImportError as error:
            print(f"Skipped ConText: {error}; install medspacy into the environment to compare.")
        else:
            readers["medspaCy ConText"] = context_reader()
    result: dict[str, Any] = {}
    for name, reader in readers.items():
        print_sentences(name, sentences_score(reader))
    archive = find_archive(args.open_i)
    if archive is None:
        print(f"Skipped Open-I: no NLMCXR_reports.tgz below {args.open_i}; run `make readers`.")
        return
    reports = list(open_i(archive, args.half))
    for name, reader in readers.items():
        result[name] = open_i_score(reader, reports)
        print_open_i(name, args.half, result[name])
    if args.write:
        write(result[f"labeller {LABELLER_VERSION}"], args.half)
    print(json.dumps(result))


def sentences_score(read: Reader) -> dict[str, Any]:
    """Return how many worked sentences are read right, and precision and recall per value."""
    rows = [json.loads(line) for line in SENTENCES.read_text(encoding="utf-8").splitlines()]
    exact = 0
    counts = {value: dict.fromkeys(("tp", "fp", "fn"), 0) for value in (1, 0, -1)}
    for row in rows:
        found = {k: v for k, v in read(row["text"]).items() if k != "No Finding"}
        wanted = {k: v for k, v in row["labels"].items() if k != "No Finding"}
        exact += found == wanted
        for label in LABELS:
            got, right = found.get(label), wanted.get(label)
            for value, cell in counts.items():
                cell["tp"] += got == value == right
                cell["fp"] += got == value != right
                cell["fn"] += right == value != got
    return {"sentences": len(rows), "right": exact, "values": counts}


def find_archive(folder: Path) -> Path | None:
    """Return the archive of Open-I's reports below a folder, if it is there."""
    return next(iter(sorted(folder.glob("**/NLMCXR_reports.tgz"))), None)


def half_of(report: str) -> str:
    """Return the half that a report belongs to; each report is one patient in this release."""
    return HALVES[int(hashlib.sha256(f"open-i/{report}".encode()).hexdigest(), 16) % 2]


def open_i(archive: Path, half: str) -> Iterator[Report]:
    """Yield the reports of one half that have a text and were indexed, ordered by id."""
    reports = []
    with tarfile.open(archive) as tar:
        for member in tar:
            file = tar.extractfile(member) if member.name.endswith(".xml") else None
            if file is not None and half_of(Path(member.name).stem) == half:
                reports.append((Path(member.name).stem, fromstring(file.read())))
    for uid, root in sorted(reports, key=lambda report: int(report[0])):
        headings = [node.text or "" for mesh in root.iter("MeSH") for node in mesh.iter("major")]
        text = _text(root)
        if text and "no indexing" not in (heading.lower() for heading in headings):
            yield uid, text, headings


def _text(root: Element) -> str:
    parts = {node.get("Label"): node.text or "" for node in root.iter("AbstractText")}
    return "\n".join(parts[name] for name in ("FINDINGS", "IMPRESSION") if parts.get(name))


def read_headings(path: Path = HEADINGS) -> list[dict[str, str]]:
    """Return the rows that map a MeSH heading, with one of its qualifiers or none, to a label."""
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def labels_of(headings: list[str], rows: list[dict[str, str]]) -> dict[str, int]:
    """Return the labels of a report: 1 if a heading means it, -1 if one leaves it open, else 0."""
    labels = dict.fromkeys(LABELS, 0)
    for heading in headings:
        main, *qualifiers = (part.strip().lower() for part in heading.split("/"))
        for row in rows:
            if row["heading"] == main and row["qualifier"] in ("", *qualifiers):
                value = -1 if "borderline" in qualifiers else int(row["value"])
                if labels[row["label"]] != 1:
                    labels[row["label"]] = value
    return labels


def open_i_score(read: Reader, reports: list[Report]) -> dict[str, Any]:
    """Return the agreement with the headings, in three ways of counting.

    ``present`` counts what is read as 1. ``or uncertain`` counts what is read as 1 or -1, as
    clinical scores do. ``open as absent`` counts headings that leave a label open as 0.
    """
    rows = read_headings()
    read_labels = [read(text) for _, text, _ in reports]
    given = [labels_of(headings, rows) for _, _, headings in reports]
    ways = {
        "present": ((1,), True),
        "or uncertain": ((1, -1), True),
        "open as absent": ((1,), False),
    }
    score: dict[str, Any] = {"reports": len(reports), "open pairs": 0}
    for way, (positive, leave_out) in ways.items():
        cells = {label: dict.fromkeys(("tp", "fp", "fn", "tn"), 0) for label in LABELS}
        for found, wanted in zip(read_labels, given, strict=True):
            for label, value in wanted.items():
                if value == -1 and leave_out:
                    score["open pairs"] += way == "present"
                    continue
                is_read = found.get(label) in positive
                key = ("t" if is_read == (value == 1) else "f") + ("p" if is_read else "n")
                cells[label][key] += 1
        total = {key: sum(cell[key] for cell in cells.values()) for key in ("tp", "fp", "fn", "tn")}
        score[way] = {"labels": {k: _rates(v) for k, v in cells.items()}, "micro": _rates(total)}
    return score


def _rates(cell: Mapping[str, int]) -> dict[str, Any]:
    tp, fp, fn = cell["tp"], cell["fp"], cell["fn"]
    return {
        **cell,
        "precision": tp / (tp + fp) if tp + fp else None,
        "recall": tp / (tp + fn) if tp + fn else None,
        "f1": 2 * tp / (2 * tp + fp + fn) if tp + fn else None,
    }


def print_sentences(name: str, score: Mapping[str, Any]) -> None:
    print(f"{name}: {score['right']} of {score['sentences']} worked sentences read right")
    for value, cell in score["values"].items():
        rates = _rates({**cell, "tn": 0})
        print(
            f"  value {value:>2}: precision {_number(rates['precision'])}, "
            f"recall {_number(rates['recall'])}"
        )


def print_open_i(name: str, half: str, score: Mapping[str, Any]) -> None:
    print(f"{name}: {score['reports']:,} Open-I reports, {half} half")
    print("label | given | precision | recall | F1 | F1 with uncertain | F1 with open as absent")
    ways = ("present", "or uncertain", "open as absent")
    for label in (*LABELS, "micro"):
        cells = [score[w]["micro"] if label == "micro" else score[w]["labels"][label] for w in ways]
        first = cells[0]
        numbers = [first["precision"], first["recall"], *(cell["f1"] for cell in cells)]
        print(f"{label} | {first['tp'] + first['fn']} | {' | '.join(map(_number, numbers))}")


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def write(score: Mapping[str, Any], half: str) -> None:
    """Write the numbers that are shown beside clinical scores."""
    micro = score["present"]["micro"]
    content = {
        "labeller": LABELLER_VERSION,
        "corpus": f"Open-I's MeSH headings ({half} half)",
        "date": date.today().isoformat(),
        "reports": score["reports"],
        **{key: round(micro[key], 4) for key in ("precision", "recall", "f1")},
        "f1_with_uncertain": round(score["or uncertain"]["micro"]["f1"], 4),
    }
    path = Path(labeller.__file__).with_name("measured.json")
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
