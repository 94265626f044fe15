"""Knows the spellings of labels, of their values, of grades, splits, views and sexes in tables."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from imaxray.schema import EDEMA_GRADES, FINDINGS

LABEL_VALUES: Final[dict[str, float]] = {
    **dict.fromkeys((
        "1", "1.0", "yes", "y", "true", "t", "positive", "pos", "present", "+", "x",
        "ja", "j", "wahr", "positiv", "vorhanden", "oui", "vrai", "positif", "présent",
        "si", "sí", "verdadero", "positivo", "presente",
    ), 1.0),
    **dict.fromkeys((
        "0", "0.0", "no", "n", "false", "f", "negative", "neg", "absent",
        "nein", "falsch", "negativ", "nicht vorhanden", "non", "faux", "négatif",
        "falso", "negativo", "ausente",
    ), 0.0),
    **dict.fromkeys((
        "-1", "-1.0", "uncertain", "unsure", "possible", "probable", "maybe", "equivocal",
        "indeterminate", "u", "?", "unsicher", "fraglich", "incertain", "incierto", "dudoso",
    ), -1.0),
}  # fmt: skip
"""Maps the spelling of a label's value, in lower case, to 1 yes, 0 no, -1 uncertain."""

MEANINGS: Final[dict[str, float | None]] = {
    "yes": 1.0, "no": 0.0, "uncertain": -1.0, "unknown": None,
}  # fmt: skip
"""Maps what `label_values` says of a further spelling to the value of the label."""

SPLIT_NAMES: Final = {
    **dict.fromkeys(("train", "training", "tr"), "train"),
    **dict.fromkeys(("val", "valid", "validate", "validation", "dev", "tune", "tuning"), "val"),
    **dict.fromkeys(("test", "testing", "holdout", "hold out"), "test"),
}
"""Maps the spelling of a split, as :func:`plain` writes it, to ours."""

GRADES: Final = {
    **{str(k): float(k) for k in range(len(EDEMA_GRADES))},
    **{f"{k}.0": float(k) for k in range(len(EDEMA_GRADES))},
    # "none" may also say that nothing is stated, so it is asked
    **{name: float(k) for k, name in enumerate(EDEMA_GRADES) if k},
    "no edema": 0.0, "no oedema": 0.0, "interstitial oedema": 2.0, "alveolar oedema": 3.0,
}  # fmt: skip
"""Maps the spelling of an edema grade, in lower case, to 0-3."""

BLANK: Final = (
    "", "na", "n/a", "nan", "none", "null", "nil", "unknown", "not mentioned", "missing",
    "unbekannt", "k. a.", "k.a.", "inconnu", "desconocido",
)  # fmt: skip
"""Spellings, in lower case, of a cell that states nothing."""

PERSONS: Final[dict[str, dict[str, str]]] = {
    "view": {
        **dict.fromkeys(("p a", "pa view", "pa erect", "pa upright", "dorsoventral"), "PA"),
        **dict.fromkeys(("a p", "ap view", "ventrodorsal", "ap bedside", "bedside"), "AP"),
        **dict.fromkeys(("face", "frente", "front", "frontal view", "cxr frontal"), "FRONTAL"),
        **dict.fromkeys(("seitlich", "profil", "lateral view", "side", "perfil"), "LATERAL"),
    },
    "sex": {
        **dict.fromkeys(("man", "mannlich", "mann", "masculin", "homme", "hombre", "masculino",
                         "varon", "boy"), "M"),
        **dict.fromkeys(("w", "woman", "weiblich", "frau", "feminin", "femme", "mujer",
                         "femenino", "girl"), "F"),
    },
}  # fmt: skip
"""Maps field → spelling, as :func:`plain` writes it → ours; `sources new` writes them down."""

SPELLINGS: Final[dict[str, tuple[str, ...]]] = {
    "Atelectasis": (
        "atelectases", "atelectatic changes", "collapse", "atelektase", "atelectasie",
        "atelectasia",
    ),
    "Cardiomegaly": (
        "enlarged heart", "heart enlargement", "cardiac enlargement", "big heart",
        "kardiomegalie", "cardiomegalie", "cardiomegalia",
    ),
    "Consolidation": (
        "consolidations", "consolidative opacity", "konsolidierung", "condensation",
        "consolidacion",
    ),
    "Edema": (
        "oedema", "pulmonary edema", "pulmonary oedema", "lung edema", "lung oedema", "odem",
        "lungenodem", "oedeme", "edema pulmonar",
    ),
    "Enlarged Cardiomediastinum": (
        "wide mediastinum", "widened mediastinum", "mediastinal widening", "enlarged mediastinum",
    ),
    "Fracture": (
        "fractures", "rib fracture", "rib fractures", "fx", "fraktur", "rippenfraktur",
        "fractura",
    ),
    "Lung Lesion": ("lung lesions", "pulmonary lesion"),
    "Lung Opacity": (
        "opacity", "opacities", "lung opacities", "airspace opacity", "pulmonary opacity",
        "verschattung", "opacite", "opacidad",
    ),
    "No Finding": (
        "no findings", "normal", "nothing abnormal", "unremarkable", "no abnormality", "nad",
        "ohne befund", "o b", "kein befund", "normalbefund", "sin hallazgos", "sans anomalie",
    ),
    "Pleural Effusion": (
        "effusion", "effusions", "pleural effusions", "pleural fluid", "pl effusion",
        "hydrothorax", "pleuraerguss", "erguss", "epanchement pleural", "derrame pleural",
    ),
    "Pleural Other": ("other pleural",),
    "Pneumonia": (
        "pneumonias", "pneumonic infiltrate", "bronchopneumonia", "pneumonie", "neumonia",
    ),
    "Pneumothorax": ("pneumothoraces", "ptx", "pnx", "neumotorax"),
    "Support Devices": (
        "support device", "device", "devices", "medical device", "lines and tubes",
        "tubes and lines", "fremdmaterial",
    ),
    "Emphysema": ("emphysematous changes", "emphysem", "emphyseme", "enfisema"),
    "Fibrosis": ("lung fibrosis", "pulmonary fibrosis", "fibrose", "lungenfibrose"),
    "Hernia": ("hiatal hernia", "hiatus hernia", "diaphragmatic hernia"),
    "Infiltration": ("infiltrate", "infiltrates", "infiltrations", "infiltrat"),
    "Mass": ("masses", "lung mass", "pulmonary mass", "raumforderung", "masse", "masa"),
    "Nodule": ("nodules", "lung nodule", "pulmonary nodule", "rundherd", "nodulo"),
    "Pleural Thickening": ("thickened pleura", "thickening of the pleura"),
}  # fmt: skip
"""Spellings that mean each label, besides its name, as :func:`plain` writes them."""

_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_OTHER: Final = re.compile(r"[\W_]+")


def plain(text: str) -> str:
    """Return a name in lower case without accents, with single blanks between its words.

    Example:
        >>> plain("PatientID"), plain("Pleural_Effusion"), plain(" pleural-effusion ")
        ('patient id', 'pleural effusion', 'pleural effusion')
    """
    parted = unicodedata.normalize("NFKD", _CAMEL.sub(" ", text).casefold())
    bare = "".join(c for c in parted if not unicodedata.combining(c))
    return _OTHER.sub(" ", bare).strip()


_LABELS: Final = {
    plain(spelling): label
    for label in FINDINGS
    for spelling in (label, *SPELLINGS[label])
}  # fmt: skip


def known_label(text: str) -> str | None:
    """Return the label that a name means beyond doubt, or None.

    Example:
        >>> known_label("PLEURAL_EFFUSION"), known_label("effusions"), known_label("efusion")
        ('Pleural Effusion', 'Pleural Effusion', None)
    """
    return _LABELS.get(plain(text))


def label_spellings() -> dict[str, str]:
    """Return the label of every known spelling."""
    return dict(_LABELS)
