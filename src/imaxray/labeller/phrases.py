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
    r"|(?:heart|cardiac silhouette|heart size)(?: size)?(?: is| remains| appears|:)"
    r"(?: \w+ly)? (?:not )?(?:\w+ly )?enlarged|(?:heart|cardiac silhouette) enlarged",
    "Consolidation": r"consolidations?",
    "Edema": r"(?:(?:pulmonary|interstitial|alveolar) ){0,3}o?edema",
    "Fracture": r"(?<!lead )(?<!wire )(?<!screw )(?:rib |clavicular? )?fractures?"
    r"(?! of (?:the )?(?:\w+ ){0,3}(?:screw|lead|wire|hardware|rod))",
    "Lung Lesion": r"(?:lung|pulmonary) (?:nodules?|mass(?:es)?|lesions?)",
    "Pleural Effusion": r"(?:pleural )?effusions?",
    "Pneumonia": r"pneumonia",
    "Pneumothorax": r"pneumothora(?:x|ces)",
}
_FURTHER: Final = {
    "Atelectasis": r"atelectatic|collapse(?:d)?(?= (?:of|lung|lobe|left|right))|collapse"
    r"|lobar collapse|volume loss",
    "Cardiomegaly": r"(?:cardiac|heart) (?:size|silhouette|shadow) (?:is|remains|appears)(?: \w+)?"
    r" (?:enlarged|increased|large)|cardiac enlargement|enlarged cardiac (?:contour|shadow)"
    r"|(?:mildly |moderately |severely |markedly )enlarged (?:heart|cardiac silhouette)"
    r"|(?:heart|cardiac silhouette)(?: size)? is (?:at the )?(?:upper limits?|borderline)"
    r"|(?:borderline|top[- ]normal) (?:heart|cardiac)(?: size)?|heart size is top[- ]normal"
    r"|large heart|heart size (?:\w+ly )?(?:enlarged|increased)"
    r"|(?:heart|heart size) is (?:\w+ly )?(?:not )?(?:large|increased)"
    r"|(?:borderline |mild |moderate |marked ){0,2}enlargement of (?:the )?cardi\w+"
    r"(?: silhouette)?",
    "Consolidation": r"consolidative|consolidated",
    "Edema": r"(?:pulmonary )?(?:vascular|venous) congestion|pulmonary congestion"
    r"|congestive changes?"
    r"|congestive (?:heart )?failure|\bchf\b|heart failure|vascular engorgement|kerley"
    r"|(?:(?:pulmonary|volume) ){0,2}fluid overload|(?:pulmonary )?vascular prominence"
    r"|vascular indistinctness|indistinct (?:\w+ )?vascul\w+|vascular redistribution"
    r"|cephali[sz]ation|pulmonary venous hypertension|(?:prominent|increased"
    r"|engorged) (?:central )?"
    r"(?:pulmonary|lung) vascul\w+|prominence of the (?:central )?pulmonary vascul\w+",
    "Enlarged Cardiomediastinum": r"(?:widened|enlarged|prominent|wide|full) (?:superior |upper )?"
    r"(?:mediastinum|cardiomediastin(?:um|al silhouette)|mediastinal (?:contour|silhouette))s?"
    r"|mediastinal (?:widening|enlargement|prominence)"
    r"|(?:widening|enlargement|prominence) of the (?:\w+ )?(?:cardio)?mediastin\w+"
    r"|(?:mediastinum|cardiomediastinal silhouette|mediastinal (?:contour|silhouette))"
    r" (?:is|remains|appears)(?: \w+ly)?(?: not)? (?:widened|enlarged|prominent)",
    "Fracture": r"(?<!screw is )(?<!lead is )(?<!wire is )(?<!wires are )fractured"
    r"|broken (?:ribs?|clavicles?)",
    "Lung Lesion": r"nodules?|nodular (?:opacity|opacities|density|densities|opacification)"
    r"|mass(?:es)?|masslike (?:opacity|opacities|opacification|density|consolidation)"
    r"|cavitary lesions?|neoplasms?|tumou?rs?|carcinomas?|lung cancer"
    r"|metasta(?:sis|ses|tic)",
    "Lung Opacity": r"opacit(?:y|ies)|opacifications?|opacified|infiltrat(?:e|es|ion|ions)"
    r"|air[- ]?space (?:disease|process|infiltrate)|ground[- ]glass|haz(?:e|iness)|streakiness"
    r"|(?:interstitial|reticular|reticulonodular)(?: lung)? (?:markings?|patterns?|changes?"
    r"|prominence|thickening|disease)|(?:increased|prominent|coarse) lung markings|(?:increased"
    r"|prominent) interstitium|reticulations?"
    r"|interstitial (?:infiltrate|lung disease)|lung markings are increased"
    r"|peribronchial (?:thickening|cuffing)|bronchial wall thickening"
    r"|(?<!pleural )(?<!pleural-parenchymal )(?<!pleuroparenchymal )(?<!thickening or )"
    r"(?<!thickening/)scar(?:s|ring)?"
    r"|(?<!bone )(?<!mineral )(?<!metallic )(?<!metal )(?<!bony )(?<!osseous )densit(?:y|ies)",
    "Pleural Effusion": r"pleural (?:and|or) pericardial effusions?|pleural fluid|hydrothorax"
    r"|hydropneumothorax|h(?:a)?emothorax|h(?:a)?emopneumothorax"
    r"|blunt(?:ing|ed)(?: of)?(?: the)?"
    r"(?: right| left| bilateral| lateral| posterior){0,3} costophrenic (?:angle|sulc)\w*"
    r"|costophrenic (?:angle|sulcus) blunting",
    "Pleural Other": r"pleural[- ](?:thickening|scar(?:s|ring)?|plaques?|calcifications?|disease)"
    r"|pleuro?(?:al)?[- ]?parenchymal (?:scar(?:s|ring)?|thickening)|fibrothorax"
    r"|thickening of the (?:\w+ )?pleura|fissural thickening"
    r"|thickening (?:in|of|along) the (?:\w+ )?fissure|(?:bi)?apical (?:capping|caps?|thickening)",
    "Pneumonia": r"infectious (?:process|infiltrate)|(?<!granulomatous )(?<!tuberculous )"
    r"(?<!tuberculosis )(?<!histoplasmosis )(?<!fungal )(?:pulmonary )?infections?"
    r"|bronchopneumonia|pneumonitis",
    "Pneumothorax": r"pneumothoraces|hydropneumothorax|h(?:a)?emopneumothorax",
    "Support Devices": r"pacemakers?|pacers?|pacing (?:leads?|wires?|device)|icd|aicd"
    r"|defibrillators?"
    r"|(?:endotracheal|nasogastric|orogastric|gastric|enteric|feeding|tracheostomy|chest|et|ng|og"
    r"|dobhoff|pigtail|thoracostomy|support) (?:tubes?|catheters?)|tracheostomy|catheters?"
    r"|picc(?: lines?)?|central (?:venous )?lines?|(?:support|venous|ij|jugular|subclavian) lines?"
    r"|port-?a-?cath|mediports?|port(?:a)?caths?|chest ports?|(?:sternal|sternotomy) wires?"
    r"|valve (?:prosthesis|replacement)|(?:prosthetic|artificial|mechanical) (?:\w+ )?valves?"
    r"|(?:(?:support|medical|implanted|electronic|closure|monitoring) ){0,3}devices?|stents?|iabp"
    r"|leads?(?! to)|drains?|tubes? (?:is|in|ends|terminates)|hardware|arthroplast(?:y|ies)"
    r"|(?<!breast )prosthes[ie]s"
    r"|prosthetic (?:left |right )?(?:shoulder|hip|humer\w+)|screws?|fixation|coils?|balloon pump"
    r"|ett|ngt|ogt|swan[- ]?ganz|loop recorder|(?:nerve )?stimulators?|infusion pump",
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
        r"\b(?:heart|cardiac (?:size|silhouette))(?: size)?(?:,| and)(?: \w+){1,4}"
        r" (?:is|are|appears?|remains?)(?: \w+ly)? (?:normal|unremarkable|within normal limits)\b"
        r"|\b(?:heart|cardiac silhouette|heart size|cardiac size|cardiomediastinal silhouette"
        r"|cardiomediastinal contours?)(?: size)?(?: is| are| appears?| remains?|:)(?: \w+ly)?"
        r" (?:normal|unremarkable|stable and normal|within normal limits|not enlarged)\b"
        r"|\b(?:normal (?:heart|cardiac)(?: size| silhouette)?|normal cardiomediastinal silhouette"
        r"|heart is normal in size|cardiac silhouette is normal in size)\b"
    ),
    "Enlarged Cardiomediastinum": re.compile(
        r"\b(?:mediastinum|mediastinal (?:contours?|silhouettes?)|cardiomediastinal (?:silhouette"
        r"|contours?))(?: is| are| appears?| remains?)(?: \w+ly)? (?:normal|unremarkable"
        r"|within normal limits)\b|\bnormal (?:mediastinum|cardiomediastinal silhouette)\b"
    ),
    "Pleural Effusion": re.compile(
        r"\bcostophrenic (?:angles?|sulci) (?:is|are)(?: \w+ly)? (?:sharp|clear|preserved)\b"
    ),
    "Lung Opacity": re.compile(
        r"\blungs?(?: fields?| bases)?(?: is| are| appears?| remains?"
        r"|:)?(?: both)?(?: \w+ly)? clear\b"
        r"(?! of\b)|\bclear lungs\b"
    ),
}
"""Wordings that deny a label without naming it."""

OTHER: Final = re.compile(
    r"\b(?:emphysem\w*|hyperinflat\w*|hyperexpan\w*|copd|chronic obstructive|scoliosis|kyphosis"
    r"|degenerative|spondylosis|osteophyt\w*|osteopenia|hiatal hernia|hernias?|granulomas?"
    r"|granulomatous|calcifi\w+|atherosclero\w*|eventration|elevat(?:ed|ion)"
    r"|pneumomediastinum|pneumoperitoneum|bronchiectasis|bronchitis|bullae?|deformity|fibrosis"
    r"|aspiration|hemorrhage|hematoma|contusion|adenopathy|lymphadenopathy)\b"
)
"""Abnormalities that are none of CheXpert's labels but exclude ``No Finding``, as there."""

_ORGANS: Final = (
    r"pericardial|soft[- ]tissues?|joints?|subcutaneous|breasts?|cerebral|brain|intracranial"
    r"|peripheral"
    r"|laryngeal|pharyngeal|epiglottic|glottic|facial|periorbital|macular|corneal|retinal|pedal"
    r"|ankles?|legs?|feet|knees?|hips?|elbows?|shoulders?|wrists?|limbs?|extremit(?:y|ies)|arms?"
    r"|scrotal|bowel|gastric|colonic|mesenteric|gallbladder|liver|hepatic|renal|kidneys?|adrenal"
    r"|splenic|thyroid|pancreatic|pelvic|bladder|prostate|ovarian|uterine|abdominal|abdomen"
    r"|chest wall|paraspinal|sinus|sinuses|mastoid|middle ear|dental|skin|cutaneous|scalp|optic"
    r"|spinal cord"
    r"|bone marrow|mucosal|tracheal wall|neck|axillary|osseous|bony|vertebral(?: body)?|metallic"
)
ELSEWHERE_BEFORE: Final = re.compile(rf"\b(?:{_ORGANS})\s+(?:wall\s+|small\s+|large\s+)?$")
"""Words before a phrase that place it in an organ outside the lungs, pleura and heart."""
ELSEWHERE_AFTER: Final = re.compile(
    rf"\s+(?:of|in|within|over|at)\s+(?:the\s+|both\s+|an?\s+|either\s+|left\s+|right\s+)*"
    rf"(?:larynx|pharynx|epiglottis|larger airways|face|orbit|pericardium|{_ORGANS})\b"
)
"""Words after a phrase that place it in such an organ."""
