"""Defines the command that compares the answers of runs."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from imaxray._common.folders import claim_files, record_claimed, require_claimable
from imaxray._common.lock import sole_writer
from imaxray._common.printing import say
from imaxray._common.state import write_state
from imaxray.cli.application import app
from imaxray.cli.options import chosen, options_of
from imaxray.errors import ImaxrayError

if TYPE_CHECKING:
    from imaxray.evaluation import AnswersCompared


_FILES: Final = ("comparison.json", "comparison.csv", "comparison.tex")
_KNOWN_BY: Final = {"comparison.json": ('"reference"', '"arms"', '"resamples"')}


class _Form(StrEnum):
    text = "text"
    table = "table"
    json = "json"
    csv = "csv"
    latex = "latex"


@app.command("compare", cls=options_of(
    "imaxray.evaluation:CompareConfig", flags={"extras": "--extra"}, several=("--against",),
))  # fmt: skip
def compare_command(
    runs: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Runs of one arm, one per seed: run folders that were evaluated, result folders "
            "of `imaxray score`, or files of answers."
        ),
    ] = None,
    against: Annotated[
        list[Path] | None,
        typer.Option("--against", help="Runs of the reference; all values that follow are taken."),
    ] = None,
    arm: Annotated[
        list[str] | None,
        typer.Option(
            "--arm",
            metavar="NAME=RUN,RUN…",
            help="Arm with its runs, one per seed; given once per arm, instead of RUNS and "
            "--against. The first one is the reference.",
        ),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(help="Name of the arm that gains are relative to; default: the first --arm."),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "--dataset",
            help="Dataset folder whose entries were answered; default: the one that the runs "
            "state, if it stands near them.",
        ),
    ] = None,
    form: Annotated[
        _Form, typer.Option("--format", help="Form of the output; text is a table.")
    ] = _Form.text,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder that comparison.json, comparison.csv and comparison.tex are written to; "
            "default: none.",
        ),
    ] = None,
) -> None:
    """Compare the answers of runs with those of other runs, with intervals, as a study does."""
    from imaxray._common.files import write_text
    from imaxray.evaluation import CompareConfig, compare_answers, compare_arms

    config = chosen(CompareConfig)
    if out is not None:
        require_claimable(out, _FILES, "a comparison", known_by=_KNOWN_BY)
    if arm:
        if runs or against:
            raise ImaxrayError(
                "Expected --arm, or runs and --against, but got both; leave one of them out."
            )
        arms = _arms(arm)
        found = compare_arms(
            arms, reference=reference or next(iter(arms)), data=data, config=config
        )
    else:
        if reference is not None:
            raise ImaxrayError(
                "Expected --reference only with --arm, but got it with --against, which names the "
                "reference; leave it out."
            )
        found = compare_answers(runs or [], against or [], data, config)
    if out is not None:
        with sole_writer(out):
            claim_files(out, _FILES, "a comparison", known_by=_KNOWN_BY)
            write_state(out / "comparison.json", found.as_dict())
            write_text(out / "comparison.csv", found.to_csv())
            write_text(out / "comparison.tex", found.to_latex())
            record_claimed(out)
    if form == "json":
        say(json.dumps(found.as_dict(), indent=1))
    elif form == "csv":
        say(found.to_csv(), end="")
    elif form == "latex":
        say(found.to_latex(), end="")
    else:
        _print(found)
    for remark in found.remarks:
        say(remark, file=sys.stdout if form in ("text", "table") else sys.stderr)


def _arms(given: list[str]) -> dict[str, list[Path]]:
    """Return the arms of ``NAME=RUN,RUN``; an arm that is given twice has all its runs.

    Raises:
        ImaxrayError: If a value has another form, or there is only one arm.
    """
    arms: dict[str, list[Path]] = {}
    for text in given:
        name, _, runs = text.partition("=")
        paths = [Path(run) for run in runs.split(",") if run]
        if not name or not paths:
            raise ImaxrayError(
                f"Expected --arm NAME=RUN,RUN, but got {text}; for example imax=runs/imax."
            )
        arms.setdefault(name, []).extend(paths)
    if len(arms) < 2:
        raise ImaxrayError(
            f"Expected --arm at least twice, but got only the arm {next(iter(arms))}; name the "
            "arm that it is compared with."
        )
    return arms


def _print(found: AnswersCompared) -> None:
    from imaxray.progress import SafeConsole

    console = SafeConsole(width=None if sys.stdout.isatty() else 140)
    whole = found.comparison
    title = f"{', '.join(whole.others)} against {whole.data['reference']}"
    for table in whole.tables(title):
        console.print(table)
    for name, values in found.groups.items():
        for value, part in values.items():
            for table in part.tables(f"{name}: {value}"):
                console.print(table)
    for arm in whole.others:
        console.print(whole.verdict(arm), highlight=False)
    for line in whole.power():
        console.print(line, highlight=False)
