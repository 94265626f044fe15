"""Defines the command that builds the datasets of a study."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from imaxray._common.defaults import MOST_PROCESSES
from imaxray.cli.application import ConfigFile, ConfigName, Format, Out, Root, app, one_config
from imaxray.cli.printing.densities import (
    print_changed_density,
    print_density,
    print_kept_density,
    print_match,
)
from imaxray.cli.printing.left_out import print_marks
from imaxray.cli.printing.tables import print_json
from imaxray.errors import ImaxrayError

if TYPE_CHECKING:
    from imaxray.curation import ExcludeConfig
    from imaxray.study import StudyConfig


@app.command()
def build(
    out: Out,
    config: ConfigName = None,
    config_file: ConfigFile = None,
    root: Root = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=MOST_PROCESSES,
            help="Number of processes; default: the configuration's number.",
        ),
    ] = None,
    verify: Annotated[
        Literal["decode", "exists", "none"] | None,
        typer.Option(
            help="How images are checked: decoded (decode), looked for (exists), or not at all "
            "(none); default: as the configuration says."
        ),
    ] = None,
    derive: Annotated[
        bool,
        typer.Option(
            "--derive",
            help="Derive what follows from the entries of the catalog before IMAX is selected; the "
            "configuration can say the same by a block `derive:`.",
        ),
    ] = False,
    exclude: Annotated[
        Path | None,
        typer.Option(
            metavar="MARKS",
            help="File of your marks (`imaxray view`): images and annotations that you marked as "
            "wrong are left out and counted as rejects; default: as the configuration says.",
        ),
    ] = None,
    exclude_doubtful: Annotated[
        bool,
        typer.Option(
            "--exclude-doubtful", help="Leave out what you marked as doubtful, too (`--exclude`)."
        ),
    ] = False,
    form: Format = "text",
) -> None:
    """Build the datasets of a study (the catalog of all images, IMAX, DMAX) without training."""
    from imaxray.derive import DeriveConfig
    from imaxray.study import build_study_data, load_config, require_releases

    study = load_config(one_config(config, config_file))
    require_releases(study, root)
    given: dict[str, Any] = {"workers": workers, "verify": verify}
    if derive and study.derive is None:
        given["derive"] = DeriveConfig()
    given["exclude"] = _excluded(study, exclude, exclude_doubtful)
    study = study.model_copy(update={k: v for k, v in given.items() if v is not None})
    match = build_study_data(study, out, root=root)
    if form == "json":
        print_json(match)
        return
    if "derived" in match:
        print_changed_density(match["derived"]["before"], match["derived"]["after"])
        print_kept_density(study.imax)
    for name, splits in match["density"].items():
        print_density(name, splits)
    print_match(match)
    if "marks" in match:
        print_marks(match["marks"])


def _excluded(study: StudyConfig, marks: Path | None, doubtful: bool) -> ExcludeConfig | None:
    """Return the marks that the options name; None leaves those of the configuration.

    Raises:
        ImaxrayError: Doubtful marks are to count, but there is no file of marks.
    """
    from imaxray.curation import ExcludeConfig

    file = marks or (study.exclude.marks if study.exclude else None)
    if doubtful and file is None:
        raise ImaxrayError(
            "Expected --exclude MARKS with --exclude-doubtful, but no file of marks is named; name "
            "it, or leave out --exclude-doubtful."
        )
    if file is None or (marks is None and not doubtful):
        return None
    if doubtful:
        return ExcludeConfig(marks=file, verdicts=("wrong", "doubtful"))
    return (
        study.exclude.model_copy(update={"marks": file})
        if study.exclude
        else ExcludeConfig(marks=file)
    )
