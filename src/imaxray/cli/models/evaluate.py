"""Defines the command that lets a model answer a split."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from imaxray._common.printing import counted, say
from imaxray.cli.application import Format, Model, app
from imaxray.cli.options import chosen, options_of
from imaxray.cli.printing.scores import print_result


@app.command(cls=options_of("imaxray.evaluation:EvaluateConfig"))
def evaluate(
    model: Model,
    data: Annotated[Path, typer.Option("--data", help="Dataset folder.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder to write; default: evaluation/DATASET-SPLIT in the run folder."
        ),
    ] = None,
    form: Format = "text",
) -> None:
    """Let a model answer every entry of a split, and score the answers.

    With --engine openai, MODEL is the name of a model on the chat server that --base-url names. The
    same command again continues a stopped run.
    """
    from imaxray.evaluation import EvaluateConfig

    config = chosen(EvaluateConfig)
    if config.engine == "openai":  # needs no torch
        from imaxray.evaluation.generation import evaluate_hosted

        done = evaluate_hosted(model, data, out, config)
    else:
        from imaxray.evaluation.generation import evaluate_model

        done = evaluate_model(model, data, out, config)
    if form == "json":
        say(json.dumps(done.result.data, indent=1))
        return
    print_result(done.result.data)
    say(
        f"{counted(done.predictions.height, 'answer')}, {done.unfinished:,} of them cut at "
        f"{counted(config.max_new_tokens, 'token')}, in {done.folder}: predictions.parquet, "
        "scores.parquet, result.json"
    )
    if done.finish_reasons:
        reasons = ", ".join(f"{name} {count:,}" for name, count in done.finish_reasons.items())
        say(f"Finish reasons of the server: {reasons}")
