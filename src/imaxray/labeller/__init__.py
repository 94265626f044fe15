"""Reads CheXpert's 14 labels from report text by rules, without a model."""

from imaxray.labeller.agreement import Agreement, labeller_agreement
from imaxray.labeller.image_labels import image_labels, shown
from imaxray.labeller.measured import Measured, measured_agreement
from imaxray.labeller.questions import asked
from imaxray.labeller.reading import LABELLER_VERSION, Mention, label_report, mentions, stated

__all__ = [
    "LABELLER_VERSION",
    "Agreement",
    "Measured",
    "Mention",
    "asked",
    "image_labels",
    "label_report",
    "labeller_agreement",
    "measured_agreement",
    "mentions",
    "shown",
    "stated",
]
