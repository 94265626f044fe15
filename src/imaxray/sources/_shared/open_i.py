"""Ids, report XML and MeSH terms of Open-I's chest X-ray collection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from imaxray import radiograph
from imaxray.errors import ImaxrayError

COLLECTION: Final = "open-i"

_IMAGE: Final = re.compile(
    r"(?:CXR)?(\d{1,6})_(?:\d{1,6}_)?(IM-[A-Za-z0-9-]+)(?:\.dcm)?(?:\.png)?", re.ASCII
)
"""``CXR1_1_IM-0001-3001`` (XML, PNG archive) and ``1_IM-0001-3001.dcm.png`` (Kaggle)."""

_TERMS: Final = {
    "atelectasis": "Atelectasis",
    "pulmonary atelectasis": "Atelectasis",
    "cardiomegaly": "Cardiomegaly",
    "consolidation": "Consolidation",
    "pulmonary edema": "Edema",
    "pulmonary emphysema": "Emphysema",
    "emphysema": "Emphysema",
    "fractures, bone": "Fracture",
    "hernia, hiatal": "Hernia",
    "implanted medical device": "Support Devices",
    "infiltrate": "Infiltration",
    "medical device": "Support Devices",
    "normal": "No Finding",
    "pleural effusion": "Pleural Effusion",
    "pneumonia": "Pneumonia",
    "pneumothorax": "Pneumothorax",
    "pulmonary fibrosis": "Fibrosis",
}
"""MeSH main term -> finding, where the two clearly mean the same."""
_SITED: Final = {
    ("mass", "lung"): "Mass",
    ("nodule", "lung"): "Nodule",
    ("opacity", "lung"): "Lung Opacity",
    ("thickening", "pleura"): "Pleural Thickening",
}
"""Terms that mean a finding only at one site: ``Opacity/lung/base/left``."""
_DOUBT: Final = "borderline"
_LATERAL: Final = re.compile(r"(?i)\blat(?:eral)?s?\b|\b(?:2|two|three|3) views?\b|\boblique\b")
_PA: Final = re.compile(r"(?i)\bPA\b|\bposter(?:o-?|ior )anterior\b")
_AP: Final = re.compile(r"(?i)\bAP\b|\banter(?:o-?|ior )posterior\b|\bportable\b")


@dataclass(frozen=True)
class OpenIReport:
    """What one report says; ``images`` are ids as the release writes them."""

    uid: str
    findings: str
    impression: str
    caption: str
    terms: tuple[str, ...]
    images: tuple[str, ...] = ()


def image_key(text: str) -> str | None:
    """``CXR1_IM-0001-3001`` from an image's name in either mirror; None if it is none."""
    match = _IMAGE.fullmatch(text.strip())
    return f"CXR{int(match.group(1))}_{match.group(2)}" if match else None


def uid_of(text: str) -> str | None:
    """``1`` from ``CXR1`` or ``1``; None if it is no report id."""
    digits = text.strip().removeprefix("CXR")
    return str(int(digits)) if re.fullmatch("[0-9]{1,6}", digits) else None


def parse_report(content: bytes) -> OpenIReport | None:
    """Read one report XML; None if it is none, or declares entities."""
    try:
        root: Element = fromstring(content)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None  # LookupError: an encoding that does not exist
    uid = next((node.get("id", "") for node in root.iter("uId")), "")
    sections: dict[str, str] = {}
    for node in root.iter("AbstractText"):
        sections.setdefault(node.get("Label", "").upper(), "".join(node.itertext()).strip())
    captions = (node.text or "" for image in root.iter("parentImage") for node in image)
    return OpenIReport(
        uid=uid_of(uid) or "",
        findings=sections.get("FINDINGS", ""),
        impression=sections.get("IMPRESSION", ""),
        caption=next((text.strip() for text in captions if " " in text.strip()), ""),
        terms=tuple(node.text or "" for mesh in root.iter("MeSH") for node in mesh.iter("major")),
        images=tuple(node.get("id", "") for node in root.iter("parentImage")),
    )


def labels_of(terms: Iterable[str]) -> dict[str, float]:
    """Finding -> 1, or -1 where the indexer wrote ``borderline``, from MeSH terms.

    A term is ``main/qualifier/…``. Terms with no clear equal among the findings say nothing here,
    and what no term names is unknown.
    """
    labels: dict[str, float] = {}
    for term in terms:
        main, *qualifiers = (part.strip().lower() for part in term.split("/"))
        name = _TERMS.get(main) or next(
            (n for (what, site), n in _SITED.items() if what == main and site in qualifiers), None
        )
        if name is not None:
            value = -1.0 if _DOUBT in qualifiers else 1.0
            labels[name] = max(value, labels.get(name, -1.0))
    return labels


def projection_of(caption: str) -> str | None:
    """PA or AP, where the caption of the examination names one of the two; else None."""
    pa, ap = bool(_PA.search(caption)), bool(_AP.search(caption))
    return None if pa == ap else "PA" if pa else "AP"


def one_view(caption: str) -> str | None:
    """The view of every image of an examination that had one view only, by its caption."""
    return None if _LATERAL.search(caption) else projection_of(caption)


def image_files(
    root: Path, folders: Sequence[str]
) -> dict[str, tuple[str, tuple[int, int] | None]]:
    """PNG files by :func:`image_key`: path inside the release, and size; no size: damaged."""
    found: dict[str, tuple[str, tuple[int, int] | None]] = {}
    for path in _pngs(root, folders):
        key = image_key(path.name)
        if key is not None and key not in found:
            try:
                size = radiograph.size(path)
            except ImaxrayError:
                size = None
            found[key] = (path.relative_to(root).as_posix(), size)
    return found


def has_images(root: Path, folders: Sequence[str]) -> bool:
    """Whether there is any PNG."""
    return next(_pngs(root, folders), None) is not None


def _pngs(root: Path, folders: Sequence[str]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((root / folder).glob("*.png"))
