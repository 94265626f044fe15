"""Makes an image cache: plans it, makes it shard by shard, and writes its manifest last."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import PIL
import polars as pl

from imaxray._common.defaults import CACHE_MAX_SIDE, CACHE_SHARD_IMAGES, CACHE_WORKERS
from imaxray._common.digests import DIGEST, changed_files
from imaxray._common.files import read_parquet, remove_unfinished, sha256, write_parquet
from imaxray._common.folders import Marker, growing_folder, is_free, read_marker, write_marker
from imaxray._common.state import known_state, write_state
from imaxray._version import __version__
from imaxray.cache.executors import CacheEngine, run
from imaxray.cache.image_store import default_folder
from imaxray.cache.plan import (
    IDENTITY,
    INDEX,
    MANIFEST,
    PLAN,
    REJECTS_FILE,
    SHARDS,
    CachePlan,
    make_plan,
    shard_name,
)
from imaxray.cache.reader import read_manifest
from imaxray.cache.shard import read_shard
from imaxray.curation import Dataset
from imaxray.errors import ImaxrayError
from imaxray.progress import progress_bar
from imaxray.radiograph import IMAGE_CODES
from imaxray.schema import REJECTS, conform

_KIND: Final = "image cache"
_FILES: Final = (PLAN, f"{SHARDS}/", INDEX, REJECTS_FILE, MANIFEST)


@dataclass(frozen=True)
class CacheReport:
    """Reports what a call of :func:`cache_images` did.

    Attributes:
        folder: Folder of the cache.
        images: Number of images in the cache.
        rejects: Rejected images (schema REJECTS); images in = images + rejects.
        shards: Number of shard files.
        kept_shards: Number of shards that an earlier run had made.
        workers: Number of processes or nodes that made or checked shards; 0 if the cache was
            already finished.
        bytes: Size of all shards in bytes.
        seconds: Wall-clock seconds of this call.
    """

    folder: Path
    images: int
    rejects: pl.DataFrame
    shards: int
    kept_shards: int
    workers: int
    bytes: int
    seconds: float


def cache_images(
    dataset: Dataset,
    out: Path | None = None,
    *,
    max_side: int = CACHE_MAX_SIDE,
    shard_images: int = CACHE_SHARD_IMAGES,
    engine: CacheEngine = "local",
    workers: int = CACHE_WORKERS,
) -> CacheReport:
    """Decode, verify, turn upright, shrink and encode every image of ``dataset`` once.

    Boxes stay in pixels of the original image; the index records its size and the scale. An image
    becomes a reject with a code if it is broken, has another size than its table says, or lies
    outside its release. Shards are written atomically and finished shards are kept, so an
    interrupted run can continue. The bytes depend only on the images, ``max_side``,
    ``shard_images`` and the versions of Pillow and its libraries.

    Args:
        dataset: Dataset that the images belong to.
        out: Output folder. If None, ``image-cache`` in the parent folder of the dataset, where
            training, evaluation and reports look for it.
        max_side: Maximum length of a cached image's side in pixels; smaller images are not resized.
        shard_images: Number of images per shard.
        engine: ``local`` or ``ray``.
        workers: Number of processes of the engine ``local``; Ray runs one task per CPU of its
            cluster.

    Raises:
        ImaxrayError: If ``out`` holds other files, or a cache of other images or settings; if the
            folder of a release is unknown; or if the engine fails.
    """
    began = time.perf_counter()
    if max_side < 1 or shard_images < 1 or workers < 1:
        raise ImaxrayError(
            f"Expected max_side, shard_images and workers of at least 1, but got {max_side}, "
            f"{shard_images} and {workers}; give positive numbers."
        )
    out = (out or default_folder(dataset)).resolve()
    plan = make_plan(dataset, max_side=max_side, shard_images=shard_images)
    with growing_folder(out, (SHARDS,)):
        _claim(out, plan, dataset)
        kept, places = _fill(out, plan, dataset, engine, workers)
    manifest = read_manifest(out)
    return CacheReport(
        out,
        manifest["cached"],
        read_parquet(out / REJECTS_FILE).cast(REJECTS),
        plan.key["shards"],
        kept,
        len(places),
        sum((out / SHARDS / shard_name(n)).stat().st_size for n in range(plan.key["shards"])),
        time.perf_counter() - began,
    )


def _fill(
    out: Path, plan: CachePlan, dataset: Dataset, engine: CacheEngine, workers: int
) -> tuple[int, set[str]]:
    """Write the shards that are missing or damaged; return how many were kept and who worked."""
    known: dict[str, str] = {}
    if (out / MANIFEST).exists():
        files = read_manifest(out)["files"]
        damaged = changed_files(out, files)
        if not damaged and _all_there(out, plan):
            _remove_digests(out)
            return plan.key["shards"], set()
        for name in damaged:
            (out / name).unlink(missing_ok=True)
        known = {name.removeprefix(f"{SHARDS}/"): digest for name, digest in files.items()}
    kept, places, digests = 0, set(), {}
    with progress_bar("Caching images", total=plan.images.height) as bar:
        for place, shard in run(engine, plan.jobs(dataset, out / SHARDS, known), workers):
            digests[f"{SHARDS}/{shard.name}"] = shard.sha256
            kept += shard.kept
            places.add(place)
            bar.advance(shard.images)
    _close(out, plan, digests)
    return kept, places


_MADE = pl.Schema(
    {
        "code": pl.String,
        "cached_width": pl.Int32,
        "cached_height": pl.Int32,
        "scale": pl.Float64,
        "shard": pl.Int32,
        "shard_row": pl.Int32,
    }
)


def _claim(out: Path, plan: CachePlan, dataset: Dataset) -> None:
    """Create the folder for this plan, or check that it belongs to this plan.

    Raises:
        ImaxrayError: If the folder holds another cache or other files, or cannot be written to.
    """
    path = out / PLAN
    if path.exists():
        found = known_state(path)
        if found != plan.key:
            raise ImaxrayError(
                f"Expected an image cache of {dataset.folder} with {_sides(plan.key)} at {out}, "
                f"but {_difference(found, plan.key)}; remove that folder or choose another --out."
            )
    elif not (is_free(out) or _is_begun(out)):
        raise ImaxrayError(
            f"Expected an empty folder or an earlier image cache at {out}, but it holds other "
            "files; choose another --out."
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_marker(out, Marker(_KIND, plan.key["images_sha256"], _FILES))
        (out / SHARDS).mkdir(exist_ok=True)
        if not path.exists():
            write_state(path, plan.key, sort_keys=True)
    except OSError as error:
        raise ImaxrayError(
            f"Expected a folder to write at {out}, but the system says: {error.strerror}; choose "
            "another --out."
        ) from error


def _is_begun(out: Path) -> bool:
    """Tell whether a killed process began a cache here, before it wrote the plan."""
    marker = read_marker(out)
    return marker is not None and marker.kind == _KIND


def _difference(found: Any, wanted: dict[str, Any]) -> str:
    if not isinstance(found, dict) or found.keys() != wanted.keys():
        return "its plan is damaged or of another version"
    if _sides(found) != _sides(wanted):
        return f"it was made with {_sides(found)}"
    if found["releases"] != wanted["releases"]:
        return "the releases have changed since it was made"
    return "it was made of other images"


def _sides(key: dict[str, Any]) -> str:
    return f"max_side {key['max_side']} and {key['shard_images']} images per shard"


def _all_there(out: Path, plan: CachePlan) -> bool:
    files = [INDEX, REJECTS_FILE, *(f"{SHARDS}/{shard_name(n)}" for n in range(plan.key["shards"]))]
    return all((out / file).is_file() for file in files)


def _close(out: Path, plan: CachePlan, digests: dict[str, str]) -> None:
    """Write the index, the rejects and the manifest; then remove the digests beside the shards."""
    whole = plan.images.hstack(
        pl.concat([_MADE.to_frame(), *(_made(out, number) for number in range(plan.key["shards"]))])
    )
    rejects = whole.filter(pl.col("code").is_not_null()).select(
        "source", "file", "row", pl.col("image_id").alias("key"), "code",
        pl.col("code").replace_strict(IMAGE_CODES, return_dtype=pl.String).alias("message"),
    )  # fmt: skip
    _write_parquet(whole.select(*IDENTITY, *_MADE), out / INDEX)
    _write_parquet(conform(rejects, REJECTS), out / REJECTS_FILE)
    if not (out / PLAN).exists():  # it had the right content, but other bytes
        write_state(out / PLAN, plan.key, sort_keys=True)
    for name in (PLAN, INDEX, REJECTS_FILE):
        digests[name] = sha256(out / name)
    remove_unfinished([out / SHARDS])
    write_state(
        out / MANIFEST,
        {
            "imaxray": __version__,
            "pillow": PIL.__version__,
            **plan.key,
            "cached": whole.height - rejects.height,
            "rejected": rejects.height,
            "files": dict(sorted(digests.items())),
        },
        sort_keys=True,
    )
    _remove_digests(out)


def _remove_digests(out: Path) -> None:
    """Remove the digests beside the shards, which the manifest holds by now."""
    for path in (out / SHARDS).glob(f"*{DIGEST}"):
        path.unlink()


def _made(out: Path, number: int) -> pl.DataFrame:
    """Read what a shard records about its images, without their pixels."""
    batch = read_shard(out / SHARDS / shard_name(number))
    said = ["code", "cached_width", "cached_height", "scale"]
    return pl.DataFrame(
        {
            **{name: batch.column(name).to_pylist() for name in said},
            "shard": [number] * batch.num_rows,
            "shard_row": range(batch.num_rows),
        },
        schema=_MADE,
    )


def _write_parquet(frame: pl.DataFrame, path: Path) -> None:
    few = pl.selectors.by_dtype(pl.Categorical, pl.Enum)
    write_parquet(path, frame.with_columns(few.cast(pl.String)))
