"""Makes the pages of reference/: the public names, the commands, the tables, the configurations.

The public names are read from the source text, so that building the site imports no torch. The
commands come from the application itself.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
API = "reference/api.md"
SOURCE = ROOT / "src" / "imaxray"
sys.path.insert(0, str(ROOT / "src"))


def public_names(module: Path) -> list[str]:
    """Return the public names in the ``__all__`` of a module; empty if it has none."""
    for node in ast.parse(module.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            names: list[str] = ast.literal_eval(node.value)
            return [name for name in names if not name.startswith("_")]
    return []


def packages() -> dict[str, list[str]]:
    """Return the folders of the first level that export names, and those names."""
    found = {
        f"imaxray.{module.parent.name}": public_names(module)
        for module in sorted(SOURCE.glob("*/__init__.py"))
    }
    return {name: names for name, names in found.items() if names and name != "imaxray.cli"}


def origins() -> dict[str, str]:
    """Return the package of each name of the top module."""
    tree = ast.parse((SOURCE / "__init__.py").read_text(encoding="utf-8"))
    return {
        alias.name: str(node.module)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    pages = {"reference/api.md": _overview(), "reference/cli.md": command_page()}
    pages |= {f"reference/{name}.md": _package_page(name, of) for name, of in packages().items()}
    pages["reference/schema.md"] = schema_page()
    pages["reference/configurations.md"] = configurations_page()
    for path, content in pages.items():
        files.append(File.generated(config, path, content=content))
    return files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Put the pages of the packages into the navigation, below the page of the Python API."""
    for section in config.nav or ():
        pages = section.get("Reference")
        if pages and API in pages:
            below: list[Any] = [{name: f"reference/{name}.md"} for name in packages()]
            pages[pages.index(API)] = {"Python API": [API, *below]}
    return config


def _doc(module: Path) -> str:
    text = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return text.split("\n\n")[0].replace("\n", " ")


def _overview() -> str:
    known = packages()
    lines = ["# Python API", "", _doc(SOURCE / "__init__.py"), ""]
    lines += ["| name of `imaxray` | defined in |", "| --- | --- |"]
    for name, home in sorted(origins().items()):
        package = ".".join(home.split(".")[:2])
        if package in known and name in known[package]:
            lines.append(f"| [`{name}`]({package}.md#{package}.{name}) | `{package}` |")
        elif name in public_names(SOURCE / "__init__.py"):
            lines.append(f"| `{name}` | `{home}` |")
    lines += ["", "Each folder of the package is one stage of the flow of data.", ""]
    lines += ["| package | what it does |", "| --- | --- |"]
    for package in known:
        said = _doc(SOURCE / package.removeprefix("imaxray.") / "__init__.py")
        lines.append(f"| [`{package}`]({package}.md) | {said} |")
    return "\n".join(lines) + "\n"


def _package_page(package: str, names: list[str]) -> str:
    lines = [
        f"# {package}",
        "",
        _doc(SOURCE / package.removeprefix("imaxray.") / "__init__.py"),
        "",
    ]
    lines += [f"::: {package}.{name}" for name in names]
    return "\n\n".join(lines) + "\n"


def _cell(text: Any) -> str:
    return " ".join(str(text).split()).replace("|", "\\|")


def command_page() -> str:
    """Return the page of all commands with their arguments and options."""
    import typer

    from imaxray.cli import app

    lines = [
        "# Command line",
        "",
        "This page is made from the application: `imaxray COMMAND --help` prints the same.",
        "",
    ]
    root = typer.main.get_command(app)
    _add_command(lines, root, typer.Context(root, info_name="imaxray"), 2)
    return "\n".join(lines) + "\n"


def _add_command(lines: list[str], command: Any, context: Any, level: int) -> None:
    import typer

    lines += [f"{'#' * level} {context.command_path}", ""]
    lines += [f"    {command.get_usage(context).removeprefix('Usage: ').strip()}", ""]
    lines += [_paragraphs(command.help or ""), ""]
    rows = [row for p in command.get_params(context) if (row := _parameter(p, context))]
    if rows:
        lines += ["| argument or option | meaning |", "| --- | --- |", *rows, ""]
    for name in command.list_commands(context) if hasattr(command, "list_commands") else ():
        inner = command.get_command(context, name)
        if not inner.hidden:
            below = typer.Context(inner, info_name=name, parent=context)
            _add_command(lines, inner, below, min(level + 1, 4))


def _paragraphs(text: str) -> str:
    """Help text as Markdown: paragraphs stay, and the mark of click for a kept layout goes."""
    return re.sub(r"^\x08\n", "", text, flags=re.MULTILINE).strip()


def _parameter(parameter: Any, context: Any) -> str:
    """One row of the table of a command; empty for a hidden parameter and for ``--help``."""
    record = parameter.get_help_record(context)
    if record is None or "--help" in parameter.opts:
        return ""
    name, said = record
    return f"| `{_cell(name)}` | {_cell(said)} |"


def schema_page() -> str:
    """Return the page of all tables: columns, types and the comment beside each column."""
    from imaxray import schema

    module = SOURCE / "schema.py"
    text = module.read_text(encoding="utf-8")
    lines = [
        "# Tables",
        "",
        "This page is made from `imaxray.schema`, the one place that defines the tables. Every "
        "table is a Polars frame, and a Parquet file in a dataset folder, with exactly these "
        "columns. An *annotation* is one fact about one image; its `kind` says which columns hold "
        "the fact.",
        "",
        *_kinds(ast.get_docstring(ast.parse(text)) or ""),
        "",
        "Every box is `[x1, y1, x2, y2]`, float, in pixels of the original image. Every id is "
        "`<collection>/<id in the release>`.",
        "",
    ]
    comments = dict(re.findall(r'^\s+"(\w+)": [^#\n]*# (.+)$', text, re.MULTILINE))
    titles = {
        "IMAGES": "Images",
        "ANNOTATIONS": "Annotations of a catalog",
        "SOURCE_ANNOTATIONS": "Annotations of a source",
        "SPLIT_HINTS": "Split hints",
        "ENTRIES": "Entries",
        "REJECTS": "Rejects",
    }
    for name, title in titles.items():
        lines += [f"## {title}", "", f"`imaxray.schema.{name}`", ""]
        lines += ["| column | type | meaning |", "| --- | --- | --- |"]
        lines += [
            f"| `{column}` | {_type(kind)} | {_cell(comments.get(column, ''))} |"
            for column, kind in getattr(schema, name).items()
        ]
        lines.append("")
    lines += ["## Values", ""]
    for name in ("TASKS", "KINDS", "ORIGINS", "SPLITS", "SECTIONS", "FINDINGS", "EDEMA_GRADES"):
        lines.append(f"- `{name}`: {', '.join(getattr(schema, name))}")
    return "\n".join(lines) + "\n"


def _kinds(docstring: str) -> list[str]:
    """The table of kinds in the module's docstring, as a Markdown table."""
    table = docstring.split("=\n", 1)[1].rsplit("\n=", 1)[0].replace("``", "`")
    rows = [re.split(r"\s{2,}", line.strip(), maxsplit=2) for line in table.splitlines()]
    merged: list[list[str]] = []
    for row in (row for row in rows if not row[0].startswith("=")):
        if len(row) == 2:  # goes on with the last two cells of the row above
            merged[-1][1:] = [f"{a} {b}" for a, b in zip(merged[-1][1:], row, strict=True)]
        else:
            merged.append(row)
    head, *body = (f"| {' | '.join(_cell(cell) for cell in row)} |" for row in merged)
    return [head, "| --- | --- | --- |", *body]


def _type(kind: Any) -> str:
    text = str(kind)
    return f"`{text.split('(')[0]}`" if text.startswith(("Categorical", "Enum")) else f"`{text}`"


def configurations_page() -> str:
    """Return the page with every built-in configuration as it is shipped."""
    lines = [
        "# Built-in configurations",
        "",
        "`imaxray configs list` names them, and `imaxray configs copy NAME` gives you a copy.",
        "",
    ]
    folder = SOURCE / "configs"
    for path in sorted(folder.rglob("*.yaml"), key=lambda p: (p.parent != folder, p.name)):
        name = path.relative_to(folder).with_suffix("").as_posix()
        lines += [f"## {name}", "", f"```yaml\n{path.read_text(encoding='utf-8')}```", ""]
    return "\n".join(lines)
