"""Imports the modules of all commands, which register with the application."""

from __future__ import annotations

from imaxray.cli import (
    checks,
    comparing,
    configs,
    data,
    deriving,
    doctoring,
    exports,
    models,
    phantoms,
    releases,
    reports,
    studies,
)
from imaxray.cli.application import app

__all__ = [
    "app",
    "checks",
    "comparing",
    "configs",
    "data",
    "deriving",
    "doctoring",
    "exports",
    "models",
    "phantoms",
    "releases",
    "reports",
    "studies",
]
