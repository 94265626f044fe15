"""Commands on data: releases in, datasets out."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer

from imaxray.cli.application import Config, Format, Out, Root, app, sources_app
from imaxray.cli.printing import (
    densities,
    print_codes,
    print_density,
    print_match,
    print_table,
)
from imaxray.errors import ImaxrayError


class _Format(StrEnum):
    text = "text"
    json = "json"


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to write.")],
    images: Annotated[int, typer.Option(help="Radiographs, frontal and lateral.")] = 2000,
    scale: Annotated[
        Literal["images", "mimic"],
        typer.Option(help="As many as --images says, or the exact counts of MIMIC-CXR."),
    ] = "images",
    no_images: Annotated[
        bool, typer.Option("--no-images", help="Tables, reports and scene graphs; no pixels.")
    ] = False,
    times: Annotated[float, typer.Option(help="With --scale mimic: so many MIMIC-CXRs.")] = 1.0,
    no_archives: Annotated[
        bool, typer.Option("--no-archives", help="With --scale mimic: tables only.")
    ] = False,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    workers: Annotated[int | None, typer.Option(help="Processes; default: all cores.")] = None,
) -> None:
    """Write synthetic radiographs and their releases in the real file formats."""
    from imaxray.phantom import default_workers, write_phantom, write_phantom_tables

    processes = workers or default_workers()
    if scale == "images":
        if no_images or no_archives or times != 1.0:
            raise ImaxrayError(
                "Expected --no-images, --no-archives and --times with --scale mimic, but the scale "
                "is that of --images; add --scale mimic or leave them out."
            )
        write_phantom(out, images=images, seed=seed, workers=processes)
        print(f"{images:,} radiographs and seven releases in {out}")
        return
    if not no_images:
        raise ImaxrayError(
            "Expected --no-images with --scale mimic, but it is not given; 377,110 radiographs of "
            "full size are not drawn, so add it."
        )
    write_phantom_tables(out, times=times, seed=seed, workers=processes, archives=not no_archives)
    print(f"{'Five' if no_archives else 'Seven'} releases of {times:g} MIMIC-CXR in {out}")


@sources_app.command("list")
def sources_list(form: Format = "text") -> None:
    """List the sources: release, tasks, access and licence, citation, download page."""
    from imaxray.sources import list_sources

    keys = ("name", "title", "version", "tasks", "access", "licence", "citation", "url")
    rows = [{key: getattr(source, key) for key in keys} for source in list_sources()]
    if form == "json":
        print(json.dumps(rows, indent=1))
        return
    for row in rows:  # not a table: citations and addresses are too long for columns
        print(f"{row['name']}: {row['title']}, version {row['version']}")
        print(f"  tasks     {', '.join(row['tasks'])}")
        print(f"  access    {row['access']}; {row['licence']}")
        print(f"  cite      {row['citation']}")
        print(f"  download  {row['url']}")


@sources_app.command("check")
def sources_check(
    name: Annotated[str, typer.Argument(help="Source, as `sources list` names it.")],
    path: Annotated[Path, typer.Argument(help="The release's folder.")],
) -> None:
    """Check that PATH holds the release: files, headers, rows, rejects."""
    from imaxray.sources import get_source

    source = get_source(name)
    source.check(path)
    tables = source.read(path)
    counts = tables.rejects.unique(["file", "row"])["file"].value_counts()
    rejected = dict(counts.iter_rows())
    print_table(
        f"{source.title} at {path}",
        ["file", "rows", "rows with a reject", "sha256"],
        [[f.file, f"{f.rows:,}", f"{rejected.get(f.file, 0):,}", f.sha256[:12]]
         for f in tables.files],
    )  # fmt: skip
    print_codes(tables.rejects)
    print(
        f"{tables.images.height:,} images, {tables.annotations.height:,} annotations, "
        f"{tables.rejects.height:,} rejects"
    )
    for remark in source.remarks(path):
        print(remark)


@app.command()
def build(
    config: Config,
    out: Out,
    root: Root = None,
    workers: Annotated[int | None, typer.Option(help="Processes; default: the config's.")] = None,
    verify: Annotated[
        Literal["decode", "exists", "none"] | None,
        typer.Option(help="Decode images, look whether they exist, or believe the tables."),
    ] = None,
) -> None:
    """Build catalog, IMAX and DMAX of a study configuration, without training."""
    from imaxray.study import build_study_data, load_config

    study = load_config(config)
    given = {"workers": workers, "verify": verify}
    study = study.model_copy(update={k: v for k, v in given.items() if v is not None})
    match = build_study_data(study, out, root=root)
    for name, splits in match["density"].items():
        print_density(name, splits)
    print_match(match)


@app.command()
def match(
    catalog: Annotated[Path, typer.Argument(help="Catalog dataset (`build` writes it).")],
    imax: Annotated[Path, typer.Argument(help="IMAX dataset to match.")],
    out: Out,
    tasks_per_image: Annotated[
        float | None, typer.Option(help="Dose: about so many tasks an image; default: fewest.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="Decides among equally good images; default: the build's.")
    ] = None,
) -> None:
    """Match DMAX to IMAX: equal volume per task and answer, spread over the most images."""
    from imaxray.curation import DmaxConfig, match_dmax, open_dataset, write_dataset

    dose = DmaxConfig(tasks_per_image=tasks_per_image, seed=seed)
    selected = open_dataset(imax)
    built = selected.manifest["seed"]
    tables, report = match_dmax(open_dataset(catalog).tables, selected.tables, dose, seed=built)
    config = {**selected.manifest["config"], "dmax": dose.model_dump(mode="json")}
    write_dataset(tables, out, config=config, seed=built, role="dmax")
    print_density("dmax", densities(tables))
    print_match(report.as_dict())


@app.command()
def rebuild(
    manifest: Annotated[Path, typer.Argument(help="manifest.json of the dataset to make again.")],
    out: Out,
    source: Annotated[
        list[str], typer.Option(help="NAME=PATH of a release; once for each that is needed.")
    ],
    workers: Annotated[int, typer.Option(help="Processes.")] = 2,
) -> None:
    """Make the very same dataset from your own downloads, and prove it by sha256."""
    from imaxray.study import rebuild_dataset

    releases = {}
    for item in source:
        name, equals, path = item.partition("=")
        if not equals or not path:
            raise ImaxrayError(f"Expected --source NAME=PATH, but got {item}; write both.")
        releases[name] = Path(path)
    report = rebuild_dataset(manifest, releases, out, workers=workers)
    rows = [[name, digest, "identical"] for name, digest in report.files.items()]
    print_table(f"{out}", ["file", "sha256", "with the manifest"], rows)


@app.command()
def stats(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")], form: Format = "text"
) -> None:
    """Density, entries per task and split, and the account: rows in = kept + rejected."""
    from imaxray.curation import open_dataset

    data = open_dataset(dataset)
    if form == "json":
        account = data.tables.account.to_dicts()
        print(json.dumps({"density": densities(data.tables), "account": account}, indent=1))
        return
    print_density(dataset.name, densities(data.tables))
    print_table(
        "Rows in = kept + rejected",
        ["source", "file", "rows in", "kept", "rejected"],
        [[source, file, f"{rows:,}", f"{kept:,}", f"{rejected:,}"]
         for source, file, rows, kept, rejected in data.tables.account.iter_rows()],
    )  # fmt: skip
    print_codes(data.tables.rejects)


@app.command()
def cache(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder; the catalog serves its arms.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Default: image-cache beside the dataset.")
    ] = None,
    max_side: Annotated[int, typer.Option(min=1, help="Longest side in pixels.")] = 1024,
    shard_images: Annotated[int, typer.Option(min=1, help="Images a shard.")] = 64,
    engine: Annotated[
        Literal["local", "ray"], typer.Option(help="Processes here, or a Ray cluster.")
    ] = "local",
    workers: Annotated[int, typer.Option(min=1, help="Processes of the engine local.")] = 2,
) -> None:
    """Decode, verify, orient and resize every image once; a killed run goes on where it was."""
    from imaxray.cache import cache_images
    from imaxray.curation import open_dataset

    report = cache_images(
        open_dataset(dataset), out, max_side=max_side, shard_images=shard_images, engine=engine,
        workers=workers,
    )  # fmt: skip
    if report.rejects.height:
        print_codes(report.rejects)
    print(
        f"{report.images:,} images and {report.rejects.height:,} rejects in {report.shards:,} "
        f"shards ({report.bytes / 1e6:,.1f} MB; {report.kept_shards:,} were there before) in "
        f"{report.folder}, {report.seconds:.1f} s"
    )


@app.command()
def audit(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Dataset folder, or LLaVA JSON / messages JSONL files."),
    ],
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images; default: as the data says.")
    ] = None,
    output: Annotated[_Format, typer.Option("--format", help="What to print.")] = _Format.text,
    patient_field: Annotated[
        str | None, typer.Option(help="Field with the patient's id, in files of other projects.")
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option(help="Code of a check to leave out; can be repeated.")
    ] = None,
    examples: Annotated[int, typer.Option(min=0, help="Findings of a check shown as text.")] = 5,
    workers: Annotated[int, typer.Option(min=1, help="Processes that decode images.")] = 1,
    clinical: Annotated[
        Path | None,
        typer.Option(help="YAML file whose `clinical:` block changes clinical rules."),
    ] = None,
) -> None:
    """Look for leaks, broken or double images, bad boxes and contradictions; exit code 1 if any."""
    from imaxray.audit import audit_dataset as run_audit

    report = run_audit(
        paths, images=images, patient_field=patient_field, skip=skip or (), workers=workers,
        clinical=clinical,
    )  # fmt: skip
    print(report.to_json() if output is _Format.json else report.to_text(examples))
    if not report.clean:
        raise typer.Exit(1)


@app.command()
def export(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")],
    form: Annotated[
        str,
        typer.Option("--format", help="llamafactory, swift, trl, llava, fiftyone or croissant."),
    ],
    out: Out,
    boxes: Annotated[
        str | None,
        typer.Option(help="How boxes are written: a convention or a model (docs/export.md)."),
    ] = None,
    per: Annotated[
        Literal["entry", "image"] | None,
        typer.Option(help="A conversation an entry (default), or one of many turns an image."),
    ] = None,
    split: Annotated[
        list[str] | None, typer.Option(help="train, val or test; can be repeated. Default: all.")
    ] = None,
    images: Annotated[
        Literal["path", "link", "copy"],
        typer.Option(help="Name images where they lie, link them, or copy them."),
    ] = "path",
    max_turns: Annotated[
        int | None, typer.Option(help="With --per image: most turns of a conversation.")
    ] = None,
    min_pixels: Annotated[
        int | None, typer.Option(help="Qwen2.5-VL: smallest area that the processor resizes to.")
    ] = None,
    max_pixels: Annotated[int | None, typer.Option(help="Likewise the largest.")] = None,
    seed: Annotated[int, typer.Option(help="Decides the order of rows and turns.")] = 0,
    headers: Annotated[
        bool, typer.Option(help="Open each image's header to see that tools can read it.")
    ] = True,
) -> None:
    """Write a dataset in the format of another tool."""
    from imaxray.export import export_dataset

    report = export_dataset(
        dataset, form, out, boxes=boxes, per=per, splits=split, images=images,
        max_turns=max_turns, min_pixels=min_pixels, max_pixels=max_pixels, seed=seed,
        headers=headers,
    )  # fmt: skip
    print_table(
        f"{form} at {out}",
        ["split", "rows", "entries", "images"],
        [[s, *(f"{c[key]:,}" for key in ("rows", "entries", "images"))]
         for s, c in report.counts.items()],
    )  # fmt: skip
    if report.left_out:
        left = [[code, f"{n:,}"] for code, n in report.left_out.items()]
        print_table("Left out (left_out.jsonl)", ["reason", "number"], left)
