"""Fuzzes targets for minutes and records what it found.

With atheris (an extra package for Python 3.11 on Linux) the mutations follow the coverage of the
code; without it they are random. Each finding is written to ``corpus/TARGET`` and stays a test.
The target ``readers`` repeats the fuzz tests of all source readers with new seeds.

    python tests/fuzz/run.py --minutes 10            # every target, 10 minutes each
    python tests/fuzz/run.py --minutes 1 answers boxes

The last line is one JSON object: target → seconds, executions, findings.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import traceback
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE.parent.parent / "src")]
READERS = "readers"
SLOW = 10.0  # seconds; an input that takes longer is a finding, too


def keep(name, data):
    """Write an input that failed beside the earlier ones."""
    folder = HERE / "corpus" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)


class Trials:
    """Counts executions, and keeps one input for each place in the code that failed."""

    def __init__(self, name, target):
        self.name, self.target = name, target
        self.count, self.places = 0, {}

    def __call__(self, data):
        start = time.monotonic()
        try:
            self.target(data)
            place = None
        except Exception as error:
            last = traceback.extract_tb(error.__traceback__)[-1]
            place = f"{type(error).__name__} in {Path(last.filename).name}:{last.lineno}"
        self.count += 1
        if place is None and time.monotonic() - start > SLOW:
            place = "slow"
        if place is not None and place not in self.places:
            self.places[place] = data
            keep(self.name, data)
            print(f"{self.name}: {place}: {data[:200]!r}", flush=True)


def randomly(trials, seeds, seconds, seed):
    from fuzz.mutations import mutated

    rng = random.Random(seed)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        trials(mutated(rng, seeds))


def guided(trials, seeds, seed, corpus):
    """Fuzz until ``trials`` ends the process."""
    import atheris

    for number, data in enumerate(seeds):
        (corpus / f"seed{number}").write_bytes(data)
    options = [
        sys.argv[0], str(corpus), f"-seed={seed + 1}", "-max_len=20000", "-timeout=60",
        "-rss_limit_mb=0", "-verbosity=0",
    ]  # fmt: skip
    atheris.Setup(options, trials)
    atheris.Fuzz()


def one(name, seconds, seed):
    """Fuzz one target in this process and print its result as JSON."""
    try:
        import atheris

        with atheris.instrument_imports(include=["imaxray"]):
            from fuzz.targets import DICTIONARY, SEEDS, TARGETS
    except ImportError:
        atheris = None
        from fuzz.targets import DICTIONARY, SEEDS, TARGETS
    TARGETS[name](SEEDS[name][0])  # what is loaded once is no part of a trial
    trials, start = Trials(name, TARGETS[name]), time.monotonic()

    def report():
        result = {
            "seconds": round(time.monotonic() - start), "executions": trials.count,
            "findings": sorted(trials.places), "engine": "atheris" if atheris else "random",
        }  # fmt: skip
        print(json.dumps(result), flush=True)

    seeds = [*SEEDS[name], *(p.read_bytes() for p in sorted((HERE / "corpus" / name).glob("*")))]
    if atheris is None:
        randomly(trials, seeds, seconds, seed)
        report()
        return

    def until_then(data):
        trials(data)
        if time.monotonic() - start > seconds:
            report()
            os._exit(0)  # atheris would end the process without a report

    with tempfile.TemporaryDirectory() as folder:
        guided(until_then, [*seeds, *DICTIONARY], seed, Path(folder))


def readers(seconds, seed):
    """Repeat the fuzz tests of the source readers with other seeds until the time is over."""
    start, runs, failed = time.monotonic(), 0, []
    tests = [
        str(HERE.parent / "sources" / name) for name in ("test_fuzz_files.py", "test_fuzz_rows.py")
    ]
    while time.monotonic() - start < seconds:
        run = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", *tests],
            cwd=HERE.parent.parent, capture_output=True, text=True,
            env={  # the package of this checkout, whatever is installed
                **os.environ, "IMAXRAY_FUZZ_SEED": f" {seed + runs}",
                "PYTHONPATH": os.pathsep.join(sys.path[:2]),
            },
        )  # fmt: skip
        runs += 1
        if run.returncode:
            lines = [line for line in run.stdout.splitlines() if line.startswith(("FAILED", "E  "))]
            failed.append({"seed": seed + runs - 1, "lines": lines[:6]})
            print("\n".join(lines), flush=True)
    return {
        "seconds": round(time.monotonic() - start),
        "executions": runs * 11_000,  # 1,000 damaged files and 10,000 rows
        "findings": failed,
        "engine": "random",
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("targets", nargs="*", metavar="TARGET", help="default: all")
    parser.add_argument("--minutes", type=float, default=10, help="minutes per target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    seconds = chosen.minutes * 60
    if chosen.one:
        one(chosen.one, seconds, chosen.seed)  # imports the package, so that atheris can watch it
        return
    from fuzz.targets import TARGETS

    known = [*TARGETS, READERS]
    wrong = sorted(set(chosen.targets) - set(known))
    if wrong:
        parser.error(f"unknown target {wrong[0]}; choose from {', '.join(known)}")
    results = {}
    for name in chosen.targets or known:
        if name == READERS:
            results[name] = readers(seconds, chosen.seed)
        else:
            run = subprocess.run(
                [sys.executable, __file__, "--one", name, "--minutes", str(chosen.minutes),
                 "--seed", str(chosen.seed)],
                stdout=subprocess.PIPE, text=True,
            )  # fmt: skip
            lines = run.stdout.splitlines()
            print("\n".join(lines[:-1]), end="\n" if lines[1:] else "")
            try:
                results[name] = json.loads(lines[-1])
            except (IndexError, ValueError):
                results[name] = {"crashed": run.returncode, "findings": ["crash"]}
        row = results[name]
        print(
            f"{name:20} {row.get('seconds', 0):6} s {row.get('executions', 0):12,} executions "
            f"{len(row['findings']):3} findings ({row.get('engine', '?')})",
            flush=True,
        )
    print(json.dumps(results))
    sys.exit(any(row["findings"] for row in results.values()))


if __name__ == "__main__":
    main()
