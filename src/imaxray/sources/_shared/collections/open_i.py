"""Parses ids, report XML and MeSH terms of the Open-I chest X-ray collection."""

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
"""Matches ``CXR1_1_IM-0001-3001`` (XML, PNG archive) and ``1_IM-0001-3001.dcm.png`` (Kaggle)."""

_TERMS: Final = {
    "atelectasis": "Atelectasis",
    "bullous emphysema": "Emphysema",
    "catheters, indwelling": "Support Devices",
    "pulmonary atelectasis": "Atelectasis",
    "cardiomegaly": "Cardiomegaly",
    "consolidation": "Consolidation",
    "pulmonary edema": "Edema",
    "pulmonary emphysema": "Emphysema",
    "emphysema": "Emphysema",
    "fractures, bone": "Fracture",
    "hemothorax": "Pleural Effusion",
    "hernia, diaphragmatic": "Hernia",
    "hernia, hiatal": "Hernia",
    "implanted medical device": "Support Devices",
    "infiltrate": "Infiltration",
    "medical device": "Support Devices",
    "normal": "No Finding",
    "pleural effusion": "Pleural Effusion",
    "pneumonia": "Pneumonia",
    "pneumothorax": "Pneumothorax",
    "pulmonary fibrosis": "Fibrosis",
    "stents": "Support Devices",
    "tube, inserted": "Support Devices",
}
"""Maps a MeSH main term to a finding where the two clearly mean the same."""
_BOTH: Final = {
    "hemopneumothorax": ("Pleural Effusion", "Pneumothorax"),
    "hydropneumothorax": ("Pleural Effusion", "Pneumothorax"),
}
"""Maps a main term to the two findings that it joins."""
_SITED: Final = {
    ("airspace disease", "lung"): "Lung Opacity",
    ("cardiac shadow", "enlarged"): "Cardiomegaly",
    ("mass", "lung"): "Mass",
    ("mediastinum", "enlarged"): "Enlarged Cardiomediastinum",
    ("nodule", "lung"): "Nodule",
    ("opacity", "lung"): "Lung Opacity",
    ("thickening", "pleura"): "Pleural Thickening",
}
"""Maps a term and a qualifier to a finding if the term means that finding only with it.

An example of such a term is ``Opacity/lung/base/left``.
"""
_NO_FINDINGS: Final = ("", "no indexing", "technical quality of image unsatisfactory")
_DOUBT: Final = "borderline"
_LATERAL: Final = re.compile(r"(?i)\blat(?:eral)?s?\b|\b(?:2|two|three|3) views?\b|\boblique\b")
_PA: Final = re.compile(r"(?i)\bPA\b|\bposter(?:o-?|ior )anterior\b")
_AP: Final = re.compile(r"(?i)\bAP\b|\banter(?:o-?|ior )posterior\b|\bportable\b")


@dataclass(frozen=True)
class OpenIReport:
    """Holds the content of one report; ``images`` are image ids as the release writes them."""

    uid: str
    findings: str
    impression: str
    caption: str
    terms: tuple[str, ...]
    images: tuple[str, ...] = ()


def image_key(text: str) -> str | None:
    """Return ``CXR1_IM-0001-3001`` from an image name of NLM or Kaggle, or None if none matches."""
    match = _IMAGE.fullmatch(text.strip())
    return f"CXR{int(match.group(1))}_{match.group(2)}" if match else None


def uid_of(text: str) -> str | None:
    """Return ``1`` from ``CXR1`` or ``1``, or None if the text is no report id."""
    digits = text.strip().removeprefix("CXR")
    return str(int(digits)) if re.fullmatch("[0-9]{1,6}", digits) else None


def parse_report(content: bytes) -> OpenIReport | None:
    """Parse the XML of one report; return None if it is no XML or if it declares entities."""
    try:
        root: Element = fromstring(content)
    except (ParseError, DefusedXmlException, ValueError, LookupError):
        return None  # LookupError means that the XML names an encoding that does not exist
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
    """Map each finding that MeSH terms name to 1, or to -1 if the indexer wrote ``borderline``.

    A term has the form ``main/qualifier/…``. A finding that no term names is unknown, and
    :func:`unmapped` lists the terms that name none.
    """
    labels: dict[str, float] = {}
    for term in terms:
        _, *qualifiers = _parts(term)
        value = -1.0 if _DOUBT in qualifiers else 1.0
        for name in _findings(term):
            labels[name] = max(value, labels.get(name, -1.0))
    return labels


def unmapped(terms: Iterable[str]) -> list[str]:
    """Return the main terms, in lower case and each once, that equal no finding of ours."""
    mains = dict.fromkeys(_parts(term)[0] for term in terms if not _findings(term))
    return [main for main in mains if main not in _NO_FINDINGS]


def _parts(term: str) -> list[str]:
    return [" ".join(part.lower().split()) for part in term.split("/")]


def _findings(term: str) -> tuple[str, ...]:
    main, *qualifiers = _parts(term)
    if main in _BOTH:
        return _BOTH[main]
    name = _TERMS.get(main) or next(
        (n for (what, site), n in _SITED.items() if what == main and site in qualifiers), None
    )
    return () if name is None else (name,)


def projection_of(caption: str) -> str | None:
    """Return PA or AP if the caption of the examination names exactly one of them, else None."""
    pa, ap = bool(_PA.search(caption)), bool(_AP.search(caption))
    return None if pa == ap else "PA" if pa else "AP"


def one_view(caption: str) -> str | None:
    """Return PA or AP if the caption shows that all images of the examination have that view.

    None is returned if the caption mentions a lateral view or several views.
    """
    return None if _LATERAL.search(caption) else projection_of(caption)


def image_files(
    root: Path, folders: Sequence[str]
) -> dict[str, tuple[str, tuple[int, int] | None]]:
    """Map :func:`image_key` of each PNG file to its path inside the release and its size.

    The size (width, height) is None if the file is damaged.
    """
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
    """Return whether any of ``folders`` holds a PNG file."""
    return next(_pngs(root, folders), None) is not None


def _pngs(root: Path, folders: Sequence[str]) -> Iterator[Path]:
    for folder in folders:
        yield from sorted((root / folder).glob("*.png"))
