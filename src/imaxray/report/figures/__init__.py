"""Draws the figures of a report as inline SVG with real text, by Matplotlib.

A figure contains no script and loads nothing from outside the file. Its colours are CSS variables
of the page, so that it follows light and dark mode and print. The same input gives the same bytes.
"""

from imaxray.report.figures.answers import agreement, confusion, differences
from imaxray.report.figures.bars import grouped_bars, lying_bars, metric_bars, sets
from imaxray.report.figures.curves import Line, lines
from imaxray.report.figures.intervals import UNDEFINED, Row, intervals
from imaxray.report.figures.style import COLOURS, colour_of, css_colour, svg

__all__ = [
    "COLOURS",
    "UNDEFINED",
    "Line",
    "Row",
    "agreement",
    "colour_of",
    "confusion",
    "css_colour",
    "differences",
    "grouped_bars",
    "intervals",
    "lines",
    "lying_bars",
    "metric_bars",
    "sets",
    "svg",
]
