"""Tests 10,000 fuzzed rows over all sources: each is kept with legal values, or is a reject.

A source without a small release in ``releases/`` fails here.
"""

import copy
import csv
import gzip
import io
import json
import os
import random
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path

import polars as pl
import pydicom
import pytest

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import list_sources

ROWS = 10_000
RAW = 12  # so few rows of a table are written unquoted
SEED = os.environ.get("IMAXRAY_FUZZ_SEED", "")  # others than the committed one are tried by hand
SOURCES = list_sources()
MEMBERS = (".json", ".xml", ".txt", ".dcm", "")
UNREAD = (".metadata.json",)  # members that stand beside those that are read

TEXTS = (
    "", " ", "NaN", "nan", "inf", "-inf", "1e400", "1e308", "-1e308", "1e-320", "-1", "-0.0", "0",
    "2", "0.5", "-17.25", "99999999999999999999", "-2147483649", "0x10", "1_000", "１２", "٣", "+5",
    "1,5", "true", "None", "null", "[]", "{}", "[1, 2", '{"a": 1}', "é", "🫁", "\u202ea", "\ufeff",
    "a\u0000b", "\x1b[31m", "\x07", "it's", 'say "x"', '"', ";", "|", "\\", "a\nb", "a\r\nb", "\t",
    "../../etc/passwd", "/etc/passwd", "..\\x", "C:\\x.png", "files/../../x", "./.", "..", "~",
    "%2e%2e/x", "=1+1", "A" * 70_000, "9" * 400, "train/patient1/study1/view1_frontal.jpg",
    "p10/p10000032/s50414267/x.jpg", "s50414267", "-" * 44, "<x>&amp;</x>", "&a;",
    "x" * 300 + ".png",
)  # fmt: skip
VALUES = (
    *TEXTS, None, True, False, 0, -1, 7, 2**63, -(2**63), 10**30, 0.5, -0.0, 1e308, -1e308, [], {},
    [[]], [None], [1, 2, 3, 4], [-5, -5, 1e9, 1e9], [1, 2, 3], ["1", 2, 3, 4], {"a": {"b": []}},
    [[[[[[[[[]]]]]]]]], [1e308, 1e308, 1e308, 1e308], [10, 10, 5, 5], [[1, 2, 3, 4]] * 3,
)  # fmt: skip


def csv_rows(path):
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    if path.suffix == ".zip":
        (data,) = members_of(path).values()
    header, *rows = csv.reader(io.StringIO(data.decode(), newline=""))
    return header, rows


def write_table(path, text):
    data = text.encode()
    if path.suffix == ".zip":
        write_members(path, {path.stem: data})
    else:
        path.write_bytes(gzip.compress(data, mtime=0) if path.suffix == ".gz" else data)


def write_csv(path, header, rows):
    stream = io.StringIO(newline="")
    csv.writer(stream, lineterminator="\n").writerows([header, *rows])
    write_table(path, stream.getvalue())


def write_raw_csv(path, header, rows):
    """Unquoted, as a broken export writes it: a quote or a line break tears rows apart."""
    write_table(path, "".join(",".join(row) + "\n" for row in [header, *rows]))


def fuzz_cells(rng, row):
    row = list(row)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        kind = rng.random()
        if kind < 0.06 and row:
            del row[rng.randrange(len(row)) :]  # cut short
        elif kind < 0.1:
            row += [rng.choice(TEXTS)] * rng.randrange(1, 4)
        elif row:
            row[rng.randrange(len(row))] = rng.choice(TEXTS)
    return row or [""]


def fuzz_json(rng, item):
    """One to three changes anywhere inside a JSON value."""
    item = copy.deepcopy(item)
    for _ in range(rng.choice((1, 1, 2, 3))):
        places = list(places_of(item))
        if not places:
            return copy.deepcopy(rng.choice(VALUES))
        # as often near the top as deep down
        depth = rng.choice(sorted({d for d, _, _ in places}))
        _, parent, key = rng.choice([p for p in places if p[0] == depth])
        if rng.random() < 0.15:
            del parent[key]
        else:
            parent[key] = copy.deepcopy(rng.choice(VALUES))
    return item


def places_of(item, depth=0):
    keys = (
        item.keys() if isinstance(item, dict) else range(len(item) if isinstance(item, list) else 0)
    )
    for key in list(keys):
        yield depth, item, key
        yield from places_of(item[key], depth + 1)


def fuzz_text(rng, content):
    """Text with nasties put in, spans taken out, bytes turned."""
    data = bytearray(content)
    for _ in range(rng.randrange(1, 4)):
        at = rng.randrange(len(data) + 1)
        kind = rng.random()
        if kind < 0.4:
            data[at:at] = rng.choice(TEXTS).encode()
        elif kind < 0.7:
            del data[at : at + rng.randrange(1, 200)]
        elif data:
            data[at % len(data)] = rng.randrange(256)
    return bytes(data)


def fuzz_dicom(rng, content):
    """One to three tags with other bytes, or none."""
    data = pydicom.dcmread(io.BytesIO(content))
    elements = [data.get_item(tag) for tag in data.keys()]  # noqa: SIM118 - bytes, not values
    changed = rng.sample(range(len(elements)), rng.choice((1, 1, 2, 3)))
    parts = [content[: elements[0].value_tell - 8]]
    for k, (tag, vr, _, value, *_) in enumerate(elements):
        if k in changed and rng.random() < 0.15:
            continue
        if k in changed:
            nasty = rng.choice((*TEXTS, *"\0\1\xff")).encode("latin-1", errors="ignore")
            value = rng.choice((nasty, rng.choice(TEXTS).encode(), value[: len(value) // 4 * 2]))
        long = vr in ("OB", "OW")
        form = "<HH2s2xI" if long else "<HH2sH"
        value = (value + b" " * (len(value) % 2))[: None if long else 65_534]
        parts += [struct.pack(form, tag.group, tag.elem, vr.encode(), len(value)), value]
    return b"".join(parts)


def fuzz_member(rng, name, content):
    if content[128:132] == b"DICM" and rng.random() < 0.7:
        return fuzz_dicom(rng, content)
    if name.endswith(".json") and rng.random() < 0.9:
        return json.dumps(fuzz_json(rng, json.loads(content))).encode()
    return fuzz_text(rng, content)


def members_of(path):
    if path.is_dir():
        files = sorted(p for p in path.rglob("*") if p.suffix in MEMBERS and p.is_file())
        return {p.relative_to(path).as_posix(): p.read_bytes() for p in files}
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            return {i.filename: archive.read(i) for i in archive.infolist() if not i.is_dir()}
    with tarfile.open(path) as archive:
        return {m.name: archive.extractfile(m).read() for m in archive if m.isfile()}


def write_members(path, members):
    if path.is_dir():
        for name, content in members.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    elif path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as archive:
            for name, content in members.items():
                info = tarfile.TarInfo(name)
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))


def fuzz_file(rng, path, count):
    """Overwrite ``path`` with its first row and ``count`` fuzzed ones; how many rows there are now.

    None: the rows may be torn apart, so their number is not known.
    """
    if path.is_dir() or (path.suffix in (".zip", ".tgz") and not path.stem.endswith(".csv")):
        members = members_of(path)
        names = [name for name in members if not name.endswith(UNREAD)]
        for k in range(count):
            name = rng.choice(names)
            folder, _, last = name.rpartition("/")
            fuzzed = fuzz_member(rng, name, members[name])
            # a folder's members may be known by their folder, an archive's by their file
            place = f"{folder}-{k}/{last}" if path.is_dir() and last == "detection.json" else (
                f"{folder}/{k}-{last}" if rng.random() < 0.8 else f"{folder}/in-{k}/{last}"
            )  # fmt: skip
            members[place.lstrip("/")] = fuzzed
        if path.name == "imgs":  # members of images that no question is about tell nothing
            for name in names[:-1]:
                members[name] = fuzz_member(rng, name, members[name])
        write_members(path, members)
        return sum(not name.endswith(UNREAD) for name in members)
    if path.suffix == ".json":
        text = path.read_text(encoding="utf-8")
        lines = text.startswith("{")
        items = [json.loads(line) for line in text.splitlines()] if lines else json.loads(text)
        fuzzed = [items[0], *(fuzz_json(rng, rng.choice(items)) for _ in range(count))]
        dumped = [json.dumps(item) for item in fuzzed]
        path.write_text("\n".join(dumped) + "\n" if lines else f"[{','.join(dumped)}]")
        return len(fuzzed)
    if path.suffix == ".txt":
        lines = [line.split("\t") for line in path.read_text(encoding="utf-8").splitlines()]
        fuzzed = [lines[0], *(fuzz_cells(rng, rng.choice(lines)) for _ in range(count))]
        text = "\n".join("\t".join(line) for line in fuzzed)
        path.write_text(text + "\n", encoding="utf-8")
        return None
    header, rows = csv_rows(path)
    fuzzed = [rows[0], *(fuzz_cells(rng, rng.choice(rows)) for _ in range(count))]
    if count <= RAW:
        write_raw_csv(path, header, fuzzed)
        return None
    write_csv(path, header, fuzzed)
    return len(fuzzed)


def assert_catalog_holds(source, root):
    """Curation takes what the reader gave: the account closes, boxes lie in the frame."""
    catalog = build_catalog({source.name: root}, verify="none")
    sums = catalog.account.select(pl.col("rows_in") - pl.col("kept") - pl.col("rejected"))
    assert not sums.to_series().cast(pl.Boolean).any()
    boxed = catalog.annotations.filter(pl.col("boxes").is_not_null()).join(
        catalog.images.select("image_id", "width", "height"), on="image_id"
    )
    for boxes, width, height in boxed.select("boxes", "width", "height").iter_rows():
        assert boxes
        for x1, y1, x2, y2 in boxes:
            assert 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height


def shares(total, parts):
    return [total * (k + 1) // parts - total * k // parts for k in range(parts)]


def has_rows(path):
    return path.suffix in (".csv", ".gz", ".json", ".txt", ".zip", ".tgz") or (
        path.is_dir() and any(p.suffix in MEMBERS and p.is_file() for p in path.rglob("*"))
    )


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.name)
def test_fuzzed_rows(source, copies, tmp_path, sound, one_sentence):
    rng = random.Random(f"{source.name} rows{SEED}")
    share = shares(ROWS, len(SOURCES))[SOURCES.index(source)]
    work = [
        (root, file.file)
        for root in copies(source)
        for file in source.read(root).files
        if file.rows and has_rows(root / file.file)  # no row of a legend is data
    ]
    done, rejected = 0, 0
    for (root, file), count in zip(work, shares(share, len(work)), strict=True):
        whole = shutil.copytree(root, tmp_path / "whole")
        torn = min(3 * RAW, count // 4) if ".csv" in file else 0
        for part in [count - torn, *shares(torn, -(-torn // RAW))]:
            written = fuzz_file(rng, root / file, part)
            done += part
            try:
                tables = source.read(root)
            except ImaxrayError as error:
                assert written is None, f"{file}: {error}"  # else one row spoils the others
                one_sentence(error)
            else:
                sound(tables, source)
                assert written in (None, {f.file: f.rows for f in tables.files}[file]), file
                rejected += tables.rejects.filter(pl.col("file") == file)["row"].n_unique()
                if part > RAW:
                    assert_catalog_holds(source, root)
            shutil.rmtree(root)
            shutil.copytree(whole, root)
        shutil.rmtree(whole)
    assert done == share
    assert rejected > share / 10  # the rows were bad indeed


def test_the_counts_are_whole():
    assert sum(shares(ROWS, len(SOURCES))) == ROWS
    stray = {p.stem for p in Path(__file__).with_name("releases").glob("*.py")}
    assert stray <= {source.name.replace("-", "_") for source in SOURCES}
