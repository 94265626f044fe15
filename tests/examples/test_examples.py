"""Tests that the numbered examples run in order in one folder and print what they promise."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = sorted((ROOT / "examples").glob("[0-9]*.py"))

PRINTED = {
    "01_build": [r"catalog: \d+ train entries", r"imax: \d+ .* images, [67]\.\d tasks per image",
                 r"dmax: \d+ .* images, [12]\.\d tasks per image"],
    "02_audit": [r"imax: 0 findings in \d+ entries", r"dmax: 0 findings"],
    "03_train": [r"imax: loss \d\.\d\d → \d\.\d\d after 3200 entries", r"dmax: loss"],
    "04_evaluate": [r"imax: 28 answers", r"dmax: 28 answers", r"calculation: MAE", r"vqa: score"],
    "05_compare": [r"report: ROUGE-L of imax minus dmax is [+-]", r"compared on \d+ patients"],
    "06_dynamics": [r"imax: after 0 entries SE is \d", r"dmax: after 3200 entries SE is \d",
                    r"Fewer than three seeds"],
    "07_strategy": [r"1-dmax: trained on dmax from base", r"round-1/dataset: \d+ of \d+ candidates",
                    r"mean relative gain of 3-finish [+−-]"],
    "08_export": [r"swift: \d+ conversations", r"fiftyone: .*samples\.json",
                  r"croissant: .*croissant\.json", r"left out: nothing"],
    "09_own_data": [r"pleural efusion \(18 rows .*did you mean Pleural Effusion\?",
                    r"1 group, such as 30 and 00030\.", r"199 images, 398 entries, rejects:.*"
                    r"bad-date', 1.*missing-image', 1.*unknown-view', 2"],
}  # fmt: skip


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    """Name of each example → what it printed."""
    work = tmp_path_factory.mktemp("examples")
    found = {}
    for path in EXAMPLES:
        done = subprocess.run(
            [sys.executable, str(path), str(work)],
            cwd=work, env={**os.environ, "HF_HUB_OFFLINE": "1"}, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, f"{path.name}: {done.stderr}"
        found[path.stem] = done.stdout
    return found


def test_every_example_is_listed():
    assert [path.stem for path in EXAMPLES] == list(PRINTED)


@pytest.mark.parametrize("name", PRINTED)
def test_an_example_prints_what_it_promises(printed, name):
    for pattern in PRINTED[name]:
        assert re.search(pattern, printed[name]), f"{pattern}: {printed[name]}"


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_an_example_is_short_and_uses_public_names_only(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 50
    assert text.startswith(f'"""{int(path.stem[:2])}. ')
    for module in re.findall(r"^from (imaxray\S*) import", text, flags=re.MULTILINE):
        assert module.count(".") <= 1, f"{module} is not a top-level folder"
