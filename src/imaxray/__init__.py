"""Builds image-centric multi-annotation datasets and studies medical multimodal LLMs on them.

This module exports the public names: releases, datasets, models and training, evaluation, pseudo
annotations and studies. Each name is imported when it is first used, so that ``import imaxray``
does not load torch and the command line starts at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily
from imaxray._version import __version__

if TYPE_CHECKING:
    from imaxray.ablation import run_ablation, write_ablation
    from imaxray.audit import audit_dataset
    from imaxray.cache import ImageCache, cache_images
    from imaxray.configs import copy_config, find_config, list_configs
    from imaxray.curation import (
        build_catalog,
        density,
        match_dmax,
        open_dataset,
        select_imax,
        write_dataset,
    )
    from imaxray.derive import DeriveConfig, derive_dataset
    from imaxray.dynamics import RunDynamicsConfig, run_dynamics
    from imaxray.evaluation import (
        EvaluateConfig,
        ScoreConfig,
        compare,
        read_predictions,
        score,
        score_run,
        write_result,
    )
    from imaxray.evaluation.generation import evaluate_model
    from imaxray.export import ExportConfig, export_dataset, share_dataset
    from imaxray.models import list_models, load_model
    from imaxray.phantom import write_phantom, write_phantom_tables
    from imaxray.pseudo import AnnotateConfig, FilterConfig, annotate, filter_folder
    from imaxray.sources import get_source, list_sources
    from imaxray.strategy import load_strategy, run_strategy
    from imaxray.study import (
        build_datasets,
        load_config,
        rebuild_dataset,
        run_study,
        write_study_report,
    )
    from imaxray.tasks import make_entries
    from imaxray.training import load_recipe, train_dataset
else:
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "imaxray.ablation": ["run_ablation", "write_ablation"],
            "imaxray.audit": ["audit_dataset"],
            "imaxray.cache": ["ImageCache", "cache_images"],
            "imaxray.configs": ["copy_config", "find_config", "list_configs"],
            "imaxray.curation": [
                "build_catalog",
                "density",
                "match_dmax",
                "open_dataset",
                "select_imax",
                "write_dataset",
            ],
            "imaxray.derive": ["DeriveConfig", "derive_dataset"],
            "imaxray.dynamics": ["RunDynamicsConfig", "run_dynamics"],
            "imaxray.evaluation": [
                "EvaluateConfig",
                "ScoreConfig",
                "compare",
                "read_predictions",
                "score",
                "score_run",
                "write_result",
            ],
            "imaxray.evaluation.generation": ["evaluate_model"],
            "imaxray.export": ["ExportConfig", "export_dataset", "share_dataset"],
            "imaxray.models": ["list_models", "load_model"],
            "imaxray.phantom": ["write_phantom", "write_phantom_tables"],
            "imaxray.pseudo": ["AnnotateConfig", "FilterConfig", "annotate", "filter_folder"],
            "imaxray.sources": ["get_source", "list_sources"],
            "imaxray.strategy": ["load_strategy", "run_strategy"],
            "imaxray.study": [
                "build_datasets",
                "load_config",
                "rebuild_dataset",
                "run_study",
                "write_study_report",
            ],
            "imaxray.tasks": ["make_entries"],
            "imaxray.training": ["load_recipe", "train_dataset"],
        },
    )

__all__ = [
    "AnnotateConfig",
    "DeriveConfig",
    "EvaluateConfig",
    "ExportConfig",
    "FilterConfig",
    "ImageCache",
    "RunDynamicsConfig",
    "ScoreConfig",
    "__version__",
    "annotate",
    "audit_dataset",
    "build_catalog",
    "build_datasets",
    "cache_images",
    "compare",
    "copy_config",
    "density",
    "derive_dataset",
    "evaluate_model",
    "export_dataset",
    "filter_folder",
    "find_config",
    "get_source",
    "list_configs",
    "list_models",
    "list_sources",
    "load_config",
    "load_model",
    "load_recipe",
    "load_strategy",
    "make_entries",
    "match_dmax",
    "open_dataset",
    "read_predictions",
    "rebuild_dataset",
    "run_ablation",
    "run_dynamics",
    "run_strategy",
    "run_study",
    "score",
    "score_run",
    "select_imax",
    "share_dataset",
    "train_dataset",
    "write_ablation",
    "write_dataset",
    "write_phantom",
    "write_phantom_tables",
    "write_result",
    "write_study_report",
]
