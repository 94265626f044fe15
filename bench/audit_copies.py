"""Measures which copies of radiographs the audit finds, its false alarms, and its runtime.

Run: python bench/audit_copies.py ../shared/open-cxr [--every 5]
     python bench/audit_copies.py ../shared/open-cxr --time 10000

The first form compares all open radiographs with each other, then adds changed copies of every
fifth one, one kind at a time, and counts how many are linked to their original. The second form
audits images that are mixed from the open ones, since only the runtime is of interest. The last
line of each is one JSON object.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from imaxray import radiograph
from imaxray.audit import audit_dataset
from imaxray.audit.audit_input import FILES
from imaxray.audit.pixels import PixelDigests

Turn = Image.Transpose
Changed = Callable[[Image.Image], Image.Image]
QUALITY: Final = 85  # of JPEG, in which all copies are saved
SIDE: Final = 512  # of the images whose audit is timed


def sides(left: float, top: float, right: float, bottom: float) -> Changed:
    """Return what cuts off these shares of the width and height."""

    def cut(image: Image.Image) -> Image.Image:
        wide, high = image.size
        return image.crop((round(wide * left), round(high * top), round(wide * (1 - right)),
                           round(high * (1 - bottom))))  # fmt: skip

    return cut


def painted(left: float, top: float, right: float, bottom: float) -> Changed:
    """Return what paints a white box, of the size of a marker or a burnt-in name."""

    def paint(image: Image.Image) -> Image.Image:
        image = image.copy()
        wide, high = image.size
        box = (wide * left, high * top, wide * right, high * bottom)
        ImageDraw.Draw(image).rectangle(box, fill=255)
        return image

    return paint


KINDS: Final[dict[str, Changed]] = {
    "saved as JPEG": lambda i: i,
    "halved": lambda i: i.resize((i.width // 2, i.height // 2)),
    "224 × 224": lambda i: i.resize((224, 224)),
    "brighter by 30 %": lambda i: ImageEnhance.Brightness(i).enhance(1.3),
    "contrast stretched": lambda i: ImageOps.autocontrast(i, cutoff=2),
    "histogram equalised": ImageOps.equalize,
    "a marker of 5 % × 5 % burnt in": painted(0.05, 0.05, 0.1, 0.1),
    "a name of 30 % × 5 % burnt in": painted(0, 0, 0.3, 0.05),
    "mirrored left to right": lambda i: i.transpose(Turn.FLIP_LEFT_RIGHT),
    "mirrored top to bottom": lambda i: i.transpose(Turn.FLIP_TOP_BOTTOM),
    "turned by 90°": lambda i: i.transpose(Turn.ROTATE_90),
    "turned by 180°": lambda i: i.transpose(Turn.ROTATE_180),
    "inverted": ImageOps.invert,
    "inverted and mirrored": lambda i: ImageOps.invert(i.transpose(Turn.FLIP_LEFT_RIGHT)),
    "cropped by 2 % at each side": sides(*[0.02] * 4),
    "cropped by 5 % at each side": sides(*[0.05] * 4),
    "cropped by 10 % at each side": sides(*[0.1] * 4),
    "cropped by 15 % at each side": sides(*[0.15] * 4),
    "cropped by 15 % at the bottom": sides(0, 0, 0, 0.15),
    "padded by a quarter": lambda i: ImageOps.pad(i, (round(max(i.size) * 1.25), max(i.size))),
    "cropped by 5 % and mirrored": lambda i: sides(*[0.05] * 4)(i.transpose(Turn.FLIP_LEFT_RIGHT)),
    "turned by 3°": lambda i: i.rotate(3, resample=Image.Resampling.BICUBIC),
}


def chests(folder: Path) -> list[Path]:
    """Return the chest radiographs of NIH ChestX-ray14, Wingspan and VQA-RAD."""
    asked = [
        record
        for name in ("trainset.json", "testset.json")
        for record in json.loads((folder / "vqa-rad" / name).read_text(encoding="utf-8"))
    ]
    names = {record["image_name"] for record in asked if record["image_organ"] == "CHEST"}
    return sorted([
        *(folder / "nih-chestxray14" / "images").glob("*.png"),
        *(folder / "wingspan-ctr" / "wingspan" / "png").glob("*.png"),
        *(folder / "vqa-rad" / "images" / name for name in names),
    ])  # fmt: skip


def digests(paths: list[Path]) -> PixelDigests:
    """Return the digests of images as the audit computes them."""
    rows = [(str(path), str(path), None, None, None, None) for path in paths]
    files = pl.DataFrame(rows, schema=FILES, orient="row")
    return PixelDigests(files, perceptual=True, workers=1)


def closest(table: pl.DataFrame) -> dict[str, int]:
    """Return the fewest bits in which hashes of two different images differ, plain and turned."""
    plain = np.stack([np.frombuffer(hashed, np.uint8) for hashed in table["hash"]])
    turned = np.stack([np.frombuffer(t, np.uint8).reshape(-1, 32) for t in table["turned"]])
    least = {"plain": 256, "turned": 256}
    for number, one in enumerate(plain[:-1]):
        rest = slice(number + 1, None)
        least["plain"] = min(least["plain"], int(bits(plain[rest], one).min()))
        least["turned"] = min(least["turned"], int(bits(turned[rest], one).min()))
    return least


def bits(hashes: NDArray[np.uint8], one: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return in how many bits each of several hashes differs from another one."""
    return np.asarray(np.bitwise_count(hashes ^ one).sum(axis=-1, dtype=np.uint64))


def measure(folder: Path, every: int) -> dict[str, Any]:
    """Print the false alarms among all images, and the share of copies that are found."""
    originals = chests(folder)
    alone = digests(originals)
    alarms = sum(len(group.images) - 1 for group in alone.near())
    pairs = len(originals) * (len(originals) - 1) // 2
    least = closest(alone.table)
    print(f"{len(originals)} radiographs, {pairs:,} pairs: {alarms} false alarms")
    print(f"fewest bits of 256 between two of them: {least['plain']}, and {least['turned']} where "
          "one is turned or inverted")  # fmt: skip
    print("\n| copy | found | other pairs called copies |\n| --- | ---: | ---: |")
    result: dict[str, Any] = {"images": len(originals), "pairs": pairs, "alarms": alarms, **least}
    for kind, change in KINDS.items():
        with tempfile.TemporaryDirectory() as made:
            copies = {}
            for number, path in enumerate(originals[::every]):
                copy = Path(made) / f"{number:04}.jpg"
                change(Image.fromarray(radiograph.load(path))).save(copy, quality=QUALITY)
                copies[str(copy)] = str(path)
            both = digests([])
            both.table = pl.concat([alone.table, digests([*map(Path, copies)]).table])
            near = both.near()  # originals are decoded once for all kinds
        links = [(a, b) for group in near for a, b in group_links(group.images, group.link)]
        right = {frozenset(pair) for pair in copies.items()}
        found = {frozenset(pair) for pair in links} & right
        false = len({frozenset(pair) for pair in links} - right)
        result[kind] = [len(found), len(copies), false]
        print(f"| {kind} | {len(found)} of {len(copies)} | {false} |",
              flush=True)  # fmt: skip
    return result


def group_links(
    images: tuple[str, ...], link: Callable[[str, str], str | None]
) -> list[tuple[str, str]]:
    """Return the pairs of a group that were found to be alike."""
    return [(a, b) for n, a in enumerate(images) for b in images[n + 1 :] if link(a, b) is not None]


def timed(folder: Path, images: int) -> dict[str, Any]:
    """Audit mixed images in two splits and return the seconds and the memory."""
    random = np.random.default_rng(0)
    small = [
        np.asarray(Image.fromarray(radiograph.load(path)).resize((SIDE, SIDE)), dtype=np.float32)
        for path in chests(folder)
    ]
    with tempfile.TemporaryDirectory() as made:
        rows: list[list[str]] = [[], []]
        for number in range(images):
            one, other = random.choice(len(small), 2, replace=False)
            share = random.uniform(0.3, 0.7)
            mixed = small[one] * share + np.roll(small[other], random.integers(-60, 60, 2), (0, 1))
            mixed *= 255.0 / mixed.max()
            Image.fromarray(mixed.astype(np.uint8)).save(Path(made) / f"{number}.png")
            turns = [{"role": "user", "content": "<image>What is shown?"},
                     {"role": "assistant", "content": "A chest."}]  # fmt: skip
            row = {"messages": turns, "images": [f"{number}.png"], "patient_id": str(number)}
            rows[number % 2].append(json.dumps(row))
        for split, lines in zip(("train", "test"), rows, strict=True):
            (Path(made) / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        start, used = time.perf_counter(), time.process_time()
        skipped = audit_dataset(Path(made), skip=["near-duplicate"])
        middle = time.perf_counter(), time.process_time()
        report = audit_dataset(Path(made))
        ends = time.perf_counter(), time.process_time()
    assert skipped.images == report.images == images
    without, whole = (
        {"wall_s": round(b - a, 1), "cpu_s": round(d - c, 1)}
        for (a, c), (b, d) in pairwise([(start, used), middle, ends])
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"{images:,} images of {SIDE} × {SIDE}: {whole['wall_s']} s ({whole['cpu_s']} s of one "
          f"core), {without['wall_s']} s without near duplicates; {peak:,.0f} MB")  # fmt: skip
    return {"images": images, "whole": whole, "without": without, "peak_mb": round(peak),
            "findings": len(report.issues)}  # fmt: skip


def main() -> None:
    """Read the command line, measure, and print the result."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="folder of the open radiographs")
    parser.add_argument("--every", type=int, default=5, help="copy every n-th radiograph")
    parser.add_argument("--time", type=int, help="audit this many mixed images instead")
    given = parser.parse_args()
    result = (
        measure(given.folder, given.every)
        if given.time is None
        else timed(given.folder, given.time)
    )
    print(json.dumps(result, ensure_ascii=False))


if __name__ == "__main__":
    main()
