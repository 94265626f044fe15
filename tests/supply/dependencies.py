"""Reads what the package depends on, for the lists of licences, hashes and lowest versions.

python tests/supply/dependencies.py licences   # writes docs/licences.md
python tests/supply/dependencies.py hashes     # writes constraints-hashed.txt
python tests/supply/dependencies.py lowest     # prints the lowest allowed versions
"""

import json
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
LICENCES = ROOT / "docs" / "licences.md"
HASHED = ROOT / "constraints-hashed.txt"
CONSTRAINTS = ROOT / "constraints.txt"
HEAD = """# Licences of the dependencies

`make licences` writes this page from the metadata of the installed packages; a test compares it
with `pyproject.toml`. Each package is installed separately and keeps its own licence; none is part
of imaxray.

"""


def requirements():
    """The direct requirements of the core and of each extra: ``{extra: [Requirement]}``."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {"core": project["dependencies"], **project["optional-dependencies"]}
    return {name: [Requirement(text) for text in texts] for name, texts in extras.items()}


def licence(name):
    """The licence that a package states: SPDX expression, classifier or short free text."""
    try:
        data = metadata(name)
    except PackageNotFoundError:
        return None
    if expression := data.get("License-Expression"):
        return expression
    classes = [
        c.split(" :: ")[-1] for c in data.get_all("Classifier", []) if c.startswith("License")
    ]
    named = sorted({c for c in classes if c != "OSI Approved"})
    if named:
        return ", ".join(named)
    text = (data.get("License") or "").strip().splitlines()
    return text[0][:60] if text else "not stated"


def licences_page(earlier=""):
    """The page; a package that is not installed here keeps the row that it has in ``earlier``."""
    rows = {}
    for extra, found in requirements().items():
        for requirement in found:
            rows.setdefault(requirement.name, []).append(extra)
    known = {
        cells[1].strip(): cells[2].strip()
        for line in earlier.splitlines()
        if line.startswith("| ") and len(cells := line.split("|")) > 3
    }
    lines = ["| package | licence | needed by |", "| --- | --- | --- |"]
    for name in sorted(rows, key=str.lower):
        stated = licence(name) or known.get(name) or "not installed here"
        lines.append(f"| {name} | {stated} | {', '.join(rows[name])} |")
    return HEAD + "\n".join(lines) + "\n"


def lowest():
    """The requirements of the core and of training at their lower bounds.

    Only torch is that of constraints.txt, because an index has few of its versions for a machine.
    """
    pinned = [line for line in CONSTRAINTS.read_text().splitlines() if line.startswith("torch==")]
    for requirement in (*requirements()["core"], *requirements()["train"]):
        bounds = [s.version for s in requirement.specifier if s.operator == ">="]
        if requirement.name != "torch":
            pinned.append(f"{requirement.name}=={bounds[0]}")
    return pinned


def hashed():
    """The core's dependencies with the sha256 of each archive, as pip resolves them here."""
    names = [str(requirement) for requirement in requirements()["core"]]
    run = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed",
         "-c", str(CONSTRAINTS), "--report", "-", *names],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = []
    for item in json.loads(run.stdout[run.stdout.index("{") :])["install"]:
        data = item["metadata"]
        digest = item["download_info"]["archive_info"]["hashes"]["sha256"]
        lines.append(f"{data['name']}=={data['version']} --hash=sha256:{digest}")
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    head = f"# The core's dependencies, Python {python} on {sys.platform}; see `make hashes`.\n"
    return head + "\n".join(sorted(lines, key=str.lower)) + "\n"


def main():
    what = sys.argv[1]
    if what == "licences":
        LICENCES.write_text(licences_page(LICENCES.read_text() if LICENCES.exists() else ""))
    elif what == "hashes":
        HASHED.write_text(hashed())
    elif what == "lowest":
        print("\n".join(lowest()))


if __name__ == "__main__":
    main()
