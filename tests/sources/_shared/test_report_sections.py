"""Tests the sections of MIMIC reports by the rules of MIT-LCP."""

from imaxray.sources._shared.report_sections import findings_and_impression, split_sections

# written as lines, for the rules rest on the single leading space that editors strip
REPORT = "\n".join(
    [
        " " * 33 + "FINAL REPORT",
        " EXAMINATION:  CHEST (PA AND LAT)",
        " ",
        " INDICATION:  ___ year old man with cough.",
        " ",
        " FINDINGS: ",
        " ",
        " The heart is mildly enlarged.  No pleural",
        " effusion.",
        " ",
        " IMPRESSION: ",
        " ",
        " Mild cardiomegaly.",
        "",
    ]
)


def test_findings_and_impression_as_published():
    assert findings_and_impression(REPORT) == {
        "findings": "The heart is mildly enlarged.  No pleural\n effusion.",
        "impression": "Mild cardiomegaly.",
    }


def test_names_are_normalised_and_the_last_section_counts():
    text = " \n CONCLUSION: First.\n \n IMPRESSION: Second.\n"
    assert split_sections(text)["impression"] == "Second."


def test_a_head_needs_a_newline_one_space_and_capitals():
    text = "x\n  FINDINGS: indented twice\n Findings: lower case\n FINDINGS: real\n"
    assert split_sections(text)["findings"] == "real"


def test_without_findings_or_impression_the_last_paragraph_counts():
    text = " EXAMINATION: CHEST\n \n The lungs are clear.\n"
    assert findings_and_impression("\n" + text) == {"findings": "The lungs are clear."}


def test_empty_sections_are_no_sections():
    assert findings_and_impression("\n FINDINGS: \n \n IMPRESSION: \n ") == {}


def test_an_addendum_on_top_does_not_replace_the_report():
    text = " ADDENDUM: \n \n Discussed by telephone.\n" + "_" * 78 + "\n" + REPORT
    assert findings_and_impression(text)["impression"] == "Mild cardiomegaly."
