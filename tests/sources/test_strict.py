"""Tests that every reader is strict: a bad row is a counted reject, and no option hides it."""

import gzip
import re
import shutil
import zipfile
from pathlib import Path

import pytest

import imaxray.sources
from imaxray.curation import CurationConfig, build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source, list_sources

SOURCES = list_sources()
LENIENT = (
    r"truncate_ragged_lines|ignore_errors|utf8-lossy|surrogateescape|surrogatepass|check_utf8=False"
    r"|errors=|\"(?:replace|ignore)\"|allow_nan"
)


def test_no_lenient_option_stands_without_a_reason():
    found = []
    for path in sorted(Path(imaxray.sources.__file__).parent.rglob("*.py")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for number, line in enumerate(lines):
            if re.search(LENIENT, line) and "#" not in "".join(
                lines[max(number - 2, 0) : number + 1]
            ):
                found.append(f"{path.name}:{number + 1}: {line.strip()}")
    assert not found


def tables_of(source, root):
    """The CSV tables of a release whose rows are data."""
    names = [file.file for file in source.read(root).files if file.rows]
    return [name for name in names if re.search(r"\.csv(\.gz|\.zip)?$", name)]


def rewrite(path, change):
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            name = next(n for n in archive.namelist() if n.endswith(".csv"))
            data = archive.read(name)
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(name, change(data))
    elif path.suffix == ".gz":
        path.write_bytes(gzip.compress(change(gzip.decompress(path.read_bytes()))))
    else:
        path.write_bytes(change(path.read_bytes()))


FAULTS = {
    "ragged-row": b"1" + b"," * 99 + b"\n",
    "lone-quote": b'1,"2\n',
    "bad-encoding": None,  # the last row, with a byte that is no UTF-8
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_a_bad_row_is_one_reject_in_every_table(source, fault, copies, account_closes):
    if (source.name, fault) == ("chexmask", "bad-encoding"):
        pytest.skip("a row of CheXmask has several lines")
    roots = copies(source)
    for root in roots:
        for name in tables_of(source, root):
            before = {file.file: file.rows for file in source.read(root).files}

            def spoil(data):
                data = data.rstrip(b"\r\n") + b"\n"
                if FAULTS[fault] is not None:
                    return data + FAULTS[fault]
                last = data.rstrip(b"\n").rpartition(b"\n")[2]
                return data + last.replace(last[:1], b"\xff", 1) + b"\n"

            whole = shutil.copytree(root, root.with_name("whole"))
            rewrite(root / name, spoil)
            tables = source.read(root)
            account_closes(tables)
            rows = {file.file: file.rows for file in tables.files}
            bad = tables.rejects.filter(file=name, row=rows[name])["code"].to_list()
            assert fault in bad, (name, bad)
            assert rows[name] >= before[name], name
            shutil.rmtree(root)
            shutil.move(whole, root)


def test_the_encoding_of_a_release_is_an_option(tmp_path, small_releases):
    root = shutil.copytree(small_releases("vindr-cxr")["write"], tmp_path / "vindr")
    table = next(root.rglob("image_labels_train.csv*"))
    rewrite(table, lambda data: data.rstrip(b"\n") + b"\xe9\n")
    strict = build_catalog({"vindr-cxr": root})
    assert "bad-encoding" in strict.rejects["code"].to_list()
    config = CurationConfig.model_validate({"encoding": {"vindr-cxr": "latin-1"}})
    assert (
        "bad-encoding" not in build_catalog({"vindr-cxr": root}, config).rejects["code"].to_list()
    )
    with pytest.raises(ValueError, match="text encoding"):
        CurationConfig.model_validate({"encoding": {"vindr-cxr": "klingon"}})
    other = CurationConfig.model_validate({"encoding": {"ms-cxr": "latin-1"}})
    with pytest.raises(ImaxrayError, match="names ms-cxr"):
        build_catalog({"vindr-cxr": root}, other)


def test_an_encoding_that_the_header_contradicts_is_one_sentence(tmp_path, small_releases):
    root = shutil.copytree(small_releases("wingspan-ctr")["write"], tmp_path / "wingspan")
    source = get_source("wingspan-ctr")
    source.encoding = "utf-16"
    with pytest.raises(ImaxrayError, match="encoding utf-16"):
        source.check(root)
