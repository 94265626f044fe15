"""Shows the notebooks of docs/ as pages: text, code and the outputs that are stored in them."""

from __future__ import annotations

import base64
import posixpath
import re
from pathlib import Path
from typing import Any

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

CONTROL = re.compile(r"\x1b\[[0-9;]*m")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page, and its pictures, for every notebook; the notebook itself can be downloaded."""
    for file in [f for f in files if f.src_uri.endswith(".ipynb")]:
        notebook = nbformat.read(Path(str(file.abs_src_path)), as_version=4)
        stem = file.src_uri.removesuffix(".ipynb")
        text, pictures = as_markdown(notebook, posixpath.basename(stem))
        folder = posixpath.dirname(stem)
        files.append(File.generated(config, f"{stem}.md", content=text))
        for name, content in pictures.items():
            files.append(File.generated(config, f"{folder}/{name}", content=content))
    return files


def as_markdown(notebook: Any, stem: str) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown, and the pictures that the Markdown shows, by file name.

    Args:
        notebook: Notebook of format 4.
        stem: Name of the notebook's file without its ending.
    """
    parts: list[str] = []
    pictures: dict[str, bytes] = {}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            parts.append(cell.source)
            continue
        parts.append(f"````python\n{cell.source}\n````")
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                name = f"{stem}-{len(pictures) + 1}.png"
                pictures[name] = base64.b64decode(data["image/png"])
                parts.append(f"![Output of the cell above]({name})")
            elif text := output.get("text") or data.get("text/plain"):
                parts.append(f"````text\n{CONTROL.sub('', text).rstrip()}\n````")
    return "\n\n".join(parts) + "\n", pictures
