"""Image-centric multi-annotation data for medical multimodal LLMs.

The names below are the road in order; each is imported when it is first used, so that the core
needs no torch and the command line starts at once.
"""

from __future__ import annotations

from imaxray._lazy import lazily

__version__ = "0.1.0"

_HOME = {
    "write_phantom": "imaxray.phantom",
    "write_phantom_tables": "imaxray.phantom",
    "list_sources": "imaxray.sources",
    "get_source": "imaxray.sources",
    "build_catalog": "imaxray.curation",
    "select_imax": "imaxray.curation",
    "match_dmax": "imaxray.curation",
    "density": "imaxray.curation",
    "write_dataset": "imaxray.curation",
    "open_dataset": "imaxray.curation",
    "cache_images": "imaxray.cache",
    "ImageCache": "imaxray.cache",
    "make_entries": "imaxray.tasks",
    "export_dataset": "imaxray.export",
    "list_models": "imaxray.models",
    "load_model": "imaxray.models",
    "load_recipe": "imaxray.training",
    "train_dataset": "imaxray.training",
    "read_predictions": "imaxray.evaluation",
    "score": "imaxray.evaluation",
    "score_run": "imaxray.evaluation",
    "write_result": "imaxray.evaluation",
    "compare": "imaxray.evaluation",
    "filter_folder": "imaxray.pseudo",
    "load_config": "imaxray.study",
    "build_datasets": "imaxray.study",
    "rebuild_dataset": "imaxray.study",
    "run_study": "imaxray.study",
    "write_study_report": "imaxray.study",
}

__all__ = ["__version__", *_HOME]


__getattr__ = lazily(__name__, _HOME)


def __dir__() -> list[str]:
    return sorted(__all__)
