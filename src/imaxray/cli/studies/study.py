"""Defines the command that runs a study or an ablation."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from imaxray._common.printing import say
from imaxray._common.state import known_state
from imaxray.cli.application import ConfigFile, ConfigName, Root, app, one_config
from imaxray.cli.options import chosen, options_of
from imaxray.cli.printing.tables import print_json
from imaxray.cli.printing.units import print_units
from imaxray.errors import ImaxrayError

if TYPE_CHECKING:
    from imaxray.ablation import AblationConfig
    from imaxray.study import EstimateConfig, StudyConfig, StudyOutcome


@app.command(cls=options_of("imaxray.study.estimating:EstimateConfig"))
def study(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder that the results are written to; only --dry-run needs none."
        ),
    ] = None,
    config: ConfigName = None,
    config_file: ConfigFile = None,
    root: Root = None,
    list_units: Annotated[
        bool, typer.Option("--list", help="Show the units of the study with their states; do none.")
    ] = False,
    only: Annotated[
        list[str] | None,
        typer.Option(
            "--only",
            metavar="UNIT",
            help="Do one unit, as a job of a cluster does; can be repeated.",
        ),
    ] = None,
    launch: Annotated[
        str | None,
        typer.Option(
            help="Command that each training is started with, e.g. 'torchrun --nproc-per-node 4'."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Estimate the tokens, steps, parameters and bytes of each training, and its hours "
            "where a speed was measured; run nothing. The options below are for this.",
        ),
    ] = False,
    form: Annotated[
        Literal["text", "json"], typer.Option("--format", help="Format of what is printed.")
    ] = "text",
) -> None:
    """Run a whole study: build the datasets, train each arm, evaluate, compare, write a report.

    The report is report.html. A configuration with a block `strategy` runs the ablation of that
    strategy, whose tables are also in ablation.md. The same command again continues a stopped run.
    """
    from imaxray.ablation import AblationConfig, load_study
    from imaxray.study import EstimateConfig, require_releases

    how = chosen(EstimateConfig)
    if not dry_run and how != EstimateConfig():
        raise ImaxrayError(
            "Expected --dry-run with options of an estimate, but a study without it runs; add "
            "--dry-run, or leave these options out."
        )
    loaded = load_study(one_config(config, config_file))
    require_releases(loaded, root)
    if out is None and (not dry_run or isinstance(loaded, AblationConfig)):
        raise ImaxrayError(
            "Expected --out FOLDER, in which the study is written, but it is not given; name a "
            "folder."
        )
    if isinstance(loaded, AblationConfig):
        if list_units or only or launch or dry_run:
            raise ImaxrayError(
                "Expected a study without a block strategy for --list, --only, --launch and "
                "--dry-run, but this is an ablation; leave them out."
            )
        assert out is not None  # as checked above
        _ablation(loaded, out, root, form)
        return
    if dry_run:
        _estimate(loaded, out, how, form)
        return
    assert out is not None  # as checked above
    if list_units:
        print_units(loaded, out, form)
        return
    from imaxray.study import run_study, run_unit  # imported here, as they load torch

    if only:
        for name in only:
            outcome = run_unit(loaded, out, name, root=root, launch=launch)
            if outcome is None:
                say(f"Done: {name}")
            else:
                _print_outcome(outcome, form)
        return
    _print_outcome(run_study(loaded, out, root=root, launch=launch), form)


def _estimate(config: StudyConfig, out: Path | None, how: EstimateConfig, form: str) -> None:
    from imaxray.cli.studies.estimates import print_estimate
    from imaxray.study import estimate_study

    found = estimate_study(config, out, how)
    if form == "json":
        say(json.dumps(found.as_dict(), indent=1))
        return
    print_estimate(found)


def _print_outcome(outcome: StudyOutcome, form: str) -> None:
    from imaxray.progress import SafeConsole
    from imaxray.study import write_study_report

    report = write_study_report(outcome.out)
    if form == "json":
        print_json({
            "models": {name: model.as_dict() for name, model in outcome.models.items()},
            "table": None if outcome.table is None else outcome.table.as_dict(),
            "summary": outcome.summary(), "report": report,
        })  # fmt: skip
        return
    console = SafeConsole(width=None if sys.stdout.isatty() else 140)
    for name, model in outcome.models.items():
        of_model = f"{name}: " if len(outcome.models) > 1 else ""
        views = {"Equal entries seen": model.equal_entries, "Equal compute": model.equal_compute}
        for view, comparison in views.items():
            for table in [] if comparison is None else comparison.tables(f"{of_model}{view}"):
                console.print(table)
    if outcome.table is not None:
        for table in outcome.table.tables():
            console.print(table)
    for line in outcome.summary():
        console.print(line, highlight=False)
    console.print(f"Report: {report}", highlight=False, soft_wrap=True)


def _ablation(config: AblationConfig, out: Path, root: Path | None, form: str) -> None:
    from imaxray.ablation import (
        ablation_tables,
        run_ablation,
        summary,
        write_ablation,
        write_ablation_report,
    )
    from imaxray.progress import SafeConsole

    outcome = run_ablation(config, out, root=root)
    written = write_ablation(outcome)
    report = write_ablation_report(out)
    if form == "json":
        print_json(known_state(out / "ablation.json"))
        return
    console = SafeConsole(width=None if sys.stdout.isatty() else 180)
    for table in ablation_tables(outcome):
        console.print(table)
    for line in summary(outcome):
        console.print(line, highlight=False)
    console.print(f"Tables: {written}", highlight=False, soft_wrap=True)
    console.print(f"Report: {report}", highlight=False, soft_wrap=True)
