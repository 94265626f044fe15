"""Tests that the page of fields equals what the reader of own data knows."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

import own_data_fields

from imaxray.schema import FINDINGS
from imaxray.sources.own_data.fields import FIELDS
from imaxray.sources.own_data.mapping import Mapping, Table


def test_the_page_of_fields_equals_the_reader():
    held = own_data_fields.PAGE.read_text(encoding="utf-8")
    assert held == own_data_fields.render(), "run `make fields`"


def test_the_page_names_every_field_key_and_label():
    page = own_data_fields.PAGE.read_text(encoding="utf-8")
    for name in (*FIELDS, *Mapping.model_fields, *Table.model_fields):
        assert f"| `{name}` |" in page
    for label in FINDINGS:
        assert f"| {label} |" in page


def test_every_key_is_described():
    for model in (Mapping, Table):
        assert all(info.description for info in model.model_fields.values())
