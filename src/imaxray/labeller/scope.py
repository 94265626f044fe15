"""Decides which cues reach a phrase in its sentence, and so what the sentence says about it.

A sentence is cut at words of contrast (``but``, ``however``), and each part into clauses at commas,
colons, dashes, ``and`` and ``with``. A forward cue (``no``, ``possible``, ``history of``) reaches
what follows in its clause and goes on through the list after it. The list ends

- at ``with``, a colon or a dash, and at words like ``due to`` and ``after`` inside a clause;
- at a clause with a verb of its own; the predicate of the list itself ("… is seen") is none;
- at an item that begins with a size or a course ("small", "stable"), unless the list goes on to an
  ``or``.

A backward cue (``not seen``, ``has resolved``) reaches what stands before it in its clause, and the
list before that. Many cues act backward only where nothing follows: "likely atelectasis",
"atelectasis is likely". The time that a sentence takes grows linearly with its length.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, Literal

from imaxray.labeller import cues

Status = Literal["affirmed", "denied", "doubted", "unknown"]

_BACKWARD: Final = ("doubts_before", "denies_before")
_DOUBTS: Final = ("doubts", "doubts_before")
_MODAL: Final = (
    "may",
    "might",
    "could",
    "suggests",
    "suggesting",
    "likely",
    "probably",
    "possibly",
)
_DENIES: Final = ("denies", "denies_before")
_SET_ASIDE: Final = ("sought", "earlier", "compared", "no_new")


@dataclass
class Finding:
    """One phrase of a label in a sentence, and what is said about it.

    Attributes:
        key: What the phrase means, as the caller names it.
        start: Start of the phrase.
        end: End of the phrase.
        status: What the sentence says.
        gone: Whether a backward cue denies it, as in "has resolved".
        after_denial: Whether it is affirmed after a denial in the same sentence, in a clause
            without a verb, so that a careful reader cannot be sure.
    """

    key: str
    start: int
    end: int
    status: Status = "affirmed"
    gone: bool = False
    after_denial: bool = False
    reached_by: str = ""
    contains: str = ""  # the kind of a cue inside the phrase: "the heart is not enlarged"


@dataclass
class _Clause:
    start: int
    end: int
    joined_by: str
    text: str
    findings: list[Finding] = field(default_factory=list)
    cues: list[re.Match[str]] = field(default_factory=list)
    stops: list[re.Match[str]] = field(default_factory=list)
    answered: bool = False  # whether a backward cue stands in it

    def __post_init__(self) -> None:
        self.verb = cues.VERB.search(self.text) is not None
        self.plural = cues.PLURAL.search(self.text) is not None
        self.seen = cues.SEEN.search(self.text) is not None
        self.has_or = cues.OR.search(self.text) is not None
        lead = cues.NOTHING_NEW.match(self.text)
        one_sided = lead is None or cues.ONE_SIDE.search(self.text) is not None
        # up to here, the clause names nothing of its own and goes on about the clause before it
        self.bare_until = -1 if lead is None or one_sided else self.start + lead.end()
        self.fresh = (
            cues.FRESH.search(self.text) is not None or cues.UNDER_WAY.search(self.text) is not None
        )


def judge(sentence: str, found: Sequence[tuple[str, int, int]]) -> list[Finding]:
    """Return what a sentence says about each phrase that was found in it.

    Args:
        sentence: Sentence in lower case.
        found: Key, start and end of each phrase, in the order of the text.

    Example:
        >>> text = "no effusion, pneumothorax or mass, but edema"
        >>> phrases = [(w, text.index(w), text.index(w) + len(w)) for w in ("mass", "edema")]
        >>> [finding.status for finding in judge(text, phrases)]
        ['denied', 'affirmed']
    """
    findings = [Finding(*item) for item in found]
    clauses = list(_clauses(sentence))
    _spread(clauses, sentence, findings)
    start = 0
    for end in range(1, len(clauses) + 1):
        if end == len(clauses) or clauses[end].joined_by == "contrast":
            _Part(clauses[start:end]).read()
            start = end
    _either_or(sentence, findings)
    if sentence.endswith("?"):
        for finding in findings:
            if finding.status != "unknown":
                finding.status = "doubted"
    return findings


def _clauses(sentence: str) -> Iterator[_Clause]:
    borders = [
        *((match.start(), match.end(), "contrast") for match in cues.CONTRAST.finditer(sentence)),
        *(
            (match.start(), match.end(), match.lastgroup or "")
            for match in cues.CLAUSE.finditer(sentence)
        ),
    ]
    start, joined_by = 0, "contrast"
    for left, right, kind in sorted(borders):
        if left < start:
            continue
        text = sentence[start:left]
        if text.strip() or joined_by in ("colon", "dash"):
            yield _Clause(start, left, joined_by, text)
            start, joined_by = right, kind
        else:  # ", and but": the strongest border counts
            start = right
            joined_by = kind if joined_by == "comma" or kind == "contrast" else joined_by
    yield _Clause(start, len(sentence), joined_by, sentence[start:])


def _spread(clauses: Sequence[_Clause], sentence: str, findings: Sequence[Finding]) -> None:
    """Give every clause its findings, cues and stops."""
    found = list(cues.CUE.finditer(sentence))
    marks: list[tuple[int, str, Finding | re.Match[str]]] = [
        *((finding.start, "finding", finding) for finding in findings),
        *((match.start(), "cue", match) for match in found),
        *((match.start(), "stop", match) for match in cues.STOP.finditer(sentence)),
    ]
    kinds = [(match.start(), str(match.lastgroup)) for match in found]
    inner = [item for item in kinds if item[1] in ("denies", "doubts")]
    at = 0
    for position, kind, mark in sorted(marks, key=lambda item: item[0]):
        while at + 1 < len(clauses) and position >= clauses[at + 1].start:
            at += 1
        if isinstance(mark, Finding):
            clauses[at].findings.append(mark)
            inside = bisect_left(inner, (mark.start, ""))
            if inside < len(inner) and inner[inside][0] < mark.end:
                mark.contains = inner[inside][1]
        elif kind == "stop":
            clauses[at].stops.append(mark)
        else:
            clauses[at].cues.append(mark)


class _Part:
    """Reads the clauses between two words of contrast."""

    def __init__(self, clauses: Sequence[_Clause]) -> None:
        self._clauses = clauses
        self._active: str | None = None  # the kind of the forward cue that reaches this place
        self._active_end = 0
        self._has_subject = False  # whether a finding stands before the denial in its clause
        self._verb_used = False
        self._denied = False  # whether any cue has denied something so far
        self._or_ahead = [False] * (len(clauses) + 1)
        for k in range(len(clauses) - 1, -1, -1):
            clause = clauses[k]
            ends = k + 1 < len(clauses) and self._is_statement(clauses[k + 1])
            self._or_ahead[k] = clause.has_or or (not ends and self._or_ahead[k + 1])

    @staticmethod
    def _is_statement(clause: _Clause) -> bool:
        return clause.verb and not clause.seen

    def read(self) -> None:
        for k, clause in enumerate(self._clauses):
            if not self._carries(k, clause):
                self._active = None
            self._forward(k, clause)
            self._backward(k, clause)
            self._verb_used = clause.verb or (self._verb_used and clause.joined_by != "contrast")

    def _carries(self, k: int, clause: _Clause) -> bool:
        """Return whether the cue that reaches the end of the last clause reaches this one, too."""
        if self._active is None or k == 0:
            return False
        if self._active == "sought":
            return not (clause.verb and clause.joined_by == "comma")
        if self._active == "compared":
            return cues.RELATIVE.search(clause.text) is not None
        last = self._clauses[k - 1]
        if clause.joined_by == "colon":
            return self._active_end >= last.end - 1 or "following" in last.text
        if clause.joined_by in ("with", "dash"):
            return False
        if clause.cues and clause.cues[0].lastgroup in _DOUBTS and (
            not clause.findings or clause.cues[0].start() < clause.findings[0].start
        ):  # fmt: skip
            return False
        if cues.OR.match(clause.text.lstrip()):
            return True
        if clause.verb and not (clause.seen and (clause.has_or or not self._verb_used)):
            return False
        return not clause.fresh or self._or_ahead[k]

    def _forward(self, k: int, clause: _Clause) -> None:
        marks: list[tuple[int, int, Finding | re.Match[str]]] = [
            *((cue.start(), 0, cue) for cue in clause.cues),
            *((stop.start(), 1, stop) for stop in clause.stops),
            *((finding.start, 2, finding) for finding in clause.findings),
        ]
        gap = -1
        ors = [match.end() + clause.start for match in cues.OR.finditer(clause.text)]
        passed = 0
        for position, rank, mark in sorted(marks, key=lambda item: item[:2]):
            if isinstance(mark, Finding):
                while passed < len(ors) and ors[passed] <= position:
                    gap = -1 if gap < ors[passed] else gap
                    passed += 1
                self._reach(clause, mark, gap)
            elif rank == 1:
                doubtful_cause = self._active == "doubts" and mark.lastgroup == "cause"
                if self._active not in ("sought", "earlier", "compared") and not doubtful_cause:
                    self._active = None
            elif mark.lastgroup == "gap":
                gap = position
            else:
                self._meet(k, clause, mark)

    def _meet(self, k: int, clause: _Clause, cue: re.Match[str]) -> None:
        """Let a cue act on what follows, if it acts that way here."""
        kind = str(cue.lastgroup)
        if kind == "affirms":
            self._active = None
            return
        if self._is_backward(k, clause, cue):
            return
        if kind in (*_DENIES, "replaced", "resolved"):
            # "probably no effusion" is doubt
            doubt = self._active == "doubts" and kind != "replaced"
            self._active = "doubts" if doubt else "denies"
            self._denied = True
            self._has_subject = bool(clause.findings) and clause.findings[0].start < cue.start()
        elif kind in _DOUBTS:
            # "no sign to suggest" denies; "opacity without effusion may be" goes on after it
            resumes = self._active == "denies" and self._has_subject and cue.group() in _MODAL
            if self._active is None or resumes or (
                self._active_end < clause.start and self._active != "sought"
            ):  # fmt: skip
                self._active = "doubts"
        else:
            self._active = kind
        self._active_end = cue.end()

    def _is_backward(self, k: int, clause: _Clause, cue: re.Match[str]) -> bool:
        """Return whether a cue acts on what stands before it."""
        kind = str(cue.lastgroup)
        if kind in _SET_ASIDE or kind in ("gap", "affirms"):
            return False
        own = clause.findings
        before = bool(own) and own[0].end <= cue.start()
        after = bool(own) and own[-1].end > cue.end()
        named_before = k > 0 and not own and bool(self._clauses[k - 1].findings)
        answers = named_before and (
            clause.joined_by in ("colon", "dash") or clause.text.strip() == cue.group()
        )
        if named_before and not answers:
            # "small effusion, tube removed": what was removed is named, though it is no phrase
            named_before = cue.start() <= clause.bare_until
        if kind in _BACKWARD:
            return before or (not after and named_before)
        if kind == "denies":
            return answers
        return not after and (before or answers)

    def _reach(self, clause: _Clause, finding: Finding, gap: int) -> None:
        active = self._active or finding.contains or None
        if active is None:
            finding.after_denial = self._denied and not clause.verb
            return
        finding.reached_by = active
        if active in _SET_ASIDE or (active == "denies" and gap >= max(0, self._gap_from(clause))):
            finding.status = "unknown"
        elif active == "denies":
            finding.status = "denied"
        else:
            finding.status = "doubted"

    def _gap_from(self, clause: _Clause) -> int:
        return max(clause.start, self._active_end)

    def _backward(self, k: int, clause: _Clause) -> None:
        acting = [cue for cue in clause.cues if self._is_backward(k, clause, cue)]
        gaps = [cue.start() for cue in clause.cues if cue.lastgroup == "gap"]
        starts = [finding.start for finding in clause.findings]
        stops = [stop.start() for stop in clause.stops]
        for wanted in (_DENIES, _DOUBTS):
            first = -1  # the findings before this one belong to an earlier cue
            for cue in (cue for cue in acting if cue.lastgroup in wanted):
                last = bisect_left(starts, cue.start())
                if last == first:
                    continue  # nothing new stands before this cue
                stop = bisect_left(stops, cue.start())
                if stop:  # in "edema after pneumonia resolved", the edema did not
                    behind = bisect_left(starts, stops[stop - 1])
                    first = max(first, behind) if behind < last else first
                own = clause.findings[max(first, 0) : last]
                reached = [*own, *self._list_before(k, bool(own))] if first <= 0 else own
                first = last
                for finding in reached:
                    if finding.end > cue.start():
                        continue  # the cue is a part of the phrase
                    gap = bisect_left(gaps, finding.end)
                    if finding.reached_by == "sought":
                        continue
                    if gap < len(gaps) and gaps[gap] < cue.start():
                        finding.status = "unknown"
                    elif wanted is _DENIES:
                        finding.status, finding.gone = "denied", True
                        self._denied = True
                    elif finding.status != "denied" or finding.gone:
                        finding.status = "doubted"
        clause.answered = bool(acting)

    def _list_before(self, k: int, own: bool) -> Iterator[Finding]:
        """Yield the findings of earlier clauses that a backward cue reaches, too."""
        clause = self._clauses[k]
        joined, plural = clause.joined_by, clause.plural or not clause.verb
        for earlier in reversed(self._clauses[:k]):
            if own and (
                joined in ("contrast", "with", "dash", "colon")
                or (joined == "comma" and not plural)
                or earlier.verb
                or earlier.answered
                or (earlier.fresh and not plural)
            ):
                return
            yield from earlier.findings
            own = own or bool(earlier.findings)
            joined = earlier.joined_by


def _either_or(sentence: str, findings: Sequence[Finding]) -> None:
    """Doubt findings of which one or the other is there: "atelectasis or pneumonia"."""
    for first, second in pairwise(findings):
        if first.status == second.status == "affirmed" or "doubted" in (
            first.status, second.status,
        ):  # fmt: skip
            between = sentence[first.end : second.start]
            if len(between) > 40 or first.key == second.key:
                continue
            if re.search(r"\b(?:or|versus|vs)\b", between) and "unknown" not in (
                first.status, second.status,
            ):  # fmt: skip
                for finding in (first, second):
                    if finding.status == "affirmed":
                        finding.status = "doubted"
