"""Plans the work of a strategy; a digest of its inputs identifies each piece of work."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from imaxray._common.files import sha256
from imaxray._version import __version__
from imaxray.clinical import DEFAULT_RULES, ClinicalRules
from imaxray.curation import open_dataset
from imaxray.errors import ImaxrayError
from imaxray.pseudo.annotating import teacher_digest
from imaxray.pseudo.annotating.known import exact_rules
from imaxray.strategy.config import StageConfig, StrategyConfig

_HOW = {"fsdp", "workers", "image_cache_mb", "report_to", "threads", "log_every", "save_every"}
"""Keys of a recipe that never change the trained weights."""


@dataclass(frozen=True)
class Work:
    """A piece of work of a strategy.

    Attributes:
        key: Digest of everything that the result depends on: the data, the model that the work
            starts from, and its settings. A change of any of these changes the keys of this piece
            and of all pieces that depend on it.
        name: Readable name, unique in a strategy.
        round: Round of the strategy; 0 for the stages before the first round.
    """

    key: str
    name: str
    round: int


@dataclass(frozen=True)
class DeriveWork(Work):
    """Derives the entries that follow from the real ones."""


@dataclass(frozen=True)
class TrainWork(Work):
    """Trains a stage on ``data`` (None: the real data) from ``start`` (None: the base model)."""

    stage: StageConfig
    number: int  # 1-based
    seed: int
    start: TrainWork | None
    data: FilterWork | DeriveWork | None


@dataclass(frozen=True)
class AnnotateWork(Work):
    """Lets ``model`` (None: the base model) answer what ``data`` (None: the real data) lacks.

    Attributes:
        teachers: Tasks that others answer, each with the stage that trained the teacher, or with
            the name of a model.
        frame: Digest of everything but the teachers. If only teachers change, the answers of the
            others are kept.
    """

    model: TrainWork | None
    seed: int
    data: DeriveWork | None
    teachers: tuple[tuple[str, TrainWork | str], ...] = ()
    frame: str = ""


@dataclass(frozen=True)
class FilterWork(Work):
    """Filters the candidates and writes the kept ones as a dataset."""

    candidates: AnnotateWork


def needed_work(work: Work) -> list[Work]:
    """Return the work whose results a piece of work reads directly."""
    if isinstance(work, TrainWork):
        inputs: list[Work | None] = [work.start, work.data]
    elif isinstance(work, AnnotateWork):
        inputs = [work.model, work.data]
        inputs += [teacher for _, teacher in work.teachers if isinstance(teacher, TrainWork)]
    elif isinstance(work, FilterWork):
        inputs = [work.candidates, work.candidates.data]
    else:
        inputs = []
    return [one for one in inputs if one is not None]


def plan(
    config: StrategyConfig, data: str, base: str, *, clinical: ClinicalRules = DEFAULT_RULES
) -> list[Work]:
    """Return all work of a strategy, in order.

    Args:
        config: Configuration of the strategy.
        data: Digest of the dataset with the real entries.
        base: Digest of the base model.
        clinical: Clinical rules with which the dataset was built; the filter for consistency uses
            them.

    Raises:
        ImaxrayError: If a model that was never trained would have to annotate.
    """
    works: list[Work] = []
    trained: dict[str, TrainWork] = {}
    last: TrainWork | None = None
    pseudo: FilterWork | None = None
    derived: DeriveWork | None = None
    if config.derive is not None:
        settings = config.derive.model_dump(mode="json", exclude={"rules"})
        inputs = [settings, rules_digest(config.derive.rules), data]
        if clinical.root:  # as for the filter below
            inputs.append(clinical.model_dump(mode="json"))
        derived = DeriveWork(_digest("derive", *inputs), "derived", 0)
        works.append(derived)

    def train(stage: StageConfig, round_: int) -> TrainWork:
        number = 1 + sum(isinstance(work, TrainWork) for work in works)
        start = {"previous": last, "base": None}.get(stage.start) or trained.get(stage.start)
        seed = config.seed + 1000 * (number - 1)  # each stage draws its entries in another order
        on = {"dmax": None, "derived": derived}.get(stage.on, pseudo)
        # without the defaults, so that a new option does not repeat the work of other strategies
        recipe = config.recipe(stage, "", seed).model_dump(
            mode="json", exclude={"model", *_HOW}, exclude_defaults=True
        )
        key = _digest("train", recipe, start.key if start else base, on.key if on else data)
        name = f"{number}-{stage.name}"
        return TrainWork(key, name, round_, stage, number, seed, start, on)

    for stage in config.opening:
        trained[stage.name] = train(stage, 0)
        works.append(trained[stage.name])
        if not stage.specialist:
            last = trained[stage.name]
    for round_ in range(1, config.rounds + 1 if config.loop else 1):
        teacher = last if config.annotate_with == "last" else trained.get(config.annotate_with)
        if teacher is None and config.model is None:
            raise ImaxrayError(
                "Expected a stage on dmax before the first one on pseudo IMAX, but there is none, "
                "and a model from scratch cannot annotate; add a stage on dmax first."
            )
        seed = config.seed + 1000 * (round_ - 1)
        candidates = _annotation(
            config, round_, teacher, trained, seed=seed, base=base, data=data, derived=derived,
            clinical=clinical,
        )  # fmt: skip
        perfect = config.filter.perfect  # only this filter depends on the truth
        kept = config.filter.decides()
        knows = open_dataset(config.truth).sha256 if perfect and config.truth else None
        inputs = [kept, rules_digest(config.filter.rules), candidates.key, knows]
        if config.filter.consistency and clinical.root:
            # the digest of the dataset does not cover a block that changed nothing in its build
            inputs.append(clinical.model_dump(mode="json"))
        key = _digest("filter", *inputs)
        pseudo = FilterWork(key, f"round-{round_}/dataset", round_, candidates)
        works += [candidates, pseudo]
        for stage in config.loop:
            trained[stage.name] = train(stage, round_)
            works.append(trained[stage.name])
            if not stage.specialist:
                last = trained[stage.name]
    return works


def _annotation(
    config: StrategyConfig,
    round_: int,
    model: TrainWork | None,
    trained: Mapping[str, TrainWork],
    *,
    seed: int,
    base: str,
    data: str,
    derived: DeriveWork | None,
    clinical: ClinicalRules,
) -> AnnotateWork:
    """Return the annotation of a round, in which each teacher is a stage or a model by name."""
    decided = config.annotate.decides()
    asked = {name: v for name, v in decided.items() if name not in ("seed", "round")}
    inputs = [asked, derived.key if derived else data, round_, seed]
    if rules := exact_rules(clinical):  # what they settle is not asked
        inputs.append(rules)
    teachers = tuple(
        (task, trained.get(name, name)) for task, name in sorted(config.annotate.teachers.items())
    )
    keys = {
        task: teacher.key if isinstance(teacher, TrainWork) else teacher_digest(teacher)
        for task, teacher in teachers
    }
    by = model.key if model else base
    return AnnotateWork(
        _digest("annotate", *inputs, by, *([keys] if keys else [])),
        f"round-{round_}/candidates", round_, model, seed, derived, teachers,
        _digest("annotate by teachers", *inputs) if keys else "",
    )  # fmt: skip


def rules_digest(rules: Path | None) -> str | None:
    """Return the SHA-256 of a user's rule file; None for the built-in rules.

    The built-in rules need no digest, because every key holds the version of the package.
    """
    return None if rules is None else sha256(rules)


def _digest(*parts: Any) -> str:
    text = json.dumps([__version__, *parts], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()
