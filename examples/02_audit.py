"""2. Audit: look for leaked patients, broken images, bad boxes and contradictions.

Continues 01_build.py. Run: python examples/02_audit.py [WORK_FOLDER]
"""

import sys
from pathlib import Path

from imaxray import audit_dataset

work = Path(sys.argv[1] if len(sys.argv) > 1 else "examples-out")

for name in ("imax", "dmax"):
    # drawn radiographs look so much alike that crops of each other are found among them
    report = audit_dataset(work / "data" / name, skip={"near-duplicate"})
    print(f"{name}: {len(report.issues)} findings in {report.entries} entries "
          f"on {report.images} images")  # fmt: skip
    for issue in report.issues[:3]:
        print(f"  {issue.code}: {issue.message}")
    for code, reason in report.limits.items():  # what a check could not look at
        print(f"  {code} saw only a part: {reason}")
