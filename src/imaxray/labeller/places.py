"""Finds the side and the zone that a sentence gives to each of its findings.

A sentence is cut into clauses. The side of a finding is the one that its clause names. A clause
that only names a place, as in "right upper lobe and left lower lobe consolidation" or "effusion on
the right, left unchanged", has no finding of its own and belongs to the clause next to it.

Where the words leave open which side is meant, a finding has none: "worse on the left" (the other
side has it, too), a side of a device ("effusion obscures the left catheter"), or a place between
two findings. Directions ("shifted to the left") and views ("left decubitus") are no places.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from imaxray.labeller.cues import CONTRAST, STOP

Side = Literal["left", "right", "both"]
Zone = Literal["upper", "mid", "lower"]

_DEVICE: Final = "Support Devices"
_BEFORE_DEVICE: Final = 40  # characters between a side and the device that it belongs to
_BORDER: Final = re.compile(r",|\band\b|\bwith\b")
_UNSPECIFIED: Final = re.compile(r"otherwise (?:specified|stated|noted)\b")
_SIDED: Final = r"(?:left|right|[lr]t?|[lr](?:ul|ll)|rml)"
_PLACE: Final = (
    r"(?:upper|mid|middle|lower|lung|lobes?|zones?|bases?|basal|basilar|apex|apical|side|sided|the"
    r"|small|tiny|trace|minimal|mild(?:ly)?|moderate(?:ly)?|large|severe(?:ly)?)"
)
_JOINED: Final = re.compile(
    rf"\b{_SIDED}(?:[- ]{_PLACE}){{0,3}}(?: is| are)?(?: \w+ly| much| slightly)?"
    rf" (?:and|greater than|more than|larger than|worse than|less than|smaller than|or|>|<)"
    rf"(?: {_PLACE}| on| in| at){{0,4}} {_SIDED}\b"
)
"""Two sides of one finding, which count as both: "mild left and moderate right effusions"."""
_ZONES_JOINED: Final = re.compile(
    r"\b(?:upper|mid|middle|lower)(?: lobe| lung| zone)? and (?:the )?(?:upper|mid|middle|lower)\b"
)
_SHORT: Final = {
    "lul": ("left", "upper"), "lll": ("left", "lower"), "rul": ("right", "upper"),
    "rml": ("right", "mid"), "rll": ("right", "lower"), "lt": ("left", None), "l": ("left", None),
    "rt": ("right", None), "r": ("right", None),
}  # fmt: skip
"""Abbreviation → side and zone."""
_SIDE: Final = re.compile(
    r"\b(?P<side>left|right|bilateral(?:ly)?|bilat|both|biapical|bibasilar|bibasal|lul|lll|rul|rml"
    r"|rll|[lr]t|[lr](?=[ -](?:pleural|effusion|bas[ei]|lung|upper|mid|lower|apical|sided|hilar"
    r"|hemithorax|pneumothorax|side|[<>]|greater|and\b)|[.,]?$))\b"
    r"(?![- ](?:sided )?(?:lateral |posterior |anterior )?(?:decubitus|oblique"
    r"|(?:view|film|projection|radiograph|image)\b))"
    r"(?![- ]to[- ](?:left|right)\b)(?<!left-to-right)(?<!right-to-left)"
    r"(?<!left to right)(?<!right to left)"
)
_DIRECTION: Final = re.compile(
    r"\b(?:shift\w*|displac\w*|deviat\w*|rotat\w*|tilt\w*|push\w*|pull\w*|convex\w*|herniat\w*"
    r"|scoliosis|turned|angulat\w*)(?: [\w-]+){0,4}? (?:to|towards?|into) (?:the )?(left|right)\b"
)
_ZONE: Final = re.compile(
    r"\b(upper|mid|middle|lower)\b(?![- ](?:limits?|abdom\w+|thorac\w+|extremit\w+|mediastin\w+"
    r"|clavic\w+|(?:o?esophag\w+)|neck|lumbar|cervical|spine|quadrants?|svc|sternal|gi|than|rib\w*"
    r"|in\b|volumes?|attenuation|density|grade|back|body|legs?|arms?))"
)
_ZONES: Final[tuple[Zone, ...]] = get_args(Zone)
_WORSE: Final = (
    r"(?:greater|greatest|worse|worst|more|most|larger|largest|predomina\w+|mostly|mainly|chiefly"
    r"|especially|particularly|primarily|dominant|asymmetric\w*|bigger|severest|less|least"
    r"|smaller|lesser)"
)
_COMPARED: Final = re.compile(
    rf"\b{_WORSE}\b(?:[ -](?!left|right)[\w-]+){{0,4}}[ -]{_SIDED}\b"
    rf"|\b{_SIDED}(?:[- ](?:side|sided|lung|base|greater|more))?[- ](?:{_WORSE})(?! than before)\b"
)
_BARE: Final = re.compile(
    r"\W*(?:(?:left|right|bilateral(?:ly)?|both|bibasilar|bibasal|biapical|sides?|sided|upper|mid"
    r"|[lr]t?|[lr](?:ul|ll)|rml|bilat"
    r"|middle|lower|lobes?|lobar|lungs?|bases?|basal|basilar|apex|apices|apical|zones?|fields?"
    r"|lingula\w*|perihilar|hilar|hilum|region|area|aspects?|lateral\w*|medial\w*|posterior\w*"
    r"|anterior\w*|retrocardiac|hemithora\w+|costophrenic|angles?|sulc\w+|fissures?|pleural|space"
    r"|and|or|the|an?|in|on|of|at|within|involving|to|than|as|well|also|too|again|now|only|there|is|are"
    r"|was|were|has|have|been|seen|noted|present|small|tiny|trace|minimal\w*|mild\w*|moderate\w*"
    r"|large|severe\w*|marked\w*|slight\w*|much|some|lesser|extent|degree|greater|greatest|more"
    r"|most|worse|worst|less|larger|smaller|bigger|predomina\w+|mostly|mainly|especially"
    r"|particularly|primarily|unchanged|stable|increas\w+|decreas\w+|improv\w+|worsen\w+"
    r"|persist\w*|similar\w*|enlarg\w+|new|subtle|patchy|interval|respectively|side's)\b\W*)+"
)
"""A clause that names a place and nothing that is there."""


@dataclass
class _Clause:
    start: int
    end: int
    after_stop: bool  # what follows "after" or "due to" is said of something else
    text: str
    labels: set[str] = field(default_factory=set)
    sides: list[tuple[int, str, bool]] = field(default_factory=list)  # place, name, of a device
    zones: set[str] = field(default_factory=set)
    compared: bool = False
    unsure: bool = False

    @property
    def bare(self) -> bool:
        return bool(self.sides) and not self.labels and _BARE.fullmatch(self.text) is not None


class Places:
    """The sides and zones of the findings of a sentence.

    Args:
        sentence: Sentence in lower case.
        findings: Label, start and end of every phrase that was found in it, in its order.
    """

    def __init__(self, sentence: str, findings: Sequence[tuple[str, int, int]]) -> None:
        joined = [match.span() for match in _JOINED.finditer(sentence)]
        within = [*joined, *(match.span() for match in _ZONES_JOINED.finditer(sentence))]
        borders = sorted(
            (match.start(), match.end(), kind)
            for kind, pattern in (("", _BORDER), ("", CONTRAST), ("stop", STOP))
            for match in pattern.finditer(sentence)
            if not any(start < match.start() < end for start, end in within)
            and not _UNSPECIFIED.match(sentence, match.start())
        )
        self._clauses: list[_Clause] = []
        start, stop = 0, False
        for left, right, kind in [*borders, (len(sentence), len(sentence), "")]:
            self._clauses.append(_Clause(start, left, stop, sentence[start:left]))
            start, stop = right, kind == "stop"
        self._starts = [clause.start for clause in self._clauses]
        for label, at, _ in findings:
            self._of(at).labels.add(label)
        self._name_sides(sentence, findings, joined)
        for match in _ZONE.finditer(sentence):
            self._of(match.start()).zones.add(match.group(1).replace("middle", "mid"))
        for match in _COMPARED.finditer(sentence):
            if not any(start <= match.start() < end for start, end in joined):
                self._of(match.start()).compared = True
        self._join()

    def at(self, position: int, label: str) -> Side | None:
        """Return the side of a finding; ``None`` if its words leave it open."""
        clause = self._of(position)
        said = [(at, name) for at, name, device in clause.sides if not device or label == _DEVICE]
        if not said or clause.unsure:
            return None
        names = {name for _, name in said}
        if "both" in names:
            nearest = min((abs(at - position), name) for at, name in said)[1]
            return "both" if nearest == "both" or len(clause.labels) < 2 else None
        if len(names) == 2:
            # each of two findings has one of the sides, and nobody knows which
            return "both" if len(clause.labels) < 2 else None
        if clause.compared:
            return None
        return "left" if names == {"left"} else "right"

    def zone_at(self, position: int) -> Zone | None:
        """Return the zone that the clause of a position names, if it names exactly one."""
        zones = self._of(position).zones
        return next((zone for zone in _ZONES if zones == {zone}), None)

    def _of(self, position: int) -> _Clause:
        return self._clauses[max(0, bisect_right(self._starts, position) - 1)]

    def _name_sides(
        self,
        sentence: str,
        findings: Sequence[tuple[str, int, int]],
        joined: Sequence[tuple[int, int]],
    ) -> None:
        directions = {match.start(1) for match in _DIRECTION.finditer(sentence)}
        starts = [start for _, start, _ in findings]
        for match in _SIDE.finditer(sentence):
            at, name = match.start(), match.group("side")
            if at in directions:
                continue
            clause = self._of(at)
            name, zone = _SHORT.get(name, (name, None))
            if zone is not None:
                clause.zones.add(zone)
            both = name not in ("left", "right") or any(s <= at < e for s, e in joined)
            follows = bisect_left(starts, at)
            device = (
                follows < len(findings)
                and findings[follows][0] == _DEVICE
                and starts[follows] < min(clause.end, at + _BEFORE_DEVICE)
            )
            clause.sides.append((at, "both" if both else name, device))

    def _join(self) -> None:
        """Give the place of a clause without a finding to the finding next to it."""
        clauses = self._clauses
        for k, clause in enumerate(clauses):
            if not clause.bare or clause.after_stop:
                continue
            before = next((c for c in reversed(clauses[:k]) if not c.bare), None)
            after = next((c for c in clauses[k + 1 :] if not c.bare), None)
            # "effusion on the right, left lung is clear": a clause with a verb says something else
            near = [c for c in (before, after) if c is not None and c.labels]
            if after is not None and after.after_stop:
                near = [c for c in near if c is not after]
            for other in near:
                names = {name for _, name, _ in other.sides}
                if len(near) == 2 and not {name for _, name, _ in clause.sides} <= names:
                    other.unsure = True
                elif len(near) == 1:
                    other.sides += clause.sides
                    other.zones |= clause.zones
                    other.compared = other.compared or clause.compared
