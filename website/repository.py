"""Shows files of the repository that lie outside docs/ as pages, and rewrites links to them.

The Markdown files link to each other by their paths in the repository, so that the links work on
the code-hosting site too. The documentation site has the README as its first page, the other
documents of the top folder below ``project/``, and every source file that a page links to below
``source/``.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.nav import Navigation, Section
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
FENCED = re.compile(r"^( *)(```|~~~).*?^\1\2[ \t]*$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"(!?\[[^\]]*\]\()([^)\s]+)(\))")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".toml": "toml", ".cff": "yaml"}


def site_path(path: str) -> str:
    """Return where a file of the repository lies in the site, relative to docs/.

    Args:
        path: Path in the repository, with slashes.

    Example:
        >>> site_path("README.md"), site_path("docs/study.md"), site_path("examples/01_build.py")
        ('index.md', 'study.md', 'source/examples/01_build.py.md')
    """
    if path == "README.md":
        return "index.md"
    if path.startswith("docs/"):
        inside = path.removeprefix("docs/")
        return f"{inside.removesuffix('.ipynb')}.md" if inside.endswith(".ipynb") else inside
    if "/" not in path and path.endswith(".md"):
        return f"project/{path.lower()}"
    return f"source/{path}.md"


def repository_path(page: str) -> str:
    """Return the file of the repository that a page of the site shows; the reverse of site_path.

    Example:
        >>> repository_path("index.md"), repository_path("project/benchmarks.md")
        ('README.md', 'BENCHMARKS.md')
    """
    if page == "index.md":
        return "README.md"
    if page.startswith("project/"):
        return f"{page.removeprefix('project/').removesuffix('.md').upper()}.md"
    return f"docs/{page}"


def links(text: str) -> list[str]:
    """Return the relative links of a page, without those in code blocks."""
    return [m[2] for m in LINK.finditer(FENCED.sub("", text)) if _is_relative(m[2])]


def _is_relative(link: str) -> bool:
    return "://" not in link and not link.startswith(("#", "mailto:"))


def _target(link: str, path: str) -> tuple[str, str]:
    """Return the file of the repository that a link in the file ``path`` means, and the anchor."""
    target, hash_, anchor = link.partition("#")
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target)), hash_ + anchor


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Leave pages out of the navigation whose files are not there yet.

    ``tests/docs/test_site.py`` says which they are, so that a misspelt name is noticed.
    """
    config.nav = _present(config.nav or [])
    return config


def _present(nav: list[Any]) -> list[Any]:
    kept: list[Any] = []
    for item in nav:
        if isinstance(item, str):
            kept += [item] if _is_there(item) else []
            continue
        ((title, below),) = item.items()
        if isinstance(below, str):
            kept += [item] if _is_there(below) else []
        else:
            kept.append({title: _present(below)})
    return kept


def _is_there(page: str) -> bool:
    file = ROOT / repository_path(page)
    return _is_generated(page) or file.is_file() or file.with_suffix(".ipynb").is_file()


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the documents of the top folder, and the source files that pages link to."""
    documents = {path.name: path for path in sorted(ROOT.glob("*.md"))}
    for name, path in documents.items():
        files.append(
            File.generated(config, site_path(name), content=path.read_text(encoding="utf-8"))
        )
    pages = [file for file in files.documentation_pages() if not _is_generated(file.src_uri)]
    for file in pages:
        path = repository_path(file.src_uri)
        for link in links(file.content_string):
            target, _ = _target(link, path)
            source = ROOT / target
            place = site_path(target)
            if place.startswith("source/") and source.is_file() and place not in files.src_uris:
                files.append(File.generated(config, place, content=_shown(source, target)))
    return files


def _is_generated(page: str) -> bool:
    return page.startswith(("source/", "reference/"))


def _shown(source: Path, path: str) -> str:
    language = LANGUAGES.get(source.suffix, "text")
    return f"# {path}\n\n````{language}\n{source.read_text(encoding='utf-8')}````\n"


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Replace links between files of the repository by links between pages of the site."""
    here = page.file.src_uri
    if _is_generated(here):
        return markdown
    path = repository_path(here)

    def rewritten(match: re.Match[str]) -> str:
        if not _is_relative(match[2]):
            return match[0]
        target, anchor = _target(match[2], path)
        link = posixpath.relpath(site_path(target), posixpath.dirname(here) or ".")
        return f"{match[1]}{link}{anchor}{match[3]}"

    kept: list[str] = []
    start = 0
    for block in FENCED.finditer(markdown):
        kept += [LINK.sub(rewritten, markdown[start : block.start()]), block[0]]
        start = block.end()
    return "".join([*kept, LINK.sub(rewritten, markdown[start:])])


def on_nav(nav: Navigation, config: MkDocsConfig, files: Files) -> Navigation:
    """Put pages that mkdocs.yml does not name into a section "More", so that none is lost.

    ``tests/docs/test_site.py`` fails while there are such pages below docs/.
    """
    hidden = [f for f in files.documentation_pages() if f.page is None or f.page not in nav.pages]
    missing = [file for file in hidden if not _is_generated(file.src_uri)]
    if missing:
        pages = [file.page or Page(None, file, config) for file in missing]
        nav.items.append(Section("More", list(pages)))
        nav.pages.extend(pages)
    return nav
