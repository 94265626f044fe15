"""Tests 1,000 damaged files over all sources: each is read with rejects, or gives one sentence."""

import gzip
import io
import os
import random
import zipfile

import pytest

from imaxray.errors import ImaxrayError
from imaxray.sources import list_sources

FILES = 1_000
SEED = os.environ.get("IMAXRAY_FUZZ_SEED", "")  # others than the committed one are tried by hand
SOURCES = list_sources()
IMAGES = (".png", ".jpg", ".img", ".dcm", ".dicom")
PLANTS = (b'"', b",", b"\n", b"\r", b"\0", b"\xff", b"}", b"[", b"\t", b"<", b"\x1a")
BLANKS = (b"\n", b"\0" * 100, b" ", b"{}", b"[]", b"null", b'"', b"[" * 10**5)


def truncate(rng, data):
    return data[: rng.randrange(len(data))] if data else b""


def flip(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 3, 10, 50))):
        if data:
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(data)


def plant(rng, data):
    """Bytes that mean something to a parser, put where they do not belong."""
    data = bytearray(data)
    for _ in range(rng.randrange(1, 8)):
        at = rng.randrange(len(data) + 1)
        data[at : at + rng.randrange(2)] = rng.choice(PLANTS)
    return bytes(data)


def recompress(rng, data):
    """Gzipped where it was plain, plain where it was gzipped, or twice."""
    if data[:2] == b"\x1f\x8b" and rng.random() < 0.5:
        return gzip.decompress(data)
    return gzip.compress(data, mtime=0)


def inner(change):
    """A change to what a gzip holds."""

    def apply(rng, data):
        if data[:2] != b"\x1f\x8b":
            return change(rng, data)
        return gzip.compress(change(rng, gzip.decompress(data)), mtime=0)

    return apply


def reencode(rng, data):
    text = data.decode("utf-8", errors="replace")
    codec = rng.choice(("utf-16", "utf-16-le", "utf-32", "cp037", "utf-7"))
    return text.encode(codec, errors="replace")


def bomb(rng, data):
    """Small archives that unpack to more, once and nested."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("files/p10/p10000032/s50414267.txt", "x_SceneGraph.json", "1.xml"):
            archive.writestr(name, b"0" * (17 * 2**20 if rng.random() < 0.2 else 2**20))
        archive.writestr("nested.zip", data)
    nested = stream.getvalue()
    return rng.choice((nested, gzip.compress(nested), gzip.compress(b"\n" * 2**22, mtime=0)))


def lie(rng, data):
    """A zip whose central directory states other sizes; any other file, its end turned."""
    at = data.find(b"PK\x01\x02")
    if at < 0:
        return data[:-8] + rng.randbytes(8)
    data = bytearray(data)
    data[at + 8 : at + 46] = rng.randbytes(38)
    return bytes(data)


DAMAGES = (
    truncate, truncate, flip, flip, plant, recompress, inner(truncate), inner(flip), inner(plant),
    inner(reencode), bomb, lie,
    lambda rng, data: b"",
    lambda rng, data: rng.choice(BLANKS),
    lambda rng, data: rng.randbytes(rng.randrange(1, 3000)),
    inner(lambda rng, data: b"\xef\xbb\xbf" + data),
    inner(lambda rng, data: data.replace(b"\n", b"\r\n")),
    inner(lambda rng, data: data.replace(b"\n", b"\r")),
    inner(lambda rng, data: data.replace(b",", b";")),
    inner(lambda rng, data: data + data),
    inner(lambda rng, data: data.partition(b"\n")[2]),  # without its header
    inner(lambda rng, data: b",".join(rng.sample(h := data.partition(b"\n")[0].split(b","), len(h)))
          + b"\n" + data.partition(b"\n")[2]),
    inner(lambda rng, data: data.partition(b"\n")[0] + b"\n"),  # only its header
    inner(lambda rng, data: b"A" * 2**20 + data),
)  # fmt: skip


@pytest.mark.parametrize("source", SOURCES, ids=lambda s: s.name)
def test_damaged_files(source, copies, sound, one_sentence):
    rng = random.Random(f"{source.name} files{SEED}")
    position = SOURCES.index(source)
    share = FILES * (position + 1) // len(SOURCES) - FILES * position // len(SOURCES)
    work = []
    for root in copies(source):
        files = sorted(p for p in root.rglob("*") if p.is_file())
        tables = [p for p in files if p.suffix.lower() not in IMAGES]
        # an image is as good a file to damage as a table, but there are many more of them
        work.append((root, tables * 4 + [p for p in files if p not in tables][:6]))
    outcomes = set()
    for trial in range(share):
        root, files = work[trial % len(work)]
        path = rng.choice(files)
        data = path.read_bytes()
        kind = rng.random()
        if kind < 0.03:
            path.unlink()
            path.mkdir()  # a folder in its place
        elif kind < 0.08:
            path.write_bytes(rng.choice(files).read_bytes())
        else:
            path.write_bytes(rng.choice(DAMAGES)(rng, data))
        try:
            source.check(root)
            tables = source.read(root)
        except ImaxrayError as error:
            one_sentence(error)
            outcomes.add("error")
        else:
            sound(tables, source)
            outcomes.add("rejects" if tables.rejects.height else "read")
        if path.is_dir():
            path.rmdir()
        path.write_bytes(data)
    assert "error" in outcomes and len(outcomes) > 1
