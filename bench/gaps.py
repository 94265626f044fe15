"""Counts what each way of treating de-identification gaps does to the report texts of Open-I.

Run: python bench/gaps.py FOLDER
FOLDER holds NLMCXR_reports.tgz of Open-I. The last line is one JSON object.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import get_args

import polars as pl

from imaxray.curation.text.cleaning import CleaningConfig, clean_text
from imaxray.curation.text.gaps import Gaps
from imaxray.sources._shared.collections.open_i import parse_report
from imaxray.sources._shared.files.tarballs import tar_members

ORPHAN = re.compile(r"\s[.,;:]|[,;:][.,;]|\(\s*\)")


def read(folder: Path) -> pl.Series:
    """Return all findings and impressions of the release."""
    parsed = (
        parse_report(content or b"")
        for _, _, content in tar_members(folder / "NLMCXR_reports.tgz", ".xml")
    )
    reports = [report for report in parsed if report is not None]
    return pl.Series([t for r in reports for t in (r.findings, r.impression) if t])


def main() -> None:
    """Print the counts for each way, and all of them as JSON."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    texts = read(Path(sys.argv[1]))
    found: dict[str, dict[str, int]] = {}
    for how in get_args(Gaps):
        counts: Counter[str] = Counter()
        cleaned = clean_text(texts, CleaningConfig(gaps=how), counts)
        found[how] = {
            **{k: counts[k] for k in ("texts_with_gaps", "gaps_closed", "sentences_dropped")},
            "texts_with_two_stops": sum(".." in text for text in cleaned),
            "texts_with_orphans": sum(bool(ORPHAN.search(text)) for text in cleaned),
            "empty_texts": sum(not text for text in cleaned),
        }
        print(how, found[how])
    print(json.dumps({"texts": texts.len(), **found}))


if __name__ == "__main__":
    main()
