"""Defines the command that builds a DMAX dataset beside an IMAX dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from imaxray._common.folders import require_other_folder
from imaxray._common.lock import sole_writer
from imaxray._common.printing import say
from imaxray.cli.application import Format, Out, app
from imaxray.cli.options import chosen, options_of
from imaxray.cli.printing.densities import densities, print_density, print_match
from imaxray.cli.printing.tables import print_json

_NEAR_TARGET: Final = 0.05

"""Share by which a spread may miss its target before the command says so."""


@app.command(cls=options_of("imaxray.curation:DmaxConfig"))
def match(
    catalog: Annotated[
        Path, typer.Argument(help="Folder of the catalog that `imaxray build` wrote.")
    ],
    imax: Annotated[Path, typer.Argument(help="Folder of the IMAX dataset to match.")],
    out: Out,
    form: Format = "text",
) -> None:
    """Build a DMAX dataset that has as many entries per task as an IMAX dataset.

    By default the entries are spread over as many images as possible; --tasks-per-image asks for a
    denser spread.
    """
    from imaxray.curation import DmaxConfig, match_dmax, open_dataset, write_dataset
    from imaxray.curation.dataset import require_dataset_place

    dose = chosen(DmaxConfig)
    require_other_folder(out, catalog, imax)
    with sole_writer(out, beside=True):
        require_dataset_place(out)
        selected = open_dataset(imax, entries_only=True)
        built = selected.manifest["seed"]
        tables, report = match_dmax(open_dataset(catalog).tables, selected.tables, dose, seed=built)
        config = {**selected.manifest["config"], "dmax": dose.model_dump(mode="json")}
        write_dataset(tables, out, config=config, seed=built, role="dmax")
    if form == "json":
        print_json({"density": densities(tables), "match": report.as_dict()})
        return
    print_density("dmax", densities(tables))
    print_match(report.as_dict())
    wanted, got = dose.tasks_per_image, report.dmax.tasks_per_image
    if wanted is not None and abs(wanted - got) > _NEAR_TARGET * wanted:
        say(
            f"The target of {wanted:g} tasks per image was missed: {got:.2f} is the nearest that "
            "these entries allow."
        )
