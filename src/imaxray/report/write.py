"""Writes the report as one HTML file that contains everything it shows."""

from __future__ import annotations

import base64
import io
from importlib.resources import files
from pathlib import Path

from imaxray import radiograph
from imaxray._files import write_text
from imaxray.boxes import Box
from imaxray.evaluation import interval_text, percent_text, signed_text
from imaxray.labeller import measured_agreement
from imaxray.radiograph import Readable
from imaxray.report import figures
from imaxray.report.result import StudyResult


def write_report(result: StudyResult, path: Path) -> None:
    """Render ``result`` to the self-contained HTML file ``path``, written whole or not at all."""
    from jinja2 import Environment, PackageLoader, StrictUndefined  # only reports need Jinja

    environment = Environment(
        loader=PackageLoader("imaxray.report", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = percent_text
    environment.filters["interval"] = interval_text
    environment.filters["rect"] = _rect
    environment.filters["signed"] = signed_text
    html = environment.get_template("template.html").render(
        result=result,
        css=files("imaxray.report").joinpath("style.css").read_text(encoding="utf-8"),
        colours=figures.COLOURS,
        forests=[
            [figures.svg(figures.forest(view.comparison, arm)) for arm in view.others]
            for view in result.views
        ],
        bars=[figures.svg(figures.results(view.comparison)) for view in result.views],
        by_entries=figures.svg(figures.learning(result.curves, "entries_seen")),
        by_seconds=figures.svg(figures.learning(result.curves, "seconds")),
        spectra=None if result.dynamics is None else figures.svg(figures.spectra(result.dynamics)),
        clinical=measured_agreement().sentence(),
        histogram=figures.svg(figures.tasks_per_image(result.density)),
    )
    write_text(path, html)


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


def _rect(box: Box) -> dict[str, float]:
    x1, y1, x2, y2 = box
    return {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1}
