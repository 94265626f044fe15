"""Defines the command that measures the report labeller."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from imaxray._common.printing import say
from imaxray.cli.application import Format, app
from imaxray.cli.printing.tables import print_table


@app.command()
def labeller(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder with reports and labels.")],
    form: Format = "text",
) -> None:
    """Measure how well the built-in report labeller agrees with the labels of a dataset."""
    from imaxray.curation import open_dataset
    from imaxray.evaluation import labeller_on

    found = labeller_on(open_dataset(dataset).tables.annotations).as_dict()
    if form == "json":
        say(json.dumps(found, indent=1))
        return
    cells = {**found["labels"], "all with negatives": found["micro"]}
    print_table(
        f"Labeller {found['labeller']} against the labels of {found['reports']:,} reports",
        ["label", "positive in both", "only by labeller", "only in dataset", "in neither",
         "precision", "recall", "F1"],
        [
            [label, *(f"{cell[key]:,}" for key in ("tp", "fp", "fn", "tn")),
             *("–" if cell[key] is None else f"{cell[key]:.3f}"
               for key in ("precision", "recall", "f1"))]
            for label, cell in cells.items()
        ],
    )  # fmt: skip
    for label, reason in found["unmeasured"].items():
        say(f"–: {label} has a rate that cannot be measured ({reason}).")
    unsure = found["uncertain"]
    say(
        f"{unsure['given']:,} labels of the dataset are uncertain; the labeller reads "
        f"{unsure['read']:,} of them as uncertain, too."
    )
