"""Renders answers from the posteriors of facts, in the wording of their tasks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import polars as pl

from imaxray.labeller import label_report
from imaxray.pseudo.selecting.fusing.calibration import logit
from imaxray.pseudo.selecting.fusing.claims import (
    EDEMA_GRADE,
    FINDING,
    LISTED,
    NO_FINDING,
    FactKey,
    Vocabulary,
    confidence_of,
    same_answers,
    two_sided,
)
from imaxray.pseudo.selecting.fusing.posterior import Posterior
from imaxray.schema import ANNOTATIONS, CHEXPERT, FINDINGS, conform
from imaxray.tasks import Question, from_json, get_task, to_json

Posteriors = Mapping[FactKey, Posterior]

_SURE: Final = 1e-6
_MOST: Final = 6.0  # log-odds beyond which an answer is not more certain
_POSSIBLE: Final = 0.5
_COMPLETE: Final = 0.6
"""Share of the present labels that a list with open labels is expected to name. A list that leaves
out more would teach the model to stay silent."""

FACTS: Final = "facts"
PARTIAL: Final = "partial"


@dataclass(frozen=True)
class Rendered:
    """An answer that was rendered or kept, and how certain it is.

    Attributes:
        answer: Canonical JSON of the answer.
        target: Text of the answer.
        changed: Whether the answer is not the one that the model gave.
        features: Logarithms of the mean token probability and of the share of agreeing samples, and
            the log-odds of all that the answer states being true.
        form: Which answers it is calibrated with: ``model`` (as the model gave it), ``facts`` (the
            facts decide it), or ``partial`` (a list whose least certain labels are left open).
        assumed: Probability of what the question assumes, e.g. that a phrase's finding is there.
        left_open: Number of labels that are left unknown because they are not certain enough.
    """

    answer: str
    target: str
    changed: bool
    features: tuple[float, ...]
    form: str = "model"
    assumed: float = 1.0
    left_open: int = 0


def render(
    row: Mapping[str, Any],
    facts: Posteriors,
    vocabulary: Vocabulary,
    *,
    certain: float,
    size: tuple[int, int] | None,
) -> list[Rendered]:
    """Return the answers that a candidate's question can have.

    The first one is the answer as the model gave it, if it can be read. Findings, grades and yes/no
    questions are also answered from the facts alone, and of sampled reports the one is offered that
    the facts support best. A list of findings with open labels is the last.

    Args:
        row: Candidate (row of PSEUDO).
        facts: Posteriors of the facts of its image.
        vocabulary: How answers of the dataset are read.
        certain: Probability with which all labels of a findings list must be right together; the
            least certain labels are left unknown until they are.
        size: Width and height of a frontal image in pixels, else ``None``.
    """
    task, found = row["task"], []
    answer = from_json(row["answer"]) if row["answer"] is not None and row["ended"] else None
    if answer is not None and task == "rec":
        found.append(_answered(row, answer, 0.5, assumed=_assumed(row, facts, size)))
    elif answer is not None and task == "report":
        texts = [row["answer"], *(one for one in row["sampled"] or () if one is not None)]
        shares = [_report_share(text, facts) for text in texts]
        found.append(_answered(row, answer, shares[0]))
        best = max(range(len(texts)), key=lambda k: (shares[k], -k))
        if best:
            found.append(_answered(row, from_json(texts[best]), shares[best], form=FACTS))
    elif answer is not None:
        found.append(_answered(row, answer, _support(row, answer, facts, vocabulary, size)))
    if task == "findings":
        found += _findings(row, facts, vocabulary, certain)
    elif task == "grading" and EDEMA_GRADE in facts:
        grade, share = _best(facts[EDEMA_GRADE])
        found.append(_answered(row, grade, share, form=FACTS))
    elif task == "vqa" and answer is not None and answer["closed"]:
        decided = two_sided(row["template"], row["prompt"])
        if decided is not None and decided[0] in facts:
            value, share = _best(facts[decided[0]])
            said = ["yes" if value == decided[1] else "no"]
            found.append(_answered(row, {"answers": said, "closed": True}, share, form=FACTS))
    return found


def _findings(
    row: Mapping[str, Any], facts: Posteriors, vocabulary: Vocabulary, certain: float
) -> list[Rendered]:
    """Render the whole list of findings, then the list of those that are certain."""
    usual = vocabulary.usual.get("findings", frozenset())
    posterior: dict[str, Posterior] = {
        label: facts.get(fact) or dict(enumerate(vocabulary.prior_of(fact)))
        for label in FINDINGS
        if label != NO_FINDING and label in usual | vocabulary.named
        for fact in [(FINDING if label in usual else LISTED, label)]
    }
    if not any((FINDING, label) in facts for label in posterior):
        return []
    values: dict[str, int] = {}
    shares: dict[str, float] = {}
    for label, found in posterior.items():
        values[label], shares[label] = _best(found)
    joint = math.fsum(math.log(share) for share in shares.values())
    whole = _list_of(_stated(values, usual))
    rendered = [] if whole is None else [_listed(row, whole, joint, FACTS, 0)]
    opened = 0
    for label in sorted(values, key=lambda label: (shares[label], label)):
        if joint >= math.log(certain) - _SURE:
            break
        joint -= math.log(shares[label])
        values[label] = -1
        opened += 1
    named = sum(value == 1 for value in values.values())
    missing = math.fsum(posterior[label][1] for label, value in values.items() if value == -1)
    part = _list_of(_stated(values, usual))
    if opened and part is not None and named >= _COMPLETE * (named + missing):
        rendered.append(_listed(row, part, joint, PARTIAL, opened))
    return rendered


def _stated(values: Mapping[str, int], usual: frozenset[str]) -> tuple[tuple[str, int], ...]:
    """Return the labels that a list states; one that is never denied is left out where absent."""
    return tuple((n, v) for n, v in values.items() if v != 0 or n in usual)


def _listed(
    row: Mapping[str, Any], made: tuple[str, str], joint: float, form: str, opened: int
) -> Rendered:
    answer, target = made
    task, gold = get_task("findings"), from_json(answer)
    read = row["answer"] is not None and row["ended"]
    changed = not read or set(task.given(from_json(row["answer"]))) != set(task.given(gold))
    named = task.as_gold(task.given(gold), row["template"])
    token, share = confidence_of(row, None if named is None else same_answers(row, named.answer))
    if changed:
        token = math.log(_POSSIBLE)
    features = (token, share, _odds(math.exp(min(joint, 0.0))))
    return Rendered(answer, target, changed, features, form, left_open=opened)


@lru_cache(maxsize=100_000)
def _list_of(values: tuple[tuple[str, int], ...]) -> tuple[str, str] | None:
    """Return answer and target of the entry that the task makes of labels; ``None`` for none."""
    rows = [
        {"image_id": "", "kind": "label", "name": name, "value": float(value),
         "origin": "pseudo", "source": "pseudo"}
        for name, value in values
    ]  # fmt: skip
    drafts = get_task("findings").drafts(conform(pl.DataFrame(rows), ANNOTATIONS))
    return None if drafts.is_empty() else (drafts["answer"][0], drafts["target"][0])


def _odds(share: float) -> float:
    """Return the log-odds of a probability, between -6 and 6."""
    return min(max(logit(share), -_MOST), _MOST)


def _answered(
    row: Mapping[str, Any],
    answer: Any,
    share: float,
    *,
    form: str = "model",
    assumed: float = 1.0,
) -> Rendered:
    task = get_task(row["task"])
    written = to_json(answer)
    target, changed = row["target"], written != row["answer"]
    if changed:
        gold = task.as_gold(task.given(answer), row["template"])
        assert gold is not None  # grades, ratios and yes or no can always be stated
        written, target = to_json(gold.answer), gold.target
    token, agreeing = confidence_of(row, same_answers(row, answer))
    if changed and row["answer"] is not None and not task.same(answer, from_json(row["answer"])):
        # the tokens of another answer say nothing for this one
        token = min(token, math.log(_POSSIBLE))
    return Rendered(written, target, changed, (token, agreeing, _odds(share)), form, assumed)


def _support(
    row: Mapping[str, Any],
    answer: Any,
    facts: Posteriors,
    vocabulary: Vocabulary,
    size: tuple[int, int] | None,
) -> float:
    """Return the joint posterior of what an answer states; one half if it states nothing."""
    shares = [
        math.fsum(facts[fact][value] for value in values)
        for fact, values in vocabulary.stated(row, to_json(answer), size)
        if fact in facts
    ]
    return math.prod(shares) if shares else 0.5


def _report_share(answer: str, facts: Posteriors) -> float:
    """Return the joint posterior of the labels that a report names, and of those it leaves out."""
    text = " ".join(from_json(answer).values())
    labels = _present(text)
    shares = [
        facts[FINDING, label][int(label in labels)]
        for label in CHEXPERT
        if label != NO_FINDING and (FINDING, label) in facts
    ]
    return math.prod(shares) if shares else 0.5


@lru_cache(maxsize=100_000)
def _present(text: str) -> frozenset[str]:
    return frozenset(label for label, value in label_report(text).items() if value != 0)


def _assumed(row: Mapping[str, Any], facts: Posteriors, size: tuple[int, int] | None) -> float:
    """Return the probability that the finding that the model itself named is there."""
    if row["prompt_from"] != "model":
        return 1.0
    said = get_task("rec").statements(
        Question.of(row), from_json(row["answer"]), size=size, usual=frozenset()
    )
    labels = {one.name for one in said if one.kind == "boxed"}
    shares = [facts[FINDING, name][1] for name in labels if name and (FINDING, name) in facts]
    return math.prod(shares)


def _best(posterior: Posterior) -> tuple[int, float]:
    """Return the most probable value and its probability, kept off 0."""
    value = max(posterior, key=lambda v: (posterior[v], -v))
    return value, max(posterior[value], _SURE)
