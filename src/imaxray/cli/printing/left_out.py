"""Prints what was left out of a dataset: rejects, and what a user marked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imaxray._common.printing import say
from imaxray.cli.printing.tables import print_table

if TYPE_CHECKING:
    from collections.abc import Mapping


_NAMED = 10  # ids that are printed; the manifest has all


def print_marks(marks: Mapping[str, Any]) -> None:
    """Print what a user's marks left out of the datasets, and marks that name nothing."""
    from imaxray.curation.decisions import sentence_of_marks

    say(sentence_of_marks(marks))
    lost = marks["unmatched_images"]
    if lost:
        more = f" and {len(lost) - _NAMED:,} more" if len(lost) > _NAMED else ""
        say(f"Images of the marks that name nothing: {', '.join(lost[:_NAMED])}{more}.")


def print_codes(rejects: Any) -> None:
    """Print the number of rejects by source and code."""
    counts = (
        rejects.group_by("source", "code").len().sort("source", "len", descending=[False, True])
    )
    print_table(
        "Rejects",
        ["source", "code", "rows and items"],
        [[source, code, f"{n:,}"] for source, code, n in counts.iter_rows()],
    )
