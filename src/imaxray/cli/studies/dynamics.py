"""Defines the command that measures training dynamics."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imaxray._common.lock import sole_writer
from imaxray.cli.application import Format, Out, app
from imaxray.cli.options import chosen, options_of
from imaxray.cli.printing.tables import print_json


@app.command(
    cls=options_of(
        "imaxray.dynamics:RunDynamicsConfig",
        leave_out=("seed", "level"),
        flags={"size": "--probe"},
        several=("--against",),
    )
)
def dynamics(
    runs: Annotated[list[Path], typer.Argument(help="Run folders of one arm, one per seed.")],
    out: Out,
    against: Annotated[
        list[Path] | None,
        typer.Option(
            "--against", help="Run folders of the other arm, one per seed, in the same order."
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Dataset folder on whose entries the final models are measured; default: read "
            "what was recorded during training.",
        ),
    ] = None,
    other_data: Annotated[
        Path | None,
        typer.Option(
            "--other-data",
            help="Dataset folder of the other arm; each arm's models are then also measured on the "
            "other's data.",
        ),
    ] = None,
    form: Format = "text",
) -> None:
    """Measure how runs were optimised: the Fisher spectrum, and conflicts between tasks.

    The numbers are those that were recorded during training, or are measured now with --data.
    """
    from imaxray.cli.printing.dynamics import print_dynamics
    from imaxray.curation import open_dataset
    from imaxray.dynamics import RunDynamicsConfig, run_dynamics

    config = chosen(RunDynamicsConfig)
    if config.evaluation is not None:
        config = config.model_copy(update={"scores": True})
    with sole_writer(out):
        found = run_dynamics(
            runs, out, config, against=against or (),
            data=None if data is None else open_dataset(data),
            other_data=None if other_data is None else open_dataset(other_data),
        )  # fmt: skip
    if form == "json":
        tables = {
            name: getattr(found, name).to_dicts()
            for name in ("contrast", "crossed", "tasks", "pairs", "scores", "correlations")
        }
        spectra = {arm: table.to_dicts() for arm, table in found.spectra.items()}
        print_json({"spectra": spectra, **tables, "remarks": list(found.remarks)})
        return
    print_dynamics(found, config.group)
