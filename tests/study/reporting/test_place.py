"""The report of a study, and what lies beside it, never replace a file of the user."""

import pytest

from imaxray._common.folders import CLAIMED, claim_files, claimed_digests, record_claimed
from imaxray._common.verifying import verify_folder
from imaxray.errors import ImaxrayError
from imaxray.report import Report, report_place, require_report_place, write_report
from imaxray.study.places import claim_study

EMPTY = Report("t", "v", [], [], [])


@pytest.mark.parametrize("name", ["study.yaml", "clock.csv", "comparison.json", "results.png"])
def test_a_study_keeps_files_of_the_user(tmp_path, name):
    (tmp_path / name).write_text("# mine\n")
    with pytest.raises(ImaxrayError, match=f"keep your file {name}"):
        claim_study(tmp_path)
    assert (tmp_path / name).read_text() == "# mine\n"


def test_a_study_keeps_measurements_of_the_user(tmp_path):
    mine = tmp_path / "dynamics" / "tasks.csv"
    mine.parent.mkdir()
    mine.write_text("mine")
    claim_study(tmp_path)  # a study without dynamics writes no such file
    with pytest.raises(ImaxrayError, match=r"keep your file dynamics/tasks\.csv"):
        claim_study(tmp_path, measures=True)
    assert mine.read_text() == "mine"


def test_a_report_of_the_user_is_told_before_the_study_runs(tmp_path):
    (tmp_path / "report.html").write_text("<p>mine</p>")
    with pytest.raises(ImaxrayError, match="another file, which is kept"):
        claim_study(tmp_path)


def test_a_study_folder_can_be_claimed_again(tmp_path):
    for _ in range(2):
        claim_study(tmp_path)
        (tmp_path / "study.yaml").touch()
    assert (tmp_path / CLAIMED).is_file()


def test_links_stay_links(tmp_path):
    link, far = tmp_path / "report.html", tmp_path / "far.html"
    link.symlink_to(far)
    with pytest.raises(ImaxrayError, match="a link that leads nowhere"):
        require_report_place(link)
    write_report(EMPTY, far)
    far.write_text(far.read_text() + "<!-- old -->")
    write_report(EMPTY, link)
    assert link.is_symlink() and "<!-- old -->" not in far.read_text()


def test_a_report_does_not_record_what_lies_beside_it(tmp_path):
    claim_files(tmp_path, ["clock.csv"], "a study", known_by={})
    (tmp_path / "clock.csv").write_text("1")
    record_claimed(tmp_path)
    (tmp_path / "clock.csv").write_text("2")  # damaged
    with report_place(tmp_path, None, known_by={}) as target:
        write_report(EMPTY, target)
    assert verify_folder(tmp_path)[1] == ["clock.csv"]
    assert set(claimed_digests(tmp_path)) == {"clock.csv", "report.html"}
    (tmp_path / "report.html").write_text("")
    assert verify_folder(tmp_path)[1] == ["clock.csv", "report.html"]


@pytest.mark.parametrize("path", [None, "page.html"])
def test_a_report_has_one_writer(tmp_path, path):
    target = path and tmp_path / path
    with report_place(tmp_path, target, known_by={}):
        held = tmp_path / (".page.html.lock" if path else ".imaxray.lock")
        assert held.is_file()
    assert not held.exists()


def test_a_report_of_an_earlier_version_is_replaced(tmp_path):
    write_report(EMPTY, tmp_path / "report.html")
    with report_place(tmp_path, None, known_by={}) as target:
        write_report(EMPTY, target)
    assert verify_folder(tmp_path) == (CLAIMED, [])
