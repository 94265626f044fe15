"""Defines the command that decodes and resizes the images of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from imaxray._common.defaults import (
    CACHE_MAX_SIDE,
    CACHE_SHARD_IMAGES,
    CACHE_WORKERS,
    LARGEST,
    MOST_PROCESSES,
)
from imaxray._common.printing import counted, say
from imaxray.cli.application import Format, app
from imaxray.cli.printing.left_out import print_codes
from imaxray.cli.printing.tables import print_json
from imaxray.errors import ImaxrayError

if TYPE_CHECKING:
    from imaxray.cache import CacheReport


@app.command()
def cache(
    dataset: Annotated[
        Path,
        typer.Argument(help="Dataset folder; a cache of the catalog serves IMAX and DMAX, too."),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder to write; default: image-cache beside the dataset."),
    ] = None,
    max_side: Annotated[
        int,
        typer.Option(
            min=1, max=LARGEST, help="Maximum length of an image's longer side in pixels."
        ),
    ] = CACHE_MAX_SIDE,
    shard_images: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="Number of images per file of the cache.")
    ] = CACHE_SHARD_IMAGES,
    engine: Annotated[
        Literal["local", "ray"],
        typer.Option(
            help="Where images are decoded: on this machine (local), or on a Ray cluster (ray)."
        ),
    ] = "local",
    workers: Annotated[
        int,
        typer.Option(min=1, max=MOST_PROCESSES, help="Number of processes of the engine local."),
    ] = CACHE_WORKERS,
    form: Format = "text",
) -> None:
    """Decode, check and resize every image of a dataset once, for faster training.

    The same command again continues a stopped run.
    """
    from imaxray.cache import cache_images
    from imaxray.curation import open_dataset

    report = cache_images(
        open_dataset(dataset), out, max_side=max_side, shard_images=shard_images, engine=engine,
        workers=workers,
    )  # fmt: skip
    codes = report.rejects.group_by("code").len("images").sort("images", "code")
    if form == "json":
        print_json({
            "folder": report.folder, "images": report.images, "rejects": dict(codes.iter_rows()),
            "shards": report.shards, "kept_shards": report.kept_shards, "bytes": report.bytes,
            "seconds": report.seconds,
        })  # fmt: skip
    else:
        _print_cache(report)
    if report.rejects.height and not report.images:
        raise ImaxrayError(
            f"Expected images of the dataset {dataset}, but none of "
            f"{counted(report.rejects.height, 'image')} can be read; check the folders of the "
            "releases, which roots.json in the dataset names."
        )


def _print_cache(report: CacheReport) -> None:
    if report.rejects.height:
        print_codes(report.rejects)
    say(
        f"{counted(report.images, 'image')} and {counted(report.rejects.height, 'reject')} in "
        f"{counted(report.shards, 'shard')} ({report.bytes / 1e6:,.1f} MB; an earlier run wrote "
        f"{report.kept_shards:,} of the shards) in {report.folder}, {report.seconds:.1f} s"
    )
