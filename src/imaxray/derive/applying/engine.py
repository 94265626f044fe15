"""Applies rules to the facts of one image until nothing new follows, with provenance.

The result does not depend on the order of facts or rules. Facts that contradict what an entry
states, or each other, are removed with all that would follow from them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from imaxray.derive.facts.conflicts import contradictions
from imaxray.derive.facts.fact import Fact, by_content
from imaxray.derive.facts.judging import judged
from imaxray.derive.rules.rule import About, Conclusion, DerivationRule, Habits, Known

_DEEPEST: Final = 12  # levels; more would mean that a rule of a user makes facts without end


@dataclass(frozen=True)
class Derivation:
    """A fact that was derived, with its provenance.

    Attributes:
        fact: The fact.
        rule: Name of the last rule.
        depth: Number of rules from the entries to the fact.
        entries: Ids of the entries that the fact was derived from, sorted; empty for what follows
            from the image alone.
    """

    fact: Fact
    rule: str
    depth: int
    entries: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """A conclusion about something that an entry states, with which it can be compared.

    Attributes:
        rule: Name of the rule.
        readings: Parts of the rule that were needed.
        right: Whether the conclusion says what the entry states.
    """

    rule: str
    readings: tuple[str, ...]
    right: bool


@dataclass
class Outcome:
    """What follows from the facts of one image.

    Attributes:
        derived: Derived facts that contradict nothing, sorted.
        contradicted: Rule → number of its facts that contradict what an entry states.
        disputed: Rule → number of its facts that contradict another derived fact.
        checks: Conclusions of depth 1 that could be compared with an entry.
    """

    derived: list[Derivation] = field(default_factory=list)
    contradicted: dict[str, int] = field(default_factory=dict)
    disputed: dict[str, int] = field(default_factory=dict)
    checks: list[Check] = field(default_factory=list)


@dataclass(frozen=True)
class _Item:
    fact: Fact
    rule: str
    depth: int
    entries: frozenset[str]
    ancestry: frozenset[Hashable]

    @property
    def order(self) -> tuple[object, ...]:
        return (self.depth, self.rule, sorted(self.entries))


def derive_facts(
    about: About,
    stated: Iterable[tuple[Fact, str]],
    rules: Sequence[DerivationRule],
    habits: Habits,
    *,
    off: frozenset[str] = frozenset(),
    siblings: Iterable[tuple[Fact, str]] = (),
    blocked: frozenset[object] = frozenset(),
) -> Outcome:
    """Derive what follows from the entries of one image.

    Args:
        about: The image.
        stated: Facts that entries state, each with the id of its entry.
        rules: Rules to apply.
        habits: Wording and conventions of the dataset.
        off: Readings that are switched off, as ``<rule>/<reading>``.
        siblings: Facts that entries of other frontal images of the study state.
        blocked: Orders of facts (:attr:`Fact.order`) that are not derived, nor what needs them.
    """
    base, near = _base(stated), _base(siblings)
    human = [item.fact for some in base.values() for item in some]
    outcome = Outcome()
    while True:
        items = _closure(about, base, near, rules, habits, off, blocked)
        made = [item for some in items.values() for item in some if item.depth]
        found = contradictions([item.fact for item in made], human, habits.clinical)
        if not found:
            break
        # a fact that goes may make way for another one, which is compared in turn
        blocked |= {made[k].fact.order for k in found}
        for k, by_human in found.items():
            counts = outcome.contradicted if by_human else outcome.disputed
            counts[made[k].rule] = counts.get(made[k].rule, 0) + 1
    outcome.derived = sorted(
        (Derivation(i.fact, i.rule, i.depth, tuple(sorted(i.entries))) for i in made),
        key=lambda derivation: derivation.fact.order,
    )
    return outcome


def check_rules(
    about: About,
    stated: Iterable[tuple[Fact, str]],
    rules: Sequence[DerivationRule],
    habits: Habits,
    *,
    known: Iterable[tuple[Fact, str]] | None = None,
    siblings: Iterable[tuple[Fact, str]] = (),
) -> list[Check]:
    """Compare the conclusions from the entries of an image with what other entries state.

    An entry is never compared with a conclusion from itself. What follows exactly from true facts
    is true as well.

    Args:
        about: The image.
        stated: Facts from which the rules conclude, each with the id of its entry.
        rules: Rules to measure.
        habits: Wording and conventions of the dataset.
        known: True facts, each with the id of its entry; by default those of ``stated``.
        siblings: Facts that entries of other frontal images of the study state.
    """
    base, near = _base(stated), _base(siblings)
    sure = [rule for rule in rules if rule.kind == "exact"]
    whole = _closure(
        about, base if known is None else _base(known), {}, sure, habits, frozenset(), frozenset()
    )
    truth: dict[Hashable, list[_Item]] = {}
    for item in (item for some in whole.values() for item in some):
        truth.setdefault(item.fact.asks, []).append(item)
    of = _by_fact(base, near)
    facts = Known(about, _facts(base), _facts(near))
    checks = []
    for rule in rules:
        seen: set[Hashable] = set()
        for conclusion in rule.conclude(facts, habits):
            found = truth.get(conclusion.fact.asks)
            if found is None:
                continue
            used = frozenset().union(*(of[id(p)].entries for p in conclusion.premises))
            # what follows from the image alone would be compared with itself
            gold = [i.fact for i in found if i.entries and used.isdisjoint(i.entries)]
            key = (conclusion.fact.order, conclusion.readings)
            right = judged(conclusion.fact, gold) if gold and key not in seen else None
            if right is not None:
                seen.add(key)
                checks.append(Check(rule.name, conclusion.readings, right))
    return checks


_Items = dict[Hashable, list[_Item]]


def _by_fact(*some: Mapping[Hashable, list[_Item]]) -> dict[int, _Item]:
    """Return items by the identity of their facts, as conclusions name their premises."""
    return {id(item.fact): item for items in some for same in items.values() for item in same}


def _facts(items: Mapping[Hashable, list[_Item]]) -> list[Fact]:
    return [item.fact for same in items.values() for item in same]


def _base(stated: Iterable[tuple[Fact, str]]) -> _Items:
    """Return the stated facts by subject; entries that state the same are one item."""
    items: _Items = {}
    for fact, entry in sorted(stated, key=lambda pair: (pair[0].order, pair[1])):
        same = items.setdefault(fact.subject, [])
        for k, item in enumerate(same):
            if item.fact == fact:
                same[k] = _Item(fact, "", 0, item.entries | {entry}, item.ancestry)
                break
        else:
            same.append(_Item(fact, "", 0, frozenset({entry}), frozenset({fact.subject})))
    return items


def _closure(
    about: About,
    base: Mapping[Hashable, list[_Item]],
    near: Mapping[Hashable, list[_Item]],
    rules: Sequence[DerivationRule],
    habits: Habits,
    off: frozenset[str],
    blocked: frozenset[object],
) -> _Items:
    """Return the stated facts and all that follows from them, by subject."""
    items: _Items = {subject: list(some) for subject, some in base.items()}
    of = _by_fact(items, near)
    siblings = _facts(near)
    fresh: frozenset[str] | None = None  # kinds that the last level added; None: all are new
    for depth in range(1, _DEEPEST + 1):
        known = Known(about, sorted(_facts(items), key=by_content), siblings)
        new: dict[tuple[object, ...], _Item] = {}
        for rule in rules:
            if fresh is not None and fresh.isdisjoint(rule.reads):
                continue
            for conclusion in rule.conclude(known, habits):
                fact = conclusion.fact
                if _is_known(fact, items) or fact.order in blocked:
                    continue
                item = _item(conclusion, rule, depth, of, off, siblings)
                if item is None:
                    continue
                if fact.order not in new or item.order < new[fact.order].order:
                    new[fact.order] = item
        if not new:
            break
        added = []
        for item in sorted(new.values(), key=lambda item: (item.order, item.fact.order)):
            # of two that say the same in one level, such as two lists, the first one counts
            if not _is_known(item.fact, items):
                items.setdefault(item.fact.subject, []).append(item)
                of[id(item.fact)] = item
                added.append(item.fact.kind)
        fresh = frozenset(added)
    return items


def _item(
    conclusion: Conclusion,
    rule: DerivationRule,
    depth: int,
    of: Mapping[int, _Item],
    off: frozenset[str],
    siblings: Sequence[Fact],
) -> _Item | None:
    """Return the conclusion with its provenance; ``None`` if it is off or follows from itself."""
    if off and any(f"{rule.name}/{reading}" in off for reading in conclusion.readings):
        return None
    premises = [of[id(fact)] for fact in conclusion.premises]
    # a sibling's fact is of another image, so the same fact may follow from it for this one
    near = {id(fact) for fact in siblings}
    ancestry = frozenset().union(*(item.ancestry for item in premises if id(item.fact) not in near))
    subject = conclusion.fact.subject
    if subject in ancestry:
        return None
    entries = frozenset().union(*(item.entries for item in premises))
    return _Item(conclusion.fact, rule.name, depth, entries, ancestry | {subject})


def _is_known(fact: Fact, items: Mapping[Hashable, list[_Item]]) -> bool:
    return any(item.fact.agrees(fact) for item in items.get(fact.subject, ()))
