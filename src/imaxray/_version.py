"""The version of the package; it enters every manifest."""

from typing import Final

__version__: Final = "0.1.0"
