"""Defines the command that builds the datasets of a study."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import typer

from imaxray._defaults import LARGEST
from imaxray.cli.application import ConfigFile, ConfigName, Format, Out, Root, app, one_config
from imaxray.cli.printing import print_changed_density, print_density, print_json, print_match


@app.command()
def build(
    out: Out,
    config: ConfigName = None,
    config_file: ConfigFile = None,
    root: Root = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1, max=LARGEST, help="Number of processes; default: the configuration's number."
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
    study = study.model_copy(update={k: v for k, v in given.items() if v is not None})
    match = build_study_data(study, out, root=root)
    if form == "json":
        print_json(match)
        return
    if "derived" in match:
        print_changed_density(match["derived"]["before"], match["derived"]["after"])
    for name, splits in match["density"].items():
        print_density(name, splits)
    print_match(match)
