"""Takes out the answers of a model that derived statements contradict or take the place of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import polars as pl

from imaxray.clinical import ClinicalRules
from imaxray.curation import Tables
from imaxray.derive.entries.images import stated_by
from imaxray.derive.entries.render import Rendered
from imaxray.derive.facts.conflicts import contradictions
from imaxray.derive.facts.fact import Fact
from imaxray.schema import IS_PSEUDO, PSEUDO_SOURCE, REJECTS, conform

_SINGLE: Final = ("label", "grade", "measurement")
_CODES: Final = {
    "derived": "pseudo-derived",
    "contradicted": "pseudo-contradicted",
}
_MESSAGES: Final = {
    "derived": "a rule answers the same from a real entry",
    "contradicted": "contradicted by a statement that a rule derived from a real entry",
}


@dataclass(frozen=True)
class Replaced:
    """Tables without the pseudo entries that derived statements take the place of.

    Attributes:
        tables: The tables; the entries that went are rejects.
        counts: Task → number of pseudo entries that went.
    """

    tables: Tables
    counts: Mapping[str, int] = field(default_factory=dict)


def without_replaced(base: Tables, new: Rendered, clinical: ClinicalRules) -> Replaced:
    """Take out each pseudo entry that a derived one answers or that a derived fact contradicts.

    A derived statement follows from what a human said, so it wins against a model's answer, as it
    does if the answer is filtered after the derivation.

    Args:
        base: Tables of the dataset that the derivation started from.
        new: Derived annotations and entries.
        clinical: Clinical rules in force.
    """
    pseudo = base.entries.filter(pl.col(IS_PSEUDO))
    if pseudo.is_empty() or new.annotations.is_empty():
        return Replaced(base)
    same = set(new.entries["entry_id"])
    why = {entry: "derived" for entry in pseudo["entry_id"] if entry in same}
    derived = _facts(new)
    for image, stated in stated_by(pseudo.sort("entry_id")).items():
        facts = [fact for fact, _ in stated]
        for k, by_derived in contradictions(facts, derived.get(image, []), clinical).items():
            if by_derived:
                why.setdefault(stated[k][1], "contradicted")
    if not why:
        return Replaced(base)
    gone = pseudo.filter(pl.col("entry_id").is_in(list(why)))
    numbers = _numbers(base, pseudo)
    rows = [numbers[entry] for entry in sorted(why)]
    rejects = pl.DataFrame(
        {
            "source": PSEUDO_SOURCE,
            "file": _file(base),
            "row": rows,
            "key": sorted(why),
            "code": [_CODES[why[entry]] for entry in sorted(why)],
            "message": [_MESSAGES[why[entry]] for entry in sorted(why)],
        }
    )
    of_model = pl.col("source") == PSEUDO_SOURCE
    tables = replace(
        base,
        entries=base.entries.filter(~pl.col("entry_id").is_in(list(why))),
        annotations=base.annotations.filter(~(of_model & pl.col("row").is_in(rows))),
        rejects=pl.concat([base.rejects, conform(rejects, REJECTS)]),
        account=base.account.with_columns(
            pl.when(of_model).then(pl.col("kept") - len(why)).otherwise("kept").alias("kept"),
            pl.when(of_model).then(pl.col("rejected") + len(why)).otherwise("rejected")
            .alias("rejected"),
        ),
    )  # fmt: skip
    return Replaced(tables, dict(gone.group_by("task").len().sort("task").iter_rows()))


def _facts(new: Rendered) -> dict[str, list[Fact]]:
    """Return the derived facts by image: those of entries, and labels that make no entry."""
    found = {image: [fact for fact, _ in some] for image, some in stated_by(new.entries).items()}
    single = new.annotations.filter(pl.col("kind").is_in(_SINGLE))
    for image, kind, name, value in single.select("image_id", "kind", "name", "value").iter_rows():
        found.setdefault(image, []).append(Fact(kind, name, value))
    return found


def _numbers(base: Tables, pseudo: pl.DataFrame) -> dict[str, int]:
    """Return the row of each answer in the table of candidates, which is sorted by id."""
    dropped = base.rejects.filter(pl.col("source") == PSEUDO_SOURCE)["key"]
    return {i: k for k, i in enumerate(sorted([*pseudo["entry_id"], *dropped]), start=1)}


def _file(base: Tables) -> str:
    """Return the name of the table of candidates, as the account has it."""
    return str(base.account.filter(pl.col("source") == PSEUDO_SOURCE)["file"][0])
