"""Tests that the table of rules in docs/derive.md is made from the rules."""

import re
from pathlib import Path

from imaxray.derive import derivation_rules_table
from imaxray.derive.rules.builtin import BUILT_IN

PAGE = Path(__file__).parents[2] / "docs" / "derive.md"


def test_the_page_has_the_table_of_rules():
    table = re.search(r"<!-- rules_table -->\n(.*?)\n?<!-- end -->", PAGE.read_text(), re.DOTALL)
    assert table is not None and table.group(1) == derivation_rules_table(), (
        derivation_rules_table()
    )


def test_every_rule_says_where_it_comes_from():
    names = [rule.name for rule in BUILT_IN]
    assert len(set(names)) == len(names)
    for rule in BUILT_IN:
        assert rule.says.endswith(".") and rule.source and rule.scope and rule.makes
