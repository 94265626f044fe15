"""Copies the tables of a MIMIC-CXR phantom several times, with new ids in each copy.

    python bench/multiply_tables.py RELEASES OUT --times 10

RELEASES is the folder that `imaxray phantom RELEASES --scale mimic --no-images` wrote; its ids
leave room for the copies. Each copy has other patients, studies and images, but the same rows.
Reports and scene graphs are left out. This takes one minute; `imaxray phantom --times 10
--no-archives` draws a cohort of ten times the size instead, which takes a quarter of an hour.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import orjson
import polars as pl
from isal import igzip

PATH = re.compile(r"p\d\d/p(\d{8})/s(\d{8})/([0-9a-f-]{44})")
LEFT_OUT = ("mimic-cxr/", "chest-imagenome/")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("releases", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--times", type=int, default=10, choices=range(1, 17))
    args = parser.parse_args()
    for path in sorted(args.releases.rglob("*")):
        name = path.relative_to(args.releases).as_posix()
        if path.is_dir() or name.startswith(LEFT_OUT) or name in ("phantom.json", ".imaxray.json"):
            continue
        target = args.out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if ".csv" in path.suffixes:
            multiply_table(path, target, args.times)
        elif "mimic-cxr-vqa" in name and path.stem in ("train", "valid", "test"):
            multiply_items(path, target, args.times)


def multiply_table(path: Path, target: Path, times: int) -> None:
    """Write a CSV with its rows repeated ``times`` times; every copy has its own ids."""
    frame = pl.read_csv(path, infer_schema=False)
    stream = igzip.open(target, "wb", 1) if path.suffix == ".gz" else target.open("wb")
    with stream:
        for copy in range(times):
            text = frame.with_columns(
                *(
                    (pl.col(name).cast(pl.Int64) + copy).cast(pl.String)
                    for name in ("subject_id", "study_id") if name in frame.columns
                ),
                # the first digit is the number of the copy; the others are random and many enough
                *(
                    (pl.lit(f"{copy:x}") + pl.col(name).str.slice(1)).alias(name)
                    for name in ("dicom_id", "dicom_file") if name in frame.columns
                ),
                *(
                    pl.col(name).map_elements(lambda t, c=copy: moved(t, c), pl.String)
                    for name in ("path",) if name in frame.columns
                ),
            ).write_csv(include_header=copy == 0)  # fmt: skip
            stream.write(text.encode())


def multiply_items(path: Path, target: Path, times: int) -> None:
    """Write a list of questions repeated ``times`` times; every copy has its own ids."""
    items = orjson.loads(path.read_bytes())
    with target.open("wb") as stream:
        for copy in range(times):
            for number, item in enumerate(items):
                made = {
                    **item,
                    "idx": item["idx"] * times + copy,
                    # these ids are numbers in one file of the release and text in the others
                    **{k: type(item[k])(int(item[k]) + copy) for k in ("subject_id", "study_id")},
                    "image_id": f"{copy:x}{item['image_id'][1:]}",
                    "image_path": moved(item["image_path"], copy),
                }
                stream.write((b"[" if copy == number == 0 else b", ") + orjson.dumps(made))
        stream.write(b"]")


def moved(path: str, copy: int) -> str:
    """Return the path of an image in a copy."""

    def one(match: re.Match[str]) -> str:
        subject, study = int(match[1]) + copy, int(match[2]) + copy
        return f"p{str(subject)[:2]}/p{subject}/s{study}/{copy:x}{match[3][1:]}"

    return PATH.sub(one, path)


if __name__ == "__main__":
    main()
