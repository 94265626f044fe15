"""Defines the phrases that mean each label.

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

OTHER: Final = re.compile(
    r"\b(?:emphysem\w*|hyperinflat\w*|hyperexpan\w*|copd|chronic obstructive|scoliosis|kyphosis"
    r"|degenerative|spondylosis|osteophyt\w*|osteopenia|hiatal hernia|hernias?|granulomas?"
    r"|granulomatous|calcifi\w+|atherosclero\w*|tortuous|ectatic|eventration|elevat(?:ed|ion)"
    r"|pneumomediastinum|pneumoperitoneum|bronchiectasis|bronchitis|bullae?|deformity|fibrosis"
    r"|aspiration|hemorrhage|hematoma|contusion|adenopathy|lymphadenopathy)\b"
)
"""Abnormalities that are none of CheXpert's labels but exclude ``No Finding``, as there."""

_ORGANS: Final = (
    r"pericardial|soft[- ]tissues?|joints?|subcutaneous|breasts?|cerebral|brain|intracranial|peripheral"
    r"|laryngeal|pharyngeal|epiglottic|glottic|facial|periorbital|macular|corneal|retinal|pedal"
    r"|ankles?|legs?|feet|knees?|hips?|elbows?|shoulders?|wrists?|limbs?|extremit(?:y|ies)|arms?"
    r"|scrotal|bowel|gastric|colonic|mesenteric|gallbladder|liver|hepatic|renal|kidneys?|adrenal"
    r"|splenic|thyroid|pancreatic|pelvic|bladder|prostate|ovarian|uterine|abdominal|abdomen"
    r"|paraspinal|sinus|sinuses|mastoid|middle ear|dental|skin|cutaneous|scalp|optic|spinal cord"
    r"|bone marrow|mucosal|tracheal wall|neck|axillary|osseous|bony|vertebral(?: body)?|metallic"
)
ELSEWHERE_BEFORE: Final = re.compile(
    rf"\b(?:{_ORGANS})\s+(?:wall\s+|small\s+|large\s+)?$"
)
"""Words before a phrase that place it in an organ outside the lungs, pleura and heart."""
ELSEWHERE_AFTER: Final = re.compile(
    rf"\s+(?:of|in|within|over|at)\s+(?:the\s+|both\s+|an?\s+|either\s+|left\s+|right\s+)*"
    rf"(?:larynx|pharynx|epiglottis|larger airways|face|orbit|pericardium|{_ORGANS})\b"
)
"""Words after a phrase that place it in such an organ."""
