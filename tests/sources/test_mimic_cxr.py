"""Tests what MIMIC-CXR's reader makes of unusual reports: unknown sections and exceptions."""

import polars as pl

from imaxray.sources import get_source

REPORTS = {
    "s50000001": "\n FINDINGS:  Clear.\n \n IMPRESSION:  Normal.\n",
    "s50000002": "                FINAL REPORT\n No acute cardiopulmonary process.\n",
    "s50000003": "\n NDICATION:  Cough.\n \n IMPRESION:  Pneumonia.\n",
    "s50000004": "\n INDICATION:  Cough.\n",
    "s50913680": "\n FINDINGS:  See below.\n \n RECOMMENDATIONS:  The lungs are clear.\n",
    "s58235663": "The lungs are clear.",
}


def read(tmp_path):
    folder = tmp_path / "files" / "p10" / "p10000001"
    folder.mkdir(parents=True)
    for study, text in REPORTS.items():
        (folder / f"{study}.txt").write_text(text)
    return get_source("mimic-cxr").read(tmp_path)


def test_each_report_gives_its_sections_and_says_how_they_were_read(tmp_path):
    tables = read(tmp_path)
    found = tables.annotations.select("study_id", "name", "text", "quality").cast(pl.String)
    assert sorted((study.rpartition("/")[2], *rest) for study, *rest in found.iter_rows()) == [
        ("50000001", "findings", "Clear.", "report"),
        ("50000001", "impression", "Normal.", "report"),
        ("50000002", "unknown", "No acute cardiopulmonary process.", "report-no-heading"),
        ("50000003", "impression", "Pneumonia.", "report-misspelt-heading"),
        ("50913680", "findings", "The lungs are clear.", "report-exception"),
    ]


def test_a_report_without_a_word_on_its_image_is_a_reject(tmp_path):
    rejects = read(tmp_path).rejects.select("key", "code").rows()
    assert sorted((key.rpartition("/")[2], code) for key, code in rejects) == [
        ("s50000004.txt", "empty-text"),
        ("s58235663.txt", "empty-text"),
    ]
