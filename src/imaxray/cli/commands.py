"""Imports the modules of all commands, which register with the application."""

from __future__ import annotations

from imaxray.cli.application import app
from imaxray.cli.data import (
    audit,
    build,
    cache,
    derive,
    export,
    labeller,
    match,
    phantom,
    rebuild,
    share,
    sources,
    stats,
    verify,
)
from imaxray.cli.help.columns import make_readable
from imaxray.cli.help.examples import add_examples
from imaxray.cli.help.panels import arrange
from imaxray.cli.machine import completion, configs, doctor
from imaxray.cli.models import (
    annotate,
    compare,
    evaluate,
    filter,  # noqa: A004 - the module is named like its command
    models,
    score,
    train,
)
from imaxray.cli.studies import dynamics, report, strategy, study, view

add_examples(app)
arrange(app)
make_readable(app)

__all__ = [
    "annotate",
    "app",
    "audit",
    "build",
    "cache",
    "compare",
    "completion",
    "configs",
    "derive",
    "doctor",
    "dynamics",
    "evaluate",
    "export",
    "filter",
    "labeller",
    "match",
    "models",
    "phantom",
    "rebuild",
    "report",
    "score",
    "share",
    "sources",
    "stats",
    "strategy",
    "study",
    "train",
    "verify",
    "view",
]
