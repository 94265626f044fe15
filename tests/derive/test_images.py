"""Tests which images count as other views of a study."""

import polars as pl

from imaxray.derive.entries.images import sibling_entries
from imaxray.schema import ENTRIES, IMAGES, conform


def test_a_study_number_of_another_patient_is_another_study():
    images = conform(
        pl.DataFrame(
            {
                "image_id": ["a1", "a2", "b1"], "patient_id": ["a", "a", "b"],
                "study_id": ["study1"] * 3, "split": ["train"] * 3, "view": ["PA", "AP", "PA"],
            }
        ),
        IMAGES,
    )  # fmt: skip
    entries = conform(
        pl.DataFrame({"entry_id": ["e"], "image_id": ["a1"], "task": ["report"]}), ENTRIES
    )
    assert sibling_entries(entries, images)["image_id"].to_list() == ["a2"]
