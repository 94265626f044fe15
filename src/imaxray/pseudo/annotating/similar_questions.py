"""Chooses questions about similar images for an image that has no questions.

Two images are *similar* if they share a finding, or if view, sex and age bracket agree wherever
both images state them and both state at least one. A question fits better the more findings its
image shares, and then the more of view, sex and age agree. The reason is that questions are written
about what an image shows, and that sex, age and view influence which pathologies, devices and
projections are asked about. An open question that presupposes a finding ("where is the effusion?")
is used only for an image that has the finding.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imaxray.hashing import digest, mixed
from imaxray.labeller import asked, label_report
from imaxray.pseudo.annotating.phrases import labels_of
from imaxray.schema import FINDINGS

_BIT: Final = {label: 1 << place for place, label in enumerate(FINDINGS)}
_YEARS: Final = 20  # width of an age bracket
_UNKNOWN: Final = -1
_LABEL: Final = 4  # one shared finding weighs more than view, sex and age together


@dataclass(frozen=True)
class Profile:
    """The properties of an image that determine which questions fit.

    Attributes:
        view: View of the image (PA, AP, …); ``None`` if not stated.
        sex: Sex of the patient; ``None`` if not stated.
        age: Age of the patient, as the number of its 20-year bracket; ``None`` if not stated.
        findings: Labels that are present, including the CheXpert equivalents of names that other
            releases use.
    """

    view: str | None
    sex: str | None
    age: int | None
    findings: frozenset[str]


def profile(view: str | None, sex: str | None, age: int | None, findings: Iterable[str]) -> Profile:
    """Return the profile of an image.

    Args:
        view: View of the image; ``None`` if not stated.
        sex: Sex of the patient; ``None`` if not stated.
        age: Age of the patient in years; ``None`` if not stated.
        findings: Findings that are present.
    """
    labels = frozenset(findings)
    return Profile(view, sex, None if age is None else age // _YEARS, labels | _known_as(labels))


def taken_for_granted(question: str, closed: bool) -> frozenset[str]:
    """Return the findings that a question presupposes."""
    return frozenset() if closed and asked(question) else labels_of(question)


class SimilarQuestions:
    """All questions of the train entries, with the profiles of their images.

    Args:
        rows: Question, whether it is closed, and the profile of an image that has the question.
    """

    def __init__(self, rows: Iterable[tuple[str, bool, Profile]]) -> None:
        counts: dict[tuple[str, bool, Profile], int] = {}
        for row in rows:
            counts[row] = counts.get(row, 0) + 1
        keys = sorted(counts, key=_order)
        self.texts: list[tuple[str, bool]] = sorted({key[:2] for key in keys})
        number = {text: k for k, text in enumerate(self.texts)}
        self._codes: dict[str, int] = {}
        profiles = [key[2] for key in keys]
        self._of = np.array([number[key[:2]] for key in keys], dtype=np.int64)
        self._traits = np.array([self._numbers(p) for p in profiles], dtype=np.int64).reshape(-1, 3)
        self._findings = np.array([_bits(p.findings) for p in profiles], dtype=np.int64)
        self._needs = np.array(
            [_bits(taken_for_granted(*text)) for text in self.texts], dtype=np.int64
        )
        self._hashes = np.array([digest(text) for text, _ in self.texts], dtype=np.uint64)
        asked_often = np.zeros(len(self.texts), dtype=np.int64)
        for key, count in counts.items():
            asked_often[number[key[:2]]] += count
        self._asked_often = asked_often
        self._scores: dict[Profile, NDArray[np.int64]] = {}

    def __len__(self) -> int:
        return len(self.texts)

    def pick(self, image_id: str, image: Profile, most: int) -> list[tuple[str, bool, bool]]:
        """Return the first ``most`` questions of :meth:`ranked`."""
        return list(islice(self.ranked(image_id, image), most))

    def ranked(self, image_id: str, image: Profile) -> Iterator[tuple[str, bool, bool]]:
        """Yield the questions for an image, the best-fitting first.

        Questions that fit equally well are drawn by a hash of image and question. After the
        questions of similar images come those of all images, the most frequent first.

        Args:
            image_id: Id of the image.
            image: Profile of the image.

        Yields:
            Text of each question, whether it is closed, and whether a similar image has it.
        """
        if not self.texts:
            return
        scores = self._scored(image)
        drawn = mixed(self._hashes, digest(image_id))
        order = np.lexsort((drawn, -self._asked_often * (scores == 0), -scores))
        allowed = (self._needs & ~_bits(image.findings)) == 0
        for k in order[allowed[order]]:
            yield (*self.texts[k], bool(scores[k] > 0))

    def _scored(self, image: Profile) -> NDArray[np.int64]:
        """Return the fit of each question, int64 (questions,); 0 if no similar image has it."""
        if image not in self._scores:
            own = np.array(self._numbers(image), dtype=np.int64)
            stated = (self._traits != _UNKNOWN) & (own != _UNKNOWN)
            agree = (stated & (self._traits == own)).sum(axis=1)
            shared = np.bitwise_count(self._findings & _bits(image.findings)).astype(np.int64)
            similar = (shared > 0) | ((agree > 0) & (agree == stated.sum(axis=1)))
            scores = np.zeros(len(self.texts), dtype=np.int64)
            np.maximum.at(scores, self._of, np.where(similar, _LABEL * shared + agree, 0))
            self._scores[image] = scores
        return self._scores[image]

    def _numbers(self, image: Profile) -> list[int]:
        return [
            _UNKNOWN if trait is None else self._codes.setdefault(f"{k}{trait}", len(self._codes))
            for k, trait in enumerate((image.view, image.sex, image.age))
        ]


def _order(key: tuple[str, bool, Profile]) -> tuple[str, bool, str]:
    """Return a sorting key; profiles contain ``None`` and sets, which have no order."""
    text, closed, of = key
    return text, closed, repr((of.view, of.sex, of.age, sorted(of.findings)))


def seen_in_answers(rows: Iterable[tuple[str, bool, Mapping[str, object]]]) -> frozenset[str]:
    """Return the findings that the questions and answers of an image state as present.

    Args:
        rows: Question, whether it is closed, and the gold answer.
    """
    found: set[str] = set()
    for question, closed, gold in rows:
        answers = [str(answer) for answer in gold["answers"]]  # type: ignore[attr-defined]
        about = asked(question) if closed else None
        if about is not None:
            found |= {about[0]} if answers[:1] == ["yes"] else set()
        else:
            found |= labels_of(question)
            if not closed:
                found |= labels_of(", ".join(answers))
    return frozenset(found)


def _known_as(labels: frozenset[str]) -> frozenset[str]:
    """Return the CheXpert labels for names of other releases, such as Mass or Nodule."""
    said = label_report(". ".join(sorted(labels - {"No Finding"})))
    return frozenset(label for label, value in said.items() if value == 1) - {"No Finding"}


def _bits(labels: Iterable[str]) -> int:
    return sum({_BIT[label] for label in labels if label in _BIT})
