"""Reads the labels that an answer states as lists, ``Label: yes``, headings, JSON or sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from imaxray.schema import FINDINGS
from imaxray.tasks._shared.reading.objects import ASIDE, parse_object
from imaxray.tasks._shared.reading.sentences import in_third_person, labels_said, strongest
from imaxray.tasks._shared.reading.status import status_of

NONE: Final = "No Finding"
_NOT_ABNORMAL: Final = (NONE, "Support Devices")
_NAMES: Final = {label.lower(): label for label in FINDINGS}
_HEAD: Final = (
    (0, r"(?:pertinent |relevant )?(?:negatives?|absent|not (?:present|seen|identified|detected"
        r"|found|observed|visible|evident)|ruled out|excluded|no evidence of|none of|false|no)"),
    (-1, r"uncertain|possible|equivocal|indeterminate|suspected|suspicious(?: for)?|probable|likely"
         r"|questionable|cannot (?:be )?(?:excluded?|rule(?:d)? out)|possibly present"),
    (1, r"positives?|present|detected|identified|observed|abnormal|true|yes"),
)  # fmt: skip
_NOUN: Final = (
    r"(?:findings?|labels?|abnormalit(?:y|ies)|patholog(?:y|ies)|conditions?|diagnos[ie]s)"
)
_HEADS: Final = tuple(
    (value, re.compile(rf"(?:{_NOUN} )?(?:that are |which are )?(?:{words})(?: {_NOUN})?", re.I))
    for value, words in _HEAD
)
_ANY_HEAD: Final = "|".join(rf"(?:{_NOUN} )?(?:{words})(?: {_NOUN})?" for _, words in _HEAD)
_INLINE: Final = re.compile(
    rf"(?:^|(?<=[.;\n,])\s*)(?P<head>{_ANY_HEAD})(?:\s*:\s*|\s+[-–—]\s+)", re.IGNORECASE
)
_LIST_OF: Final = re.compile(
    rf"(?:the |key |main |all |list of |radiographic |imaging |chest )*(?:{_NOUN}|impression|answer"
    r"|summary|result|output|list)(?: (?:include|includes|including|are|is|list|present|of this"
    r" radiograph|in this (?:image|radiograph)))*",
    re.IGNORECASE,
)
_PAIR: Final = re.compile(
    r"(?P<key>[^:=|\n]{2,70}?)\s*(?::|=|→|->|\||\.{2,}|…|\s[-–—]\s)\s*(?P<value>\S.*)$"
)
_NEXT: Final = re.compile(
    r"\s*(?:[;,]|(?<=[✓✔✅☑✗✘❌☐×✖❓])\s|\.(?=\s)|\s\|)\s*(?=[\w /()-]{3,40}?\s*[:=])"
)
_SENTENCE: Final = re.compile(r"(?<=[.;!])\s+")
_EXPLICIT: Final = re.compile(r"\W*(?:yes|no|present|absent|true|false|positive|negative)\b", re.I)
_ITEMS: Final = re.compile(
    r"\s*(?:[,;\n|•](?![^()]*\))|\band\b|\bor\b|&|\bas well as\b|\balong with\b)\s*"
)
_WORD: Final = re.compile(r"[a-z][\w'/-]*")
_VERB: Final = re.compile(
    r"\b(?:is|are|was|were|has|have|shows?|seen|see|there|noted|with|without|remains?|appears?"
    r"|suggest\w*|include\w*|demonstrate\w*|but|however|may|could|cannot|can't|don't|not|than"
    r"|represent\w*|consistent|due|from|concerning|for)\b"
)
_DENIES: Final = re.compile(
    r"^(?:there (?:is|are) )?(?:no|without|negative for|absence of|free of|denies)\b"
    r"(?!\s+(?:\w+ )?(?:change|interval|longer|improvement|new)\b)\s*"
    r"(?:evidence of |signs? of )?",
    re.IGNORECASE,
)
_MARKS: Final = re.compile(
    r"^\s*([✓✔✅☑✗✘❌☐×✖❓❔⚠])\ufe0f?\s*(.+)$|^(.+?)\s*([✓✔✅☑✗✘❌☐×✖❓❔⚠])\ufe0f?\s*$"
)
_SIGNED: Final = re.compile(r"^\s*[\[(]\s*([+–−-])\s*[\])]\s*(.+)$")
_ROW: Final = re.compile(
    r"^(?:label|finding|name|condition|observation)\s*:\s*(?P<key>[^:,;|]+?)\s*[,;|–-]+\s*(?:value|status|present"
    r"|presence|result|answer|state)\s*:\s*(?P<value>.+)$"
    r"|^(?P<name>[A-Za-z ]{4,40}),\s*(?P<cell>-?[01]|yes|no)$",
    re.IGNORECASE,
)
_VALUE_OF: Final = {
    **dict.fromkeys("✓✔✅☑", 1),
    **dict.fromkeys("✗✘❌☐×✖", 0),
    **dict.fromkeys("❓❔⚠", -1),
}
_PAREN: Final = re.compile(r"^(?P<key>[^()]+?)\s*\((?P<value>[^()]*)\)\s*$")
_TRAILING: Final = re.compile(
    r"^(?P<key>.+?)\s+(?P<value>(?:not )?(?:present|seen|detected|identified|visible)|absent|yes|no"
    r"|positive|negative)$",
    re.IGNORECASE,
)
_ORGAN: Final = re.compile(
    r"(?:cardiac|heart|lungs?|pleura|pleural space|bones?|mediastinum|diaphragm|devices?"
    r"|lines?(?: and |/| & )tubes?|osseous structures|cardiomediastinal silhouette"
    r"|cardiac silhouette"
    r"|heart size|lung fields?|hila|soft tissues?|bony structures|skeleton|chest wall|airways?"
    r"|trachea|lung parenchyma|support devices?|hardware|vasculature|other|others)[\w /&-]{0,40}",
    re.IGNORECASE,
)
_KIND: Final = (
    r"(?:findings?|abnormalit(?:y|ies)|disease|process(?:es)?|patholog(?:y|ies)|pathologic\w*)"
)
_PARTIAL: Final = (
    r"(?!.{0,40}\b(?:bon[ey]\w*|osseous|skeletal|pleural|other|additional|further|mediastinal|soft"
    r"|rib|focal|airspace|lung|pulmonary(?! or)|parenchymal|new|specific|cardiac)\b)"
)
_WHOLE: Final = r"(?:chest|study|radiograph|x-?ray|image|exam\w*|film|cxr|scan|cardiopulmonary)"
_NORMAL: Final = re.compile(
    rf"\b(?:no|without|free of(?: any)?|negative for)\b{_PARTIAL}(?: [\w-]+){{0,6}}? {_KIND}\b"
    r"|\bno(?: (?:acute|active|significant|evident|visible|radiographic))* (?:cardiopulmonary"
    r"|cardiac"
    r" or pulmonary|pulmonary or cardiac|intrathoracic|thoracic|cardiothoracic)"
    r" (?:abnormalit(?:y|ies)|disease|process(?:es)?|patholog(?:y|ies)|findings?)"
    r"|\b(?:no|nothing) (?:acute|abnormal)\b(?=\s*(?:[.,;]|$|is |was |seen|detected|identified"
    r"|here))"
    rf"|(?<!not )(?<!not a )(?<!not an )(?<!ab)\b(?:normal|unremarkable|clear|negative)(?: [\w-]+)?"
    rf"(?: (?:ap|pa|frontal|lateral|portable|posteroanterior|looking))?"
    rf" (?:{_WHOLE}|findings?)\b"
    rf"|\b(?:{_WHOLE}|everything|findings?)(?: \w+)? (?:is|are|appears?|looks?|was|within)"
    r"(?: (?:completely|entirely|essentially|grossly|largely|otherwise|to be|overall|all))*"
    r" (?:normal|unremarkable|within normal|negative|clear)\b"
    r"|^\W*(?:(?:completely|entirely|essentially|grossly|all)\s+)?(?:normal|unremarkable|none|nothing"
    r"|nil|negative|clear|wnl|within normal limits)"
    r"(?: (?:seen|detected|identified|present|found|noted|visible|limits))?\W*$",
    re.IGNORECASE | re.MULTILINE,
)
_CLEAR: Final = re.compile(
    r"\blungs?(?: fields?)?(?: \w+){0,2} clear\b|\bclear lungs?(?: fields?)?\b"
    r"|\blungs?: *(?:are |is )?clear",
    re.IGNORECASE,
)
_HEART: Final = re.compile(
    r"\b(?:heart|cardiac|cardiomediastinal)\b[^.\n]{0,60}\b(?:normal|unremarkable|not enlarged)\b"
    r"|\bnormal (?:heart|cardiac|cardiomediastinal)\b",
    re.IGNORECASE,
)
_IS_NORMAL: Final = re.compile(rf"{NONE}s?", re.IGNORECASE)


@dataclass
class Statements:
    """Collects what an answer states about labels.

    Attributes:
        stated: Label → values of its entries in lists, ``Label: yes`` or JSON.
        said: Label → values of its mentions in sentences.
        normal: Whether the answer says that the image is normal.
        rules: Names of the rules that read something.
    """

    stated: dict[str, set[int]] = field(default_factory=dict)
    said: dict[str, set[int]] = field(default_factory=dict)
    normal: bool = False
    rules: set[str] = field(default_factory=set)

    def state(self, labels: Mapping[str, int] | list[str], value: int | None = None) -> None:
        """Add entries of a list; without a value each label has its own."""
        for label in labels:
            own = labels[label] if isinstance(labels, Mapping) else 1
            self.stated.setdefault(label, set()).add(own if value is None else value)
        if labels:
            self.rules.add("label-lists")

    def say(self, labels: Mapping[str, int]) -> None:
        """Add mentions in sentences."""
        for label, value in labels.items():
            self.said.setdefault(label, set()).add(value)
        if labels:
            self.rules.add("sentences")

    def result(self) -> dict[str, int] | None:
        """Return label → 1 or -1; ``None`` if nothing was stated or entries contradict each other.

        What is stated as an entry counts more than what sentences say.
        """
        if any(values >= {0, 1} for values in self.stated.values()):
            return None
        merged: dict[str, int] = {}
        for label in FINDINGS:
            value = strongest(self.stated.get(label, ()) or self.said.get(label, ()))
            if value is not None:
                merged[label] = value
        found = any(v != 0 for label, v in merged.items() if label not in _NOT_ABNORMAL)
        if self.normal and not found:
            merged.setdefault(NONE, 1)
            self.rules.add("normal")
        if not merged:
            return None
        return {label: value for label, value in merged.items() if value != 0}


def exact_labels(text: str) -> dict[str, int] | None:
    """Read names of labels that are separated by commas, as targets are written.

    ``Possible`` before a name makes it uncertain.

    Example:
        >>> exact_labels("Edema, Possible Pneumonia")
        {'Edema': 1, 'Pneumonia': -1}
        >>> exact_labels("some edema") is None
        True
    """
    labels: dict[str, int] = {}
    for item in text.lower().split(","):
        name = item.strip()
        possible = name.startswith("possible ")
        label = _NAMES.get(name.removeprefix("possible ").strip())
        if label is None:
            return None
        labels[label] = -1 if possible else 1
    return labels


def read_labels(text: str) -> Statements:
    """Read an answer in any form; the structure is read here, and sentences by the labeller."""
    statements = Statements()
    text = in_third_person(text)
    found = parse_object(text)
    if found is not None:
        _of_json(found, statements, None)
        if statements.stated or statements.said or statements.normal:
            statements.rules.add("json")
            return statements
        if isinstance(found, dict) or text.strip().startswith(("[", "{")):
            return statements
    _of_text(text, statements)
    return statements


def _of_json(value: Any, to: Statements, polarity: int | None) -> None:
    if isinstance(value, str):
        _of_text(value, to, polarity)
    elif isinstance(value, list):
        if not value and polarity == 1:
            to.normal = True
        for item in value:
            _of_json(item, to, polarity)
    elif isinstance(value, dict):
        _of_object(value, to, polarity)


_NAME_KEY: Final = re.compile(
    r"(?:finding|label|name|disease|patholog\w+|abnormality|observation|condition|type|diagnosis)",
    re.I,
)
_STATUS_KEY: Final = re.compile(
    r"(?:present|status|value|presence|state|answer|result|prediction|exists|detected|is_present"
    r"|positive|assessment|certainty|observed|visible)",
    re.I,
)


def _of_object(value: Mapping[str, Any], to: Statements, polarity: int | None) -> None:
    names = [v for k, v in value.items() if _NAME_KEY.fullmatch(str(k)) and isinstance(v, str)]
    status = [
        v
        for k, v in value.items()
        if _STATUS_KEY.fullmatch(str(k)) and not isinstance(v, list | dict)
    ]
    if names and len(names) == 1:
        labels = names_label(names[0])
        if labels:
            said = status_of(str(status[0])) if status else (1 if polarity is None else polarity)
            if isinstance(said, int):
                to.state(list(labels), said)
        elif not status:
            _of_text(names[0], to, polarity)
        return
    for key, item in value.items():
        key = str(key).replace("_", " ").strip()
        labels = names_label(key)
        if labels:
            _of_key(labels, item, to)
            continue
        head = _head(key)
        if head is not None and not isinstance(item, bool):
            _of_json(item, to, head)
        elif item == [] and _LIST_OF.fullmatch(key):
            to.normal = True
        elif not ASIDE.fullmatch(str(key).replace(" ", "_")):
            if isinstance(item, str) and _ORGAN.fullmatch(key):
                _of_line(f"{key}: {item}", to, polarity)
            else:
                _of_json(item, to, polarity)


def _of_key(labels: list[str], item: Any, to: Statements) -> None:
    """Read the value of a key that names labels."""
    if isinstance(item, Mapping):
        status = [v for k, v in item.items() if _STATUS_KEY.fullmatch(str(k))]
        if len(status) == 1 and not isinstance(status[0], Mapping | list):
            _of_key(labels, status[0], to)
    elif item is not None and not isinstance(item, list):
        said = status_of(str(item))
        if isinstance(said, int):
            to.state(labels, said)
        elif said is None and isinstance(item, str):
            _of_pair(labels, item, to, None)


def _head(text: str) -> int | None:
    bare = text.strip(" \t:.-–—*#()").lower()
    for value, pattern in _HEADS:
        if pattern.fullmatch(bare):
            return value
    return None


def _of_text(text: str, to: Statements, polarity: int | None = None) -> None:
    if polarity is None and is_normal(text):
        to.normal = True
    for line in text.split("\n"):
        line = line.strip(" \t\r\"'`")
        if not line:
            continue
        head = _head(line)
        if head is not None and (polarity is not None or line.endswith(":") or "\n" in text):
            polarity = head
            continue
        last, at = 0, polarity
        for inline in _INLINE.finditer(line):
            if before := line[last : inline.start()].strip(" ,;"):
                _of_line(before, to, at)
            at, last = _head(inline.group("head")), inline.end()
        rest = line[last:]
        if rest.strip():
            after = _of_line(rest, to, at)
            if last == 0:
                polarity = after


def is_normal(text: str) -> bool:
    """Return whether a text calls the image normal.

    Example:
        >>> is_normal("No acute findings."), is_normal("No bony abnormality.")
        (True, False)
    """
    return bool(_NORMAL.search(text) or (_CLEAR.search(text) and _HEART.search(text)))


def _of_line(line: str, to: Statements, polarity: int | None) -> int | None:
    """Read one line; return the polarity that still holds for the next line."""
    row = _ROW.match(line.strip())
    if row is not None:
        line = f"{row.group('key') or row.group('name')}: {row.group('value') or row.group('cell')}"
    parts = _NEXT.split(line) if _PAIR.match(line) else [line]
    for part in parts:
        pair = _PAIR.match(part.strip())
        key = pair.group("key").strip(" -*\"'") if pair else ""
        if pair is None:
            _of_segment(part, to, polarity)
            continue
        value = pair.group("value").strip()
        labels = names_label(key)
        if labels:
            _of_pair(labels, value, to, polarity)
        elif _ORGAN.fullmatch(key):
            polarity = None
            said = labels_said(value)
            joined = said or labels_said(f"The {key} is {value}")
            to.say(joined)
        elif _LIST_OF.fullmatch(key):
            polarity = None
            if is_normal(value):
                to.normal = True
            _of_segment(value, to, None)
        else:
            _of_segment(part, to, polarity)
    return polarity


def _of_pair(labels: list[str], value: str, to: Statements, polarity: int | None) -> None:
    """Read ``Label: value``, whose value is a status or a sentence."""
    status = status_of(value)
    said = {} if status == "unstated" else labels_said(value)
    own = [said[label] for label in labels if label in said]
    if isinstance(status, int) and (not own or _EXPLICIT.match(value)):
        to.state(labels, status)
    elif own:
        to.state(labels, strongest(own))
    elif status is None and not re.fullmatch(r"[-\d.,% ]+", value):
        to.state(labels, 1 if polarity is None else polarity)
    to.say({label: v for label, v in said.items() if label not in labels})


def names_label(text: str) -> list[str]:
    """Return the labels that a short name means; empty if the text is no name of labels."""
    bare = " ".join(text.lower().replace("_", " ").strip(" \t.\"'`*()-").split())
    bare = re.sub(r"^(?:the|an?|any)\s+", "", bare)
    if bare in _NAMES:
        return [_NAMES[bare]]
    if _IS_NORMAL.fullmatch(bare):
        return [NONE]
    words = _WORD.findall(bare)
    if not words or len(words) > 6 or _VERB.search(bare):
        return []
    joined = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text.strip()).lower()
    if joined in _NAMES:  # PleuralEffusion
        return [_NAMES[joined]]
    said = labels_said(bare)
    return [label for label, value in said.items() if value == 1]


def _of_segment(text: str, to: Statements, polarity: int | None) -> None:
    """Read a list of names, or else sentences."""
    sentences = _SENTENCE.split(text.strip())
    if len(sentences) > 1:
        for sentence in sentences:
            _of_segment(sentence, to, polarity)
        return
    items = [item.strip(" \t\"'`*") for item in _ITEMS.split(text.strip().rstrip("."))]
    items = [item for item in items if item]
    if not items:
        return
    read = [_item(item) for item in items]
    if all(entry is not None for entry in read):
        to.state({})
        _of_items(items, [entry for entry in read if entry is not None], to, polarity)
        return
    said = labels_said(text)
    if polarity in (0, -1):
        said = {label: polarity if value == 1 else value for label, value in said.items()}
    to.say(said)


def _item(item: str) -> tuple[list[str], int | None] | None:
    """Return the labels of an item of a list and its own value; ``None`` if it is no item."""
    signed = _SIGNED.match(item)
    if signed:
        labels = names_label(signed.group(2))
        return (labels, 1 if signed.group(1) == "+" else 0) if labels else None
    marked = _MARKS.match(item)
    if marked:
        mark, name = (marked.group(1) or marked.group(4)), (marked.group(2) or marked.group(3))
        labels = names_label(name)
        return (labels, _VALUE_OF[mark]) if labels else None
    if _IS_NORMAL.fullmatch(item):
        return [NONE], None
    denies = _DENIES.match(item)
    if denies is not None:
        labels = names_label(item[denies.end() :])
        return (labels, 0) if labels else None
    for pattern in (_PAREN, _TRAILING):
        found = pattern.match(item)
        if found and (labels := names_label(found.group("key"))):
            status = status_of(found.group("value"))
            return labels, status if isinstance(status, int) else None
    labels = names_label(item)
    if labels:
        return labels, None
    if len(item.split()) <= 6 and not _VERB.search(item.lower()):
        said = labels_said(item)
        if said and len(set(said.values())) == 1:
            return list(said), next(iter(said.values()))
    return None


def _of_items(
    items: list[str], read: list[tuple[list[str], int | None]], to: Statements, polarity: int | None
) -> None:
    """State the items of a list; a ``no`` reaches the items after it unless they stand alone."""
    denials = [
        _DENIES.match(item) is not None and labels != [NONE]
        for item, (labels, _) in zip(items, read, strict=True)
    ]
    each = sum(denials) > 1  # every denied item has its own "no"
    reached = False
    for number, (item, (labels, own)) in enumerate(zip(items, read, strict=True)):
        if denials[number]:
            reached = True
        alone = item[:1].isupper() and (each or not denials[0])
        if own is None and number and reached and not alone and labels != [NONE]:
            own = 0
        elif own == 1 or (own is None and alone):
            reached = False
        value = own if own is not None else (1 if polarity is None else polarity)
        to.state(labels, value)
