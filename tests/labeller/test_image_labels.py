"""Tests what a report states of its image as a whole."""

import pytest

from imaxray.labeller import image_labels, label_report, shown


@pytest.mark.parametrize(
    "text", ["Unchanged.", "No significant interval change.", "Portable AP film.", "As above.", ""]
)
def test_a_report_that_says_nothing_of_findings_states_no_label(text):
    assert image_labels(text) == {}


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("Normal chest.", {"No Finding": 1}),
        ("No acute cardiopulmonary process.", {"No Finding": 1}),
        ("PICC line in place.", {"Support Devices": 1, "No Finding": 1}),
        # the other side may have one, so the label is unknown
        ("No left effusion. Small right pneumothorax.", {"Pneumothorax": 1}),
        ("Small left and no right effusion.", {"Pleural Effusion": 1}),
        ("No effusion. Possible pneumonia.", {"Pleural Effusion": 0, "Pneumonia": -1}),
    ],
)
def test_labels_are_those_of_the_whole_image(text, labels):
    said = image_labels(text)
    assert {label: said.get(label) for label in labels} == labels
    assert said.get("Pleural Effusion") == labels.get("Pleural Effusion")
    assert said.items() <= label_report(text).items()


def test_what_a_procedure_was_for_is_not_shown():
    assert shown("Lobectomy for lung cancer, no effusion.") == "Lobectomy , no effusion."
    assert "Lung Lesion" not in image_labels(shown("Status post lobectomy for lung mass."))
