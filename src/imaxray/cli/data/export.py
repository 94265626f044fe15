"""Defines the commands that write a dataset for other tools, and list their formats."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final, Literal

import typer

from imaxray._common.printing import say
from imaxray.cli.application import Format, Out, app
from imaxray.cli.options import chosen, options_of
from imaxray.cli.printing.tables import print_json, print_table

_VERDICTS: Final = {"right": "right", "written": "write", "refused": "-"}


@app.command(cls=options_of("imaxray.export:ExportConfig", flags={"splits": "--split"}))
def export(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")],
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="Format to write: llamafactory, swift, trl, llava, fiftyone or croissant; "
            "`imaxray formats` lists them.",
        ),
    ],
    out: Out,
    printed: Annotated[
        Literal["text", "json"], typer.Option("--print", help="Format of what is printed.")
    ] = "text",
) -> None:
    """Write a dataset in the file format of another tool."""
    from imaxray.export import SETTINGS, ExportConfig, export_dataset, list_formats

    report = export_dataset(dataset, form, out, chosen(ExportConfig))
    if printed == "json":
        print_json(asdict(report))
        return
    print_table(
        f"{form} at {out}",
        ["split", "rows", "entries", "images"],
        [[s, *(f"{c[key]:,}" for key in ("rows", "entries", "images"))]
         for s, c in report.counts.items()],
    )  # fmt: skip
    if report.tokens:
        tokens = report.tokens
        counts = f"the text in {tokens['unit']}" + (
            f", and the image (up to {tokens['image']:,} tokens)" if tokens["image"] else ""
        )
        print_table(
            f"Length of rows: {counts}",
            ["split", "median", "99th percentile", "longest"],
            [[s, *(f"{n[key]:,}" for key in ("median", "p99", "longest"))]
             for s, n in tokens["splits"].items()],
        )  # fmt: skip
    if SETTINGS in report.files:
        say(f"Settings for {list_formats()[form]}: {out / SETTINGS}, whose comments say more.")
    if report.decoded:
        anew = [[code, f"{n:,}"] for code, n in report.decoded.items()]
        print_table("Images written as new 8-bit PNG files", ["reason", "number"], anew)
    if report.left_out:
        left = [[code, f"{n:,}"] for code, n in report.left_out.items()]
        print_table("Left out (left_out.jsonl)", ["reason", "number"], left)


@app.command()
def formats(form: Format = "text") -> None:
    """List the export formats, and how boxes of each convention can be exported in each."""
    from imaxray.export import list_box_pairs, list_formats

    known, pairs = list_formats(), list_box_pairs()
    if form == "json":
        boxes = [asdict(pair) for pair in pairs]
        say(json.dumps({"formats": known, "boxes": boxes}, indent=1, ensure_ascii=False))
        return
    print_table("Formats", ["format", "tool"], [[name, tool] for name, tool in known.items()])
    rows = []
    for name in dict.fromkeys(pair.convention for pair in pairs):
        mine = [pair for pair in pairs if pair.convention == name]
        models = ", ".join(mine[0].models)
        rows.append([name or "(not given)", models, *(_VERDICTS[p.verdict] for p in mine)])
    print_table("Boxes (--boxes)", ["convention", "or a model", *known], rows)
    say(
        "right: the box is right in the image that the tool shows the model. write: it is with "
        "--images write, which writes such images. -: an export is refused, and says why."
    )
