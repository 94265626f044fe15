"""Tests that the copies of a phantom's tables have images of their own."""

import subprocess
import sys
from pathlib import Path

from imaxray.curation import build_catalog

SCRIPT = Path(__file__).parents[2] / "bench" / "multiply_tables.py"
TABLES = ("mimic-cxr-jpg", "cxr-cardiomegaly", "ms-cxr", "mimic-cxr-vqa")


def test_copies_have_other_images_and_the_same_annotations(phantom_releases, tmp_path):
    root = Path(phantom_releases["mimic-cxr-jpg"]).parent
    for times in (1, 3):
        command = [sys.executable, str(SCRIPT), str(root), str(tmp_path / str(times))]
        subprocess.run([*command, "--times", str(times)], check=True)
    once, thrice = (
        build_catalog({name: tmp_path / times / name for name in TABLES}, verify="none")
        for times in ("1", "3")
    )
    assert thrice.images.height == 3 * once.images.height
    assert thrice.annotations.height == 3 * once.annotations.height
    assert thrice.images["patient_id"].n_unique() == 3 * once.images["patient_id"].n_unique()
    codes = [set(tables.rejects["code"]) for tables in (once, thrice)]
    assert codes[0] == codes[1]
