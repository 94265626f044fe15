"""Checks tables in LaTeX: by a small parser, and by a program that sets them if there is one."""

import re
import shutil
import subprocess

CONTROL = re.compile(r"\\(?:[A-Za-z]+|.)")
"""A command, or an escaped character."""


def columns_of(latex, tmp_path):
    """Return the number of columns of each table in ``latex``, after checking that it is valid."""
    assert latex.isascii()  # the oldest engines read no other characters
    tables = re.findall(r"\\begin\{tabular\}\{([lr]+)\}\n(.*?)\n\\end\{tabular\}\n", latex, re.S)
    assert tables and latex.count(r"\begin{") == latex.count(r"\end{") == len(tables)
    outside = re.sub(r"\\begin\{tabular\}.*?\\end\{tabular\}\n", "", latex, flags=re.S)
    assert all(not line or line.startswith("% ") for line in outside.splitlines())
    for columns, body in tables:
        for line in body.splitlines():
            if line == r"\hline":
                continue
            assert line.endswith(r" \\")
            row = line.removesuffix(r" \\")
            assert balanced(row) and row.count("$") % 2 == 0
            bare = re.sub(r"\\\$", "", row)
            assert not re.search(r"(?<!\\)[%#_^~]", bare), row
            spans = [int(n) for n in re.findall(r"\\multicolumn\{(\d+)\}", row)]
            cells = len(re.findall(r"(?<!\\)&", row)) + 1
            assert cells + sum(spans) - len(spans) == len(columns), row
    set_by_a_program(latex, tmp_path)
    return [len(columns) for columns, _ in tables]


def balanced(text):
    depth = 0
    for character in CONTROL.sub("", text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        if depth < 0:
            return False
    return depth == 0


def set_by_a_program(latex, tmp_path):
    """Set the tables if this machine has a program for it."""
    source = tmp_path / "table.tex"
    source.write_text("\\documentclass{article}\n\\begin{document}\n" + latex + "\\end{document}\n")
    for program, options in (("tectonic", ("--only-cached",)), ("pdflatex", ("-halt-on-error",))):
        if shutil.which(program):
            subprocess.run([program, *options, source.name], cwd=tmp_path, check=True)
