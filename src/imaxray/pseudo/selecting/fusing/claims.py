"""Collects what answers and entries claim about the facts of each image.

A *fact* is a question about an image that has one true value: whether a finding is present, whether
the cardiothoracic ratio is above one half, which grade of edema it has. A *claim* says that the
value is one of a set, e.g. that the grade is 1, 2 or 3. Several answers make claims about one fact:
a findings list that does not name edema, a report that denies it and a grade of 0 all claim that
edema is absent. The clinical rules say which values of another fact a value leaves possible.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

import polars as pl

from imaxray.clinical import ClinicalRules
from imaxray.pseudo.selecting.statements import usual_labels
from imaxray.schema import FRONTAL, IS_DERIVED, IS_PSEUDO
from imaxray.tasks import Question, Statement, from_json, get_task
from imaxray.tasks._shared.reading.verdicts import is_yes_no

FactKey = tuple[str, str]
"""Kind and name of a fact, e.g. ``("finding", "Edema")``. The kinds are ``finding`` (1 present, 0
absent), ``grade``, and ``listed`` for labels that releases state only where they are present: 1 if
a list of findings names the label."""

Origin = Literal["human", "derived", "pseudo", "model"]
"""Who makes a claim: a human entry, an entry that a rule derived, a pseudo entry of an earlier
round, or an answer of a model."""

FINDING: Final = "finding"
GRADE: Final = "grade"
LISTED: Final = "listed"
EDEMA_GRADE: Final[FactKey] = (GRADE, "edema")
ABOVE_HALF: Final = "CTR above 0.5"
NO_FINDING: Final = "No Finding"

_VALUES: Final = {FINDING: (0, 1), LISTED: (0, 1), GRADE: (0, 1, 2, 3)}
_RARE: Final = 0.01  # share of the lists that must name a label, else no list is expected to
_DIRECT: Final = ("label", "asked", "grade", "boxed")  # a human entry states the fact itself
_LEAST: Final = 1e-6


class Claim(NamedTuple):
    """One claim about one fact of an image.

    Attributes:
        fact: Fact that the claim is about.
        values: Values of the fact that the claim leaves possible.
        owner: Id of the candidate or entry that makes the claim.
        task: Task of the owner.
        channel: Kind of the claim; claims of one channel are calibrated together.
        origin: Who makes the claim.
        direct: Whether a human entry states the fact itself, which settles it.
        by: Name of the model that makes the claim; empty for an entry.
        evidence: What the owner's confidence says of the claim (features, all at most 0).
    """

    fact: FactKey
    values: frozenset[int]
    owner: str
    task: str
    channel: str
    origin: Origin
    direct: bool
    by: str
    evidence: tuple[float, ...]


def values_of(fact: FactKey) -> tuple[int, ...]:
    """Return all values that a fact can have."""
    return _VALUES[fact[0]]


@dataclass(frozen=True)
class Vocabulary:
    """What a dataset usually says, which decides how answers are read.

    Attributes:
        usual: Task → labels whose absence from an answer denies them.
        named: Other labels that lists of findings name where they are present.
        prior: Fact → share of the human train entries that state each of its values, in the order
            of :func:`values_of`, with one entry added to each value.
        clinical: Clinical rules with their thresholds.
    """

    usual: Mapping[str, frozenset[str]]
    named: frozenset[str]
    prior: Mapping[FactKey, tuple[float, ...]]
    clinical: ClinicalRules
    _stated: dict[tuple[str, str], tuple[tuple[FactKey, frozenset[int]], ...]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def of(cls, train: pl.DataFrame, clinical: ClinicalRules) -> Vocabulary:
        """Count the statements of the human train entries (schema ENTRIES)."""
        usual = {task: usual_labels(task, train) for task in train["task"].unique().sort()}
        counts: dict[FactKey, list[int]] = {}
        named = _named(train, usual.get("findings", frozenset()))
        bare = cls(usual, named, {}, clinical)
        for row in train.iter_rows(named=True):
            if origin_of(row) != "human":
                continue
            for claim in bare.of_entry(row, None):
                # a box only ever says that a finding is present, so it tells no share
                if not claim.direct or len(claim.values) > 1 or claim.channel.endswith("boxed"):
                    continue
                tally = counts.setdefault(claim.fact, [1] * len(values_of(claim.fact)))
                tally[next(iter(claim.values))] += 1
        prior = {fact: tuple(n / sum(tally) for n in tally) for fact, tally in counts.items()}
        return cls(usual, named, prior, clinical)

    def prior_of(self, fact: FactKey) -> tuple[float, ...]:
        """Return the prior of a fact; all values are equally likely if no entry states it."""
        values = values_of(fact)
        return self.prior.get(fact, (1 / len(values),) * len(values))

    def of_entry(self, row: Mapping[str, Any], size: tuple[int, int] | None) -> Iterator[Claim]:
        """Yield the claims of a real or derived entry (row of ENTRIES)."""
        origin = origin_of(row)
        gold = from_json(row["answer"])
        said = get_task(row["task"]).statements(
            Question.of(row), gold, size=size, usual=frozenset()
        )
        for kind, fact, values, direct in self._of_gold(row["task"], said, gold):
            yield Claim(
                fact, values, row["entry_id"], row["task"], f"{origin} {row['task']} {kind}",
                origin, origin == "human" and direct, "", (),
            )  # fmt: skip

    def of_answer(self, row: Mapping[str, Any], size: tuple[int, int] | None) -> Iterator[Claim]:
        """Yield the claims of a candidate (row of PSEUDO) that was read and ended.

        A phrase that the model itself was asked to locate, and a box that it drew itself, claim
        nothing: the question already assumes that the finding is there.
        """
        task = row["task"]
        if row["answer"] is None or not row["ended"] or task == "rec":
            return
        if task == "reg" and row["prompt_from"] != "real":
            return
        question, usual = Question.of(row), self.usual.get(task, frozenset())

        def claimed(answer: str) -> list[tuple[str, FactKey, frozenset[int], bool]]:
            gold = from_json(answer)
            said = get_task(task).statements(question, gold, size=size, usual=usual)
            return list(self._of_gold(task, said, gold))

        samples = None if row["sampled"] is None else [
            set() if answer is None else {(f, v) for _, f, v, _ in claimed(answer)}
            for answer in row["sampled"]
        ]  # fmt: skip
        for kind, fact, values, _ in claimed(row["answer"]):
            agreeing = None if samples is None else [(fact, values) in one for one in samples]
            yield Claim(
                fact, values, row["pseudo_id"], task, f"model {task} {kind}", "model", False,
                row["model"], confidence_of(row, agreeing),
            )  # fmt: skip

    def stated(
        self, row: Mapping[str, Any], answer: str, size: tuple[int, int] | None
    ) -> tuple[tuple[FactKey, frozenset[int]], ...]:
        """Return the facts and values that an answer (canonical JSON) to a question states.

        Answers are read once only, because one answer is judged under many fits.
        """
        key = row["pseudo_id"], answer
        if key not in self._stated:
            usual = self.usual.get(row["task"], frozenset())
            gold = from_json(answer)
            said = get_task(row["task"]).statements(Question.of(row), gold, size=size, usual=usual)
            found = {(f, values) for _, f, values, _ in self._of_gold(row["task"], said, gold)}
            self._stated[key] = tuple(sorted(found, key=lambda one: (one[0], sorted(one[1]))))
        return self._stated[key]

    def _of_gold(
        self, task: str, said: Iterable[Statement], gold: Any
    ) -> Iterator[tuple[str, FactKey, frozenset[int], bool]]:
        yield from self._claimed(said)
        if task == "findings":
            for label in sorted(self.named):
                yield "list", (LISTED, label), frozenset({int(gold.get(label) == 1)}), True

    def _claimed(
        self, said: Iterable[Statement]
    ) -> Iterator[tuple[str, FactKey, frozenset[int], bool]]:
        """Yield channel kind, fact, values, and whether the statement is about this very fact."""
        for one in said:
            if one.name is None or one.value is None or one.name == NO_FINDING:
                continue
            direct = one.kind in _DIRECT
            if one.kind in ("label", "said", "asked", "boxed"):
                value = int(one.value)
                yield one.kind, (FINDING, one.name), frozenset({value}), direct
                if one.name in self.named and one.kind != "label":
                    yield f"{one.kind} (listed)", (LISTED, one.name), frozenset({value}), False
                if one.name == "Edema":
                    grades = self._possible("edema-grade-label", values_of(EDEMA_GRADE), value)
                    yield from self._implied(one.kind, EDEMA_GRADE, grades)
            elif one.kind == "grade":
                yield one.kind, EDEMA_GRADE, frozenset({int(one.value)}), direct
                yield from self._implies(one.kind, "edema-grade-label", one.value, "Edema")
            elif one.kind == "measurement" and one.name == "ctr":
                yield from self._implies(one.kind, "ctr-cardiomegaly", one.value, "Cardiomegaly")
                yield from self._implies(one.kind, "ctr-question", one.value, ABOVE_HALF)

    def _implies(
        self, kind: str, rule: str, value: float, name: str
    ) -> Iterator[tuple[str, FactKey, frozenset[int], bool]]:
        predicate = self.clinical[rule]
        if predicate.severity == "ignore":
            return
        left = frozenset(v for v in (0, 1) if not predicate.contradicts(value, float(v)))
        yield from self._implied(f"{kind} ({rule})", (FINDING, name), left)

    def _possible(self, rule: str, values: tuple[int, ...], label: int) -> frozenset[int]:
        predicate = self.clinical[rule]
        if predicate.severity == "ignore":
            return frozenset(values)
        return frozenset(v for v in values if not predicate.contradicts(float(v), float(label)))

    def _implied(
        self, kind: str, fact: FactKey, values: frozenset[int]
    ) -> Iterator[tuple[str, FactKey, frozenset[int], bool]]:
        if 0 < len(values) < len(values_of(fact)):
            suffix = "" if kind.endswith(")") else f" ({fact[0]})"
            yield f"{kind}{suffix}", fact, values, False


def _named(train: pl.DataFrame, usual: frozenset[str]) -> frozenset[str]:
    """Return the labels that some lists name although most do not state them."""
    answers = train.filter(pl.col("task") == "findings")["answer"]
    counts: dict[str, int] = {}
    for answer in answers:
        for label, value in from_json(answer).items():
            counts[label] = counts.get(label, 0) + (value == 1)
    least = max(2.0, _RARE * len(answers))
    return frozenset(n for n, c in counts.items() if c >= least) - usual - {NO_FINDING}


def confidence_of(row: Mapping[str, Any], agreeing: list[bool] | None) -> tuple[float, float]:
    """Return the logarithms of the mean token probability and of the share of agreeing samples.

    The share counts half a sample more on each side, so that four of four do not mean certainty.
    It is 1 without samples. An answer without a log-probability has the least probability.
    """
    share = 1.0
    if agreeing is not None:
        share = (sum(agreeing) + 0.5) / (len(agreeing) + 1)
    logprob = -math.inf if row["logprob"] is None else min(row["logprob"], 0.0)
    token = max(math.exp(logprob), _LEAST)
    return math.log(token), math.log(share)


def origin_of(row: Mapping[str, Any]) -> Origin:
    """Return who states an entry (row of ENTRIES with ``is_pseudo`` and ``is_derived``)."""
    if row.get(IS_PSEUDO):
        return "pseudo"
    return "derived" if row.get(IS_DERIVED) else "human"


def frontal_sizes(images: pl.DataFrame) -> dict[str, tuple[int, int] | None]:
    """Return width and height of each image, ``None`` if it is not frontal."""
    columns = images.select("image_id", "width", "height", "view").iter_rows()
    return {i: (w, h) if view is None or view in FRONTAL else None for i, w, h, view in columns}


@lru_cache(maxsize=100_000)
def two_sided(template: str, prompt: str) -> tuple[FactKey, int] | None:
    """Return the fact that a yes/no question decides whatever its answer, and the value of yes.

    ``None`` if "no" leaves the fact open: a question about one lung says nothing of the other.
    """
    if not is_yes_no(prompt):
        return None
    question, task = Question(template, prompt, []), get_task("vqa")
    found: list[dict[FactKey, int]] = []
    for answer in ("yes", "no"):
        gold = {"answers": [answer], "closed": True}
        said = task.statements(question, gold, size=None, usual=frozenset())
        found.append(
            {(FINDING, s.name): int(s.value) for s in said if s.name and s.value is not None}
        )
    yes, no = found
    if len(yes) != 1 or yes.keys() != no.keys():
        return None
    fact = next(iter(yes))
    return (fact, yes[fact]) if yes[fact] != no[fact] else None


def same_answers(row: Mapping[str, Any], answer: Any) -> list[bool] | None:
    """Return which samples of a candidate say the same as an answer; ``None`` without samples."""
    if row["sampled"] is None:
        return None
    same = get_task(row["task"]).same
    return [one is not None and same(answer, from_json(one)) for one in row["sampled"]]
