"""Looks at one of your own tables and proposes what its columns mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping as Named
from typing import Any, Final

import polars as pl

from imaxray.sources.own_data.cells import CellError, number, numbers, ratio
from imaxray.sources.own_data.fields import FIELDS
from imaxray.sources.own_data.image_index import ImageIndex
from imaxray.sources.own_data.mapping import BoxForm, Form
from imaxray.sources.own_data.proposing.answers import Answers
from imaxray.sources.own_data.proposing.column_look import (
    Column,
    Understood,
    date_forms,
    decimal_comma,
    field_by_name,
    hint_for,
    label_by_name,
    list_separator,
    look_at_findings,
    look_at_label_values,
    look_at_nones,
    look_at_persons,
    look_at_phrases,
    look_at_splits,
    looks_like_grades,
    looks_like_labels,
    may_identify,
)
from imaxray.sources.own_data.vocabulary import plain

SIDES: Final = ("x1", "y1", "x2", "y2", "box_width", "box_height")
NUMBERS: Final = ("ctr", "cpar", *SIDES, "image_width", "image_height")

_LOOKED_AT: Final = 2000  # different cells that are looked up among the images
_HALF: Final = 0.5
_NONE: Final = "none"
_NOT_USED: Final = "not used"


class TableLook:
    """Looks at one table.

    Attributes:
        said: What was understood.
        columns: Name → column.
        options: Further keys of the table in `source.yaml`.
    """

    def __init__(
        self,
        frame: pl.DataFrame,
        index: ImageIndex,
        answers: Answers,
        *,
        form: Form,
        sizes: Named[str, tuple[int, int]],
    ) -> None:
        """Look at the columns of ``frame``, which is text.

        Args:
            frame: Table with the column ``row``.
            index: Images of the release.
            answers: What the user answered.
            form: Form of the file.
            sizes: Width and height of some images, by their paths.
        """
        self.said = Understood()
        self.columns = {
            name: Column.of(name, frame[name].to_list()) for name in frame.columns if name != "row"
        }
        self.options: dict[str, Any] = {}
        self._frame, self._index, self._answers = frame, index, answers
        self._form, self._sizes = form, sizes
        if form == "csv" or form in ("excel", "parquet", "jsonl"):
            self._look()
        else:
            self._of_files()

    def _look(self) -> None:
        self._given()
        self._find_image()
        self._by_name()
        self._complete()
        self._find_labels()
        self._contents()
        self._notes()

    def _of_files(self) -> None:
        """Take the columns of boxes, masks, reports and DICOM tags, whose names are the fields."""
        for name in self.columns:
            if name in FIELDS:
                self._use(name, name)
        if self._form in ("yolo", "coco"):
            self.options["box_form"] = "xywh" if self._form == "coco" else "cxcywh"
        if self._form == "yolo":
            self.options["box_unit"] = "fraction"
        if self._form == "dicom" and "date" in self.said.columns:
            self.options["dates"] = "%Y%m%d"
        if self._form == "reports":
            share = self._image_share(self.columns["name"])
            if share >= _HALF:
                self._use("image", "name")
        if "phrase" in self.columns:
            self._phrases()

    def _given(self) -> None:
        for known, column in self._answers.columns.items():
            if column in self.columns and column != _NONE:
                if known in FIELDS:
                    self._use(known, column)
                else:
                    self.said.labels[known] = column

    def _use(self, known: str, column: str) -> None:
        self.said.columns[known] = column

    def _is_given(self, known: str) -> bool:
        return known in self._answers.columns

    def _image_share(self, column: Column) -> float:
        texts = [text for text, _ in column.cells.most_common(_LOOKED_AT)]
        total = sum(column.cells[text] for text in texts)
        return sum(column.cells[t] for t in texts if self._index.find(t)) / max(1, total)

    def _find_image(self) -> None:
        if self._is_given("image"):
            return
        shares = {
            name: self._image_share(column)
            for name, column in self.columns.items()
            if may_identify(column)
        }
        fit = [name for name, share in shares.items() if share >= _HALF]
        if fit:

            def rank(name: str) -> tuple[bool, int, float]:
                # numbers may stand for images by chance, a few of them; the key of images has many
                return field_by_name(name) == "image", len(self.columns[name].cells), shares[name]

            best = max(fit, key=rank)
            self._use("image", best)
            return
        named = [name for name in shares if field_by_name(name) == "image"]
        for name in named:
            if shares[name] > 0:
                self._use("image", name)
                self.said.questions["columns.image", name] = (
                    f"columns.image: only {shares[name]:.0%} of the cells of {name} name an image "
                    "in the folder; is it the column of images? Answer with --column "
                    f"image={name}, or name another folder by --images."
                )
                return

    def _by_name(self) -> None:
        used = set(self.said.columns.values()) | set(self.said.labels.values())
        for name, column in self.columns.items():
            known = field_by_name(name)
            if known is None or known == "image" or self._is_given(known):
                continue
            if name in used and self.said.columns.get("image") != name:
                continue
            if known in self.said.columns:
                first = self.said.columns[known]
                self.said.notes[name] = f"{_NOT_USED}; {known} is read from the column {first}"
                continue
            if not column.stated:
                self.said.notes[name] = f"{_NOT_USED}, because all cells are blank"
                continue
            self._use(known, name)

    def _complete(self) -> None:
        """Drop fields that need others which are missing."""
        have = self.said.columns
        boxed = "box" in have or "mask" in have or {"x1", "y1"} <= have.keys()
        if boxed and "phrase" not in have and "findings" in have:
            have["phrase"] = have.pop("findings")
        if not boxed and "phrase" in have and "findings" not in have:
            have["findings"] = have.pop("phrase")
        ends = {"x2", "y2"} <= have.keys() or {"box_width", "box_height"} <= have.keys()
        if not ({"x1", "y1"} <= have.keys() and ends):
            for side in SIDES:
                self._drop(side, "a box needs left, top and two more numbers")
        elif {"x2", "y2"} <= have.keys():
            for side in ("box_width", "box_height"):
                self._drop(side, "the corners of the box are read")
        if ("question" in have) != ("answer" in have):
            self._drop("question", "there is no column of answers")
            self._drop("answer", "there is no column of questions")
        if ("image_width" in have) != ("image_height" in have):
            self._drop("image_width", "the height is missing")
            self._drop("image_height", "the width is missing")

    def _drop(self, known: str, why: str) -> None:
        column = self.said.columns.pop(known, None)
        if column is not None:
            self.said.notes[column] = f"{_NOT_USED}, because {why}"

    def _find_labels(self) -> None:
        used = set(self.said.columns.values())
        for name, column in self.columns.items():
            label = label_by_name(name)
            if label is None or self._is_given(label) or name in used:
                continue
            if not column.stated:
                self.said.notes[name] = f"{_NOT_USED}, because all cells are blank"
            elif (
                label == "Edema" and looks_like_grades(column) and "edema" not in self.said.columns
            ):
                self._use("edema", name)
                self.said.questions["columns.edema", name] = (
                    f"columns.edema: the column {name} has grades; are they 0 none, 1 vascular "
                    "congestion, 2 interstitial edema, 3 alveolar edema? Answer with --column "
                    f"edema={name}, or --column edema=none."
                )
            elif label in self.said.labels:
                first = self.said.labels[label]
                self.said.notes[name] = f"{_NOT_USED}; {label} is read from the column {first}"
            elif looks_like_labels(column):
                self.said.labels[label] = name
            else:
                self.said.notes[name] = (
                    f"{_NOT_USED}; its name means {label}, but its cells are not yes or no"
                )

    def _contents(self) -> None:
        have, said = self.said.columns, self.said
        for known in ("view", "sex"):
            if known in have:
                look_at_persons(known, self.columns[have[known]], said)
        for known, meaning in (("findings", "No Finding"), ("edema", "0")):
            if known in have:
                look_at_nones(known, self.columns[have[known]], meaning, said)
        if "split" in have:
            look_at_splits(self.columns[have["split"]], said)
        if "date" in have:
            self._dates(self.columns[have["date"]])
        if "findings" in have:
            separator = list_separator(self.columns[have["findings"]])
            if separator != "|":
                self.options["separator_of_findings"] = separator
            look_at_findings(self.columns[have["findings"]], separator, said)
        if "phrase" in have:
            self._phrases()
        look_at_label_values([self.columns[name] for name in said.labels.values()], said)
        if decimal_comma(self.columns[have[name]] for name in NUMBERS if name in have):
            self.options["decimal"] = ","
        self._ratios()
        self._boxes()

    def _dates(self, column: Column) -> None:
        if self._answers.dates is not None:
            self.options["dates"] = self._answers.dates
            return
        forms = date_forms(column)
        if len(forms) == 1:
            self.options["dates"] = forms[0]
        elif not forms:
            self._drop("date", "its cells are dates of no known form; name it by --dates")
        else:
            example = next(iter(column.cells))
            self.options["dates"] = forms[0]
            self.said.questions["dates", column.name] = (
                f"dates: the cells of {column.name}, such as {example}, may be written as "
                f"{' or '.join(forms)}; which is it? Answer with --dates '{forms[0]}'."
            )

    def _phrases(self) -> None:
        column = self.columns[self.said.columns["phrase"]]
        known = Understood()
        look_at_phrases(Counter(column.cells), column.name, known)
        # any phrase can be boxed; only what means a label is worth a line
        self.said.vocabulary |= {k: v for k, v in known.vocabulary.items() if v is not None}

    def _ratios(self) -> None:
        for name in ("ctr", "cpar"):
            column = self.columns.get(self.said.columns.get(name, ""))
            if column is None:
                continue
            values = []
            for text in column.cells:
                try:
                    values.append(ratio(text, self.options.get("decimal", "."), percent=False))
                except CellError:
                    continue
            if values and sum(v > 1 for v in values) > _HALF * len(values):
                self.options["percent"] = [*self.options.get("percent", []), name]

    def _boxes(self) -> None:
        have = self.said.columns
        if "box" not in have and "x1" not in have:
            return
        decimal = self.options.get("decimal", ".")
        found: list[tuple[list[float], tuple[int, int]]] = []
        image = have.get("image")
        sides = ["x1", "y1", *(("x2", "y2") if "x2" in have else ("box_width", "box_height"))]
        for row in self._frame.head(_LOOKED_AT).iter_rows(named=True):
            paths = self._index.find(row[image]) if image and row[image] else []
            size = self._sizes.get(paths[0], (10**9, 10**9)) if paths else (10**9, 10**9)
            try:
                if "box" in have:
                    values = numbers(row[have["box"]] or "", decimal)
                else:
                    values = [number(row[have[side]] or "", decimal) for side in sides]
            except CellError:
                continue
            if values and len(values) % 4 == 0:
                found += [(values[k : k + 4], size) for k in range(0, len(values), 4)]
        if not found:
            return
        if all(0 <= v <= 1 for values, _ in found for v in values):
            self.options["box_unit"] = "fraction"
            found = [(values, (1, 1)) for values, _ in found]
        if "x2" in have:
            return
        forms = _box_forms(found)
        if "box_width" in have:
            forms = [form for form in forms if form != "xyxy"]
            names = [plain(have["x1"]), plain(have["box_width"])]
            if self.options.get("box_unit") != "fraction" and "center" not in " ".join(names):
                forms = [form for form in forms if form == "xywh"] or forms
        if self._answers.boxes is not None:
            forms = [self._answers.boxes]
        self.options["box_form"] = forms[0] if forms else "xywh"
        if len(forms) != 1:
            what = have.get("box") or have["x1"]
            self.said.questions["box_form", what] = (
                f"box_form: the numbers of {what} may be {' or '.join(forms) or 'of any form'} "
                "(corners xyxy, corner and size xywh, centre and size cxcywh); which is it? Answer "
                "with --boxes xyxy, --boxes xywh or --boxes cxcywh."
            )

    def _notes(self) -> None:
        used = set(self.said.columns.values()) | set(self.said.labels.values())
        for name in self.columns:
            if name not in used and name not in self.said.notes:
                hint = hint_for(name)
                self.said.notes[name] = f"{_NOT_USED}{f'; {hint}' if hint else ''}"


def _box_forms(boxes: list[tuple[list[float], tuple[int, int]]]) -> list[BoxForm]:
    """Return the forms under which all boxes have an area inside their image.

    Example:
        >>> _box_forms([([10, 10, 90, 5], (100, 100))])
        ['xywh']
    """
    forms: list[BoxForm] = []
    slack = 1.02  # boxes that reach over the edge a little
    if all(c > a and d > b for (a, b, c, d), _ in boxes):
        forms.append("xyxy")
    if all(a + c <= w * slack and b + d <= h * slack for (a, b, c, d), (w, h) in boxes):
        forms.append("xywh")
    if all(
        a - c / 2 >= -0.02 * w and b - d / 2 >= -0.02 * h and a + c / 2 <= w * slack
        and b + d / 2 <= h * slack
        for (a, b, c, d), (w, h) in boxes
    ):  # fmt: skip
        forms.append("cxcywh")
    return forms
