"""Tests layouts that all releases share: tables plain or gzipped, and a description of each."""

import gzip
from pathlib import Path

import pytest

from imaxray.curation import build_catalog
from imaxray.errors import ImaxrayError
from imaxray.sources import get_source, list_sources

SOURCES = list_sources()
PAGE = Path(__file__).parents[2] / "docs/sources.md"


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_tables_may_be_gzipped_or_plain(source, copies, account_closes):
    for root in copies(source):
        plain = source.read(root)
        tables = sorted(root.rglob("*.csv")) + sorted(root.rglob("*.csv.gz"))
        for path in filter(Path.is_file, tables):
            data = path.read_bytes()
            if path.suffix == ".gz":
                path.with_suffix("").write_bytes(gzip.decompress(data))
            else:
                path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(data, mtime=0))
            path.unlink()
        other = source.read(root)
        account_closes(other)
        assert other.annotations.drop("file").equals(plain.annotations.drop("file")), root.name
        assert other.images.drop("file").equals(plain.images.drop("file")), root.name
        names = [file.file.removesuffix(".gz") for file in plain.files]
        assert [file.file.removesuffix(".gz") for file in other.files] == names


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_a_release_that_lies_deeper_is_named(source, copies, tmp_path, one_sentence):
    if source.name == "dicom-folder":
        pytest.skip("any folder with DICOM files inside is such a release")
    for root in copies(source):
        outer = tmp_path / f"{root.name}-download"
        inner = outer / "physionet.org/files" / source.name / "1.0"
        inner.parent.mkdir(parents=True)
        (outer / "README.txt").write_text("an invented download")
        root.rename(inner)
        with pytest.raises(ImaxrayError) as caught:
            source.check(outer)
        assert str(caught.value).endswith(
            f", or give the folder {inner}, which holds the {source.name} release."
        )
        one_sentence(caught.value)
        with pytest.raises(ImaxrayError, match=f"give the folder {inner}"):
            build_catalog({source.name: outer})


def test_where_no_release_lies_deeper_the_sentence_stays(tmp_path):
    source = get_source("ms-cxr")
    (tmp_path / "a/b/c/d/e").mkdir(parents=True)
    with pytest.raises(ImaxrayError, match=r"or correct the path\.$"):
        source.check(tmp_path)
    with pytest.raises(ImaxrayError, match="as a folder at"):
        source.check(tmp_path / "nowhere")


def test_the_page_describes_the_layouts_of_every_release():
    section = PAGE.read_text().partition("## Layouts and mirrors")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    assert sorted(row[0].strip("| `") for row in rows) == [source.name for source in SOURCES]
    assert all(len(row) == 3 and len(row[1]) > 10 for row in rows)
