"""Tests that an element of JSON that cannot be read costs itself only."""

import pytest

from imaxray._common.strict_json import BadItem, parse_item, parse_items


@pytest.mark.parametrize(
    ("element", "code"),
    [
        (b'{"a": NaN}', "bad-json"),
        (b'{"a": -Infinity}', "bad-json"),
        (b'{"a": 1e999}', "bad-json"),
        (b'{"a": 1, "a": 2}', "bad-json"),
        (b'{"b": {"a": 1, "a": 1}}', "bad-json"),
        (b'{"a": 01}', "bad-json"),
        (b'{"a": "\xff"}', "bad-encoding"),
        (b"nonsense", "bad-json"),
    ],
)
def test_a_bad_element_leaves_the_others(element, code):
    first, bad, last = parse_items(b'[{"a": "]}"}, ' + element + b', {"a": "x\\": 1"}]')
    assert (first, last) == ({"a": "]}"}, {"a": 'x": 1'})
    assert isinstance(bad, BadItem) and bad.code == code
    assert parse_item(element) == bad


@pytest.mark.parametrize("content", [b"", b"{}", b'[{"a": 1}', b'[{"a": 1} {"a": 2}]', b"[" * 999])
def test_a_list_that_is_damaged_between_elements_is_none(content):
    assert parse_items(content) is None


def test_a_list_is_decoded_as_declared():
    assert parse_items(b"\xef\xbb\xbf[1, []]") == [1, []]
    assert parse_items('["é"]'.encode("latin-1"), "latin-1") == ["é"]
    assert parse_items('["é"]'.encode("utf-16"), "utf-16") == ["é"]
