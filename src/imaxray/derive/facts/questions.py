"""Words questions as the questions of a dataset do, so that a model learns to answer those.

The forms are learned from the train questions of the dataset: "Is there pleural effusion?" has the
form "Is there {}?" and the name "pleural effusion" for the label Pleural Effusion. Where a dataset
asks nothing of a kind, the forms of MIMIC-Ext-MIMIC-CXR-VQA are used.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from imaxray.derive.facts.fact import plain
from imaxray.hashing import digest
from imaxray.labeller import asked, mentions
from imaxray.schema import FINDINGS
from imaxray.tasks._shared.wording import asks_for_width, named

SLOT: Final = "{}"
PLACE: Final = "{place}"
_MOST_FORMS: Final = 4  # wordings of one kind of question; rarer ones are accidents of one image

_ASKS: Final = re.compile(r"^(?:is|are|does|do|can|has|have)\b", re.IGNORECASE)
_NEUTRAL: Final = re.compile(
    r"is|are|does|do|can|has|have|there|any|an?|the|this|these|of|in|on|to|evidence|signs?|image"
    r"|x-?ray|radiograph|cxr|film|scan|chest|picture|present|seen|visible|show(?:s|n|ing)?"
    r"|demonstrate|you|see|patient|it|indicate"
)
_SIDED: Final = re.compile(r" in the ((?:left|right) lung)\b", re.IGNORECASE)
_WHERE: Final = re.compile(r"^where (?:is|are) (?:the |an? )?\{\}( located)?\??$", re.IGNORECASE)
_WHAT: Final = re.compile(
    r"^(?:what|which) (?:abnormalit\w+|findings?|diseases?)((?: [a-z-]+)*) ?\?$", re.IGNORECASE
)
_HERE: Final = re.compile(
    r"(?:(?:in|on) (?:this|the) (?:image|x-?ray|radiograph|chest x-?ray|film)|seen|present|shown)$",
    re.IGNORECASE,
)
_WHOLE: Final = re.compile(
    r"is|are|can|be|do|does|you|i|we|there|any|all|in|on|of|this|these|the|a|that|has|have|been"
    r"|patient|image|x-?ray|radiograph|chest|film|cxr|scan|picture|seen|see|shown|shows?|present"
    r"|visible|found|find|identified|identify|observed|detected|noted|depicted|demonstrated|evident"
    r"|it|by|radiographic"
)
"""Words of a question for all abnormalities; any other word asks for some of them only."""
_VIEW: Final = re.compile(r"\b(?:ap|pa)\b.*\bor\b.*\b(?:ap|pa)\b", re.IGNORECASE)
_VIEWS: Final = {
    "PA": re.compile(r"\bpa\b|postero-?anterior", re.IGNORECASE),
    "AP": re.compile(r"\bap\b|antero-?posterior", re.IGNORECASE),
}
"""View → how an answer names it."""
_PREDICATE: Final = re.compile(
    r"\b(?:is|are|appears?|remains?)\b"
    r"|(?:heart|silhouette)(?: size)?:? (?:\w+ly )?(?:enlarged|large|increased)$"
)
"""Names that are statements: "is the heart enlarged?" has no place for another finding."""
_POINTED: Final = re.compile(r"^(?:is|are) (?:it|they|this|these) (?:an? )?\{\}", re.IGNORECASE)
"""Forms about something that is pointed at, which the image as a whole does not answer."""
_OUTSIDE: Final = frozenset(
    {"Cardiomegaly", "Enlarged Cardiomediastinum", "Fracture", "Hernia", "Support Devices"}
)
"""Labels of what lies in no lung, so that no question asks in which lung it is."""
_UNCOUNTED: Final = re.compile(
    r"(?:atelectasis|cardiomegaly|edema|emphysema|fibrosis|pneumonia|congestion|thickening|failure"
    r"|infiltration|[^s]s)$"
)
"""Names without an article: "is a cardiomegaly present?" and "is there a support devices?"."""
_ARTICLE: Final = re.compile(r"\ban? \{\}", re.IGNORECASE)
_OWN: Final = {
    "Support Devices": re.compile(r"(?:support|medical) devices?"),
    "Lung Opacity": re.compile(r"(?:lung |pulmonary |airspace )?opacit(?:y|ies)"),
    "Enlarged Cardiomediastinum": re.compile(
        r"(?:enlarged|widened|wide) (?:cardio)?mediastin(?:um|al silhouette)"
    ),
    "Lung Lesion": re.compile(r"(?:lung |pulmonary )?(?:nodules?|lesions?)"),
}
"""Names that mean a label as a whole, where the labeller also reads narrower ones as the label."""
_NAMES: Final = {
    "Atelectasis": "atelectasis",
    "Cardiomegaly": "enlarged cardiac silhouette",
    "Consolidation": "consolidation",
    "Edema": "pulmonary edema",
    "Enlarged Cardiomediastinum": "enlarged cardiomediastinum",
    "Fracture": "fracture",
    "Lung Lesion": "lung lesion",
    "Lung Opacity": "lung opacity",
    "Pleural Effusion": "pleural effusion",
    "Pneumonia": "pneumonia",
    "Pneumothorax": "pneumothorax",
    "Support Devices": "support devices",
    "Emphysema": "emphysema",
    "Fibrosis": "fibrosis",
    "Hernia": "hernia",
    "Infiltration": "infiltration",
    "Mass": "mass",
    "Nodule": "nodule",
    "Pleural Thickening": "pleural thickening",
}
"""Name of each label in questions of a dataset that does not ask for it."""


@dataclass(frozen=True)
class Asked:
    """What a question asks for.

    Attributes:
        kind: ``presence``, ``sided`` (presence on one side), ``where``, ``what``, ``wider`` or
            ``view``.
        form: The question with :data:`SLOT` for the finding and :data:`PLACE` for the place.
        label: Label of the finding; empty if the question names none.
        name: Words for the finding.
        side: ``left lung`` or ``right lung``, for ``sided``.
        whole: Whether the name means the label as a whole, so that "no" denies the label.
    """

    kind: str
    form: str
    label: str = ""
    name: str = ""
    side: str = ""
    whole: bool = True


@lru_cache(maxsize=200_000)
def understood(question: str) -> Asked | None:
    """Return what a question asks for; ``None`` if it is none of the kinds in :class:`Asked`.

    Example:
        >>> understood("Is there pleural effusion in the left lung?").form
        'Is there {} in the {place}?'
    """
    text = " ".join(question.split())
    if asks_for_width(text):
        return Asked("wider", text)
    if _VIEW.search(text) and not any(True for _ in mentions(text)):
        return Asked("view", text)
    if _asks_for_all(text):
        return Asked("what", text)
    found = {(m.label, m.phrase) for m in mentions(text)}
    if len(found) != 1:
        return None
    label, name = next(iter(found))
    start = text.lower().find(name)
    if start < 0 or label == "No Finding":
        return None
    form = text[:start] + SLOT + text[start + len(name) :]
    whole = _is_whole(label, name) and not _POINTED.search(form)
    if _WHERE.match(form):
        return Asked("where", form, label, name, whole=whole)
    if not _ASKS.search(form):
        return None
    side = _SIDED.search(form)
    if side is not None:
        form = form.replace(side.group(1), PLACE)
    rest = re.findall(r"[a-z]+(?:-[a-z]+)*", form.replace(PLACE, "").replace(SLOT, "").lower())
    if any(not _NEUTRAL.fullmatch(word) for word in rest):
        return None
    if side is not None:
        return Asked("sided", form, label, name, side.group(1).lower(), whole=whole)
    return Asked("presence", form, label, name, whole=whole)


def _asks_for_all(text: str) -> bool:
    found = _WHAT.match(text)
    return (
        found is not None
        and _HERE.search(found.group(1)) is not None
        and all(_WHOLE.fullmatch(word) for word in found.group(1).lower().split())
    )


def _is_whole(label: str, name: str) -> bool:
    own = _OWN.get(label)
    if own is not None:
        return own.fullmatch(name) is not None
    return asked(f"Is there {name}?") == (label, True)


@dataclass(frozen=True)
class Questions:
    """The wording of the questions of a dataset.

    Attributes:
        forms: Kind of a question → its wordings, the most frequent first.
        names: Label → words for it in questions.
        listed: Label → words for it in answers to "what abnormalities …?"; empty if the dataset
            does not ask this.
        views: View of an image → answer to the question about the view.
    """

    forms: Mapping[str, Sequence[str]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    listed: Mapping[str, str] = field(default_factory=dict)
    views: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def learned(cls, rows: Iterable[tuple[str, tuple[str, ...], str | None, int]]) -> Questions:
        """Learn the wording from questions, answers, views of the images, and numbers of times."""
        forms: dict[str, Counter[str]] = defaultdict(Counter)
        names: dict[str, Counter[str]] = defaultdict(Counter)
        listed: dict[str, Counter[str]] = defaultdict(Counter)
        views: dict[str, Counter[str]] = defaultdict(Counter)
        for text, answers, view, count in rows:
            asks = understood(text)
            if asks is None:
                continue
            verdict = {plain(answer) for answer in answers} & {"yes", "no"}
            if (asks.kind == "view" and verdict) or _PREDICATE.search(asks.name):
                continue  # another finding, or another view, would not fit in
            if _POINTED.search(asks.form):
                continue
            forms[asks.kind][_ARTICLE.sub(f"a {SLOT}", asks.form)] += count
            if asks.label and asks.whole:
                names[asks.label][asks.name] += count
            if asks.kind == "what":
                for answer in answers:
                    for label in named(answer):
                        listed[label][answer] += count
            if asks.kind == "view" and view in _VIEWS and _names_view(answers, view):
                views[view][answers[0]] += count
        return cls(
            forms={kind: _ranked(counts)[:_MOST_FORMS] for kind, counts in sorted(forms.items())},
            names={label: _ranked(counts)[0] for label, counts in sorted(names.items())},
            listed={label: _ranked(counts)[0] for label, counts in sorted(listed.items())},
            views={view: _ranked(counts)[0] for view, counts in sorted(views.items())},
        )

    def presence(self, image: str, label: str) -> str | None:
        """Return the question whether a finding is present; ``None`` if it has no name."""
        name = self.name(label)
        form = self._form("presence", "Is there {}?", f"{image}\n{label}")
        return None if name is None else _filled(form, name)

    def sided(self, image: str, label: str, place: str) -> str | None:
        """Return the question whether a finding is in a place, e.g. ``left lung``."""
        name = None if label in _OUTSIDE else self.name(label)
        form = self._form("sided", "Is there {} in the {place}?", f"{image}\n{label}")
        return None if name is None else _filled(form.replace(PLACE, place), name)

    def where(self, image: str, label: str) -> str | None:
        """Return the question where a finding is; ``None`` if it is in no lung."""
        name = None if label in _OUTSIDE else self.name(label)
        form = self._form("where", "Where is the {}?", f"{image}\n{label}")
        return None if name is None else _filled(form, name)

    def what(self, image: str) -> str:
        """Return the question which abnormalities an image shows."""
        return self._form("what", "What abnormalities are seen in this image?", image)

    def wider(self, image: str) -> str:
        """Return the question whether the heart is wider than half of the chest."""
        usual = "Is the width of the cardiac silhouette wider than 1/2 of the thorax width?"
        return self._form("wider", usual, image)

    def view(self, image: str) -> str:
        """Return the question which view an image is."""
        return self._form("view", "Is this an AP or a PA image?", image)

    def view_answer(self, view: str) -> str:
        """Return the answer to :meth:`view`."""
        return self.views.get(view, view.lower())

    def name(self, label: str) -> str | None:
        """Return the words for a label in questions; ``None`` if no question can name it."""
        return self.names.get(label) or _NAMES.get(label)

    def listed_name(self, label: str) -> str | None:
        """Return the words for a label in a list of abnormalities; ``None`` if it is not listed."""
        return self.listed.get(label) if self.listed else _NAMES.get(label)

    def listed_labels(self) -> tuple[str, ...]:
        """Return the labels that a list of abnormalities would name, in the order of FINDINGS."""
        return tuple(label for label in FINDINGS if self.listed_name(label) is not None)

    def _form(self, kind: str, usual: str, key: str) -> str:
        forms = self.forms.get(kind)
        return forms[digest(key) % len(forms)] if forms else usual


def _names_view(answers: Sequence[str], view: str) -> bool:
    """Return whether an answer names a view of its image, and not the other one."""
    named_views = {v for v, words in _VIEWS.items() for a in answers if words.search(a)}
    return len(answers) == 1 and named_views == {view}


def _filled(form: str, name: str) -> str:
    if _UNCOUNTED.search(name):
        form = form.replace(f"a {SLOT}", SLOT)
    article = "an" if name[:1] in "aeiou" else "a"
    return form.replace(f"a {SLOT}", f"{article} {SLOT}").replace(SLOT, name)


def _ranked(counts: Counter[str]) -> list[str]:
    return sorted(counts, key=lambda text: (-counts[text], text))
