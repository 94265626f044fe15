"""Commands over runs: whole studies and their dynamics."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from imaxray.cli._app import Config, Out, Root, app


@app.command()
def study(config: Config, out: Out, root: Root = None) -> None:
    """Run a whole study: build, match, train both arms, evaluate, compare, report.html."""
    from rich.console import Console

    from imaxray.study import load_config, run_study, write_study_report

    outcome = run_study(load_config(config), out, root=root)
    report = write_study_report(outcome)
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(outcome.equal_entries.table("Equal entries seen"))
    console.print(outcome.equal_compute.table("Equal compute (wall-clock)"))
    for line in outcome.summary():
        console.print(line, highlight=False)
    console.print(f"Report: {report}", highlight=False, soft_wrap=True)


@app.command()
def dynamics(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of one arm, a seed each.")],
    out: Out,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", help="Run folder of the other arm; once a seed, same order."),
    ] = None,
    group: Annotated[str, typer.Option("--group", help="Module group, or all.")] = "all",
    data: Annotated[
        Path | None,
        typer.Option("--data", help="Measure the runs' weights now, on entries of this data set."),
    ] = None,
    other_data: Annotated[
        Path | None,
        typer.Option("--other-data", help="Data set of --against: crossed probes, 2 × 2."),
    ] = None,
    split: Annotated[str, typer.Option(help="Whose entries of --data are measured.")] = "val",
    probe: Annotated[int, typer.Option(min=1, help="Entries that are.")] = 252,
    draw: Annotated[
        Literal["any", "apart", "together"],
        typer.Option(help="Entries of any image, one an image, or whole images."),
    ] = "any",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1 … for --data.")] = "cpu",
    tokens_per_batch: Annotated[
        int | None, typer.Option(min=1, help="Most tokens of one forward pass.")
    ] = None,
    scores: Annotated[
        bool, typer.Option("--scores", help="Correlate with the runs' final task scores.")
    ] = False,
    evaluation: Annotated[
        str | None, typer.Option(help="Which scores, where runs hold several: DATASET-SPLIT.")
    ] = None,
) -> None:
    """SE, rho, H2 and task conflict of runs: recorded in training, or measured from weights."""
    from imaxray.cli._print import print_dynamics
    from imaxray.curation import open_dataset
    from imaxray.dynamics import run_dynamics

    found = run_dynamics(
        runs, out, against=against or (),
        data=None if data is None else open_dataset(data),
        other_data=None if other_data is None else open_dataset(other_data),
        split=split, size=probe, draw=draw, device=device, tokens_per_batch=tokens_per_batch,
        scores=scores or evaluation is not None, evaluation=evaluation, group=group,
    )  # fmt: skip
    print_dynamics(found, group)
