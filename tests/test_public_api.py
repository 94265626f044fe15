"""Tests public names: all exist, none is a module, and none loads heavy packages before use."""

import ast
import importlib
import pkgutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import imaxray

ROOT = Path(imaxray.__file__).parent
PACKAGES = sorted(
    ["imaxray"] + [m.name for m in pkgutil.walk_packages(imaxray.__path__, "imaxray.") if m.ispkg]
)


def _parsed(package):
    path = ROOT.joinpath(*package.split(".")[1:]) / "__init__.py"
    return ast.parse(path.read_text(encoding="utf-8"))


def _declared(tree):
    """What ``__all__`` lists, in its order; ``None`` where a package exports nothing."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return None


def _imports(body):
    """Module → names, of the ``from … import`` statements that export (no ``as``, none private)."""
    found = {}
    for node in body:
        if isinstance(node, ast.ImportFrom) and node.module.startswith("imaxray"):
            found.setdefault(node.module, set()).update(a.asname or a.name for a in node.names)
    return found


def _lazy(tree, package):
    """The imports under TYPE_CHECKING, and the map of ``lazily``; both module → names."""
    for node in tree.body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            assert len(node.orelse) == 1, f"{package}: the other branch assigns lazily(…) alone"
            call = node.orelse[0].value
            assert ast.unparse(call.func) == "lazily"
            homes = {
                home if home.startswith("imaxray.") else f"{package}.{home}": set(names)
                for home, names in ast.literal_eval(call.args[1]).items()
            }
            return _imports(node.body), homes
    return {}, {}


@pytest.mark.parametrize("package", PACKAGES)
def test_the_lists_of_a_package_agree(package):
    """Ordinary imports, imports for type checkers, the lazy map and ``__all__`` say the same."""
    tree = _parsed(package)
    declared = _declared(tree)
    typed, lazy = _lazy(tree, package)
    assert typed == lazy
    if declared is None:
        assert not lazy
        return
    assert len(set(declared)) == len(declared)
    behind = set().union(*lazy.values()) if lazy else set()
    assert behind <= set(declared)
    here = set().union(*_imports(tree.body).values(), behind) | {
        name.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for name in ast.walk(node.targets[0] if isinstance(node, ast.Assign) else node.target)
        if isinstance(name, ast.Name)
    }
    here |= {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    assert set(declared) <= here


@pytest.mark.parametrize("package", PACKAGES)
def test_every_public_name_resolves_and_is_no_module(package):
    module = importlib.import_module(package)
    for name in getattr(module, "__all__", ()):
        assert not isinstance(getattr(module, name), ModuleType), f"{package}.{name} is a module"
    assert set(getattr(module, "__all__", ())) <= set(dir(module))


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="segment"):
        _ = imaxray.segment


def test_the_core_needs_no_torch():
    code = (
        "import sys, imaxray; imaxray.build_catalog; imaxray.score; imaxray.list_sources()\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
