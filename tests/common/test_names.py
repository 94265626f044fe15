"""Tests that a name that does not exist is answered with the one that was most likely meant."""

import pytest

from imaxray._common.names import columns_shown, require_known
from imaxray.ablation import load_study
from imaxray.dynamics.numbers.spectrum import statistic
from imaxray.errors import ImaxrayError
from imaxray.evaluation.scoring import require_extras
from imaxray.study import StudyConfig
from imaxray.study.units import find_unit
from imaxray.viewer import open_subject


def test_a_known_name_passes():
    require_known("test", ("train", "val", "test"), "a split")


def test_the_nearest_name_is_stated_or_all_of_them():
    with pytest.raises(ImaxrayError, match=r"but got tset; did you mean test\?$"):
        require_known("tset", ("train", "val", "test"), "a split")
    with pytest.raises(ImaxrayError, match=r"one of train, val, but got xyz; name one of these\.$"):
        require_known("xyz", ("train", "val"), "a split")


def test_a_split_of_the_viewer():
    with pytest.raises(ImaxrayError, match=r"but got tests; did you mean test\?"):
        open_subject([], split="tests")


def test_extra_metrics():
    with pytest.raises(ImaxrayError, match=r"did you mean radiology\?"):
        require_extras(["radiolgy"])


@pytest.mark.parametrize(
    "cells",
    [
        ["a.png", "Effusion"],
        ["image", "5"],
        ["image", "12.03.2021"],
        ["id", "The heart is enlarged."],
        ["id", "no pleural effusion or pneumothorax seen today"],
        ["id", "Müller, Hans"],
    ],
)
def test_a_first_row_of_data_is_not_shown(cells):
    assert columns_shown(cells) == (
        "2 cells that do not look like names of columns (is there a header?)"
    )


def test_a_header_is_shown():
    header = ["dicom_id", "Pleural Effusion", "x1", "", "is the image frontal?"]
    assert columns_shown(header[:4]) == "dicom_id, Pleural Effusion, x1, "
    assert columns_shown([]) == "none"
    assert columns_shown(["a\nb"]) == "a?b"
    assert columns_shown(["column"] * 99).endswith("…")


def test_a_unit_of_a_study():
    config = load_study("phantom")
    assert isinstance(config, StudyConfig)
    with pytest.raises(ImaxrayError, match=r"it has no comapre; did you mean compare"):
        find_unit(config, "comapre")
    with pytest.raises(ImaxrayError, match=r"it has no zzzzzz; --list shows the units\."):
        find_unit(config, "zzzzzz")


def test_a_statistic_of_gradients():
    with pytest.raises(ImaxrayError, match=r"a statistic, one of .*; did you mean rho\?"):
        statistic("rhoo")
