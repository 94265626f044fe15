"""Defines the command that scores answers of any model."""

from __future__ import annotations

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Literal

import typer

from imaxray._common.defaults import LARGEST
from imaxray._common.lock import sole_writer
from imaxray._common.printing import say
from imaxray.cli.application import Format, app
from imaxray.cli.options import chosen, options_of
from imaxray.cli.printing.scores import print_result


@app.command(
    "score",
    cls=options_of(
        "imaxray.evaluation:ScoreConfig", leave_out=("rules", "level"), flags={"extras": "--extra"}
    ),
)
def score_command(
    predictions: Annotated[
        Path,
        typer.Argument(
            help="File of answers (Parquet, JSON lines or CSV with entry_id and text), or a run "
            "folder that was evaluated on this dataset."
        ),
    ],
    data: Annotated[
        Path, typer.Option("--data", help="Dataset folder whose entries were answered.")
    ],
    join: Annotated[
        Literal["entry_id", "question"],
        typer.Option(
            help="What an answer names: entry_id, or image, task and question (question); the task "
            "may be missing."
        ),
    ] = "entry_id",
    boxes: Annotated[
        str,
        typer.Option(
            "--boxes",
            help="Convention in which the model writes boxes, such as percent or per-mille, or the "
            "name of a model.",
        ),
    ] = "percent",
    min_pixels: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=LARGEST,
            help="Smallest area in pixels that the model's processor resizes to; only for "
            "boxes in pixels of the resized image.",
        ),
    ] = None,
    max_pixels: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=LARGEST,
            help="Largest area in pixels that the model's processor resizes to; only for "
            "boxes in pixels of the resized image.",
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            help="Reading rule that is not applied (thinking, fences …); can be repeated."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder that result.json and scores.parquet are written to; default: none.",
        ),
    ] = None,
    form: Format = "text",
) -> None:
    """Score answers that any model wrote, without running a model."""
    from imaxray.boxes import find_convention
    from imaxray.curation import open_dataset
    from imaxray.evaluation import (
        ScoreConfig,
        find_predictions,
        read_predictions,
        require_result_place,
        score_run,
        write_result,
    )
    from imaxray.tasks import reading_rules

    config = chosen(ScoreConfig, rules=reading_rules(without or ()))
    convention = find_convention(boxes, min_pixels, max_pixels)
    answers = read_predictions(find_predictions(predictions, data, config.split), join)
    with nullcontext() if out is None else sole_writer(out):
        if out is not None:
            require_result_place(out)
        result = score_run(open_dataset(data), answers, convention, config)
        if out is not None:
            write_result(result, out)
    if form == "json":
        say(json.dumps(result.data, indent=1))
        return
    print_result(result.data)
