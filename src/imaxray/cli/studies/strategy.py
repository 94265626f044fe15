"""Defines the command that runs the strategy for decentralized data."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from imaxray._common.state import known_state
from imaxray.cli.application import ConfigFile, ConfigName, Format, Out, app, one_config
from imaxray.cli.printing.tables import print_json


@app.command()
def strategy(
    out: Out,
    config: ConfigName = None,
    config_file: ConfigFile = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Dataset folder to train on; default: the one of the configuration."
        ),
    ] = None,
    form: Format = "text",
) -> None:
    """Train a model on data without dense images: derive, train, let it answer the rest.

    The model of the first stage annotates the tasks that the images lack, which makes pseudo IMAX.
    The same command again continues a stopped run.
    """
    from imaxray.progress import SafeConsole
    from imaxray.strategy import load_strategy

    loaded = load_strategy(one_config(config, config_file), data=data)
    from imaxray.strategy import run_strategy, write_strategy_report  # they load torch

    console = SafeConsole(width=None if sys.stdout.isatty() else 140)
    outcome = run_strategy(
        loaded,
        out,
        tell=None
        if form == "json"
        else lambda line: console.print(line, highlight=False, soft_wrap=True),
    )
    report = write_strategy_report(out)
    if form == "json":
        print_json(known_state(out / "strategy.json"))
        return
    if outcome.comparison is not None:
        console.print(outcome.comparison.table("Stages on the test split"))
    console.print(outcome.yields())
    for line in outcome.verdicts():
        console.print(line, highlight=False)
    console.print(f"Final run: {outcome.final}", highlight=False, soft_wrap=True)
    console.print(f"Report: {report}", highlight=False, soft_wrap=True)
