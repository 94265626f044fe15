"""Lists the arms of an ablation and derives the strategy of each arm from the whole strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, get_args

from imaxray.ablation.dense_data import DENSE
from imaxray.derive.rules.chosen import all_rules
from imaxray.strategy import StageConfig, StrategyConfig
from imaxray.strategy.config import On

ArmName = Literal[
    "dmax",
    "dmax (equal compute)",
    "dmax, no augmentation",
    "derived, exact",
    "derived",
    "derived, no augmentation",
    "restarted",
    "+ all answers",
    "+ model answers",
    "+ soft targets",
    "+ averaged teacher",
    "+ visual advantage",
    "whole",
    "whole, chosen",
    "+ specialists",
    "three stages",
    "perfect filter",
    "true answers",
    "imax",
]
REFERENCE: Final = "dmax"
EQUAL_COMPUTE: Final = "dmax (equal compute)"
WHOLE: Final = "whole"
CHOSEN: Final = "whole, chosen"
CEILING: Final = "true answers"

_OFF: Final = MappingProxyType(
    {"confidence": False, "consistency": False, "balance": False, "fuse": False, "perfect": False}
)
_PLAIN: Final = MappingProxyType({**_OFF, "confidence": True, "consistency": True})
_TOP_K: Final = 20  # likely tokens that are stored for each token of an answer
_DECAY: Final = 0.99  # an average over about the last hundred steps


@dataclass(frozen=True)
class Arm:
    """One arm of an ablation: the whole strategy with parts left out.

    Attributes:
        meaning: Description of the arm in the tables.
        data: Folder of the dataset with the real entries, in the study folder.
        one: Data that the only stage of the arm trains on; None: the arm has the stages of the
            strategy.
        derive: Rules that derive entries: none, only the exact ones, or those of the strategy.
        augment: Whether images are augmented as the configuration says; False: never.
        filter: Options of the filter that differ from those of the strategy.
        annotate: Options of the annotation that differ from those of the strategy.
        on_pseudo: Options that differ in the stages on answers of the model.
        on_opening: Options that differ in the stages before these, the last of which annotates.
        stages: Change of the stages of the strategy. ``restarted``: all stages train on what the
            first stage trains on. ``paper``: stages on real entries, pseudo IMAX, real entries.
            ``specialists``: stages that train one task alone, whose models answer it.
        changes: Other options that differ from those of the strategy.
    """

    meaning: str
    data: str = "dmax"
    one: On | None = None
    derive: Literal["none", "exact", "all"] = "none"
    augment: bool = True
    filter: Mapping[str, Any] = field(default_factory=dict)
    annotate: Mapping[str, Any] = field(default_factory=dict)
    on_pseudo: Mapping[str, Any] = field(default_factory=dict)
    on_opening: Mapping[str, Any] = field(default_factory=dict)
    stages: Literal["as given", "restarted", "paper", "specialists"] = "as given"
    changes: Mapping[str, Any] = field(default_factory=dict)


ARMS: Final[Mapping[ArmName, Arm]] = MappingProxyType(
    {
        "dmax": Arm("real entries only", one="dmax"),
        "dmax (equal compute)": Arm(
            "as dmax, but with the compute of the arm `compute_of`", one="dmax"
        ),
        "dmax, no augmentation": Arm("as dmax, without augmentation", one="dmax", augment=False),
        "derived, exact": Arm(
            "real entries, and those that follow from them by exact rules",
            one="derived",
            derive="exact",
        ),
        "derived": Arm(
            "real entries, and those that follow from them by exact and calibrated rules",
            one="derived",
            derive="all",
        ),
        "derived, no augmentation": Arm(
            "as derived, without augmentation", one="derived", derive="all", augment=False
        ),
        "restarted": Arm(
            "the stages of the whole, all on real and derived entries; shows the cost of "
            "restarting the training",
            derive="all",
            stages="restarted",
        ),
        "+ all answers": Arm(
            "the whole, but every readable answer of the model is kept", derive="all", filter=_OFF
        ),
        "+ model answers": Arm(
            "the whole, but with the filters for confidence and consistency alone",
            derive="all",
            filter=_PLAIN,
        ),
        "+ soft targets": Arm(
            "as + model answers, but trained towards the model's distributions over tokens",
            derive="all",
            filter=_PLAIN,  # without fusion, which writes answers that the model did not generate
            annotate={"top_k": _TOP_K},
            on_pseudo={"target": "soft"},
        ),
        "+ averaged teacher": Arm(
            "as + model answers, but the annotating model is an average of its weights over the "
            "steps of its training",
            derive="all",
            filter=_PLAIN,
            on_opening={"average": _DECAY},
        ),
        "+ visual advantage": Arm(
            "as + model answers, but judged by how much more probable the image makes an answer",
            derive="all",
            filter={**_PLAIN, "score": "visual-advantage"},
            annotate={"visual_advantage": True},
        ),
        "whole": Arm("the strategy as configured", derive="all"),
        "whole, chosen": Arm(
            "the whole; the best stage on the validation split is the result",
            derive="all",
            changes={"choose": "validation"},
        ),
        "+ specialists": Arm(
            "the whole, but models that were trained on one task alone answer these tasks",
            derive="all",
            stages="specialists",
        ),
        "three stages": Arm(
            "the paper's three stages: real entries, pseudo IMAX, real entries; nothing is derived",
            stages="paper",
        ),
        "perfect filter": Arm(
            "the whole, but exactly the correct answers are kept (ceiling of filters)",
            derive="all",
            filter={**_OFF, "perfect": True},
        ),
        "true answers": Arm(
            "all real annotations of the same images (ceiling of the strategy)",
            data=DENSE,
            one="dmax",
        ),
        "imax": Arm(
            "as many real annotations as dmax, but on fewer, densely annotated images",
            data="imax",
            one="dmax",
        ),
    }
)
"""Name of each arm → the arm, in the order of the tables."""

assert tuple(ARMS) == get_args(ArmName)


def arm_strategy(
    name: ArmName,
    whole: StrategyConfig,
    common: Mapping[str, Any],
    *,
    steps: int,
    specialists: Mapping[str, int],
) -> StrategyConfig:
    """Return the strategy of an arm.

    Args:
        name: Name of the arm.
        whole: Strategy whose parts are left out.
        common: Options that the study sets: truth, model, seed, training, max_new_tokens.
        steps: Number of optimizer steps of an arm with one stage.
        specialists: Task → number of optimizer steps of its specialist.
    """
    arm = ARMS[name]
    changes: dict[str, Any] = {**common, **arm.changes}
    if not arm.augment:
        changes["training"] = {**changes["training"], "augment": None}
    if arm.derive == "none" or whole.derive is None:
        changes["derive"] = None
    elif arm.derive == "exact":
        calibrated = [rule.name for rule in all_rules() if rule.kind == "calibrated"]
        without = sorted({*whole.derive.without, *calibrated})
        changes["derive"] = whole.derive.model_copy(update={"without": tuple(without)})
    if arm.filter:
        changes["filter"] = whole.filter.model_copy(update=dict(arm.filter))
    changes["stages"] = _stages(arm, whole.stages, steps)
    annotate = dict(arm.annotate)
    if arm.stages == "specialists":
        first, *later = whole.stages
        trained = {task: _specialist(first, task, length) for task, length in specialists.items()}
        changes["stages"] = (first, *trained.values(), *later)
        annotate["teachers"] = {task: stage.name for task, stage in trained.items()}
    if len(changes["stages"]) < len(whole.stages):  # a teacher may be a stage that the arm lacks
        annotate["teachers"] = {}
    if annotate:
        changes["annotate"] = whole.annotate.model_copy(update=annotate)
    given = {name: getattr(whole, name) for name in StrategyConfig.model_fields}
    return StrategyConfig.model_validate({**given, **changes})


def _stages(arm: Arm, stages: Sequence[StageConfig], steps: int) -> tuple[StageConfig, ...]:
    if arm.one is not None or arm.stages != "as given":  # without specialists
        stages = [stage for stage in stages if not stage.specialist]
    if arm.one is not None:
        only = {"name": arm.one, "start": "base", "steps": steps, "final_rate": None}
        return (_on(stages[0].model_copy(update=only), arm.one),)
    if arm.stages == "restarted":
        return tuple(_on(stage, stages[0].on) for stage in stages)
    if arm.stages == "paper":
        return tuple(_on(s, "dmax") if not s.on_pseudo else s for s in stages)
    first = next((n for n, stage in enumerate(stages) if stage.on_pseudo), len(stages))
    changed = []
    for n, stage in enumerate(stages):
        update = arm.on_opening if n < first else arm.on_pseudo if stage.on_pseudo else {}
        changed.append(stage.model_copy(update=dict(update)))
    return tuple(changed)


def _specialist(first: StageConfig, task: str, steps: int) -> StageConfig:
    """Return a stage that trains the start model on one task of the first stage's data."""
    only = {"name": f"{task}-specialist", "start": "base", "tasks": (task,), "steps": steps}
    return _on(first.model_copy(update={**only, "final_rate": None}), first.on)


def _on(stage: StageConfig, data: On) -> StageConfig:
    only = {"on": data, "real_share": None, "pseudo_weight": 1.0}
    if data in ("dmax", "derived"):
        only["target"] = None  # no distributions there
    return stage.model_copy(update=only)
