"""Writes a whole phantom (images, seven releases, ground truth); a seed determines its bytes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import polars as pl
from PIL import Image

from imaxray._common.files import utf8_path
from imaxray._common.folders import is_complete, record_files, whole_folder
from imaxray._common.state import write_state
from imaxray._common.workers import worker_pool
from imaxray.errors import ImaxrayError
from imaxray.phantom import releases
from imaxray.phantom.cohort import ImagePlan, draw_cohort
from imaxray.phantom.records import Radiograph, group_studies, ids
from imaxray.phantom.render import render
from imaxray.progress import progress_bar

_MARKER = "phantom.json"
_VERSION = 3
_CHUNK = 64


def write_phantom(out: Path, *, images: int, seed: int = 0, workers: int = 1) -> None:
    """Write ``images`` radiographs and their releases under ``out``.

    Each release has a folder with the name of its source; ``truth/`` holds the exact ground truth.
    The bytes depend on ``images`` and ``seed`` only. A complete phantom with the same arguments is
    left as it is; an unfinished phantom is written again.

    Args:
        out: Output folder; it must be empty, absent or an earlier phantom.
        images: Number of radiographs, frontal and lateral.
        seed: Seed of all random choices.
        workers: Number of processes that render.

    Raises:
        ImaxrayError: ``out`` holds other files, or ``images`` is less than 20.
    """
    if images < 20:
        raise ImaxrayError(f"Expected at least 20 images, but got {images}; use a larger number.")
    wanted = {"images": images, "seed": seed, "version": _VERSION}
    if is_complete(out, _MARKER, wanted):
        return
    with whole_folder(out, manifest=_MARKER, keys=("seed",), what="phantom") as aside:
        _write_releases(aside, images, seed, workers)
        write_state(aside / _MARKER, wanted)
        record_files(aside)


def _write_releases(aside: Path, images: int, seed: int, workers: int) -> None:
    plans = draw_cohort(images, seed)
    radiographs = _render_all(plans, aside / "mimic-cxr-jpg", seed, workers)
    studies = group_studies(radiographs, seed)
    releases.write_mimic_cxr_jpg(aside / "mimic-cxr-jpg", studies, seed)
    releases.write_mimic_cxr(aside / "mimic-cxr", studies)
    releases.write_pe_severity(aside / "mimic-cxr-pe-severity", studies, seed)
    releases.write_cardiomegaly(aside / "cxr-cardiomegaly", studies, seed)
    releases.write_ms_cxr(aside / "ms-cxr", studies, seed)
    releases.write_chest_imagenome(aside / "chest-imagenome", studies, seed)
    releases.write_mimic_cxr_vqa(aside / "mimic-cxr-vqa", studies, seed)
    _write_truth(aside / "truth", radiographs)


def _render_all(
    plans: Sequence[ImagePlan], root: Path, seed: int, workers: int
) -> list[Radiograph]:
    chunks = [plans[k : k + _CHUNK] for k in range(0, len(plans), _CHUNK)]
    radiographs: list[Radiograph] = []
    with progress_bar("Rendering radiographs", total=len(plans)) as bar:
        for chunk in _mapped(chunks, root, seed, workers):
            radiographs += chunk
            bar.advance(len(chunk))
    return radiographs


def _mapped(
    chunks: Sequence[Sequence[ImagePlan]], root: Path, seed: int, workers: int
) -> Iterator[list[Radiograph]]:
    if workers <= 1:
        for chunk in chunks:
            yield _render_chunk(chunk, root, seed)
        return
    with worker_pool(workers) as pool:
        jobs = [pool.submit(_render_chunk, chunk, root, seed) for chunk in chunks]
        for job in jobs:
            yield job.result()


def _render_chunk(plans: Sequence[ImagePlan], root: Path, seed: int) -> list[Radiograph]:
    made = []
    for plan in plans:
        rendered = render(plan)
        subject, study, dicom = ids(plan, seed)
        image = Radiograph(
            plan, subject, study, dicom, rendered.ctr, rendered.cpar, rendered.regions,
            rendered.findings,
        )  # fmt: skip
        path = root / image.path
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rendered.pixels).save(path, format="JPEG", quality=90)
        made.append(image)
    return made


def _write_truth(folder: Path, radiographs: Sequence[Radiograph]) -> None:
    folder.mkdir(parents=True)
    pl.DataFrame(
        [
            (f"mimic-cxr/{i.dicom_id}", f"mimic-cxr/{i.subject_id}", i.plan.view, i.ctr, i.cpar,
             i.plan.edema_grade)
            for i in radiographs
        ],
        schema={"image_id": pl.String, "patient_id": pl.String, "view": pl.String,
                "ctr": pl.Float64, "cpar": pl.Float64, "edema_grade": pl.Int8},
        orient="row",
    ).write_parquet(utf8_path(folder / "images.parquet"))  # fmt: skip
    pl.DataFrame(
        [
            (f"mimic-cxr/{i.dicom_id}", f.kind, f.side, f.zone, f.size, list(box) if box else None)
            for i in radiographs
            for f, box in i.findings
        ],
        schema={"image_id": pl.String, "kind": pl.String, "side": pl.String, "zone": pl.String,
                "size": pl.String, "box": pl.List(pl.Float64)},
        orient="row",
    ).write_parquet(utf8_path(folder / "findings.parquet"))  # fmt: skip


def default_workers() -> int:
    """Return the number of processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
