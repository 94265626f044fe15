"""Installs packages as the pages of docs/ show them, in the layout of an installer."""

import os
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import imaxray

DOCS = Path(__file__).parents[1] / "docs"


@dataclass
class Page:
    """A page that adds something from outside: its module, its package, and its further code."""

    name: str
    module: str = field(init=False)
    """Name of the module that the page's first block is."""
    code: list = field(init=False)
    """All Python blocks, the module first."""
    project: dict = field(init=False)
    """``[project]`` of its pyproject.toml."""

    def __post_init__(self):
        text = (DOCS / f"adding-{self.name}.md").read_text()
        self.code = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        self.project = tomllib.loads(re.search(r"```toml\n(.*?)```", text, re.DOTALL)[1])["project"]
        ((self.group, points),) = self.project["entry-points"].items()
        self.points = dict(points)
        self.module = next(iter(points.values())).split(":")[0]

    def install(self, site, code=None, points=None):
        """Lay out the distribution in a folder; with other code or entry points where given."""
        site.mkdir(exist_ok=True)
        (site / f"{self.module}.py").write_text(code or self.code[0])
        name, version = self.project["name"], self.project["version"]
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = (points or self.points).items()
        (info / "entry_points.txt").write_text(
            f"[{self.group}]\n" + "".join(f"{key} = {value}\n" for key, value in lines)
        )
        return site


def run(site, *args, module="imaxray.cli", cwd=None):
    """Run a module in a process of its own that has a site folder on its path."""
    paths = [str(site), str(Path(imaxray.__file__).parents[1])]
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, args)], capture_output=True, text=True,
        check=False, cwd=cwd, env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip
