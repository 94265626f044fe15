"""Defines the commands on releases: which can be read, whether one is whole, and your own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from imaxray._common.printing import counted, say
from imaxray.cli.application import Format, sources_app
from imaxray.cli.printing.left_out import print_codes
from imaxray.cli.printing.tables import print_json, print_table
from imaxray.errors import ImaxrayError


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
    form: Format = "text",
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
    expected = forecast_use(tables, name, path).sentences()
    remarks = [*expected, *source.remarks(path), *others_with_same_images(name)]
    if form == "json":
        codes = tables.rejects.group_by("code").len("rows").sort("rows", "code")
        print_json({
            "source": name, "title": source.title, "path": path,
            "files": [
                {"file": f.file, "rows": f.rows, "rejected": rejected.get(f.file, 0),
                 "sha256": f.sha256}
                for f in tables.files
            ],
            "rejects": dict(codes.iter_rows()), "images": tables.images.height,
            "annotations": tables.annotations.height, "remarks": remarks,
        })  # fmt: skip
        return
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
    for remark in remarks:
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
    form: Format = "text",
) -> None:
    """Propose what the columns of your own tables mean, and write it as NAME/source.yaml.

    Beside it the command writes study.yaml, a first study. What only you can know is printed as a
    question; answer by the same command with the options that the question names, or in the file.
    """
    from imaxray.sources import MAPPING_FILE, STUDY_FILE, new_source, require_new_name

    require_new_name(name)
    folder = out or Path(name)
    kept = (folder / STUDY_FILE).exists()  # it may have been edited
    proposal = new_source(
        name, table, images, out=folder, columns=dict(_pairs(column, "--column")),
        means=_pairs(means, "--means"), dates=dates, boxes=boxes, overwrite=overwrite,
    )  # fmt: skip
    path = folder / MAPPING_FILE
    if form == "json":
        print_json({
            "path": path, "study": folder / STUDY_FILE,
            "understood": [
                {"table": table, "column": column, "as": taken}
                for table, column, taken in proposal.understood
            ],
            "spellings": proposal.mapping.vocabulary,
            "unused": [{"table": t, "what": what, "why": why} for t, what, why in proposal.notes],
            "questions": list(proposal.mapping.questions),
        })  # fmt: skip
        return
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
    say(
        f"Wrote {path}; {folder / STUDY_FILE} was there and is kept."
        if kept
        else f"Wrote {path} and {folder / STUDY_FILE}."
    )
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
