"""Says where a study keeps its models, datasets, runs and answers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from imaxray._common.folders import (
    claim_files,
    claimed_digests,
    forget_recorded,
    require_records,
)
from imaxray.curation import Dataset, open_dataset
from imaxray.curation.dataset import MANIFEST
from imaxray.errors import ImaxrayError
from imaxray.report import REPORT, require_report_place
from imaxray.study.arms import StudyArm, folder_name

if TYPE_CHECKING:
    from imaxray.study.config import StudyConfig

CONFIG: Final = "study.yaml"
"""Name of the file in a study folder that holds its configuration."""

MATCH: Final = "match.json"
"""Name of the report of the build in a study folder."""

PICTURE: Final = "results.png"
"""Name of the picture of the results in a study folder."""

PUT_BACK: Final = "put it back, or remove it, so that its work is done again"
"""What to do with a record that was edited."""

RECORDS: Final = "units"
"""Folder in a study folder with one record per finished unit."""

BUDGETS: Final = "budgets"
"""Folder in a study folder with the numbers of steps of arms with ``budget: compute``."""

RESULTS: Final = ("comparison.json", "clock.csv", "models.csv", "models.tex")
"""Names of the files of the results of a study."""

DYNAMICS: Final = tuple(
    f"dynamics/{name}"
    for name in (
        "contrast.csv", "contrast.json", "contrast.parquet", "crossed.csv", "effects.csv",
        "groups.csv", "n_curve.csv", "not_made.json", "power.csv", "probes.parquet",
        "sentences.json", "shared_images.json", "sharing.csv", "spectra.parquet", "tasks.csv",
    )
)  # fmt: skip
"""Files of the dynamics of a study that measures them."""

KNOWN_BY: Final = {
    "comparison.json": ('"reference"', '"arms"', '"resamples"'),
    "units/data.json": ('"asked"', '"datasets"'),
}
"""Files by which the folder of a study of an earlier version is known."""


def claim_study(out: Path, *, measures: bool = False) -> None:
    """Check, before anything slow, that no file of the user has the name of one that is written.

    What was recorded of the files of the study is forgotten, because work begins that changes them.

    Args:
        out: Study folder.
        measures: Whether the study measures dynamics.

    Raises:
        ImaxrayError: If one has, or a record that the work goes on from was changed by hand.
    """
    require_records(
        out,
        [name for name in claimed_digests(out) if _is_record(name)],
        advice=PUT_BACK,
    )
    names = [CONFIG, PICTURE, *RESULTS, *(DYNAMICS if measures else ())]
    claim_files(out, names, "a study", known_by=KNOWN_BY)
    forget_recorded(out)
    require_report_place(out / REPORT)


def _is_record(name: str) -> bool:
    """Tell whether work goes on from a file; others are written anew or hold their own digests."""
    made_anew = name in RESULTS or name.startswith("dynamics/") or "/dynamics/crossed/" in name
    return name.endswith(".json") and not name.endswith(f"/{MANIFEST}") and not made_anew


def base_folder(config: StudyConfig, out: Path, model: str, seed: int) -> Path:
    """Return the folder of a model that the study builds; all arms of a seed start from it."""
    return _of_seed(config, _of_model(config, out / "init", model), seed)


def run_folder(config: StudyConfig, out: Path, model: str, arm: str, seed: int) -> Path:
    """Return the folder of a run.

    It is ``runs/ARM``, below it ``MODEL`` between the two if the study has several models, and
    ``seed-K`` at the end if it has several seeds.
    """
    runs = _of_model(config, out / "runs", model) / folder_name(arm)
    return _of_seed(config, runs, seed)


def run_folders(config: StudyConfig, out: Path, model: str, arm: str) -> list[Path]:
    """Return the run folders of an arm, in the order of the seeds."""
    return [run_folder(config, out, model, arm, seed) for seed in config.training_seeds]


def result_files(config: StudyConfig, out: Path) -> list[str]:
    """Return the paths in a study folder of what its results are made from, as far as it is there.

    They are the report of the build, what the runs of each arm recorded, their scored answers, the
    measured dynamics, and all records of finished work. The manifests of datasets, of models to
    start from, of runs and of answers hold the digests of the other files.
    """
    runs = [
        folder
        for model in config.all_models
        for arm in config.arms
        for folder in run_folders(config, out, model, arm)
    ]
    of_runs = [folder / name for folder in runs for name in _OF_A_RUN]
    answers = [
        answer_folder(folder) / name
        for folder in runs
        for name in ("scores.parquet", "predictions.json")
    ]
    crossed = [folder / "dynamics" / "crossed" for folder in runs]
    measured = [p for folder in (out / "dynamics", *crossed) for p in sorted(folder.glob("*.*"))]
    begun = [
        base_folder(config, out, model, seed) / "init.json"
        for model in config.all_models
        for seed in config.training_seeds
    ]
    data = [out / name / MANIFEST for name in ("catalog", "imax", "dmax")]
    data += [
        dataset_folder(out, arm) / MANIFEST
        for arm in config.arms.values()
        if arm.tasks_per_image is not None
    ]
    records = [path for name in (RECORDS, BUDGETS) for path in (out / name).rglob("*.json")]
    paths = (out / MATCH, *data, *begun, *of_runs, *answers, *measured, *sorted(records))
    known = [path for path in paths if path.is_file()]
    return [path.relative_to(out).as_posix() for path in known]


_OF_A_RUN: Final = ("run.json", "curve.jsonl", "evaluations.jsonl")


def answer_folder(run: Path) -> Path:
    """Return the folder of the answers of a run to the test split of the study."""
    return run / "evaluation" / "imax-test"  # where `imaxray evaluate RUN imax` looks, too


def dataset_folder(out: Path, arm: StudyArm) -> Path:
    """Return the dataset folder that an arm is trained on."""
    if arm.tasks_per_image is not None:
        return out / "doses" / f"{arm.tasks_per_image:g}"
    if arm.data in ("imax", "dmax"):
        return out / arm.data
    return Path(arm.data).expanduser()


def arm_dataset(out: Path, name: str, arm: StudyArm) -> Dataset:
    """Open the dataset of an arm; a folder of the user's is held against the test patients.

    Raises:
        ImaxrayError: If the folder is no dataset, or a patient of its train split is tested.
    """
    data = open_dataset(dataset_folder(out, arm))
    if arm.data not in ("imax", "dmax"):
        tested = set(open_dataset(out / "imax").tables.split("test")["patient_id"])
        trained = set(data.tables.split("train")["patient_id"])
        both = sorted(tested & trained)
        if both:
            raise ImaxrayError(
                f"Expected no test patient of the study among the train patients of arm {name} "
                f"({data.folder}), but {len(both):,} are (first: {both[0]}); make that dataset "
                "from the catalog of this study."
            )
    return data


def _of_model(config: StudyConfig, folder: Path, model: str) -> Path:
    return folder if len(config.all_models) == 1 else folder / folder_name(model)


def _of_seed(config: StudyConfig, folder: Path, seed: int) -> Path:
    return folder if len(config.training_seeds) == 1 else folder / f"seed-{seed}"
