"""Defines the commands that build datasets, prepare their images and describe them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

import typer

from imaxray._defaults import (
    CACHE_MAX_SIDE,
    CACHE_SHARD_IMAGES,
    CACHE_WORKERS,
    LARGEST,
)
from imaxray._folders import require_other_folder
from imaxray._lock import sole_writer
from imaxray._printing import counted, say
from imaxray.cli.application import (
    ConfigFile,
    ConfigName,
    Format,
    Out,
    Root,
    app,
    one_config,
)
from imaxray.cli.options import chosen, options_of
from imaxray.cli.printing import (
    densities,
    densities_of_made,
    print_changed_density,
    print_codes,
    print_density,
    print_json,
    print_match,
    print_table,
)
from imaxray.errors import ImaxrayError

if TYPE_CHECKING:
    from imaxray.cache import CacheReport

_NEAR_TARGET: Final = 0.05
"""Share by which a spread may miss its target before the command says so."""


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


@app.command(cls=options_of("imaxray.curation:DmaxConfig"))
def match(
    catalog: Annotated[
        Path, typer.Argument(help="Folder of the catalog that `imaxray build` wrote.")
    ],
    imax: Annotated[Path, typer.Argument(help="Folder of the IMAX dataset to match.")],
    out: Out,
    form: Format = "text",
) -> None:
    """Build a DMAX dataset that has as many entries per task as an IMAX dataset.

    By default the entries are spread over as many images as possible; --tasks-per-image asks for a
    denser spread.
    """
    from imaxray.curation import DmaxConfig, match_dmax, open_dataset, write_dataset

    dose = chosen(DmaxConfig)
    require_other_folder(out, catalog, imax)
    with sole_writer(out, beside=True):
        selected = open_dataset(imax)
        built = selected.manifest["seed"]
        tables, report = match_dmax(open_dataset(catalog).tables, selected.tables, dose, seed=built)
        config = {**selected.manifest["config"], "dmax": dose.model_dump(mode="json")}
        write_dataset(tables, out, config=config, seed=built, role="dmax")
    if form == "json":
        print_json({"density": densities(tables), "match": report.as_dict()})
        return
    print_density("dmax", densities(tables))
    print_match(report.as_dict())
    wanted, got = dose.tasks_per_image, report.dmax.tasks_per_image
    if wanted is not None and abs(wanted - got) > _NEAR_TARGET * wanted:
        say(
            f"The target of {wanted:g} tasks per image was missed: {got:.2f} is the nearest that "
            "these entries allow."
        )


@app.command()
def rebuild(
    manifest: Annotated[Path, typer.Argument(help="File manifest.json of the dataset to rebuild.")],
    out: Out,
    source: Annotated[
        list[str],
        typer.Option(help="NAME=PATH of a release; given once for each release that is needed."),
    ],
    workers: Annotated[int, typer.Option(min=1, max=LARGEST, help="Number of processes.")] = 2,
    form: Format = "text",
) -> None:
    """Rebuild a dataset from your own downloads, and check by sha256 that it is identical."""
    from imaxray.study import rebuild_dataset

    releases = {}
    for item in source:
        name, equals, path = item.partition("=")
        if not equals or not path:
            raise ImaxrayError(
                f"Expected --source NAME=PATH, but got {item}; give both the name and the path."
            )
        releases[name] = Path(path)
    report = rebuild_dataset(manifest, releases, out, workers=workers)
    if form == "json":
        print_json({"folder": out, "files": dict(report.files)})
        return
    rows = [[name, digest, "identical"] for name, digest in report.files.items()]
    print_table(f"{out}", ["file", "sha256", "compared with the manifest"], rows)


@app.command()
def stats(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")], form: Format = "text"
) -> None:
    """Show a dataset's tasks per image, entries per task and split, and kept and rejected rows."""
    from imaxray.curation import open_dataset

    data = open_dataset(dataset)
    dense = {**densities(data.tables), **densities_of_made(data.tables)}
    if form == "json":
        account = data.tables.account.to_dicts()
        say(json.dumps({"density": dense, "account": account}, indent=1))
        return
    print_density(dataset.name, dense)
    print_table(
        "Rows in = kept + rejected",
        ["source", "file", "rows in", "kept", "rejected"],
        [[source, file, f"{rows:,}", f"{kept:,}", f"{rejected:,}"]
         for source, file, rows, kept, rejected in data.tables.account.iter_rows()],
    )  # fmt: skip
    print_codes(data.tables.rejects)


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
        int, typer.Option(min=1, max=LARGEST, help="Number of processes of the engine local.")
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
