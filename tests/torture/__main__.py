"""Runs the torture from the command line; the same command again continues a stopped run."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from torture import PARTS


def main() -> int:
    """Run the chosen parts; return 1 if a trial failed."""
    options = _options()
    options.arena.mkdir(parents=True, exist_ok=True)
    from torture import arena, zygote

    zygote.warm(light=options.light)
    inputs = arena.make(options.arena.resolve() / "first", light=options.light)
    results = options.arena / "results.jsonl"
    stop = time.monotonic() + 60 * options.minutes
    for part, command, record in _records(options, inputs, results):
        line = {"part": part, "command": command, **record}
        with results.open("a") as stream:
            stream.write(json.dumps(line) + "\n")
        if not record["ok"]:
            print(f"FAILED {part} {command} {record['trial']}: {record['why']}", file=sys.stderr)
        if time.monotonic() > stop:
            print("The time is over; the same command again continues.", file=sys.stderr)
            break
    return _report(results, set(options.parts or PARTS))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m torture", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all")
    parser.add_argument("--arena", type=Path, default=Path("torture-out"), help="folder of work")
    parser.add_argument("--command", action="append", help="only this command; can be repeated")
    parser.add_argument("--kills", type=int, default=50, help="kills at random moments")
    parser.add_argument("--points", type=int, default=50, help="kills at calls that change a file")
    parser.add_argument("--flips", type=int, default=2, help="flipped bits per file")
    parser.add_argument("--share", type=float, default=1.0, help="share of the damages, drawn")
    parser.add_argument("--times", type=int, default=3, help="moments of each other fault")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="time limit")
    parser.add_argument("--light", action="store_true", help="only commands without a model")
    parser.add_argument("--seed", type=int, default=0, help="seed of moments, calls and offsets")
    found = parser.parse_args()
    if unknown := set(found.parts) - set(PARTS):
        parser.error(f"unknown parts: {', '.join(sorted(unknown))}")
    return found


def _records(
    options: argparse.Namespace, inputs: Path, results: Path
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield part, command and record of each trial that was not done yet."""
    known: dict[tuple[str, str], set[str]] = defaultdict(set)
    for line in _read(results):
        known[line["part"], line["command"]].add(line["trial"])
    for part in options.parts or PARTS:
        for command, trials in PARTS[part](options, inputs):
            for record in trials(known[part, command]):
                yield part, command, record


def _read(results: Path) -> list[dict[str, Any]]:
    if not results.exists():
        return []
    return [json.loads(line) for line in results.read_text().splitlines() if line.endswith("}")]


def _report(results: Path, parts: set[str]) -> int:
    """Print a table and, as the last line, one JSON object; return 1 if a trial failed."""
    counts: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(lambda: [0, 0]))
    for line in _read(results):
        if line["part"] in parts and line.get("killed", True):
            kind = f"{line['part']}: {line['trial'].split()[0]}"
            counts[kind][line["command"]][0] += 1
            counts[kind][line["command"]][1] += not line["ok"]
    print(f"| {'what':28} | {'command':12} | tried | failed |")
    print("| --- | --- | ---: | ---: |")
    for kind, commands in sorted(counts.items()):
        for command, (tried, failed) in commands.items():
            print(f"| {kind:28} | {command:12} | {tried:5} | {failed:6} |")
    failed = sum(cell[1] for commands in counts.values() for cell in commands.values())
    about = {
        "date": datetime.now(UTC).date().isoformat(), "machine": platform.machine(),
        "python": platform.python_version(), "failed": failed, "counts": counts,
    }  # fmt: skip
    print(json.dumps(about))
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
