"""Names the labels of VinDr-CXR, the findings that they equal, and the phrases for their boxes."""

from __future__ import annotations

import re
from typing import Final

import polars as pl

NONE: Final = "No finding"
OTHER: Final = "Other diseases"

LABELS: Final = {
    "Atelectasis": "Atelectasis",
    "Cardiomegaly": "Cardiomegaly",
    "Consolidation": "Consolidation",
    "Edema": "Edema",
    "Emphysema": "Emphysema",
    "Infiltration": "Infiltration",
    "Lung Opacity": "Lung Opacity",
    "No finding": "No Finding",
    "Pleural effusion": "Pleural Effusion",
    "Pleural thickening": "Pleural Thickening",
    "Pneumonia": "Pneumonia",
    "Pneumothorax": "Pneumothorax",
    "Pulmonary fibrosis": "Fibrosis",
}
"""Maps a label of the release to the finding that equals it; other labels have no such finding."""

PHRASES: Final = {
    "Aortic enlargement": "aortic enlargement",
    "COPD": "chronic obstructive pulmonary disease",
    "Calcification": "calcification",
    "Clavicle fracture": "clavicle fracture",
    "Enlarged PA": "enlarged pulmonary artery",
    "ILD": "interstitial lung disease",
    "Lung cavity": "lung cavity",
    "Lung cyst": "lung cyst",
    "Lung tumor": "lung tumor",
    "Mediastinal shift": "mediastinal shift",
    "Nodule/Mass": "nodule or mass",
    "Other lesion": None,
    "Rib fracture": "rib fracture",
    "Tuberculosis": "tuberculosis",
    OTHER: None,
    **{name: ours.lower() for name, ours in LABELS.items()},
}
"""Maps each of the 28 labels to the phrase for its boxes; "other" labels describe nothing that can
be looked for and have no phrase."""

KINDS: Final = {"Clavicle fracture": "Fracture", "Rib fracture": "Fracture"}
"""Maps a label to the finding that it is a kind of: it states a presence, and never an absence."""

KAGGLE_LABELS: Final = (
    "Atelectasis", "Cardiomegaly", "Consolidation", "Infiltration", "Lung Opacity", NONE,
    "Pleural effusion", "Pleural thickening", "Pneumothorax", "Pulmonary fibrosis",
)  # fmt: skip
"""Classes of the Kaggle form, which has 15, that equal a finding."""

_BY_LOWER: Final = {name.lower(): name for name in ("image_id", "rad_id", "class_name", *PHRASES)}
_OTHER_FORM: Final = re.compile(r"other diseases?(?:\(s\))?")


def one_spelling(columns: list[str]) -> dict[str, str]:
    """Map columns to one spelling, because variants such as ``rad_ID`` occur."""
    names: dict[str, str] = {}
    for column in columns:
        low = column.strip().lower()
        name = OTHER if _OTHER_FORM.fullmatch(low) else _BY_LOWER.get(low, column)
        # If two columns map to one spelling, the first is used and the second keeps its name.
        names[column] = column if name in names.values() else name
    return names


def canonical_class() -> pl.Expr:
    """Return ``class_name`` as one of the 28 label names, or null if it is none of them."""
    low = pl.col("class_name").str.to_lowercase()
    return (
        pl.when(low.str.contains(f"^{_OTHER_FORM.pattern}$"))
        .then(pl.lit(OTHER))
        .otherwise(
            low.replace_strict(
                {name.lower(): name for name in PHRASES}, default=None, return_dtype=pl.String
            )
        )
        .alias("_class")
    )
