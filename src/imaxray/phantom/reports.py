"""Writes reports in the style of MIMIC-CXR from the findings of a study.

A small grammar has several wordings per fact and varies the order of sentences, so that the reports
read like those of a department and not like one template. All random choices come from the
generator that the caller passes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

import numpy as np

from imaxray.phantom.cohort import Finding

_EDEMA: Final = {
    "1": ("pulmonary vascular congestion", "mild vascular congestion"),
    "2": ("interstitial pulmonary edema", "interstitial edema"),
    "3": ("alveolar pulmonary edema", "severe alveolar edema"),
}

_WORDINGS: Final[dict[str, tuple[str, ...]]] = {
    "effusion": (
        "There is a {p}.",
        "A {p} is present.",
        "{p} is noted.",
        "Blunting of the {side} costophrenic angle is due to a {p}.",
    ),
    "consolidation": (
        "There is a {p}.",
        "A {p} is seen, concerning for pneumonia.",
        "{p} may represent pneumonia.",
        "Patchy opacity is seen: {p}.",
    ),
    "nodule": ("There is a {p}.", "A {p} is identified.", "{p} is seen.", "Note is made of a {p}."),
    "pneumothorax": ("There is a {p}.", "A {p} is present.", "{p} is seen.", "{p} is identified."),
    "edema": ("There is {p}.", "{p} is present.", "Findings are consistent with {p}."),
    "cardiomegaly": (
        "The heart is enlarged.",
        "There is cardiomegaly.",
        "The cardiac silhouette is enlarged.",
    ),
    "device": ("A {p} is in place.", "There is a {p}.", "{p} is unchanged in position."),
}

_NORMAL: Final[dict[str, tuple[str, ...]]] = {
    "lungs": ("The lungs are clear.", "No focal consolidation.", "The lungs are well expanded."),
    "effusion": ("There is no pleural effusion.", "No effusion is seen."),
    "pneumothorax": ("There is no pneumothorax.", "No pneumothorax is seen."),
    "edema": ("There is no pulmonary edema.", "No evidence of edema."),
    "heart": (
        "The heart size is normal.",
        "The cardiac silhouette is normal in size.",
        "Cardiomediastinal contours are normal.",
    ),
}

_ORDER: Final = (
    "device",
    "heart",
    "cardiomegaly",
    "lungs",
    "consolidation",
    "nodule",
    "edema",
    "effusion",
    "pneumothorax",
)
"""Order in which a report describes the organ systems."""

_INDICATIONS: Final = ("cough", "shortness of breath", "chest pain", "fever", "hypoxia")


def phrase(finding: Finding, *, variant: int = 0) -> str:
    """Return words that name a finding and its location, e.g. ``small left pleural effusion``.

    A phrase identifies one finding of an image. ``variant`` selects one of the wordings. Edema and
    devices have a name without a location.
    """
    if finding.kind == "effusion":
        return f"{finding.size} {finding.side} pleural effusion"
    if finding.kind == "pneumothorax":
        return (
            f"{finding.size} {finding.side} pneumothorax",
            f"{finding.size} {finding.side} apical pneumothorax",
        )[variant % 2]
    if finding.kind == "consolidation":
        return (
            f"{finding.side} {finding.zone} lung consolidation",
            f"consolidation in the {finding.side} {finding.zone} lung",
        )[variant % 2]
    if finding.kind == "nodule":
        return (
            f"{finding.side} {finding.zone} lung nodule",
            f"nodule in the {finding.side} {finding.zone} lung",
        )[variant % 2]
    if finding.kind == "cardiomegaly":
        return ("enlarged cardiac silhouette", "enlarged heart")[variant % 2]
    if finding.kind == "edema":
        return _EDEMA[finding.size][variant % 2]
    return finding.size


def sections(
    findings: Sequence[Finding], uncertain: Sequence[str], random: np.random.Generator
) -> tuple[str, str]:
    """Compose the FINDINGS and IMPRESSION text of one study."""
    kinds = {finding.kind for finding in findings}
    said: list[tuple[str, str]] = [
        (finding.kind, _sentence(finding, random)) for finding in findings
    ]
    absent = []
    if not kinds & {"consolidation", "nodule"} and "Pneumonia" not in uncertain:
        absent.append("lungs")
    absent += [k for k in ("effusion", "pneumothorax", "edema") if k not in kinds]
    if "cardiomegaly" not in kinds and "Cardiomegaly" not in uncertain:
        absent.append("heart")
    if "Cardiomegaly" in uncertain:
        said.append(("heart", "The heart is at the upper limits of normal in size."))
    kept = [key for key in absent if random.random() < 0.4] or absent[:1]
    said += [(key, _choose(_NORMAL[key], random)) for key in kept]
    # reports go system by system, as departments teach it; one report in four does not
    said.sort(key=lambda pair: _ORDER.index(pair[0]))
    if random.random() < 0.25:
        said = [said[k] for k in random.permutation(len(said))]
    body = " ".join(sentence for _, sentence in said)
    if not findings:
        impression = str(
            random.choice(["No acute cardiopulmonary process.", "Normal chest radiograph."])
        )
    else:
        named = [_first_upper(phrase(f)) for f in findings]
        if len(named) > 1 and random.random() < 0.5:
            impression = " ".join(f"{k}. {name}." for k, name in enumerate(named, start=1))
        else:
            impression = " ".join(f"{name}." for name in named)
    return body, impression


def write_report(
    view: str,
    body: str,
    impression: str,
    *,
    sex: str,
    random: np.random.Generator,
    addendum: bool = False,
) -> str:
    """Format a report as MIMIC-CXR does: header, one leading space, section heads, wrapped lines.

    A section is left out if its text (``body`` or ``impression``) is empty.
    """
    noun = "man" if sex == "M" else "woman"
    exam = "CHEST (PORTABLE AP)" if view == "AP" else "CHEST (PA AND LAT)"
    lines = [" " * 33 + "FINAL REPORT", f" EXAMINATION:  {exam}", " "]
    reason = f"___ year old {noun} with {random.choice(_INDICATIONS)}"
    lines += [*_wrap(f"INDICATION:  {reason}.  // evaluate for acute process"), " "]
    lines += [
        f" TECHNIQUE:  {'Single AP' if view == 'AP' else 'PA and lateral'} view of the chest",
        " ",
    ]
    comparison = str(random.choice(["None.", "___.", "Chest radiograph ___."]))
    lines += [f" COMPARISON:  {comparison}", " "]
    for head, text in (("FINDINGS", body), ("IMPRESSION", impression)):
        if text:
            lines += [f" {head}: ", " ", *_wrap(text), " "]
    text = "\n".join(lines) + "\n"
    if addendum:
        note = "\n".join(
            [" ADDENDUM: ", " ", *_wrap("Findings were discussed by telephone at ___.")]
        )
        text = note + "\n" + "_" * 78 + "\n" + text
    return text


def _sentence(finding: Finding, random: np.random.Generator) -> str:
    wording = _choose(_WORDINGS[finding.kind], random)
    words = phrase(finding, variant=int(random.integers(2)))
    text = wording.replace("{p}", words).replace("{side}", finding.side)
    text = text.replace("A endo", "An endo").replace(" a endo", " an endo")
    return _first_upper(text)


def _choose(wordings: Sequence[str], random: np.random.Generator) -> str:
    """Choose a wording; the first one is the favourite and has at least half of the draws."""
    if random.random() < 0.5:
        return wordings[0]
    return str(random.choice(wordings))


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _wrap(text: str) -> list[str]:
    wrapped = textwrap.wrap(text, width=77)
    return [f" {line}" for line in wrapped]
