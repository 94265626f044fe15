"""Defines the phrases that mean each label, and recognises questions about one label.

``PLAIN`` phrases mean the label beyond doubt; only these can show that a report contradicts its
labels. ``FURTHER`` phrases are read as the label too, as in CheXpert's labeller.
"""

from __future__ import annotations

import re
from typing import Final

_PLAIN: Final = {
    "Atelectasis": r"atelecta(?:sis|ses)",
    "Cardiomegaly": r"cardiomegaly|enlarge(?:d|ment of the) (?:heart|cardiac silhouette)"
    r"|(?:heart|cardiac silhouette|heart size)(?: size)? (?:is|remains|appears)"
    r"(?: \w+ly)? (?:not )?enlarged|(?:heart|cardiac silhouette) enlarged",
    "Consolidation": r"consolidations?",
    "Edema": r"(?:pulmonary |interstitial |alveolar )*o?edema",
    "Fracture": r"(?:rib |clavicular? )?fractures?",
    "Lung Lesion": r"(?:lung|pulmonary) (?:nodules?|mass(?:es)?|lesions?)",
    "Pleural Effusion": r"(?:pleural )?effusions?",
    "Pneumonia": r"pneumonia",
    "Pneumothorax": r"pneumothora(?:x|ces)",
}
_FURTHER: Final = {
    "Atelectasis": r"atelectatic|collapse(?:d)?(?= (?:of|lung|lobe|left|right))|lobar collapse"
    r"|volume loss",
    "Cardiomegaly": r"(?:cardiac|heart) (?:size|silhouette) (?:is|remains|appears)(?: \w+)?"
    r" (?:enlarged|increased|large)|cardiac enlargement|enlarged cardiac contour"
    r"|(?:mildly |moderately |severely |markedly )enlarged (?:heart|cardiac silhouette)"
    r"|(?:heart|cardiac silhouette)(?: size)? is (?:at the )?(?:upper limits?|borderline)"
    r"|(?:borderline|top[- ]normal) (?:heart|cardiac)(?: size)?|heart size is top[- ]normal",
    "Consolidation": r"consolidative|consolidated",
    "Edema": r"(?:pulmonary )?vascular congestion|(?:pulmonary )?venous congestion"
    r"|congestive (?:heart )?(?:failure|changes)|\bchf\b|heart failure|vascular engorgement"
    r"|(?:pulmonary )?fluid overload|kerley",
    "Enlarged Cardiomediastinum": r"(?:widened|enlarged|prominent) (?:mediastinum"
    r"|cardiomediastin(?:um|al silhouette)|mediastinal (?:contour|silhouette))s?"
    r"|mediastinal (?:widening|enlargement)|(?:mediastinum|cardiomediastinal silhouette|mediastinal"
    r" (?:contour|silhouette)) (?:is|remains|appears)(?: \w+ly)? (?:widened|enlarged|prominent)",
    "Fracture": r"fractured",
    "Lung Lesion": r"nodules?|nodular (?:opacity|opacities|density|densities)|mass(?:es)?"
    r"|granulomas?|cavitary lesions?|neoplasms?|tumou?rs?|carcinoma|metasta(?:sis|ses|tic)",
    "Lung Opacity": r"opacit(?:y|ies)|opacification|infiltrat(?:e|es|ion|ions)|airspace disease"
    r"|air[- ]space disease|lung markings are increased|interstitial markings are (?:increased"
    r"|prominent)",
    "Pleural Effusion": r"pleural fluid|hydrothorax|blunt(?:ing|ed)(?: of)?(?: the)?"
    r"(?: right| left| bilateral| lateral| posterior)* costophrenic (?:angle|sulc)\w*"
    r"|costophrenic (?:angle|sulcus) blunting",
    "Pleural Other": r"pleural[- ](?:thickening|scarring|plaques?|calcifications?)|fibrothorax"
    r"|apical (?:capping|thickening|scarring)",
    "Pneumonia": r"infectious (?:process|infiltrate)|pulmonary infection|bronchopneumonia",
    "Pneumothorax": r"pneumothoraces|hydropneumothorax",
    "Support Devices": r"pacemakers?|pacer|pacing (?:leads?|wires?|device)|icd|aicd|defibrillators?"
    r"|(?:endotracheal|nasogastric|orogastric|enteric|feeding|tracheostomy|chest|et|ng|og|dobhoff"
    r"|pigtail) (?:tubes?|catheters?)|catheters?|picc(?: line)?|central (?:venous )?lines?"
    r"|port-?a-?cath|mediport|(?:sternal|sternotomy) wires?|valve (?:prosthesis|replacement)"
    r"|prosthetic (?:\w+ )?valve|support devices?|stents?|iabp|leads? (?:terminate|end|in)|drains?"
    r"|tubes? (?:is|in|ends|terminates)",
}
_LABELS: Final = tuple(sorted({*_PLAIN, *_FURTHER}))
PLAIN: Final = {label: re.compile(rf"\b(?:{text})\b") for label, text in _PLAIN.items()}
FURTHER: Final = {label: re.compile(rf"\b(?:{text})\b") for label, text in _FURTHER.items()}
ANY: Final = {
    # plain phrases come first, so that they are preferred where several phrases match
    label: re.compile(rf"\b(?:{'|'.join(t[label] for t in (_PLAIN, _FURTHER) if label in t)})\b")
    for label in _LABELS
}
"""All phrases of each label, in lower case."""

NORMAL: Final = {
    "Cardiomegaly": re.compile(
        r"\b(?:heart|cardiac silhouette|heart size|cardiac size|cardiomediastinal silhouette"
        r"|cardiomediastinal contours?)(?: size)? (?:is|are|appears|remains)(?: \w+ly)?"
        r" (?:normal|unremarkable|stable and normal|within normal limits|not enlarged)\b"
        r"|\b(?:normal (?:heart|cardiac)(?: size| silhouette)?|normal cardiomediastinal silhouette"
        r"|heart is normal in size|cardiac silhouette is normal in size)\b"
    ),
    "Enlarged Cardiomediastinum": re.compile(
        r"\b(?:mediastinum|mediastinal (?:contours?|silhouette)|cardiomediastinal (?:silhouette"
        r"|contours?))(?: is| are| appears?| remains?)(?: \w+ly)? (?:normal|unremarkable"
        r"|within normal limits)\b|\bnormal (?:mediastinum|cardiomediastinal silhouette)\b"
    ),
    "Pleural Effusion": re.compile(
        r"\bcostophrenic (?:angles?|sulci) (?:is|are)(?: \w+ly)? (?:sharp|clear|preserved)\b"
    ),
    "Lung Opacity": re.compile(r"\blungs?(?: fields?)? (?:is|are|appear)(?: \w+ly)? clear\b"),
}
"""Wordings that deny a label without naming it."""

_ASKS: Final = re.compile(r"^(?:is|are|does|do|can|has|have)\b")
_NEUTRAL: Final = re.compile(
    r"is|are|does|do|can|has|have|there|any|an?|the|this|these|of|in|on|to|evidence|signs?|image"
    r"|x-?ray|radiograph|cxr|film|scan|chest|picture|present|seen|visible|show(?:s|n|ing)?"
    r"|demonstrate|you|see|patient|it|indicate"
)
_PLACE: Final = re.compile(
    r"left|right|lungs?|both|bilateral|upper|middle|lower|lobes?|zones?|bases?|apex|apices"
    r"|hemithorax|sided?|pleural|space|small|large|mild|moderate|severe"
)


def asked(question: str) -> tuple[str, bool] | None:
    """Return the label whose presence a yes/no question asks for, and whether in the whole image.

    The result is ``None`` if the question asks for anything else or names several labels. Only
    plain phrases count.

    Example:
        >>> asked("Is there a pleural effusion?")
        ('Pleural Effusion', True)
        >>> asked("Is the effusion new?") is None
        True
    """
    text = " ".join(re.findall(r"[a-z]+(?:-[a-z]+)*", question.lower()))
    if not _ASKS.search(text):
        return None
    named = {label: match for label, mention in PLAIN.items() if (match := mention.search(text))}
    if len(named) != 1:
        return None
    label, match = next(iter(named.items()))
    words = f"{text[: match.start()]} {text[match.end() :]}".split()
    rest = [word for word in words if not _NEUTRAL.fullmatch(word)]
    # any other word makes it another question: "is the effusion new?"
    return (label, not rest) if all(_PLACE.fullmatch(word) for word in rest) else None
