"""Defines the commands on data: reading releases, and building, checking and writing datasets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from imaxray._defaults import (
    AUDIT_EXAMPLES,
    AUDIT_WORKERS,
    CACHE_MAX_SIDE,
    CACHE_SHARD_IMAGES,
    CACHE_WORKERS,
    LARGEST,
    PHANTOM_IMAGES,
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
    sources_app,
)
from imaxray.cli.options import bounded, chosen, options_of
from imaxray.cli.printing import (
    densities,
    densities_of_made,
    print_changed_density,
    print_codes,
    print_density,
    print_match,
    print_table,
)
from imaxray.errors import ImaxrayError

_NEAR_TARGET: Final = 0.05
"""Share by which a spread may miss its target before the command says so."""


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder that the releases are written to.")],
    images: Annotated[
        int,
        typer.Option(
            min=20,
            max=LARGEST,
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
        typer.Option(min=1, max=LARGEST, help="Number of processes; default: one per core."),
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


@sources_app.command("list")
def sources_list(form: Format = "text") -> None:
    """List the releases that can be read: tasks, access, licence, citation, download page."""
    from imaxray.sources import list_sources

    keys = ("name", "title", "version", "tasks", "access", "licence", "citation", "url")
    rows = [{key: getattr(source, key) for key in keys} for source in list_sources()]
    if form == "json":
        say(json.dumps(rows, indent=1))
        return
    for row in rows:  # printed as lines, because citations and addresses are too long for columns
        say(f"{row['name']}: {row['title']}, version {row['version']}")
        say(f"  tasks     {', '.join(row['tasks'])}")
        say(f"  access    {row['access']}; {row['licence']}")
        say(f"  cite      {row['citation']}")
        say(f"  download  {row['url']}")


@sources_app.command("check")
def sources_check(
    name: Annotated[
        str, typer.Argument(help="Name of the release, as `imaxray sources list` prints it.")
    ],
    path: Annotated[
        Path,
        typer.Argument(help="Folder of the downloaded release; of your own, its source.yaml."),
    ],
    encoding: Annotated[
        str | None,
        typer.Option(
            help="Encoding of the texts of the release, such as latin-1; default: utf-8, or what "
            "source.yaml says."
        ),
    ] = None,
) -> None:
    """Check that the folder PATH holds a release: its files, columns, rows and rejected rows.

    The command also counts missing images and says what a build of this release will use.
    """
    from imaxray.curation import forecast_use
    from imaxray.sources import known_encoding, open_release, others_with_same_images

    source, path = open_release(name, path)
    if encoding is not None:
        try:
            source.encoding = known_encoding(encoding)
        except ValueError as error:
            raise ImaxrayError(f"{str(error).capitalize()}; correct --encoding.") from error
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
    say(
        f"{counted(tables.images.height, 'image')}, "
        f"{counted(tables.annotations.height, 'annotation')}, "
        f"{counted(tables.rejects.height, 'reject')}"
    )
    expected = forecast_use(tables, name, path).sentences()
    for remark in [*expected, *source.remarks(path), *others_with_same_images(name)]:
        say(remark)


@sources_app.command("new")
def sources_new(
    name: Annotated[
        str, typer.Argument(help="Name of your release: small letters, digits and hyphens.")
    ],
    table: Annotated[
        list[Path],
        typer.Option(
            help="Table (CSV, TSV, Excel, Parquet, JSON lines, COCO), or folder of reports, masks, "
            "Pascal VOC, YOLO or DICOM files; can be repeated."
        ),
    ],
    images: Annotated[Path, typer.Option(help="Folder of the images.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder to write; default: one named like the release."),
    ] = None,
    column: Annotated[
        list[str] | None,
        typer.Option(
            help="FIELD=COLUMN: the column of a field (docs/own-data-fields.md) or of a label; "
            "FIELD=none for no column; can be repeated."
        ),
    ] = None,
    means: Annotated[
        list[str] | None,
        typer.Option(
            help="SPELLING=MEANING of a cell: a label, yes, no, uncertain, unknown, train, val, "
            "test, a view, a sex, or none; FIELD:SPELLING=MEANING for the cells of one field, such "
            "as patient:30=00030; can be repeated."
        ),
    ] = None,
    dates: Annotated[
        str | None, typer.Option(help="How dates are written, such as %d.%m.%Y.")
    ] = None,
    boxes: Annotated[
        Literal["xyxy", "xywh", "cxcywh"] | None,
        typer.Option(
            help="Numbers of a box: corners (xyxy), corner and size (xywh), or centre and size "
            "(cxcywh)."
        ),
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the source.yaml that is there.")
    ] = False,
) -> None:
    """Propose what the columns of your own tables mean, and write it as NAME/source.yaml.

    Beside it the command writes study.yaml, a first study. What only you can know is printed as a
    question; answer by the same command with the options that the question names, or in the file.
    """
    from imaxray.sources import MAPPING_FILE, STUDY_FILE, new_source

    folder = out or Path(name)
    proposal = new_source(
        name, table, images, out=folder, columns=dict(_pairs(column, "--column")),
        means=_pairs(means, "--means"), dates=dates, boxes=boxes, overwrite=overwrite,
    )  # fmt: skip
    path = folder / MAPPING_FILE
    print_table("Understood", ["table", "column", "as"], [list(r) for r in proposal.understood])
    words = proposal.mapping.vocabulary
    if words:
        print_table(
            "Spellings of findings", ["spelling", "as"],
            [[spelling, label or "none of the labels"] for spelling, label in words.items()],
        )  # fmt: skip
    if proposal.notes:
        print_table("Not used", ["table", "what", "why"], [list(r) for r in proposal.notes])
    if proposal.encoding:
        say(proposal.encoding)
    questions = proposal.mapping.questions
    for number, question in enumerate(questions, start=1):
        say(f"Question {number}: {question}")
    say(f"Wrote {path} and {folder / STUDY_FILE}.")
    if questions:
        say(
            f"{counted(len(questions), 'question')} must be answered before the release can be "
            "read: run the command again with the answers and --overwrite, or answer in the file."
        )
    else:
        say(f"Next: imaxray sources check {name} {path}")


def _pairs(items: list[str] | None, option: str) -> list[tuple[str, str]]:
    pairs = []
    for item in items or []:
        left, equals, right = item.rpartition("=")
        if not equals or not right:
            raise ImaxrayError(
                f"Expected {option} LEFT=RIGHT, but got {item}; write both sides, such as "
                f"{'patient=pid' if option == '--column' else 'efusion=Pleural Effusion'}."
            )
        pairs.append((left, right.strip()))
    return pairs


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
def verify(
    folder: Annotated[Path, typer.Argument(help="Folder that imaxray wrote.")],
) -> None:
    """Compare every file of a folder with the digest in its manifest.

    The folder is a dataset, an image cache, an export, a shared dataset, a finished run, pseudo
    annotations or predictions. The exit code is 1 if a file is missing or was changed.
    """
    from imaxray._digests import verify_folder

    manifest, changed = verify_folder(folder)
    for name in changed:
        say(f"missing or changed: {name}")
    if changed:
        raise typer.Exit(1)
    say(f"All files of {folder} are as {manifest} describes them.")


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
    if report.rejects.height:
        print_codes(report.rejects)
    say(
        f"{counted(report.images, 'image')} and {counted(report.rejects.height, 'reject')} in "
        f"{counted(report.shards, 'shard')} ({report.bytes / 1e6:,.1f} MB; an earlier run wrote "
        f"{report.kept_shards:,} of the shards) in {report.folder}, {report.seconds:.1f} s"
    )
    if report.rejects.height and not report.images:
        raise ImaxrayError(
            f"Expected images of the dataset {dataset}, but none of "
            f"{counted(report.rejects.height, 'image')} can be read; check the folders of the "
            "releases, which roots.json in the dataset names."
        )


@app.command()
def audit(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Dataset folder, export, or JSON, JSONL or Parquet files."),
    ],
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images; default: where the dataset says.")
    ] = None,
    output: Format = "text",
    patient_field: Annotated[
        str | None,
        typer.Option(help="Name of the field with the patient's id, in files of other projects."),
    ] = None,
    patients: Annotated[
        Path | None,
        typer.Option(
            help="Table (CSV, TSV or Parquet) of images and their patients, for files of other "
            "projects whose records name none, e.g. the table of PadChest."
        ),
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option(help="Code of a check that is left out; can be repeated.")
    ] = None,
    examples: Annotated[
        int,
        typer.Option(
            min=0, max=LARGEST, help="Maximum number of examples that are printed per check."
        ),
    ] = AUDIT_EXAMPLES,
    workers: Annotated[
        int, typer.Option(min=1, max=LARGEST, help="Number of processes that decode images.")
    ] = AUDIT_WORKERS,
    clinical: Annotated[
        Path | None,
        typer.Option(
            help="YAML file whose `clinical:` block changes clinical rules; default: the block in "
            "the manifest of the dataset."
        ),
    ] = None,
) -> None:
    """Check a dataset for leaks between splits, broken images, bad boxes and contradictions.

    The exit code is 1 if there are findings.
    """
    from imaxray.audit import audit_dataset as run_audit

    report = run_audit(
        paths, images=images, patient_field=patient_field, patients=patients, skip=skip or (),
        workers=workers, clinical=clinical,
    )  # fmt: skip
    say(report.to_json() if output == "json" else report.to_text(examples))
    if not report.clean:
        raise typer.Exit(1)
