"""Writes the Python code that gets what the viewer shows, for a notebook or a script."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from imaxray.viewer.finding.query import SORTED_BY, Filter
from imaxray.viewer.viewed import ViewedDataset

_COLUMNS: Final = {"split": "split", "view": "view"}


def python_of_image(data: ViewedDataset, image_id: str) -> str:
    """Return code that gets everything about one image.

    Raises:
        ImaxrayError: If the dataset has no such image.
    """
    data.image(image_id)
    return "\n".join(
        [
            "import polars as pl",
            "import imaxray",
            "",
            f"data = imaxray.open_dataset({str(data.folder.resolve())!r})",
            f'this = pl.col("image_id") == {image_id!r}',
            "image = data.tables.images.row(by_predicate=this, named=True)",
            "annotations = data.tables.annotations.filter(this)",
            "entries = data.tables.entries.filter(this)",
            "conflicts = data.tables.conflicts.filter(this)",
            'path = data.image_path(image["image_id"])',
            "",
        ]
    )


def python_of_filter(data: ViewedDataset, wanted: Filter, marks: str) -> str:
    """Return code that gets the images of a filter, in its order.

    Filters by answers of arms are left out, which a comment says.

    Args:
        data: Dataset of the images.
        wanted: The filter.
        marks: Path of the file of the user's marks.
    """
    lines = [
        "import polars as pl",
        "import imaxray",
        *(["from imaxray.marks import read_marks"] if wanted.marks else []),
        "",
        f"data = imaxray.open_dataset({str(data.folder.resolve())!r})",
        "tables = data.tables",
        "images = tables.images",
        *_of_facets(wanted),
    ]
    if wanted.conflicted is not None:
        how = "semi" if wanted.conflicted else "anti"
        lines.append(f'images = images.join(tables.conflicts, on="image_id", how="{how}")')
    if wanted.text:
        lines += [
            f"part = {wanted.text.lower()!r}",
            'ids = (pl.col(name) for name in ("image_id", "patient_id", "study_id"))',
            "found = (id_.str.to_lowercase().str.contains(part, literal=True) for id_ in ids)",
            "images = images.filter(pl.any_horizontal(found))",
        ]
    lines += _of_marks(wanted, marks)
    if wanted.low is not None or wanted.high is not None or wanted.disagree:
        lines.append("# the filter by answers of arms is not part of this code")
    lines += _sorted(wanted)
    return "\n".join([*lines, ""])


def _of_facets(wanted: Filter) -> list[str]:
    lines = []
    for name, values in wanted.facets.items():
        chosen = repr(list(values))
        if name in _COLUMNS:
            lines.append(f'images = images.filter(pl.col({name!r}).fill_null("").is_in({chosen}))')
        elif name == "task":
            for task in values:
                lines += [
                    f'asked = tables.entries.filter(pl.col("task") == {task!r})',
                    'images = images.join(asked, on="image_id", how="semi")',
                ]
        elif name == "conflict":
            lines += [
                f"of_rule = pl.col(\"rule\").cast(pl.String).is_in({chosen})",
                "disputed = tables.conflicts.filter(of_rule)",
                "images = images.join(disputed, on=\"image_id\", how=\"semi\")",
            ]  # fmt: skip
        else:
            column = "source" if name == "from" else name
            rule = 'pl.col("image_id").is_in(known)'
            if name == "from":
                rule += f' | pl.col("source").cast(pl.String).is_in({chosen})'
            lines += [
                f"chosen = pl.col({column!r}).cast(pl.String).is_in({chosen})",
                'stated = tables.annotations.filter(chosen)["image_id"]',
                f'made = tables.entries.filter({_of_entry(name, values)})["image_id"]',
                "known = pl.concat([stated, made]).unique().implode()",
                f"images = images.filter({rule})",
            ]
    return lines


def _of_entry(name: str, values: Sequence[str]) -> str:
    """Return the rule by which an entry has one of the sources, origins or grades."""
    chosen = repr(list(values))
    of_source = f'pl.col("sources").list.set_intersection({chosen}).list.len() > 0'
    if name == "from":
        return of_source
    # the quality of an entry joins ORIGIN/GRADE of its facts by +
    part = '"^[^/]*"' if name == "origin" else '"/.*$"'
    found = f'pl.col("quality").str.split("+").list.eval(pl.element().str.extract({part}, 0))'
    if name == "quality":
        found = found.removesuffix(")") + '.str.strip_prefix("/"))'
    of_grade = f"{found}.list.set_intersection({chosen}).list.len() > 0"
    return f"({of_grade}).fill_null(False) | ({of_source})" if name == "origin" else of_grade


def _of_marks(wanted: Filter, marks: str) -> list[str]:
    if not wanted.marks:
        return []
    lines = [f"marks = read_marks(Path({marks!r}))"]
    lines.insert(0, "from pathlib import Path")
    rules = []
    chosen = [mark for mark in wanted.marks if mark not in ("any", "no")]
    if "any" in wanted.marks:
        lines.append("named = [mark.image_id for mark in marks]")
        rules.append('pl.col("image_id").is_in(named)')
    elif chosen:
        lines.append(f"named = [mark.image_id for mark in marks if mark.verdict in {chosen!r}]")
        rules.append('pl.col("image_id").is_in(named)')
    if "no" in wanted.marks:
        rules.append('~pl.col("image_id").is_in([mark.image_id for mark in marks])')
    return [*lines, f"images = images.filter({' | '.join(rules)})"]


def _sorted(wanted: Filter) -> list[str]:
    by = SORTED_BY.get(wanted.sort)
    if not wanted.sort:
        return ["images = images.reverse()"] if wanted.descending else []
    end = f"descending={wanted.descending}, nulls_last=True, maintain_order=True"
    counted = {
        "entries": 'tables.entries.group_by("image_id").agg(pl.len().alias("entries"))',
        "annotations": 'tables.annotations.group_by("image_id").agg(pl.len().alias("annotations"))',
        "conflicts": 'tables.conflicts.group_by("image_id").agg(pl.len().alias("conflicts"))',
        "tasks_count": 'tables.entries.group_by("image_id").agg('
        'pl.col("task").n_unique().alias("tasks_count"))',
    }
    if by in counted:
        return [
            f"counts = {counted[by]}",
            'images = images.join(counts, on="image_id", how="left", maintain_order="left")',
            f"images = images.sort(pl.col({by!r}).fill_null(0), {end})",
        ]
    if by in ("image_id", "patient_id", "age", "width"):
        return [f"images = images.sort({by!r}, {end})"]
    return ["# the order by answers or pseudo annotations is not part of this code"]
