"""Defines the command that derives what follows from the entries of a dataset."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imaxray._common.defaults import MOST_PROCESSES
from imaxray._common.printing import counted, say
from imaxray.cli.application import Format, Out, app
from imaxray.cli.options import chosen, options_of
from imaxray.cli.printing.densities import densities, print_changed_density
from imaxray.cli.printing.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Mapping


@app.command(cls=options_of("imaxray.derive:DeriveConfig"))
def derive(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder, e.g. a DMAX dataset.")],
    out: Out,
    truth: Annotated[
        Path | None,
        typer.Option(
            help="Dataset folder (a catalog) whose train entries tell which conclusions are right; "
            "rules are measured on them too."
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(min=1, max=MOST_PROCESSES, help="Number of processes.")
    ] = 1,
    form: Format = "text",
) -> None:
    """Derive what follows from the entries of a dataset, without a model.

    A report implies findings and answers of questions, a label answers questions, a ratio implies
    Cardiomegaly, a box with its phrase is an entry of REC and of REG. The new dataset has the real
    entries and the derived ones beside them, with the entries that each was derived from.
    """
    from imaxray.curation import open_dataset
    from imaxray.derive import DeriveConfig, derive_dataset

    before = densities(open_dataset(dataset).tables)["train"]
    done = derive_dataset(dataset, out, chosen(DeriveConfig), truth=truth, workers=workers)
    report = done.as_dict()
    if form == "json":
        say(json.dumps(report, indent=1))
        return
    _print_rules(report)
    print_changed_density(before, densities(done.dataset.tables)["train"])
    counts = report["counts"]
    for key, what in (
        ("contradicted", "a fact of an entry"), ("disputed", "another derived fact"),
    ):  # fmt: skip
        gone = ", ".join(f"{rule} {n:,}" for rule, n in counts[key].items())
        if gone:
            say(f"Left out, because they contradict {what}: {gone}.")
    if replaced := sum(counts.get("replaced", {}).values()):
        answers = counted(replaced, "answer")
        say(f"Left out: {answers} of a model that derived statements replace or contradict.")
    if counts["over"]:
        say(f"Left out, beyond the most questions of an image: {counts['over']:,}.")
    total = sum(counts["derived"].values())
    say(f"{counted(total, 'derived entry', 'derived entries')} beside the real ones in {out}")


def _print_rules(report: Mapping[str, Any]) -> None:
    """Print the precision of each rule, its yield, and every rule that is switched off."""
    from imaxray.evaluation import number_text as share

    made: dict[str, int] = {}
    for row in report["yields"]:
        for rule in row["rule"].split("+"):
            made[rule] = made.get(rule, 0) + row["entries"]
    whole = [row for row in report["rules"] if row["reading"] is None]
    print_table(
        "Rules: conclusions that can be compared with an entry, and derived entries",
        ["rule", "kind", "judged", "precision", "patients without error [95 %]", "entries", "used"],
        [[r["rule"], r["kind"], f"{r['judged']:,}", share(r["precision"]), _patients(r),
          f"{made.get(r['rule'], 0):,}", "yes" if r["used"] else "no"] for r in whole],
    )  # fmt: skip
    judged = [row for row in report["yields"] if row["judged"]]
    if judged:
        print_table(
            "Derived entries whose question the truth answers",
            ["rule", "task", "entries", "judged", "precision", "patients without error [95 %]"],
            [[r["rule"], r["task"], f"{r['entries']:,}", f"{r['judged']:,}",
              share(r["precision"]), _patients(r)] for r in judged],
        )  # fmt: skip
    off = {row["rule"] for row in whole if not row["used"]}
    for row in report["rules"]:
        if row["used"] or (row["reading"] is not None and row["rule"] in off):
            continue
        name = row["rule"] if row["reading"] is None else f"{row['rule']}/{row['reading']}"
        say(f"Switched off: {name} ({row['why']}).")


def _patients(row: Mapping[str, Any]) -> str:
    if row["low"] is None:
        return "–"
    return f"{row['clean']:,} of {row['patients']:,} [{row['low']:.3f}, {row['high']:.3f}]"
