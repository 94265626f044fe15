"""Does one unit of a study: builds data or a model, trains a run, or lets it answer."""

from __future__ import annotations

import hashlib
import json
import logging
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from imaxray._common.digests import changed_files
from imaxray._common.folders import growing_folder, remove_listed
from imaxray._common.state import known_state
from imaxray.curation import DmaxConfig, match_dmax, open_dataset, write_dataset
from imaxray.errors import ImaxrayError
from imaxray.study.arms import PROBED
from imaxray.study.budget import budget_steps
from imaxray.study.config import StudyConfig
from imaxray.study.model import steps_of
from imaxray.study.places import (
    answer_folder,
    arm_dataset,
    base_folder,
    run_folder,
)
from imaxray.study.prepare import build_study_data
from imaxray.study.units import Unit, record_of, require_result, write_record

if TYPE_CHECKING:
    from PIL.Image import Image

    from imaxray.cache import ImageStore
    from imaxray.curation import Dataset
    from imaxray.dynamics import FisherProbe
    from imaxray.models import ChatModel
    from imaxray.training import ImageLoader, PictureLoader, Recipe


_ANSWERS: Final = (
    "predictions.json", "predictions.parquet", "predictions.parts/", "scores.parquet",
    "result.json",
)  # fmt: skip


def do_unit(
    config: StudyConfig, out: Path, unit: Unit, *, root: Path | None = None, progress: bool = False
) -> None:
    """Do a unit whose needs are done; a finished one of the same inputs is kept.

    Args:
        config: Configuration of the study.
        out: Study folder.
        unit: Any unit except ``compare``.
        root: Folder of the releases, for the unit ``data``.
        progress: Whether to show the progress of training.

    Raises:
        ImaxrayError: If building, training or answering raises.
    """
    if unit.kind == "data":
        make_data(config, out, root=root)
        return
    _quiet(config)
    if unit.kind == "base":
        _build_base(config, out, unit)
    elif unit.kind == "train":
        _train(config, out, unit, progress=progress)
    elif unit.kind == "answer":
        _answer(config, out, unit)


def make_data(config: StudyConfig, out: Path, *, root: Path | None = None) -> dict[str, Any]:
    """Build the datasets of a study with their doses and probes; return the report of the build."""
    report = build_study_data(config, out, root=root)
    _require_training_data(config, report)
    for arm in config.arms.values():
        if arm.tasks_per_image is not None:
            _write_dose(out, arm.tasks_per_image)
    if config.dynamics is not None:
        from imaxray.study.probes import choose_probes  # imported here, because it loads torch

        imax, dmax = open_dataset(out / "imax"), open_dataset(out / "dmax")
        choose_probes(config.dynamics, imax, dmax, out)
    write_record(config, out, Unit("data"), {"datasets": report["datasets"]})
    return report


def _require_training_data(config: StudyConfig, report: dict[str, Any]) -> None:
    trained = [n for n, a in config.arms.items() if a.is_trained and a.data in ("imax", "dmax")]
    if trained and not report["imax"]["entries"]:
        raise ImaxrayError(
            f"Expected train entries for the arms {', '.join(trained)}, but all images of the "
            "releases are of the validation or the test set; add a release with train images, or "
            "run imaxray build, evaluate and score, which need none."
        )


def _write_dose(out: Path, tasks_per_image: float) -> None:
    """Write the dataset between DMAX and IMAX that has this many tasks per image."""
    imax = open_dataset(out / "imax", entries_only=True)
    dose = DmaxConfig(tasks_per_image=tasks_per_image)
    content = {**imax.manifest["config"], "dmax": dose.model_dump(mode="json"), "of": imax.sha256}
    folder = out / "doses" / f"{tasks_per_image:g}"
    if (folder / "manifest.json").is_file() and open_dataset(folder).manifest["config"] == content:
        return
    seed = imax.manifest["seed"]
    tables, _ = match_dmax(open_dataset(out / "catalog").tables, imax.tables, dose, seed=seed)
    write_dataset(tables, folder, config=content, seed=seed, role="dmax")


def _build_base(config: StudyConfig, out: Path, unit: Unit) -> None:
    from imaxray.training import base_digest, untrained_base

    assert unit.model is not None and unit.seed is not None
    model = config.all_models[unit.model]
    shape = model.shape
    assert shape is not None
    folder = base_folder(config, out, unit.model, unit.seed)
    data = [open_dataset(out / name) for name in ("imax", "dmax")]
    with growing_folder(folder):
        untrained_base(shape, data, folder, seed=unit.seed)
    write_record(config, out, unit, {"key": base_digest(str(folder), None)})


def recipe_of(config: StudyConfig, out: Path, unit: Unit) -> Recipe:
    """Return the recipe of a unit ``train``, with its number of steps.

    Raises:
        ImaxrayError: If the recipe cannot be read, or runs that decide the budget are missing.
    """
    assert unit.model is not None and unit.arm is not None and unit.seed is not None
    model, arm = config.all_models[unit.model], config.arms[unit.arm]
    recipe = model.recipe_of(
        base_of(config, out, unit.model, unit.seed),
        config.training,
        layout=arm.layout,
        seed=unit.seed,
    )
    reference = arm_dataset(out, config.reference, config.arms[config.reference])
    steps = steps_of(recipe, reference)
    if arm.budget == "compute":
        steps = budget_steps(config, out, unit.model, unit.arm, steps)
    return recipe.model_copy(update={"steps": steps, "epochs": None})


def base_of(config: StudyConfig, out: Path, model: str, seed: int) -> str:
    """Return the folder or the name of the model that the arms of a seed start from."""
    block = config.all_models[model]
    if block.is_built:
        return str(base_folder(config, out, model, seed))
    return block.weights(model)


def _train(config: StudyConfig, out: Path, unit: Unit, *, progress: bool) -> None:
    from imaxray.training import base_digest, train_dataset

    assert unit.model is not None and unit.arm is not None and unit.seed is not None
    arm, model = config.arms[unit.arm], config.all_models[unit.model]
    run = run_folder(config, out, unit.model, unit.arm, unit.seed)
    data = arm_dataset(out, unit.arm, arm)
    recipe = recipe_of(config, out, unit)
    probed = config.dynamics is not None and unit.arm in PROBED
    told = {
        "recipe": recipe.model_dump(mode="json", exclude={"model"}),
        "dataset": data.sha256,
        "base": base_digest(recipe.model, recipe.revision),
        "dynamics": config.dynamics.model_dump(mode="json") if probed and config.dynamics else None,
    }
    key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()
    probes = out / "dynamics" / "probes.parquet"
    same = known_state(record_of(out, unit)).get("key") == key
    if same:
        require_result(out, unit)
    if same and _is_whole(run) and (not probed or _crossed_is_measured(probes, run)):
        write_record(config, out, unit, {"key": key})  # of this configuration, too
        return
    record_of(out, unit).unlink(missing_ok=True)  # its run may be trained anew
    first = base_of(config, out, unit.model, config.training_seeds[0])
    splits = ("train",) if recipe.eval_every is None else ("train", "val")
    wanted = (data.folder, data.sha256, first, splits, recipe.image_cache_mb)
    augments = recipe.augment is not None
    train_dataset(
        data,
        run,
        recipe,
        image_loader=_prepared(*wanted) if model.is_built and not augments else None,
        picture_loader=_pictures(*wanted) if model.is_built and augments else None,
        callbacks=(lambda chat, _: [_probe(config, out, unit, chat, recipe)]) if probed else None,
        progress=progress,
        overwrite=True,
        operations=any(block.budget == "compute" for block in config.arms.values()),
    )
    if int(os.environ.get("RANK", "0")) > 0:  # set by torchrun and accelerate
        return
    if probed:
        from imaxray.study.probes import measure_crossed
        from imaxray.training import FinishedRun

        measure_crossed(FinishedRun(run).load(), probes, out, run)
    write_record(config, out, unit, {"key": key})


def _crossed_is_measured(probes: Path, run: Path) -> bool:
    from imaxray.study.probes import crossed_is_measured  # late, because it loads torch

    return crossed_is_measured(probes, run)


def _is_whole(run: Path) -> bool:
    files = known_state(run / "run.json").get("files")
    return isinstance(files, dict) and not changed_files(run, files)


def _answer(config: StudyConfig, out: Path, unit: Unit) -> None:
    import torch

    from imaxray.evaluation import EvaluateConfig
    from imaxray.evaluation.generation import answer_model
    from imaxray.training import base_digest

    assert unit.model is not None and unit.arm is not None and unit.seed is not None
    arm, model = config.arms[unit.arm], config.all_models[unit.model]
    run = run_folder(config, out, unit.model, unit.arm, unit.seed)
    folder = answer_folder(run)
    source = str(run) if arm.is_trained else base_of(config, out, unit.model, unit.seed)
    how = EvaluateConfig(
        boxes=model.boxes,
        revision=None if arm.is_trained else model.revision,
        max_image_tokens=model.max_image_tokens,
        device="cuda" if torch.cuda.is_available() else "cpu",
        max_new_tokens=config.evaluation.max_new_tokens,
        images_per_batch=config.evaluation.images_per_batch,
    )
    tested = open_dataset(out / "imax")
    train = Unit("train", unit.model, unit.arm, unit.seed)
    told = {
        "train": known_state(record_of(out, train)).get("key") if arm.is_trained else None,
        "base": None if arm.is_trained else base_digest(source, model.revision),
        "dataset": tested.sha256,
        "how": how.model_dump(mode="json"),
    }
    known = {key: known_state(record_of(out, unit)).get(key) for key in told}
    if known == told:
        require_result(out, unit)
    if known == told and _are_whole(folder):
        write_record(config, out, unit, told)
        return
    unknown = known != told or not (folder / _ANSWERS[0]).is_file()
    if unknown and any(known.values()) and folder.is_dir():
        remove_listed(folder, _ANSWERS)  # of an earlier training, or with other settings
        record_of(out, unit).unlink()
    answer_model(source, tested, folder, how)
    write_record(config, out, unit, told)


def _are_whole(folder: Path) -> bool:
    files = known_state(folder / "predictions.json").get("files")
    return isinstance(files, dict) and not changed_files(folder, files)


@lru_cache(maxsize=2)  # a study trains on few datasets at a time
def _prepared(
    dataset: Path,
    sha256: str,  # noqa: ARG001
    model: str,
    splits: tuple[str, ...],
    megabytes: int,
) -> ImageLoader | None:
    """Return the prepared images of the splits if they fit into memory, else None.

    Images are then decoded before the first step, which is the same work for all arms and layouts,
    and once for all runs of a process. ``sha256`` is a part of the cache key, so that a new build
    of the dataset is prepared again.
    """
    from imaxray.training import prepare_images

    chat, used, sizes, image_of = _images_of(dataset, model, splits)
    first = chat.pixels(image_of(used[0]), sizes[used[0]])
    if len(used) * sum(tensor.nbytes for tensor in first.values()) > megabytes * 2**20:
        return None
    return prepare_images(chat, used, image_of, sizes).__getitem__


@lru_cache(maxsize=2)
def _pictures(
    dataset: Path,
    sha256: str,  # noqa: ARG001
    model: str,
    splits: tuple[str, ...],
    megabytes: int,
) -> PictureLoader:
    """Return the pictures of the splits, as :func:`_prepared`; read when needed if they are many.

    Augmentation changes pictures, so that the inputs are made of them in every step.
    """
    chat, used, sizes, image_of = _images_of(dataset, model, splits)

    def load(image_id: str) -> Image:
        return chat.picture(image_of(image_id), sizes[image_id])

    first = load(used[0])
    if len(used) * first.width * first.height > megabytes * 2**20:
        return load
    return {image_id: load(image_id) for image_id in used}.__getitem__


def _images_of(
    dataset: Path, model: str, splits: tuple[str, ...]
) -> tuple[ChatModel, list[str], dict[str, tuple[int, int]], ImageStore]:
    """Return the model, the ids of the splits' images, all sizes, and what reads the images."""
    from imaxray.cache import ImageStore
    from imaxray.models import load_model
    from imaxray.schema import image_sizes

    data = open_dataset(dataset)
    used = sorted(set().union(*(data.tables.split(name)["image_id"] for name in splits)))
    return load_model(model), used, image_sizes(data.tables.images), ImageStore(data)


def _probe(
    config: StudyConfig, out: Path, unit: Unit, chat: ChatModel, recipe: Recipe
) -> FisherProbe:
    """Return the callback that measures the probe of the shared val split.

    A run that was begun with another probe, or without one, is set aside and starts again.
    """
    from imaxray.dynamics import FisherProbe
    from imaxray.study.probes import VAL, probe_of
    from imaxray.training.runs.folder import set_aside

    dynamics = config.dynamics
    assert dynamics is not None
    assert unit.model is not None and unit.arm is not None and unit.seed is not None
    run = run_folder(config, out, unit.model, unit.arm, unit.seed)
    probe = probe_of(chat, out / "dynamics" / "probes.parquet", VAL, out)
    about = known_state(run / "dynamics" / "probe.json")
    begun = (run / "started.json").exists()
    if begun and (about.get("entry_ids"), about.get("every")) != (list(probe.ids), dynamics.every):
        set_aside(run)
    return FisherProbe(
        probe,
        run / "dynamics",
        every=dynamics.every,
        entries_per_step=recipe.entries_per_step,
    )


def require_models(config: StudyConfig) -> None:
    """Check that the trained models of a study can be loaded, before any data are built.

    Raises:
        ImaxrayError: If a model does not exist, cannot be reached or has no box convention.
    """
    for name, model in config.all_models.items():
        if not model.is_built:
            from imaxray.models import require_model

            require_model(model.weights(name), convention=model.boxes, revision=model.revision)


def require_data(config: StudyConfig, out: Path) -> Dataset:
    """Return the IMAX dataset of a study whose unit ``data`` is done.

    Raises:
        ImaxrayError: If the datasets are missing or of another configuration.
    """
    if not (out / "imax" / "manifest.json").is_file():
        raise ImaxrayError(
            f"Expected the datasets of the study in {out}, but there are none; run the unit data "
            "first."
        )
    data = open_dataset(out / "imax")
    marks = data.manifest["decisions"].get("marks", {}).get("verdicts")
    wanted = None if config.exclude is None else config.exclude.verdicts_in_order
    if data.manifest["config"] != config.data().model_dump(mode="json") or marks != wanted:
        raise ImaxrayError(
            f"Expected the datasets of this configuration in {out}, but they were built with "
            "another one; run the unit data again, or choose another --out."
        )
    return data


def _quiet(config: StudyConfig) -> None:
    """Set the threads, and silence what transformers says about models that are built here."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # waiting threads leave the cores free
    import torch  # imported here, because torch reads the wait policy when it is loaded
    import transformers

    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    logging.getLogger("transformers").setLevel(logging.ERROR)
    torch.set_num_threads(config.training.threads)
