"""Tests the documentation site: it builds without a network, and loads nothing from outside."""

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

pytest.importorskip("latex2mathml", reason="the extra docs is not installed")

from website import docstrings, formulas, reference, repository  # noqa: E402 - after the skip

LOADED = {
    "script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "audio": "src",
    "embed": "src", "object": "data", "link": "href",
}  # fmt: skip


class _Loads(HTMLParser):
    """Collects what a page loads by itself; links that a reader may follow are none of it."""

    def __init__(self):
        super().__init__()
        self.found = []
        self.formulas = 0

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "math":
            self.formulas += 1
        if tag in LOADED and values.get("rel") not in ("canonical", "next", "prev"):
            self.found.append(values.get(LOADED[tag]) or "")
        self.found += re.findall(r"url\((.*?)\)", values.get("style") or "")


def loads(text):
    reader = _Loads()
    reader.feed(text)
    return reader


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The built site; a page that is missing, or a broken link or anchor, fails the build."""
    out = tmp_path_factory.mktemp("site")
    code = (
        "import sys, network; network.forbid()\n"
        "from mkdocs.__main__ import cli\n"
        "try:\n"
        f"    cli(['build', '--strict', '--site-dir', {str(out)!r}])\n"
        "finally:\n"
        "    print('torch is loaded:', 'torch' in sys.modules)\n"
    )
    paths = [ROOT / "src", ROOT / "tests"]
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths)),
             "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "torch is loaded: False" in done.stdout
    return out


def config():
    """What mkdocs.yml says; its tags for Python objects are left out."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    return yaml.safe_load(re.sub(r"!!python/\S+ \{.*\}", "", text))


def named(nav):
    """All pages that a navigation names."""
    if isinstance(nav, str):
        return {nav}
    parts = nav.values() if isinstance(nav, dict) else nav
    return set().union(*(named(part) for part in parts))


def test_every_page_is_in_the_navigation():
    """The site shows other pages too, in a section "More"; put them where readers look for them."""
    shown = {repository.repository_path(page) for page in named(config()["nav"])}
    pages = {
        path.relative_to(ROOT).as_posix()
        for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    }
    assert sorted(pages - shown) == [], "name these pages in the nav of mkdocs.yml"


def test_the_navigation_names_pages_that_are_there():
    """Pages that are written elsewhere at the moment are named already; empty the set after."""
    expected = {"adding-an-annotator.md", "command-line.md", "derive.md", "view.md"}
    absent = {page for page in named(config()["nav"]) if not repository._is_there(page)}
    assert absent <= expected


def test_a_page_loads_nothing_from_outside(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 60
    outside = {
        (page.name, link)
        for page in pages
        for link in loads(page.read_text(encoding="utf-8")).found
        if re.match(r"(\w+:)?//", link)
    }
    assert not outside
    styles = [path.read_text(encoding="utf-8") for path in site.rglob("*.css")]
    assert styles
    assert not [s for text in styles for s in re.findall(r"url\(\s*['\"]?(?:https?:)?//", text)]


def test_the_reader_of_loads_sees_what_a_page_loads():
    page = '<a href="https://a.org">a</a><script src="https://b.org/x.js"></script>'
    assert loads(page).found == ["https://b.org/x.js"]


def test_search_knows_every_part(site):
    index = (site / "search" / "search_index.json").read_text(encoding="utf-8")
    for word in ("imaxray build", "match_dmax", "polymatroid", "patient_id", "data-use agreements"):
        assert word in index, word


def test_formulas_are_mathml(site):
    for name in ("matching", "packing", "fisher", "intervals", "image-centric"):
        text = (site / "concepts" / f"{name}.html").read_text(encoding="utf-8")
        assert loads(text).formulas >= 5, name
        assert "arithmatex" not in text and "\\frac" not in text


def test_a_formula_keeps_its_signs():
    made = formulas.on_page_content('<span class="arithmatex">\\(a &lt; \\rho\\)</span>')
    assert "<mo>&#x0003C;</mo>" in made and "&#x003C1;" in made
    block = formulas.on_page_content('<div class="arithmatex">\\[x^2\\]</div>')
    assert 'display="block"' in block and "<msup>" in block


def test_every_public_name_is_in_the_reference(site):
    for package, names in reference.packages().items():
        text = (site / "reference" / f"{package}.html").read_text(encoding="utf-8")
        missing = [name for name in names if f'id="{package}.{name}"' not in text]
        assert not missing, package
        assert "&gt;&gt;&gt; " not in re.sub(r"<pre.*?</pre>", "", text, flags=re.DOTALL)


def test_every_command_and_option_is_in_the_reference():
    import typer

    from imaxray.cli import app

    page = reference.command_page()
    root = typer.main.get_command(app)
    context = typer.Context(root)
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        assert f"imaxray {name}\n" in page
        flags = [flag for p in command.get_params(context) for flag in p.opts if "--" in flag]
        assert all(flag in page for flag in flags)


def test_every_column_has_a_type_and_every_kind_its_columns():
    from imaxray import schema

    page = reference.schema_page()
    for name in ("IMAGES", "ANNOTATIONS", "ENTRIES", "REJECTS"):
        part = page.split(f"`imaxray.schema.{name}`")[1].split("\n## ")[0]
        assert [c for c in getattr(schema, name).names() if f"| `{c}` | `" not in part] == []
    assert [kind for kind in schema.KINDS if f"| {kind} | " not in page] == []


@pytest.mark.parametrize("path", ["README.md", "docs/study.md", "docs/results/README.md",
                                  "BENCHMARKS.md", "docs/concepts/matching.md"])  # fmt: skip
def test_a_page_finds_its_file_again(path):
    assert repository.repository_path(repository.site_path(path)) == path


def test_examples_and_names_of_docstrings_are_understood():
    text = "Do.\n\nExample:\n    >>> f()\n    1\n\nSee :func:`~imaxray.density`."
    assert "Examples:\n    >>> f()" in docstrings.prepared(text)
    assert ":func:" not in docstrings.prepared(text)
