"""Writes texts, numbers and tables as LaTeX that needs no package."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

_LATEX: Final = {
    "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "–": "--", "—": "---", "…": r"\ldots{}",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\rightarrow$", "≤": r"$\le$",
    "≥": r"$\ge$", "±": r"$\pm$", "×": r"$\times$", "−": "$-$", "κ": r"$\kappa$",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}  # fmt: skip


def latex_text(text: str) -> str:
    r"""Return a text with the characters that LaTeX reads as commands, or lacks, written out.

    Example:
        >>> print(latex_text("a_b 5 %, –"))
        a\_b 5 \%, --
    """
    return "".join(_LATEX.get(character, character) for character in text)


def latex_number(text: str) -> str:
    r"""Return the text of numbers for LaTeX, with a true minus sign before negative numbers.

    Args:
        text: What a function of this module returned.

    Example:
        >>> print(latex_number("-1.5 % [-3.0, +0.5]"))
        $-$1.5 \% [$-$3.0, +0.5]
    """
    return latex_text(text.replace("-", "−"))


def latex_table(
    head: Sequence[str],
    body: Sequence[Sequence[str]],
    foot: Sequence[Sequence[str]] = (),
    *,
    texts: int = 1,
) -> str:
    r"""Return a table for LaTeX, without an environment around it; it needs no package.

    Args:
        head: Cells of the first row, as LaTeX.
        body: Cells of each row, as LaTeX.
        foot: Cells of each row below a line, as LaTeX; they may span columns.
        texts: Number of columns of text; all others hold numbers and are set to the right.

    Example:
        >>> print(latex_table(["task", "gain"], [["rec", r"+5.0 \%"]]), end="")
        \begin{tabular}{lr}
        \hline
        task & gain \\
        \hline
        rec & +5.0 \% \\
        \hline
        \end{tabular}
    """

    def line(cells: Sequence[str]) -> str:
        return " & ".join(cells) + r" \\"

    end = [r"\hline", *map(line, foot)] if foot else []
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{'l' * texts}{'r' * (len(head) - texts)}}}",
            r"\hline", line(head), r"\hline", *map(line, body), *end, r"\hline",
            r"\end{tabular}", "",
        ]
    )  # fmt: skip
