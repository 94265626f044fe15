"""Write the house map of CONTRIBUTING.md from the source tree and the import contract.

``make map`` runs this script. ``test_contributing.py`` fails when the map and the tree differ.
"""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "CONTRIBUTING.md"
START, END = "<!-- house map: start (make map) -->", "<!-- house map: end -->"


def places(source: Path) -> list[Path]:
    """Every module at the top of the package and every folder, sub-folders included."""
    found = [path for path in source.glob("*.py") if path.name != "__init__.py"]
    found += [path.parent for path in source.rglob("__init__.py") if path.parent != source]
    return sorted(found)


def first_line(place: Path) -> str:
    """The first line of a module's or a folder's docstring."""
    module = place / "__init__.py" if place.is_dir() else place
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or "–"
    return text.splitlines()[0].replace("``", "`").replace("|", "\\|")


def modules(place: Path) -> str:
    """Names of the modules of a folder; a module of its own has none."""
    if not place.is_dir():
        return ""
    return ", ".join(path.stem for path in sorted(place.glob("*.py")) if path.stem != "__init__")


def layers(root: Path) -> dict[str, list[list[str]]]:
    """Package → its layers from the import contract, the highest first."""
    content = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return {
        container: [[name.strip() for name in layer.split("|")] for layer in contract["layers"]]
        for contract in content["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
        for container in contract["containers"]
    }


def may_import(name: str, of: list[list[str]], outer: str) -> str:
    """What the contract lets a room import, in words."""
    level = next((number for number, layer in enumerate(of) if name in layer), None)
    if level is None:
        return f"as `{outer}`" if outer else "–"
    below = of[level + 1] if level + 1 < len(of) else []
    also = f"; whatever `{outer}` may" if outer else ""
    if not below:
        return f"nothing else in `{outer}`{also}" if outer else "nothing of `imaxray`"
    names = ", ".join(f"`{other}`" for other in below)
    deeper = " and everything below" if level + 2 < len(of) else ""
    return f"{names}{deeper}{also}"


def render(root: Path = ROOT) -> str:
    """The table: one row for each room, in the order of the import contract."""
    source = root / "src" / "imaxray"
    contracts = layers(root)
    top = contracts["imaxray"]
    order = {name: number for number, layer in enumerate(top) for name in layer}
    rows = []
    for place in places(source):
        parts = place.relative_to(source).with_suffix("").parts
        outer = ".".join(parts[:-1])
        inner = contracts.get(".".join(["imaxray", *parts[:-1]]), [])
        shown = f"`{'/'.join(parts)}{'/' if place.is_dir() else '.py'}`"
        rows.append(
            (
                (order.get(parts[0], len(top)), parts),
                f"| {shown} | {first_line(place)} | {modules(place)} | "
                f"{may_import(parts[-1], inner, outer)} |",
            )
        )
    head = ["| place | what it is for | modules | may import |", "| --- | --- | --- | --- |"]
    return "\n".join(head + [row for _, row in sorted(rows)])


def in_page(page: str) -> str:
    """The map that a page holds between the two marks."""
    return page.split(START)[1].split(END)[0].strip()


def main() -> None:
    """Replace the map in CONTRIBUTING.md."""
    page = PAGE.read_text(encoding="utf-8")
    before, after = page.split(START)[0], page.split(END)[1]
    PAGE.write_text(f"{before}{START}\n\n{render()}\n\n{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
