"""Tests the clocks of the learning curve: pauses, and the start of a resumed run."""

import time
from types import SimpleNamespace

from imaxray.training.clock import now
from imaxray.training.runs.learning_curve import LearningCurve


def work(seconds):
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def step(curve):
    state = SimpleNamespace(global_step=1, max_steps=9)
    curve.on_step_end(None, state, SimpleNamespace(should_log=False))


def test_sleep_is_on_the_wall_only_and_what_is_skipped_is_on_neither(tmp_path):
    curve = LearningCurve(tmp_path / "curve.jsonl", 10)
    curve.on_train_begin(None, SimpleNamespace(global_step=0), None)
    work(0.05)
    time.sleep(0.2)
    began = now()
    work(0.3)
    curve.skip(began)
    step(curve)
    assert 0.05 <= curve.cpu_seconds < 0.3
    assert curve.seconds >= curve.cpu_seconds + 0.15


def test_a_resumed_run_goes_on_with_both_clocks(tmp_path):
    curve = LearningCurve(tmp_path / "curve.jsonl", 10)
    curve.restore({"seconds": 20.0, "cpu_seconds": 10.0, "sums": [0.0]}, sums=False)
    curve.on_train_begin(None, SimpleNamespace(global_step=0), None)
    work(0.05)
    step(curve)
    assert 10.05 <= curve.cpu_seconds < 20 <= curve.seconds < curve.cpu_seconds + 15
    assert curve.state()["cpu_seconds"] == curve.cpu_seconds
