"""Reads the labels that an answer states as lists, ``Label: yes``, headings, JSON or sentences."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from imaxray.tasks._shared.reading.labels.items import (
    MARKS,
    VERB,
    names_label,
    read_item,
    state_items,
)
from imaxray.tasks._shared.reading.labels.normal import is_normal
from imaxray.tasks._shared.reading.labels.statements import Statements
from imaxray.tasks._shared.reading.objects import ASIDE, parse_object
from imaxray.tasks._shared.reading.sentences import in_third_person, labels_said, strongest
from imaxray.tasks._shared.reading.status import status_of

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
    r"\s*(?:[;,]|(?<=[✓✔✅☑✗✘❌☐×✖❓])\s|\.(?=\s)|\s\|)\s*(?=[\w /()-]{3,40}?(?:\s*[:=]|\s[-–—]\s))"
)
_SENTENCE: Final = re.compile(r"(?<=[.;!])\s+")
_EXPLICIT: Final = re.compile(r"\W*(?:yes|no|present|absent|true|false|positive|negative)\b", re.I)
_ITEMS: Final = re.compile(
    r"\s*(?:[,;\n|•](?![^()]*\))|\band\b|\bor\b|&|\bas well as\b|\balong with\b)\s*"
)
_ROW: Final = re.compile(
    r"^(?:label|finding|name|condition|observation)\s*:\s*(?P<key>[^:,;|]+?)\s*[,;|–-]+\s*(?:value|status|present"
    r"|presence|result|answer|state)\s*:\s*(?P<value>.+)$"
    r"|^(?P<name>[A-Za-z ]{4,40}),\s*(?P<cell>-?[01]|yes|no)$",
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
_OPACITIES: Final = frozenset({
    "Atelectasis", "Consolidation", "Edema", "Infiltration", "Lung Lesion", "Pneumonia",
})  # fmt: skip


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
    described = (
        "Lung Opacity" if _OPACITIES & set(labels) else None
    )  # "Edema: interstitial pattern"
    to.say({label: v for label, v in said.items() if label not in (*labels, described)})


def _split(text: str) -> list[str]:
    """Split a list at its commas and words; marks alone separate items too: ``✔ Edema ✘ Mass``."""
    before = text[:1] in MARKS
    where = rf"\s+(?=[{MARKS}])" if before else rf"(?<=[{MARKS}])\s+|(?<=[{MARKS}]\ufe0f)\s+"
    return [item for part in re.split(where, text) for item in _ITEMS.split(part)]


def _of_segment(text: str, to: Statements, polarity: int | None) -> None:
    """Read a list of names, or else sentences."""
    sentences = _SENTENCE.split(text.strip())
    if len(sentences) > 1:
        prose = any(VERB.search(sentence.lower()) for sentence in sentences)
        for sentence in sentences:
            pair = _PAIR.match(sentence)
            labels = names_label(pair.group("key").strip(" -*")) if pair else []
            if pair is not None and labels:
                _of_pair(labels, pair.group("value").strip(), to, polarity)
            elif prose and polarity is None and len(sentence.split()) > 3:
                to.say(labels_said(sentence))  # no item of a list among sentences
            else:
                _of_segment(sentence, to, polarity)
        return
    items = [item.strip(" \t\"'`*") for item in _split(text.strip().rstrip("."))]
    items = [item for item in items if item]
    if not items:
        return
    read = [read_item(item) for item in items]
    if all(entry is not None for entry in read):
        to.state({})
        state_items(items, [entry for entry in read if entry is not None], to, polarity)
        return
    said = labels_said(text)
    if polarity in (0, -1):
        said = {label: polarity if value == 1 else value for label, value in said.items()}
    to.say(said)
