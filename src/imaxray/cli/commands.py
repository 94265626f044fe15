"""Imports the modules of all commands, which register with the application."""

from __future__ import annotations

from imaxray.cli import (
    comparing,
    configs,
    data,
    deriving,
    exports,
    models,
    reports,
    studies,
    viewing,
)
from imaxray.cli.application import app

__all__ = [
    "app",
    "comparing",
    "configs",
    "data",
    "deriving",
    "exports",
    "models",
    "reports",
    "studies",
    "viewing",
]
