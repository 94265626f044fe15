"""Tests that the lists of dependencies say what pyproject.toml says."""

import subprocess
import sys

from supply import dependencies


def test_the_page_of_licences_names_every_direct_dependency():
    page = dependencies.LICENCES.read_text(encoding="utf-8")
    assert dependencies.licences_page(page) == page, "run `make licences`"


def test_no_dependency_has_a_licence_that_binds_this_package():
    page = dependencies.LICENCES.read_text(encoding="utf-8")
    assert "AGPL" not in page and " GPL" not in page


def test_every_core_dependency_has_a_hash_and_a_lower_bound():
    hashed = dependencies.HASHED.read_text(encoding="utf-8")
    lines = [line for line in hashed.splitlines() if "--hash=" in line]
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lines}
    for requirement in dependencies.requirements()["core"]:
        assert requirement.name.lower() in pinned, "run `make hashes`"
        assert any(s.operator == ">=" for s in requirement.specifier), requirement
    assert all("--hash=sha256:" in line for line in hashed.splitlines()[1:])


def test_the_lowest_versions_are_printed():
    run = subprocess.run(
        [sys.executable, dependencies.__file__, "lowest"],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = run.stdout.splitlines()
    assert {"polars==1.36.1", "peft==0.14"} <= set(lines)
    assert sum(line.startswith("torch==") for line in lines) == 1
