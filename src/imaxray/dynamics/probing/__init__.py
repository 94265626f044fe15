"""Chooses the entries to measure, measures them, and stores the measurements."""

from typing import TYPE_CHECKING

from imaxray._common.lazy import lazily
from imaxray.dynamics.probing.entries import ImageSharing, probe_entries, probe_pair

if TYPE_CHECKING:
    from imaxray.dynamics.probing.batches import separate_inputs
    from imaxray.dynamics.probing.callbacks import FisherProbe, Probe, StepFisher, answer_tokens
    from imaxray.dynamics.probing.finished_runs import RunProbe, measure_runs
    from imaxray.dynamics.probing.measure import (
        dataset_images,
        make_probe,
        measure_probe,
        probe_while_training,
    )
else:  # torch
    __getattr__, __dir__ = lazily(
        __name__,
        {
            "batches": ["separate_inputs"],
            "callbacks": ["FisherProbe", "Probe", "StepFisher", "answer_tokens"],
            "finished_runs": ["RunProbe", "measure_runs"],
            "measure": ["dataset_images", "make_probe", "measure_probe", "probe_while_training"],
        },
    )

__all__ = [
    "FisherProbe",
    "ImageSharing",
    "Probe",
    "RunProbe",
    "StepFisher",
    "answer_tokens",
    "dataset_images",
    "make_probe",
    "measure_probe",
    "measure_runs",
    "probe_entries",
    "probe_pair",
    "probe_while_training",
    "separate_inputs",
]
