"""One shard: some images made ready and written as one file, whole or not at all."""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from imaxray._files import PART, sha256, whole_file
from imaxray.errors import ImaxrayError
from imaxray.radiograph import load_checked

SHARD: Final = pa.schema(
    {
        "image_id": pa.string(),
        "code": pa.string(),  # why it is a reject, of IMAGE_CODES; null: it is good
        "cached_width": pa.int32(),  # pixels; null for a reject
        "cached_height": pa.int32(),
        "scale": pa.float64(),  # cached over original side, before rounding to whole pixels
        "png": pa.large_binary(),  # 8-bit grey; null for a reject
    }
)
"""Columns of a shard, one row an image, sorted by id; one record batch."""

SUFFIX: Final = ".arrow"


@dataclass(frozen=True)
class ShardImage:
    """One image of a shard, as the dataset's table has it.

    Attributes:
        image_id: its id.
        path: its file on this machine; empty where the table's path leaves its release.
        width: of the original, pixels.
        height: likewise.
    """

    image_id: str
    path: str
    width: int
    height: int


@dataclass(frozen=True)
class ShardJob:
    """Everything a process on any machine needs to write one shard.

    Attributes:
        file: where it goes.
        max_side: longest side of a cached image, pixels.
        images: what it holds, sorted by id.
    """

    file: str
    max_side: int
    images: tuple[ShardImage, ...]


@dataclass(frozen=True)
class Shard:
    """A shard that is there.

    Attributes:
        name: of its file.
        images: rows in it, rejects too.
        sha256: of its file.
        kept: it was there before.
    """

    name: str
    images: int
    sha256: str
    kept: bool


def write_shard(job: ShardJob) -> Shard:
    """Write one shard, unless it is there; the same job gives the same bytes anywhere.

    Raises:
        ImaxrayError: the folder cannot be written.
    """
    file = Path(job.file)
    kept = _is_there(file, job)
    if not kept:
        try:
            _write(file, _table(job))
        except OSError as error:
            raise ImaxrayError(
                f"Expected to write {file}, but the system says: {error.strerror or error}; make "
                "room or choose another --out, finished shards are kept."
            ) from error
    return Shard(file.name, len(job.images), sha256(file), kept)


def read_shard(file: Path) -> pa.RecordBatch:
    """Map a shard into memory; nothing is read before it is looked at.

    Raises:
        OSError: the file is missing.
        pyarrow.ArrowInvalid: the file is damaged.
    """
    batch = pa.ipc.open_file(pa.memory_map(str(file))).get_batch(0)
    if batch.schema != SHARD:
        raise pa.ArrowInvalid("other columns")
    return batch


def leftovers(folder: Path) -> list[Path]:
    """Files of killed runs that were never finished."""
    return sorted(folder.glob(f".*{PART}"))


def shrink(pixels: NDArray[np.uint8], max_side: int) -> tuple[Image.Image, float]:
    """Return ``pixels`` with no side longer than ``max_side``, and the scale; never upscaled.

    Every original pixel counts, weighted by a Hamming window two output pixels wide: an area
    average without the seams that Pillow's box filter, which rounds its edges to whole pixels,
    leaves at scales that divide no side.
    """
    height, width = pixels.shape
    longest = max(width, height)
    image = Image.fromarray(pixels)
    if longest <= max_side:
        return image, 1.0
    scale = max_side / longest
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return image.resize(size, Image.Resampling.HAMMING), scale


def encode(image: Image.Image) -> bytes:
    """Lossless PNG of 8-bit grey.

    Runs and Huffman codes without a search for matches: on radiographs, whose filtered rows are
    noise, that is a fifth smaller than the fastest search (level 1) and takes no longer.
    """
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return buffer.getvalue()


def _table(job: ShardJob) -> pa.RecordBatch:
    rows = [_row(image, job.max_side) for image in job.images]
    columns = zip(*rows, strict=True)
    return pa.record_batch(
        [pa.array(column, type=field.type) for column, field in zip(columns, SHARD, strict=True)],
        schema=SHARD,
    )


def _row(
    image: ShardImage, max_side: int
) -> tuple[str, str | None, int | None, int | None, float | None, bytes | None]:
    path = Path(image.path) if image.path else None
    pixels, code = load_checked(path, image.width, image.height)
    if pixels is None:
        return image.image_id, code, None, None, None, None
    small, scale = shrink(pixels, max_side)
    return image.image_id, None, *small.size, scale, encode(small)


def _write(file: Path, batch: pa.RecordBatch) -> None:
    with whole_file(file, shared=True) as aside, pa.ipc.new_file(str(aside), SHARD) as writer:
        writer.write_batch(batch)


def _is_there(file: Path, job: ShardJob) -> bool:
    try:
        ids = read_shard(file).column("image_id").to_pylist()
    except (OSError, pa.ArrowInvalid):
        return False
    return bool(ids == [image.image_id for image in job.images])
