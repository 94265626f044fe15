"""Tests that every `>>>` example in a docstring of the package runs and prints its result."""

import doctest
import importlib
from pathlib import Path

import pytest

import imaxray

SOURCE = Path(imaxray.__file__).parent
MODULES = sorted(
    ".".join(["imaxray", *path.relative_to(SOURCE).with_suffix("").parts]).removesuffix(".__init__")
    for path in SOURCE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", MODULES)
def test_examples_of(name):
    result = doctest.testmod(importlib.import_module(name), verbose=False)
    assert result.attempted > 0
    assert result.failed == 0, "the difference is in the captured output"


def test_the_public_functions_have_examples():
    finder = doctest.DocTestFinder(exclude_empty=True)
    found = [test for name in MODULES for test in finder.find(importlib.import_module(name), name)]
    assert len([test for test in found if test.examples]) >= 60
