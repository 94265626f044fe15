"""Defines the command that examines the machine."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from imaxray._common.printing import say
from imaxray.cli.application import Format, app


@app.command()
def doctor(
    need: Annotated[
        list[str] | None,
        typer.Option(
            help="Extra that must be complete, such as train, dicom or vllm; can be repeated."
        ),
    ] = None,
    form: Format = "text",
) -> None:
    """Examine this machine: versions, GPU, optional parts, free disk, home and plug-ins.

    The exit code is 1 if something that is needed is missing: a package of imaxray itself, or of
    an extra that --need names.
    """
    from imaxray.doctor import complete, examine

    findings = examine(need or ())
    if form == "json":
        say(json.dumps([asdict(finding) for finding in findings], indent=1))
    else:
        for finding in findings:
            say(f"{finding.state:<6}  {finding.name}: {finding.said}")
    if not complete(findings):
        raise typer.Exit(1)
