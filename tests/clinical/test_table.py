"""Tests that docs/clinical-rules.md agrees with the code."""

import re
from pathlib import Path

import yaml

from imaxray.audit import CHECKS
from imaxray.clinical import ClinicalRules, clinical_rules_table, rule_names
from imaxray.curation.joining.conflicts import CONFLICT_RULES
from imaxray.pseudo.selecting import rules as consistency

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "clinical-rules.md").read_text(encoding="utf-8")


def test_the_table_of_the_page_is_the_one_of_the_code():
    table = re.search(r"<!-- rules_table -->\n(.*?)\n<!-- end -->", PAGE, re.DOTALL)
    assert table is not None and table.group(1) == clinical_rules_table(), clinical_rules_table()


def test_the_page_says_where_each_rule_is_used():
    said = {}
    for line in PAGE.splitlines():
        cells = re.findall(r"`([a-z-]+)`|–", line)
        if line.startswith("| `") and len(line.split("|")) == 6 and cells[0] in rule_names():
            said[cells[0]] = [cell.strip(" `") for cell in line.split("|")[2:5]]
    builtin = Path(consistency.__file__).with_name("rules.yaml").read_text(encoding="utf-8")
    in_filter = {
        r["clinical"]: r["name"] for r in yaml.safe_load(builtin)["rules"] if "clinical" in r
    }
    in_audit = {check.rule: check.code for check in CHECKS if check.rule}
    assert said == {
        name: [name if name in CONFLICT_RULES else "–", in_audit.get(name, "–"),
               in_filter.get(name, "–")]
        for name in rule_names()
    }  # fmt: skip


def test_the_block_of_the_page_is_valid():
    block = re.search(r"```yaml\n(clinical:.*?)```", PAGE, re.DOTALL)
    assert block is not None
    assert ClinicalRules.model_validate(yaml.safe_load(block.group(1))["clinical"]).root
