"""Defines the command that lists the models that are known by name."""

from __future__ import annotations

import json
from dataclasses import asdict

from imaxray._common.printing import say
from imaxray.cli.application import Format, app
from imaxray.cli.printing.tables import print_table


@app.command()
def models(form: Format = "text") -> None:
    """List the models that are known by name: repository, family, boxes, licence, access."""
    from imaxray.models import list_models

    rows = [asdict(row) for row in list_models()]
    if form == "json":
        say(json.dumps(rows, indent=1))
        return
    seen = {True: "yes", False: "no", None: "not stated"}
    header = ["model", "repository", "revision", "family", "boxes", "licence", "access"]
    print_table(
        None,
        [*header, "saw MIMIC-CXR"],
        [[r["name"], r["repository"] or "-", (r["revision"] or "newest")[:12], r["family"],
          r["convention"], r["licence"], r["access"], seen[r["saw_mimic"]]] for r in rows],
    )  # fmt: skip
    for row in rows:
        if row["note"]:
            say(f"{row['name']}: {row['note']}")
    say(
        "The revision `newest` is not pinned yet: pin it on the first download. Runs record the "
        "commit that they used."
    )
    say("For any other native image-text model, give its repository id or folder and --boxes.")
