"""Writes the tables of a report as CSV and LaTeX, and as links that hold the whole file."""

from __future__ import annotations

import base64

import polars as pl

from imaxray._common.files import csv_text as to_csv
from imaxray._common.files import spreadsheet_safe
from imaxray.evaluation import latex_number, latex_table, latex_text
from imaxray.report.content import Table


def csv_text(table: Table) -> str:
    r"""Return a table as CSV: its frame in full precision, else the cells as they are shown.

    No text is one that a spreadsheet program takes for a formula.

    Example:
        >>> csv_text(Table("t", "A table", ["arm", "entries"], [["=imax", "1,000"]]))
        'arm,entries\n\'=imax,"1,000"\n'
    """
    if table.frame is not None:
        return to_csv(table.frame)
    lines = [table.head, *table.rows, *table.foot]
    cells = pl.DataFrame({str(n): [line[n] for line in lines] for n in range(len(table.head))})
    return spreadsheet_safe(cells).write_csv(include_header=False)


def latex(table: Table) -> str:
    """Return a table as LaTeX that needs no package, below a comment with its caption."""
    body, foot = (
        [
            [latex_text(cell) if n < table.texts else latex_number(cell)
             for n, cell in enumerate(row)]
            for row in rows
        ]
        for rows in (table.rows, table.foot)
    )  # fmt: skip
    head = [latex_text(name) for name in table.head]
    caption = " ".join(table.caption.split())
    return f"% {latex_text(caption)}\n" + latex_table(head, body, foot, texts=table.texts)


def data_link(text: str, media_type: str) -> str:
    """Return a link that contains a text file, so that no other file is needed.

    Example:
        >>> data_link("a,b", "text/csv")
        'data:text/csv;charset=utf-8;base64,YSxi'
    """
    return f"data:{media_type};charset=utf-8;base64,{base64.b64encode(text.encode()).decode()}"
