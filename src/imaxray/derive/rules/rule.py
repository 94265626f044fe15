"""A rule says what follows from facts about an image; the engine applies rules to what is known."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from imaxray.clinical import DEFAULT_RULES, ClinicalRules
from imaxray.derive.facts.fact import Corners, Fact, FactKind
from imaxray.derive.facts.questions import Questions
from imaxray.schema import FRONTAL

Exactness = Literal["exact", "calibrated"]
"""``exact``: the conclusion follows from the words; ``calibrated``: it usually holds, so that its
precision decides whether it is used."""

State = Literal["on", "if-measured", "off"]
"""``if-measured``: the rule is used only where its precision was measured and suffices."""


@dataclass(frozen=True)
class About:
    """The image that facts are about.

    Attributes:
        image_id: Id of the image.
        view: View of the image, e.g. ``PA``; ``None`` if not stated.
        size: Width and height in pixels.
        organs: Organ → its box from a mask, ``[x1, y1, x2, y2]`` in pixels of the original image.
        ratios: Name of a ratio → its value from masks.
    """

    image_id: str
    view: str | None = None
    size: tuple[int, int] = (0, 0)
    organs: Mapping[str, Corners] = field(default_factory=dict)
    ratios: Mapping[str, float] = field(default_factory=dict)

    @property
    def frontal(self) -> bool:
        """Whether the image is frontal as far as is known, so that it shows the chest's width."""
        return self.view is None or self.view in FRONTAL


@dataclass(frozen=True)
class Habits:
    """What the entries of a dataset usually say together, which decides how answers are worded.

    Attributes:
        questions: Wording of the questions.
        companions: Label → labels that a list of findings names wherever it names the first one.
        usual: Labels that at least half of the lists of findings state as present or absent.
        views: Views of the images, as far as they are stated.
        heart: Words for the heart in phrases with boxes.
        clinical: Clinical rules with their thresholds.
    """

    questions: Questions = field(default_factory=Questions)
    companions: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    usual: frozenset[str] = frozenset()
    views: frozenset[str] = frozenset()
    heart: str = "heart"
    clinical: ClinicalRules = DEFAULT_RULES


@dataclass(frozen=True)
class Conclusion:
    """A fact that follows, with the facts from which it follows.

    Attributes:
        fact: The fact that follows.
        premises: Facts that were read.
        readings: Parts of the rule that were needed, e.g. the labels that were read from a report;
            each can be switched off alone, by ``<rule>/<reading>``.
    """

    fact: Fact
    premises: tuple[Fact, ...]
    readings: tuple[str, ...] = ()


class Known:
    """The facts that are known about one image, by kind.

    Args:
        about: The image.
        facts: Facts; of equal facts the first one counts.
        siblings: Facts about other frontal images of the same study.
    """

    def __init__(
        self, about: About, facts: Iterable[Fact] = (), siblings: Iterable[Fact] = ()
    ) -> None:
        self.about = about
        self.siblings = tuple(siblings)
        self._facts: dict[str, list[Fact]] = {}
        for fact in facts:
            self._facts.setdefault(fact.kind, []).append(fact)

    def of(self, kind: FactKind, name: str | None = None) -> list[Fact]:
        """Return the facts of a kind, and of a name if one is given, in an order of their own."""
        found = self._facts.get(kind, [])
        return found if name is None else [fact for fact in found if fact.name == name]

    def find(self, fact: Fact) -> Fact | None:
        """Return the known fact that is equal to a fact, here or on an image of the study."""
        known = (*self._facts.get(fact.kind, ()), *self.siblings)
        same = [other for other in known if other is fact]
        return next((other for other in (*same, *known) if other == fact), None)

    def kinds(self) -> frozenset[str]:
        """Return the kinds of which facts are known."""
        return frozenset(self._facts)


Concludes = Callable[[Known, Habits], Iterator[Conclusion]]


@dataclass(frozen=True)
class DerivationRule:
    """A named rule: what it reads, what it makes, and how far it can be trusted.

    Attributes:
        name: Name of the rule in tables, options and ``quality`` of entries.
        says: Sentence that says what follows from what.
        reads: Kinds of the facts that the rule reads; empty for facts about the image itself.
        makes: Kinds of the facts that the rule makes.
        kind: Whether the conclusion is exact or calibrated.
        source: Publication or convention behind the rule.
        conclude: Function that yields the conclusions about one image.
        scope: Which release's convention the rule follows; empty if it holds for all.
        default: Whether the rule is on.
        severity: Clinical rule whose thresholds the rule uses, if any.
    """

    name: str
    says: str
    reads: tuple[FactKind, ...]
    makes: tuple[FactKind, ...]
    kind: Exactness
    source: str
    conclude: Concludes
    scope: str = "all releases"
    default: State = "on"
    clinical: str | None = None
