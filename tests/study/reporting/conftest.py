"""Makes one study and its report for all tests of the report."""

import pytest

from imaxray.study import write_study_report
from study.made_study import made_study


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Configuration and folder of a study of one model and one seed."""
    out = tmp_path_factory.mktemp("made") / "one"
    return made_study(out), out


@pytest.fixture(scope="session")
def report(made):
    """Its report."""
    return write_study_report(made[1])
