"""Runs a program and measures its time and the peak memory of it and its child processes."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Sequence
from typing import Any

import psutil


def measured(command: Sequence[str], *, allowed: Sequence[int] = (0,)) -> dict[str, Any]:
    """Return seconds, peak memory in GB and the values of the JSON object in the last line.

    Args:
        command: Program and arguments.
        allowed: Exit codes that are no failure.
    """
    peak = 0
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ))

    def watch() -> None:
        nonlocal peak
        tree = psutil.Process(process.pid)
        while process.poll() is None:
            try:
                everyone = [tree, *tree.children(recursive=True)]
                peak = max(peak, sum(member.memory_info().rss for member in everyone))
            except psutil.Error:
                pass  # a process of the tree has just ended
            time.sleep(0.1)

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    text, _ = process.communicate()
    seconds = time.perf_counter() - start
    if process.returncode not in allowed:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    lines = text.strip().splitlines()
    told = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return {"seconds": seconds, "peak_gb": peak / 1e9, **told}
