"""Tests which rows of a table are read, and that no fault costs another row."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaxray.errors import ImaxrayError
from imaxray.sources._checks.reading import reading
from imaxray.sources._shared.files.tables import read_csv, read_header

RAGGED, QUOTE, TEXT, NUL = "ragged-row", "lone-quote", "bad-encoding", "bad-character"


def look(path, content, encoding="utf-8", required=("id", "a", "b")):
    """What a table gives: its rows, the number of all rows, and the code of each bad row."""
    path.write_bytes(content)
    with reading(encoding) as noted:
        frame = read_csv(path, required)
    return frame.rows(), noted.rows[path], [(row, code) for row, code, _ in noted.faults[path]]


@pytest.mark.parametrize(
    ("body", "kept", "bad"),
    [
        (b"1,x,y\n2,x\n3,x,y,z\n4,x,y", [1, 4], [(2, RAGGED), (3, RAGGED)]),
        (b"1,x,y\n\n3,x,y\n\n\n", [1, 3], [(2, RAGGED)]),
        (b"1,,,\n2,,", [2], [(1, RAGGED)]),
        (b'1,"x\n2,x,y\n3,x,y\n', [2, 3], [(1, QUOTE)]),
        (b'1,"x,y\n2,x,y\n3,"x",y\n', [2, 3], [(1, QUOTE)]),
        (b'1,"x,y\n2,x,y\n3,x,y"\n4,x,y\n', [2, 4], [(1, QUOTE), (3, QUOTE)]),
        (b'1,x"x,y\n2,x,y\n', [2], [(1, QUOTE)]),
        (b'1,"x"x,y\n2,x,y\n', [2], [(1, QUOTE)]),
        (b'1,"x\r\nx","y ""y"""\r\n2,"",y\r\n', [1, 2], []),
        (b'1,"x\n\nx, x",y\n2\n3,x,y\n', [1, 3], [(2, RAGGED)]),
        (b"1,x,\xff\n2,\xc3\xa9,y\n", [2], [(1, TEXT)]),
        (b"1,x,\0\n2,x,y\n", [2], [(1, NUL)]),
        (b"1,x\rx,y\n2,x,y\n", [2], [(1, NUL)]),
        (b"1\n2\n", [], [(1, RAGGED), (2, RAGGED)]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_a_fault_costs_its_own_row_only(tmp_path, body, kept, bad, mark):
    rows, count, faults = look(tmp_path / "x.csv", mark + b"id,a,b\n" + body)
    assert [row[0] for row in rows] == kept and faults == bad
    assert [row[1] for row in rows] == [str(number) for number in kept]
    assert count == len(kept) + len(bad)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "utf-16", "utf-8-sig"])
def test_a_table_is_decoded_as_declared(tmp_path, encoding):
    content = "id,a,b\n1,é,y\n2,x,y\n".encode(encoding)
    assert look(tmp_path / "x.csv", content, encoding) == (
        [(1, "1", "é", "y"), (2, "2", "x", "y")], 2, [],
    )  # fmt: skip


def test_a_header_that_is_no_text_does_not_blame_the_download(tmp_path):
    for content in (b"id,\xff,b\n1,2,3\n", "id,a,b\n1,x,y\n".encode("utf-16")):
        with pytest.raises(ImaxrayError, match="name the encoding") as error:
            look(tmp_path / "x.csv", content)
        assert "download" not in str(error.value)
    (tmp_path / "x.csv").write_bytes(b"id,\xff,b\n")
    with pytest.raises(ImaxrayError, match="encoding utf-8"):
        read_header(tmp_path / "x.csv")


def test_a_bad_row_that_nobody_would_count_is_an_error(tmp_path):
    (tmp_path / "x.csv").write_text("id,a,b\n1,2\n")
    with pytest.raises(ImaxrayError, match="fewer cells than the header"):
        read_csv(tmp_path / "x.csv", ["id"])


def test_columns_may_stand_twice_only_if_nobody_reads_them(tmp_path):
    rows, _, _ = look(tmp_path / "x.csv", b"id,row,c,c\n1,2,3,4\n", required=["id"])
    assert rows == [(1, "1", "2", "3", "4")]
    with pytest.raises(ImaxrayError, match="c stands there several times"):
        look(tmp_path / "x.csv", b"id,row,c,c\n1,2,3,4\n", required=["c"])


CELL = st.text(alphabet='ab ,"\n\ré', max_size=4)


@given(st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=12))
def test_what_a_csv_writer_writes_is_read_back(tmp_path_factory, cells):
    path = tmp_path_factory.getbasetemp() / "round.csv"
    cells = [[str(number), *row[1:]] for number, row in enumerate(cells, start=1)]
    stream = io.StringIO(newline="")
    csv.writer(stream, quoting=csv.QUOTE_ALL).writerows([["id", "a", "b"], *cells])
    rows, count, bad = look(path, stream.getvalue().encode())
    assert count == len(cells) and not bad
    assert rows == [
        (k, *(cell.strip() or None for cell in row)) for k, row in enumerate(cells, start=1)
    ]


@given(st.binary(max_size=200), st.sampled_from(["utf-8", "latin-1"]))
def test_any_bytes_are_rows_or_faults_that_add_up(tmp_path_factory, body, encoding):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    rows, count, bad = look(path, b"id,a,b\n1,2,3\n" + body, encoding)
    numbers = [row[0] for row in rows] + [row for row, _ in bad]
    assert sorted(numbers) == list(range(1, count + 1))
