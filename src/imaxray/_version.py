"""Defines the version of the package, which is written to every manifest."""

from typing import Final

__version__: Final = "0.1.0"
