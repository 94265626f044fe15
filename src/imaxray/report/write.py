"""Writes a report as one HTML file that contains everything it shows."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Final

from imaxray import radiograph
from imaxray._common.files import write_text
from imaxray._common.folders import claim_files, record_claimed
from imaxray._common.lock import sole_writer
from imaxray.boxes import Box
from imaxray.errors import ImaxrayError
from imaxray.radiograph import Readable
from imaxray.report.content import Report, Table
from imaxray.report.files import csv_text, data_link, latex

REPORT: Final = "report.html"
"""Name of a report in the folder that it is of."""


def write_report(report: Report, path: Path) -> None:
    """Render a report to the self-contained HTML file ``path``, written whole or not at all.

    The page has no script, and its content security policy lets it load nothing.

    Raises:
        ImaxrayError: As :func:`require_report_place`.
    """
    require_report_place(path)
    path = path.resolve()  # a link stays, and its file is written
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, html(report))


@contextmanager
def report_place(
    folder: Path,
    path: Path | None,
    *,
    known_by: Mapping[str, Sequence[str]],
    beside: Collection[str] = (),
) -> Iterator[Path]:
    """Yield the file that a report is written to, while no other process writes it.

    In the folder that the report is of, the digests of what was written are recorded at the end.

    Args:
        folder: Folder of the study, ablation or strategy.
        path: File of the report; None: ``report.html`` in the folder.
        known_by: Files by which a folder of an earlier version is known, as for
            :func:`imaxray._common.folders.claim_files`.
        beside: Names of other files that are written beside a report in the folder.

    Raises:
        ImaxrayError: As :func:`require_report_place`; or if another process writes the folder or
            the file, or a file of the user has the name of one of the others.
    """
    target = path or folder / REPORT
    require_report_place(target)
    if path is not None:
        with sole_writer(target, beside=True):
            yield target
        return
    names = (REPORT, *beside)
    with sole_writer(folder):
        claim_files(folder, names, "a report", known_by={**known_by, REPORT: (_POLICY,)})
        yield target
        record_claimed(folder, names)


def require_report_place(path: Path) -> None:
    """Check that a report may be written to a path; an earlier report there is replaced.

    Raises:
        ImaxrayError: If ``path`` is a folder, a file that is no report, or a link that leads
            nowhere.
    """
    if path.is_dir():
        raise ImaxrayError(f"Expected a file for the report, but {path} is a folder; name a file.")
    if not path.exists():
        if path.is_symlink():
            raise ImaxrayError(
                f"Expected a file for the report, but {path} is a link that leads nowhere; remove "
                "it, or name another file."
            )
        return
    with path.open("rb") as stream:
        head = stream.read(4096)
    if not any(mark in head for mark in _OURS):
        raise ImaxrayError(
            f"Expected a new file or an earlier report of imaxray at {path}, but there is another "
            "file, which is kept; name another file."
        )


_POLICY: Final = "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\""
_OURS: Final = (
    b'<meta name="generator" content="imaxray">',
    _POLICY.encode(),  # reports of earlier versions say no more than this
)


def html(report: Report) -> str:
    """Return a report as HTML; every text in it is escaped."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only reports need Jinja

    environment = Environment(
        loader=PackageLoader("imaxray.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["rect"] = _rect
    environment.filters["prose"] = _prose
    environment.filters["csv_link"] = _csv_link
    environment.filters["latex_link"] = _latex_link
    return environment.get_template("template.html").render(
        report=report,
        css=files("imaxray.report").joinpath("style.css").read_text(encoding="utf-8"),
    )


def thumbnail(source: Readable, max_side: int = 320) -> str:
    """Return a contrast-stretched PNG with at most ``max_side`` pixels per side, as base64.

    Raises:
        ImaxrayError: If the image cannot be read.
    """
    from PIL import Image

    image = Image.fromarray(radiograph.load(source, stretch=True))
    image.thumbnail((max_side, max_side))
    buffer = io.BytesIO()
    image.save(buffer, format="PNG", optimize=True)
    return base64.b64encode(buffer.getvalue()).decode()


def _prose(text: str) -> str:
    """Return a sentence as HTML: a number stays with its unit, and what is to be typed is code."""
    from markupsafe import Markup, escape

    safe = re.sub(r"(?<=[\d.]) %", "\N{NO-BREAK SPACE}%", str(escape(text)))
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", safe))


def _csv_link(table: Table) -> str:
    return data_link(csv_text(table), "text/csv")


def _latex_link(table: Table) -> str:
    return data_link(latex(table), "application/x-tex")


def _rect(box: Box) -> dict[str, float]:
    x1, y1, x2, y2 = box
    return {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
