"""Write docs/own-data-fields.md from what the reader of own data knows.

``make fields`` runs this script. ``test_own_data_fields.py`` fails when the page and the reader
differ.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "src"))

from imaxray.schema import EDEMA_GRADES, FINDINGS, SPLITS  # noqa: E402
from imaxray.sources._checks.persons import OLDEST, SEXES, VIEWS  # noqa: E402
from imaxray.sources.own_data.fields import FIELDS  # noqa: E402
from imaxray.sources.own_data.mapping import Form, Mapping, Table  # noqa: E402
from imaxray.sources.own_data.vocabulary import (  # noqa: E402
    BLANK,
    GRADES,
    LABEL_VALUES,
    PERSONS,
    SPELLINGS,
    SPLIT_NAMES,
)

PAGE = ROOT / "docs" / "own-data-fields.md"

HEAD = """\
<!-- Written by `make fields` from the reader of own data; do not edit. -->

# Fields of own data

[own-data.md](own-data.md) shows how a `source.yaml` is written. This page lists everything that it
can say. Spellings and names of columns may be in upper or lower case, with or without accents, and
with blanks, `_` or `-` between words.
"""

FORMS = {
    "csv": "text with one row per line: `.csv`, `.tsv`, `.txt`, also `.gz` and `.csv.zip`",
    "excel": "`.xlsx`, `.xls`, `.xlsb`, `.ods`; needs `pip install 'imaxray[excel]'`",
    "parquet": "`.parquet`",
    "jsonl": "one JSON object per line: `.jsonl`, `.ndjson`",
    "coco": "`.json` of COCO with images, annotations and categories",
    "voc": "folder of Pascal VOC files, `.xml`",
    "yolo": "folder of YOLO label files, `.txt`; `classes.txt` or `data.yaml` names the classes",
    "masks": "folder of masks, `.png`, or `.nii` and `.nii.gz` (`pip install 'imaxray[nifti]'`); a "
    "mask is named like its image and lies in a folder named after what it shows",
    "reports": "folder of reports, `.txt`, one per image or study, named after it",
    "dicom": "folder of DICOM files, whose tags are read (`pip install 'imaxray[dicom]'`)",
}


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown; bars in cells are escaped."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(
        "| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |" for line in lines
    )


def code(items: Iterable[str]) -> str:
    """Items as code, with commas."""
    return ", ".join(f"`{item}`" for item in items)


def spelled(known: dict[str, Any], ours: Any) -> list[str]:
    """The spellings that mean ours."""
    return [spelling for spelling, meaning in known.items() if meaning == ours]


def keys(model: type[BaseModel]) -> str:
    """One row per key of a part of `source.yaml`."""
    rows = []
    for name, info in model.model_fields.items():
        default = info.get_default(call_default_factory=True)
        if default is PydanticUndefined:
            shown = "must be given"
        elif default in ((), {}, None, ""):
            shown = "–"
        else:
            shown = f"`{default}`"
        rows.append((f"`{name}`", shown, info.description or ""))
    return table(("key", "default", "meaning"), rows)


def render() -> str:
    """The whole page."""
    assert set(FORMS) == set(get_args(Form))
    views = {ours: spelled(VIEWS, ours) for ours in dict.fromkeys(VIEWS.values()) if ours}
    parts = [
        HEAD,
        "## Fields of a row\n\n`columns` maps a field to the column that holds it; `sources new` "
        "knows the names in the last column.\n",
        table(
            ("field", "a cell states", "values", "columns that are recognised"),
            ((f"`{n}`", f.meaning, f.values, ", ".join(f.columns)) for n, f in FIELDS.items()),
        ),
        "\n## Labels\n\n`labels` maps a label to its column of yes, no and uncertain; `findings` "
        "is a column that lists those that are present. Other spellings stand in `vocabulary`.\n",
        table(("label", "known spellings"), ((n, ", ".join(SPELLINGS[n])) for n in FINDINGS)),
        "\n### Values of labels\n\nOther spellings stand in `label_values`, as yes, no, uncertain "
        "or unknown.\n",
        table(
            ("value", "spellings"),
            (
                (word, code(spelled(LABEL_VALUES, value)))
                for word, value in (("yes", 1.0), ("no", 0.0), ("uncertain", -1.0))
            ),
        ),
        f"\nA cell that states nothing is blank or one of {code(filter(None, BLANK))}: "
        "**unknown**, which is not *no*. Where `none` may mean that nothing was found, you are "
        "asked.",
        "\n## Views, sexes, splits, grades\n\n`sources new` writes the spellings of the last "
        "column into `values`; those of the middle column are always known.\n",
        table(
            ("value", "known spellings", "spellings that `sources new` translates"),
            [
                *(
                    (f"view {v}", code(spellings), code(spelled(PERSONS["view"], v)))
                    for v, spellings in views.items()
                ),
                *(
                    (f"sex {s}", code(spelled(SEXES, s)), code(spelled(PERSONS["sex"], s)))
                    for s in dict.fromkeys(SEXES.values())
                ),
                *((f"split {s}", code(spelled(SPLIT_NAMES, s)), "") for s in SPLITS),
                *(
                    (f"edema {k}, {name}", code(spelled(GRADES, float(k))), "")
                    for k, name in enumerate(EDEMA_GRADES)
                ),
            ],
        ),
        f"\nFrontal views are PA, AP and FRONTAL. Ages are full years from 0 to {OLDEST}.",
        "\n## Keys of `source.yaml`\n",
        keys(Mapping),
        "\n### Keys of a table\n",
        keys(Table),
        "\n### Forms of tables and folders\n",
        table(("`format`", "what it is"), ((f"`{k}`", v) for k, v in FORMS.items())),
    ]
    return "\n".join(parts) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(render(), encoding="utf-8")


if __name__ == "__main__":
    main()
