"""Prepares docstrings for the reference: examples as code, and names of objects without roles."""

from __future__ import annotations

import re
from typing import Any

import griffe

EXAMPLE = re.compile(r"^( *)Example:\s*$", re.MULTILINE)
ROLE = re.compile(r":(?:func|class|meth|mod|data|attr|exc):`")


def prepared(text: str) -> str:
    """Return a docstring as the reader of Google style understands it.

    It knows the section ``Examples``, and none of the roles of Sphinx.

    Example:
        >>> prepared("See :func:`density`.")
        'See `density`.'
    """
    return ROLE.sub("`", EXAMPLE.sub(r"\1Examples:", text))


class Docstrings(griffe.Extension):
    """Changes every docstring when it is read from the source text."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Prepare the docstring of an object."""
        if obj.docstring is not None:
            obj.docstring.value = prepared(obj.docstring.value)
