"""Makes a small dataset of real files of all kinds, and compares caches."""

import hashlib
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from imaxray.curation import Dataset, Tables, open_dataset, write_dataset
from imaxray.schema import ANNOTATIONS, ENTRIES, IMAGES, conform, empty
from imaxray.sources import ReleaseFile


def picture(seed: int, width: int, height: int) -> np.ndarray:
    """Smooth structure with noise, (height, width) uint8."""
    random = np.random.default_rng(seed)
    x, y = np.meshgrid(np.linspace(0, 4, width), np.linspace(0, 3, height))
    return np.clip(
        120 + 70 * np.sin(x + seed) * np.cos(y) + random.normal(0, 3, x.shape), 0, 255
    ).astype(np.uint8)


def make_dataset(folder: Path, rows: list[dict], *, tables_sha: str = "aa") -> Dataset:
    """A dataset of ``rows`` (image_id, path, width, height) in release folder/release."""
    frame = pl.DataFrame(rows).with_columns(
        pl.lit("vqa-rad").alias("source"), pl.lit("images.csv").alias("file"),
        pl.int_range(1, pl.len() + 1).alias("row"), pl.lit("p").alias("patient_id"),
    )  # fmt: skip
    tables = Tables(
        images=conform(frame, IMAGES),
        annotations=empty(ANNOTATIONS),
        entries=empty(ENTRIES),
        files=(ReleaseFile("vqa-rad", "images.csv", len(rows), tables_sha),),
        roots={"vqa-rad": folder / "release"},
    )
    write_dataset(tables, folder / "data", config={}, seed=0)
    return open_dataset(folder / "data")


def write_images(folder: Path, count: int = 10) -> list[dict]:
    """``count`` images of various sizes and formats under folder/release; rows for them."""
    root = folder / "release"
    root.mkdir(parents=True)
    rows = []
    for k in range(count):
        width, height = 60 + 17 * k, 150 - 9 * k
        name = f"{k:02d}.{('png', 'jpg', 'bmp')[k % 3]}"
        Image.fromarray(picture(k, width, height)).save(root / name)
        # ids run against the paths: membership follows the ids
        rows.append(
            {"image_id": f"c/{count - k:02d}", "path": name, "width": width, "height": height}
        )
    return rows


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    return make_dataset(tmp_path, write_images(tmp_path))


def content(folder: Path) -> dict[str, str]:
    """sha256 of every file of a folder."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
