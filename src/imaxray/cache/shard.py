"""Makes one shard: prepares some images and writes them atomically into one file."""

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

from imaxray._common.digests import is_as_written, whole_file_with_digest
from imaxray._common.files import sha256, utf8_path
from imaxray.errors import ImaxrayError
from imaxray.radiograph import load_checked

SHARD: Final = pa.schema(
    {
        "image_id": pa.string(),
        "code": pa.string(),  # reject code of IMAGE_CODES; null for a good image
        "cached_width": pa.int32(),  # pixels; null for a reject
        "cached_height": pa.int32(),
        "scale": pa.float64(),  # cached over original side, before rounding to whole pixels
        "png": pa.large_binary(),  # 8-bit grey; null for a reject
    }
)
"""Columns of a shard, which is one record batch with one row per image, sorted by id."""

SUFFIX: Final = ".arrow"


@dataclass(frozen=True)
class ShardImage:
    """Describes one image of a shard, as the table of the dataset does.

    Attributes:
        image_id: Id of the image.
        path: File of the image on this machine; empty if its path in the table leads out of its
            release.
        width: Width of the original image in pixels.
        height: Height of the original image in pixels.
    """

    image_id: str
    path: str
    width: int
    height: int


@dataclass(frozen=True)
class ShardJob:
    """Holds everything that a process on any machine needs to write one shard.

    Attributes:
        file: Path of the shard.
        max_side: Maximum length of a cached image's side in pixels.
        images: Images of the shard, sorted by id.
        roots: Folders of the releases of the dataset's images.
        digest: SHA-256 that the manifest of a finished cache has for the shard; None if there is
            no such cache, and the digest lies beside the shard.
    """

    file: str
    max_side: int
    images: tuple[ShardImage, ...]
    roots: tuple[str, ...] = ()
    digest: str | None = None


@dataclass(frozen=True)
class Shard:
    """Describes a finished shard.

    Attributes:
        name: File name of the shard.
        images: Number of rows in it, rejects included.
        sha256: SHA-256 of its file.
        kept: Whether an earlier run had written it.
    """

    name: str
    images: int
    sha256: str
    kept: bool


def write_shard(job: ShardJob) -> Shard:
    """Write one shard unless it exists; the same job gives the same bytes on any machine.

    Raises:
        ImaxrayError: If the folder cannot be written to, or the folder of a release is gone.
    """
    file = Path(job.file)
    kept = _is_there(file, job)
    if not kept:
        table = _table(job)
        _require_roots(job, table)
        try:
            _write(file, table)
        except OSError as error:
            raise ImaxrayError(
                f"Expected to write {file}, but the system says: {error.strerror or error}; free "
                "space or choose another --out (finished shards are kept)."
            ) from error
    return Shard(file.name, len(job.images), sha256(file), kept)


def read_shard(file: Path) -> pa.RecordBatch:
    """Map a shard into memory; its data are read only when they are accessed.

    Raises:
        OSError: If the file is missing.
        pyarrow.ArrowInvalid: If the file is damaged.
    """
    batch = pa.ipc.open_file(pa.memory_map(utf8_path(file))).get_batch(0)
    if batch.schema != SHARD:
        raise pa.ArrowInvalid("other columns")
    return batch


def shrink(pixels: NDArray[np.uint8], max_side: int) -> tuple[Image.Image, float]:
    """Shrink ``pixels`` so that no side is longer than ``max_side``; return image and scale.

    Images are never enlarged. Every original pixel contributes, weighted by a Hamming window that
    is two output pixels wide. This is an area average without the seams of Pillow's box filter,
    which rounds its edges to whole pixels and leaves seams at scales that do not divide a side.
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
    """Encode an image losslessly as PNG in 8-bit grey.

    The encoder uses runs and Huffman codes without a search for matches. The filtered rows of
    radiographs are noise, so this is a fifth smaller than the fastest search (level 1) and equally
    fast.
    """
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return buffer.getvalue()


def _require_roots(job: ShardJob, table: pa.RecordBatch) -> None:
    """Check that the releases are still there if an image is not.

    Images of a release that was unmounted or moved are no rejects, which a later run would keep.

    Raises:
        ImaxrayError: If the folder of a release is gone.
    """
    if table.column("code").null_count == table.num_rows:
        return
    for root in job.roots:
        if not Path(root).is_dir():
            raise ImaxrayError(
                f"Expected the folder of the release at {root} while its images are cached, but it "
                "is not there; make it available, or correct its path in roots.json, and start the "
                "same command again (finished shards are kept)."
            )


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
    with whole_file_with_digest(file) as aside, pa.ipc.new_file(utf8_path(aside), SHARD) as writer:
        writer.write_batch(batch)


def _is_there(file: Path, job: ShardJob) -> bool:
    """Tell whether an earlier run wrote this shard, unchanged since."""
    try:
        unchanged = is_as_written(file) if job.digest is None else sha256(file) == job.digest
        ids = read_shard(file).column("image_id").to_pylist() if unchanged else None
    except (OSError, pa.ArrowInvalid):
        return False
    return bool(ids == [image.image_id for image in job.images])
