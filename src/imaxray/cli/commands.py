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
    shells,
    studies,
    viewing,
)
from imaxray.cli.application import app
from imaxray.cli.help.examples import add_examples

add_examples(app)

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
    "shells",
    "studies",
    "viewing",
]
