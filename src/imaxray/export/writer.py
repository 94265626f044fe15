"""Writes a dataset in one of the export formats."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import orjson
import polars as pl

from imaxray._common.folders import whole_folder
from imaxray._common.names import did_you_mean
from imaxray._common.plugins import Plugin, running
from imaxray._version import __version__
from imaxray.boxes import find_convention
from imaxray.curation import Dataset, open_dataset
from imaxray.errors import ImaxrayError
from imaxray.export.checks import REASONS, why_left_out, without_cropped
from imaxray.export.config import ExportConfig
from imaxray.export.conversation import conversations, ordered
from imaxray.export.formats import OWN_BOXES, chat_format, names, refuse_options
from imaxray.export.frames import in_frame_of, require_convention
from imaxray.export.images import (
    DECODED,
    FOLDER,
    How,
    Written,
    decoded_counts,
    place,
    usable_images,
)
from imaxray.export.images import write as write_images
from imaxray.export.manifest import LEFT_OUT, MANIFEST, write_manifest
from imaxray.export.tokens import TokenCounter, token_counter
from imaxray.export.tools import croissant, fiftyone
from imaxray.export.tools.chat_format import ChatFormat, RowStyle
from imaxray.export.tools.settings import Settings, write_settings
from imaxray.geometry import CentreCrop, ScaledThenResized, SmartResize
from imaxray.progress import track
from imaxray.schema import SPLITS

_INSIDE: Final = ("link", "copy", "write")  # rows name images relative to the export


@dataclass(frozen=True)
class ExportReport:
    """Reports what an export wrote.

    Attributes:
        folder: Folder of the export.
        counts: Number of rows, entries and images of each split.
        left_out: Number of entries (FiftyOne: of images and facts) left out for each reason.
        files: SHA-256 of each file, by its path in the folder; links are not included.
        decoded: Number of images that the export holds as new 8-bit PNG files for each reason.
        tokens: ``splits``: median, 99th percentile and longest row of each split, in tokens of
            its text and, if ``image`` is not None, of its image; ``image``: tokens of the largest
            image; ``cutoff``: limit that cuts no row, without an image that is not known;
            ``unit``: what counts the text. Empty where a format has no rows of text.
    """

    folder: Path
    counts: dict[str, dict[str, int]]
    left_out: dict[str, int]
    files: dict[str, str]
    decoded: dict[str, int]
    tokens: dict[str, Any]


def export_dataset(
    dataset: Dataset | Path,
    format: str,  # noqa: A002 - the command line's word
    out: Path,
    config: ExportConfig | None = None,
) -> ExportReport:
    """Write a dataset in the format of another tool.

    The folder is written under a temporary name and renamed, so it appears complete or not at all.
    The same dataset and arguments give the same bytes. It holds ``export.json`` (arguments, counts,
    sha256 of each file) and ``left_out.jsonl`` (id and reason of everything that the format cannot
    express).

    Args:
        dataset: Opened dataset, or its folder.
        format: One of :func:`list_formats`.
        out: Output folder; an earlier export there is replaced.
        config: Settings of boxes, conversations, splits, images and order; not every format uses
            all of them.

    Raises:
        ImaxrayError: If a name is unknown, an argument does not apply to the format, there are no
            entries, or ``out`` holds anything but an earlier export.
    """
    data = dataset if isinstance(dataset, Dataset) else open_dataset(dataset)
    config = config or ExportConfig()
    known = names()
    if format not in known:
        raise ImaxrayError(
            f"Expected the format as one of {', '.join(known)}, but got {format}; "
            f"{did_you_mean(format, known)}"
        )
    if format in OWN_BOXES:
        if config.images == "write":
            raise ImaxrayError(
                f"Expected images path, link or copy with {format}, but got write, which puts "
                "images into the frame of a model; name one of the three."
            )
        given = config.model_dump(
            include={"boxes", "per", "max_turns", "min_pixels", "max_pixels", "tokenizer"}
        )
        refuse_options(format, [name for name, value in given.items() if value is not None])
    if format == "croissant":
        refuse_options(
            format,
            [n for n, v in (("splits", config.splits), ("images", config.images != "path")) if v],
        )
        return _finished(data, format, out, {}, croissant.write)
    chosen = tuple(
        s
        for s in SPLITS
        if (data.tables.split(s).height if not config.splits else s in config.splits)
    )
    if format == "fiftyone":
        options: dict[str, Any] = {
            "splits": chosen,
            "images": config.images,
            "headers": config.headers,
        }

        def write(data: Dataset, folder: Path) -> Written:
            return fiftyone.write(
                data, folder, out, splits=chosen, images=config.images, headers=config.headers
            )

        return _finished(data, format, out, options, write)
    plugin, chat = chat_format(format)
    if not chat.links and config.images == "link":
        raise ImaxrayError(
            f"Expected images path or copy with {format}, whose files name images from the root, "
            "but got link; use one of the two."
        )
    convention = None
    if config.boxes is not None:
        convention = find_convention(config.boxes, config.min_pixels, config.max_pixels)
    if convention is None and (config.min_pixels or config.max_pixels):
        raise ImaxrayError(
            "Expected min_pixels and max_pixels with boxes in pixels of a resized image, but boxes "
            "is not given; name a convention or leave them out."
        )
    if convention is not None:
        capped = config.min_pixels is not None or config.max_pixels is not None
        convention = in_frame_of(chat, convention, config.images, capped=capped)
    style = RowStyle(convention, config.per or "entry", config.images)
    options = {
        "boxes": config.boxes, "convention": convention and convention.as_dict(), "per": style.per,
        "splits": chosen, "images": config.images, "max_turns": config.max_turns,
        "seed": config.seed, "headers": config.headers,
    }  # fmt: skip
    counter = token_counter(
        convention, config.boxes, config.tokenizer,
        scaled=ScaledThenResized.cap if chat.scales else None,
    )  # fmt: skip
    job = _Chat(
        chat, plugin, style, chosen, config.max_turns, config.seed, config.headers, out, counter
    )
    return _finished(data, format, out, options, job.write)


@dataclass(frozen=True)
class _Chat:
    """Writes a dataset in a chat format."""

    form: ChatFormat
    plugin: Plugin | None
    style: RowStyle
    splits: tuple[str, ...]
    max_turns: int | None
    seed: int
    headers: bool
    out: Path
    counter: TokenCounter

    def write(self, data: Dataset, folder: Path) -> Written:
        entries = data.tables.entries.filter(pl.col("split").is_in(self.splits))
        if entries.is_empty():
            raise ImaxrayError(
                f"Expected entries in the splits {', '.join(self.splits) or 'of the dataset'}, "
                "but there are none; name other splits."
            )
        convention = self.style.convention
        boxed = entries.select((pl.col("boxes").list.len() > 0).any()).item()
        if boxed and convention is None:
            require_convention(self.form)
        used = data.tables.images.filter(
            pl.col("image_id").is_in(entries["image_id"].unique().implode())
        )
        inside = self.form.links and self.style.images != "path"
        how: How = self.style.images if inside or self.style.images == "write" else "path"
        usable = usable_images(used, data.tables.roots, how=how, headers=self.headers, out=self.out)
        known = usable.with_columns(pl.lit(True).alias("_known"))
        joined = entries.join(known, on="image_id", how="left", maintain_order="left").with_columns(
            pl.when(pl.col("_known").is_null())
            .then(pl.lit("no-image"))
            .otherwise("image_code")
            .alias("image_code")
        )
        resized = convention is not None and isinstance(
            convention.geometry, SmartResize | ScaledThenResized
        )
        judged = why_left_out(joined, self.form.reserved, resized=resized)
        if convention is not None and isinstance(convention.geometry, CentreCrop):
            judged = without_cropped(judged, convention)
        good = judged.filter(pl.col("code").is_null())["image_id"].unique()
        shown = usable.filter(pl.col("image_id").is_in(good.implode()))
        frame = convention.geometry if convention is not None and how == "write" else None
        damaged = write_images(shown, folder, frame)
        if damaged:
            broken = pl.col("code").is_null() & pl.col("image_id").is_in(damaged)
            judged = judged.with_columns(
                pl.when(broken).then(pl.lit("image-format")).otherwise("code").alias("code")
            )
            shown = shown.filter(~pl.col("image_id").is_in(damaged))
        kept = ordered(
            judged.filter(pl.col("code").is_null()),
            per=self.style.per,
            seed=self.seed,
            max_turns=self.max_turns,
            boxes_first=self.form.own_boxes,
        )
        held = not self.form.links and self.style.images != "path"  # the rows hold the images
        if held:
            anew = pl.concat_str(pl.lit(f"{folder.as_posix()}/"), "placed")
            files = shown.select(
                "image_id", pl.when(pl.col("decoded").is_null()).then("named").otherwise(anew)
            )
            kept = kept.drop("named").join(files, on="image_id", how="left", maintain_order="left")
        style = replace(self.style, images="copy") if held else self.style
        counts = {}
        for split in self.splits:
            mine = kept.filter(pl.col("split") == split)
            rows = mine["row"].n_unique()
            counts[split] = {
                "rows": rows, "entries": mine.height, "images": mine["image_id"].n_unique(),
            }  # fmt: skip
            stream = self.counter.counted(track(conversations(mine), f"Writing {split}", rows))
            with running(self.plugin, "write"):
                self.form.write(stream, folder / f"{split}{self.form.suffix}", style)
        if self.form.finish is not None:
            with running(self.plugin, "finish"):
                self.form.finish(folder, self.splits)
        if self.form.settings is not None and "train" in self.counter.found:
            with running(self.plugin, "settings"):
                notes, values = self.form.settings(self._settings(how))
            write_settings(folder, notes, values)
        if held:
            shutil.rmtree(folder / FOLDER, ignore_errors=True)
        elif how in ("link", "copy"):
            place(shown, folder, how)
        left = judged.filter(pl.col("code").is_not_null()).sort("entry_id")
        return Written(
            counts, list(left.select("entry_id", "code").iter_rows()), decoded_counts(shown),
            self.counter.as_dict(),
        )  # fmt: skip

    def _settings(self, how: How) -> Settings:
        """Return what the settings of the tool depend on."""
        return Settings(
            splits=tuple(self.counter.found),
            model=self.counter.model,
            tokens=self.counter,
            geometry=None if self.style.convention is None else self.style.convention.geometry,
            written=how == "write",
            relative=how in _INSIDE,
        )


def _finished(
    data: Dataset, name: str, out: Path, options: dict[str, Any], write: Any
) -> ExportReport:
    """Write an export folder, with the manifest and the list of what was left out."""
    ours = ("imaxray", "format", "files")
    with whole_folder(out, manifest=MANIFEST, keys=ours, what="export") as folder:
        written: Written = write(data, folder)
        with (folder / LEFT_OUT).open("wb") as stream:
            for identity, code in written.left_out:
                line = {"id": identity, "code": code, "reason": REASONS[code]}
                stream.write(orjson.dumps(line) + b"\n")
        codes = [code for _, code in written.left_out]
        left_out = {code: codes.count(code) for code in REASONS if code in codes}
        manifest = {
            "imaxray": __version__,
            "format": name,
            "dataset": {"role": data.manifest.get("role"), "sha256": data.sha256},
            "options": options,
            "counts": written.counts,
            "left_out": left_out,
            "decoded": {
                code: {"images": count, "why": DECODED[code]}
                for code, count in written.decoded.items()
            },
            "tokens": written.tokens,
        }
        files = write_manifest(folder, manifest)
    return ExportReport(out, written.counts, left_out, files, written.decoded, written.tokens)
