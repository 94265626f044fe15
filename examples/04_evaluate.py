"""4. Evaluate: both models answer the same test questions, and the answers are scored.

Continues 03_train.py. Run: python examples/04_evaluate.py [WORK_FOLDER]
"""

import sys
from pathlib import Path

from imaxray import evaluate_model

work = Path(sys.argv[1] if len(sys.argv) > 1 else "examples-out")

for arm in ("imax", "dmax"):
    # Both arms share one test set. The default output folder is runs/ARM/evaluation/imax-test.
    done = evaluate_model(work / "runs" / arm, work / "data" / "imax")
    print(f"{arm}: {done.predictions.height} answers")
    for task in done.result.data["tasks"]:
        primary = next(m for m in task["metrics"] if m["name"] == task["primary"])
        value = "no value" if primary["value"] is None else f"{primary['value']:.3f}"
        print(f"  {task['task']}: {primary['name']} {value} on {task['entries']} entries")
