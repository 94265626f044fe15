"""Defines the command that writes synthetic releases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from imaxray._common.defaults import LARGEST, MOST_IMAGES, MOST_PROCESSES, PHANTOM_IMAGES
from imaxray._common.printing import say
from imaxray.cli.application import app
from imaxray.cli.options import bounded
from imaxray.errors import ImaxrayError


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder that the releases are written to.")],
    images: Annotated[
        int,
        typer.Option(
            min=20,
            max=MOST_IMAGES,
            help="Number of radiographs, frontal and lateral together; minimum 20.",
        ),
    ] = PHANTOM_IMAGES,
    scale: Annotated[
        Literal["images", "mimic"],
        typer.Option(
            help="Size of the cohort: that of --images (images), or of MIMIC-CXR (mimic)."
        ),
    ] = "images",
    no_images: Annotated[
        bool,
        typer.Option(
            "--no-images",
            help="Write no pixels, with --scale mimic: only tables, reports and scene graphs.",
        ),
    ] = False,
    times: Annotated[
        float,
        typer.Option(
            callback=bounded(0.001, 100),
            help="Size of the cohort in units of MIMIC-CXR, with --scale mimic.",
        ),
    ] = 1.0,
    no_archives: Annotated[
        bool,
        typer.Option(
            "--no-archives",
            help="Write no archives of reports and scene graphs, with --scale mimic: only tables.",
        ),
    ] = False,
    seed: Annotated[
        int,
        typer.Option(min=0, max=LARGEST, help="Random seed; the same seed gives the same bytes."),
    ] = 0,
    workers: Annotated[
        int | None,
        typer.Option(min=1, max=MOST_PROCESSES, help="Number of processes; default: one per core."),
    ] = None,
) -> None:
    """Write synthetic radiographs and annotations in the file formats of the real releases."""
    from imaxray.phantom import default_workers, write_phantom, write_phantom_tables

    processes = workers or default_workers()
    if scale == "images":
        if no_images or no_archives or times != 1.0:
            raise ImaxrayError(
                "Expected --scale mimic with --no-images, --no-archives or --times, but the scale "
                "is images; add --scale mimic, or leave these options out."
            )
        write_phantom(out, images=images, seed=seed, workers=processes)
        say(f"Wrote seven releases with {images:,} radiographs to {out}")
        return
    if not no_images:
        raise ImaxrayError(
            "Expected --no-images with --scale mimic, because 377,110 radiographs of full size are "
            "not drawn, but it is not given; add --no-images."
        )
    write_phantom_tables(out, times=times, seed=seed, workers=processes, archives=not no_archives)
    say(
        f"Wrote {'five' if no_archives else 'seven'} releases, {times:g} times the size of "
        f"MIMIC-CXR, to {out}"
    )
