"""Decodes, resizes and encodes images with Pillow, and does nothing else, for bench/cache.py.

python bench/cache_bare.py OUT MAX_SIDE WORKERS < PATHS

PATHS is a file with one path per line.
"""

from __future__ import annotations

import sys
import zlib
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from PIL import Image


def convert(path: str, out: str, max_side: int) -> None:
    with Image.open(path, formats=("PNG", "JPEG")) as image:
        grey = image.convert("L")
    scale = max_side / max(grey.size)
    if scale < 1:
        size = (round(grey.width * scale), round(grey.height * scale))
        grey = grey.resize(size, Image.Resampling.HAMMING)
    grey.save(out, format="PNG", compress_level=1, compress_type=zlib.Z_RLE)


def main() -> None:
    out, max_side, workers = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    paths = sys.stdin.read().splitlines()
    out.mkdir(parents=True)
    names = [str(out / f"{number:05d}.png") for number in range(len(paths))]
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        list(pool.map(convert, paths, names, [max_side] * len(paths), chunksize=8))


if __name__ == "__main__":
    main()
