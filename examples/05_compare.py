"""5. Compare: is one arm better than the other, and how sure can we be?

The intervals are of a bootstrap over patients, and the p-values are corrected over the tasks. This
model is far too small and too briefly trained to show a difference: the numbers only show the form.

Continues 04_evaluate.py. Run: python examples/05_compare.py [WORK_FOLDER]
"""

import sys
from pathlib import Path

from imaxray import compare, open_dataset, read_predictions, score
from imaxray.boxes import PERCENT

work = Path(sys.argv[1] if len(sys.argv) > 1 else "examples-out")

tables = open_dataset(work / "data" / "imax").tables
scores = {}
for arm in ("imax", "dmax"):
    answers = read_predictions(work / "runs" / arm / "evaluation" / "imax-test")
    scores[arm] = score(
        tables.split("test"), answers.table, tables.images, PERCENT, missing="wrong"
    )

result = compare(scores, reference="dmax", resamples=200).as_dict()
for row in result["tasks"]:
    difference = row["differences"]["imax"]
    if difference["low"] is not None:
        print(f"{row['task']}: {row['metric']} of imax minus dmax is {difference['value']:+.3f} "
              f"[{difference['low']:+.3f}, {difference['high']:+.3f}]")  # fmt: skip
print(f"compared on {result['patients']} patients")
