"""Writes a dataset in one of the export formats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import orjson
import polars as pl

from imaxray._files import whole_folder
from imaxray._version import __version__
from imaxray.curation import Dataset, open_dataset
from imaxray.errors import ImaxrayError
from imaxray.export import croissant, fiftyone, llamafactory, llava, swift, trl
from imaxray.export.chat_format import ChatFormat, Layout
from imaxray.export.checks import REASONS, why_left_out
from imaxray.export.conventions import find_convention, list_conventions
from imaxray.export.conversation import Per, conversations, ordered
from imaxray.export.images import How, place, usable_images
from imaxray.export.manifest import LEFT_OUT, MANIFEST, write_manifest
from imaxray.geometry import SmartResize
from imaxray.progress import track
from imaxray.schema import SPLITS

_CHATS: Final = {f.name: f for f in (llamafactory.FORMAT, swift.FORMAT, trl.FORMAT, llava.FORMAT)}
_OTHERS: Final = {"fiftyone": "FiftyOne", "croissant": "Croissant (mlcroissant)"}


@dataclass(frozen=True)
class ExportReport:
    """Reports what an export wrote.

    Attributes:
        folder: Folder of the export.
        counts: Number of rows, entries and images of each split.
        left_out: Number of entries (FiftyOne: of images and facts) left out for each reason.
        files: SHA-256 of each file, by its path in the folder; links are not included.
    """

    folder: Path
    counts: dict[str, dict[str, int]]
    left_out: dict[str, int]
    files: dict[str, str]


def list_formats() -> dict[str, str]:
    """Return the names of the formats, and the tool that reads each."""
    return {**{name: form.tool for name, form in _CHATS.items()}, **_OTHERS}


def export_dataset(
    dataset: Dataset | Path,
    format: str,  # noqa: A002 - the command line's word
    out: Path,
    *,
    boxes: str | None = None,
    per: Per | None = None,
    splits: Sequence[str] | None = None,
    images: How = "path",
    max_turns: int | None = None,
    min_pixels: int | None = None,
    max_pixels: int | None = None,
    seed: int = 0,
    headers: bool = True,
) -> ExportReport:
    """Write a dataset in the format of another tool.

    The folder is written under a temporary name and renamed, so it appears complete or not at all.
    The same dataset and arguments give the same bytes. It holds ``export.json`` (arguments, counts,
    sha256 of each
    file) and ``left_out.jsonl`` (id and reason of everything that the format cannot express).

    Args:
        dataset: an opened dataset, or its folder.
        format: one of :func:`list_formats`.
        out: folder to write; an earlier export there is replaced.
        boxes: how boxes are written in text, one of :func:`list_conventions`. ``None``: as numbers,
            which ``swift``, ``fiftyone`` and ``croissant`` have of their own (and the last two
            only).
        per: chat formats: ``entry``, one conversation an entry (default), or ``image``, all
            entries of an image in one conversation, the image in its first turn.
        splits: train, val, test; default: those that have entries.
        images: ``path``: rows name the files where they lie; ``link``: rows name links in the
            export; ``copy``: the export holds the images.
        max_turns: with ``per="image"``: most turns of a conversation; the rest goes on in further
            ones.
        min_pixels: for conventions in pixels of a resized image: the smallest area that the
            processor resizes to, if it is not the convention's.
        max_pixels: likewise the largest.
        seed: decides the order of rows and turns.
        headers: open each image's header to see that the tool can read it.

    Raises:
        ImaxrayError: an unknown name, arguments that do not go with the format, no entries, or an
            ``out`` that holds anything but an earlier export.
    """
    data = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    _check_names(format, per, images, max_turns, splits)
    if format in _OTHERS:
        given = {
            "boxes": boxes, "per": per, "max_turns": max_turns, "min_pixels": min_pixels,
            "max_pixels": max_pixels,
        }  # fmt: skip
        _refuse(format, [name for name, value in given.items() if value is not None])
    if format == "croissant":
        _refuse(format, [n for n, v in (("splits", splits), ("images", images != "path")) if v])
        return _finished(data, format, out, {}, croissant.write)
    chosen = tuple(
        s for s in SPLITS if (data.tables.split(s).height if not splits else s in splits)
    )
    if format == "fiftyone":
        options: dict[str, Any] = {"splits": chosen, "images": images, "headers": headers}

        def write(data: Dataset, folder: Path) -> _Result:
            return fiftyone.write(data, folder, splits=chosen, images=images, headers=headers)

        return _finished(data, format, out, options, write)
    chat = _CHATS[format]
    if not chat.links and images == "link":
        raise ImaxrayError(
            f"Expected images path or copy with {format}, whose files name images from the root, "
            "but got link; use one of the two."
        )
    convention = None if boxes is None else find_convention(boxes, min_pixels, max_pixels)
    if convention is None and (min_pixels or max_pixels):
        raise ImaxrayError(
            "Expected min_pixels and max_pixels with boxes in pixels of a resized image, but boxes "
            "is not given; name a convention or leave them out."
        )
    layout = Layout(convention, per or "entry", images)
    options = {
        "boxes": boxes, "convention": convention and convention.as_dict(), "per": layout.per,
        "splits": chosen, "images": images, "max_turns": max_turns, "seed": seed,
        "headers": headers,
    }  # fmt: skip
    job = _Chat(chat, layout, chosen, max_turns, seed, headers)
    return _finished(data, format, out, options, job.write)


_Result = tuple[dict[str, dict[str, int]], list[tuple[str, str]]]
"""Counts of each split, and id and reason of everything left out."""


@dataclass(frozen=True)
class _Chat:
    """Writes a dataset in a chat format."""

    form: ChatFormat
    layout: Layout
    splits: tuple[str, ...]
    max_turns: int | None
    seed: int
    headers: bool

    def write(self, data: Dataset, folder: Path) -> _Result:
        entries = data.tables.entries.filter(pl.col("split").is_in(self.splits))
        if entries.is_empty():
            raise ImaxrayError(
                f"Expected entries in the splits {', '.join(self.splits) or 'of the dataset'}, "
                "but there are none; name other splits."
            )
        convention = self.layout.convention
        boxed = entries.select((pl.col("boxes").list.len() > 0).any()).item()
        if boxed and convention is None and not self.form.own_boxes:
            raise ImaxrayError(
                f"Expected boxes with {self.form.name}, which writes boxes as text, but no "
                "convention is given; name that of the model, one of "
                f"{', '.join(list_conventions())}."
            )
        used = data.tables.images.filter(
            pl.col("image_id").is_in(entries["image_id"].unique().implode())
        )
        inside = self.form.links and self.layout.images != "path"
        how: How = self.layout.images if inside else "path"
        usable = usable_images(used, data.tables.roots, how=how, headers=self.headers)
        known = usable.with_columns(pl.lit(True).alias("_known"))
        joined = entries.join(known, on="image_id", how="left", maintain_order="left").with_columns(
            pl.when(pl.col("_known").is_null())
            .then(pl.lit("no-image"))
            .otherwise("image_code")
            .alias("image_code")
        )
        resized = convention is not None and isinstance(convention.geometry, SmartResize)
        judged = why_left_out(joined, self.form.reserved, resized=resized)
        kept = ordered(
            judged.filter(pl.col("code").is_null()),
            per=self.layout.per,
            seed=self.seed,
            max_turns=self.max_turns,
            boxes_first=self.form.own_boxes,
        )
        counts = {}
        for split in self.splits:
            mine = kept.filter(pl.col("split") == split)
            rows = mine["row"].n_unique()
            counts[split] = {
                "rows": rows, "entries": mine.height, "images": mine["image_id"].n_unique(),
            }  # fmt: skip
            stream = track(conversations(mine), f"Writing {split}", rows)
            self.form.write(stream, folder / f"{split}{self.form.suffix}", self.layout)
        if self.form.finish is not None:
            self.form.finish(folder, self.splits)
        if inside:
            mine = usable.filter(pl.col("image_id").is_in(kept["image_id"].unique().implode()))
            place(mine, folder, how)
        left = judged.filter(pl.col("code").is_not_null()).sort("entry_id")
        return counts, list(left.select("entry_id", "code").iter_rows())


def _finished(
    data: Dataset, name: str, out: Path, options: dict[str, Any], write: Any
) -> ExportReport:
    """Write an export folder, with the manifest and the list of what was left out."""
    ours = ("imaxray", "format", "files")
    with whole_folder(out, manifest=MANIFEST, keys=ours, what="export") as folder:
        counts, left = write(data, folder)
        with (folder / LEFT_OUT).open("wb") as stream:
            for identity, code in left:
                line = {"id": identity, "code": code, "reason": REASONS[code]}
                stream.write(orjson.dumps(line) + b"\n")
        codes = [code for _, code in left]
        left_out = {code: codes.count(code) for code in REASONS if code in codes}
        manifest = {
            "imaxray": __version__,
            "format": name,
            "dataset": {"role": data.manifest.get("role"), "sha256": data.sha256},
            "options": options,
            "counts": counts,
            "left_out": left_out,
        }
        files = write_manifest(folder, manifest)
    return ExportReport(out, counts, left_out, files)


def _check_names(
    name: str, per: str | None, images: str, max_turns: int | None, splits: Sequence[str] | None
) -> None:
    known = (
        ("the format", name, tuple(list_formats())),
        ("per", per, (None, *get_args(Per))),
        ("images", images, get_args(How)),
        *(("splits", split, SPLITS) for split in splits or ()),
    )
    for what, value, options in known:
        if value not in options:
            raise ImaxrayError(
                f"Expected {what} as one of {', '.join(filter(None, options))}, but got {value}; "
                "name one of these."
            )
    if max_turns is not None and (per != "image" or max_turns < 1):
        raise ImaxrayError(
            f"Expected max_turns of at least 1, with per image, but got {max_turns} with per "
            f"{per or 'entry'}; correct one of the two."
        )


def _refuse(name: str, given: Sequence[str]) -> None:
    if given:
        raise ImaxrayError(
            f"Expected {name} without {', '.join(given)}, which it does not use, but got "
            f"{'them' if len(given) > 1 else 'it'}; leave out what does not apply."
        )
