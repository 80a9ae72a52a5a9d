#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Measure how sure the gate is: plant slowdowns of 0, 5 and 10 % in lwip_server and count what it catches.

Each gate is one run of the plan `gate` with base and change in turns, as `ci/gate.sh WIRE BUILD` measures it. What a
request costs is measured first, in a run of the base against itself, and a share of that is burned in a loop for each
request (make slow). The gates of the shares take turns. Needs root, a quiet machine, and 40 minutes for 20 of each.
Usage: ci/gate_power.py [--gates 20] [--shares 0,5,10] [--wire tap] [--plan gate]
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Sequence

from scipy.stats import binomtest

ROOT = Path(__file__).resolve().parents[1]
RUNS, BUILD = ROOT / "results" / "runs", ROOT / "build"
SERVER = "lwip_server"
PASSED, WORSE = 0, 1


def call(*words: str, codes: Sequence[int] = (0,)) -> int:
    """Run a command, its output shown where it fails; return its exit code, one of `codes`."""
    done = subprocess.run(words, cwd=ROOT, capture_output=True, encoding="utf-8", errors="replace")
    if done.returncode not in codes:
        sys.exit(f"{' '.join(words)}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.returncode


def contender(place: Path, name: str, program: Path) -> Path:
    """Write the file of lwip with another program."""
    file = place / f"{name}.toml"
    file.write_text(f"like = 'lwip'\nlabel = '{name}'\nprogram = '{program}'\n", "utf-8")
    return file


def gate(place: Path, wire: str, plan: str, program: Path) -> tuple[bool, Path]:
    """Measure a program beside its base in one run; tell whether the gate calls it worse, and which run it was."""
    files = [contender(place, "planted@base", place / "base" / SERVER), contender(place, "planted", program)]
    before = {*RUNS.glob("*")}
    call("./stackduel", "bench", wire, f"PLAN={plan}", "REPORT=no", f"CONTENDERS={','.join(map(str, files))}")
    (run,) = {*RUNS.glob("*")} - before
    return call("./stackduel", "gate", "--head", run.name, codes=(PASSED, WORSE)) == WORSE, run


def cycles(run: Path) -> float:
    """Return what a request cost both contenders of a run, the geometric mean of its trials."""
    trials = [json.loads(line) for line in (run / "trials.jsonl").read_text("utf-8").splitlines()]
    return math.exp(statistics.fmean(math.log(trial["cycles_per_request"]) for trial in trials
                                     if trial.get("cycles_per_request")))


def slowed(place: Path, base: Path, share: float, cost: float) -> Path:
    """Build a server that loses a share of its cost at each request; of 0 it is the base, copied."""
    directory = place / f"slower-{share:g}"
    directory.mkdir()
    program = base
    if share:
        call("make", "slow", f"SLOW_CYCLES={round(share / 100 * cost)}")
        program = BUILD / "servers" / "slow" / SERVER
    return Path(shutil.copy(program, directory))


def table(caught: Counter[float], gates: Counter[float]) -> str:
    """Return a row a share, with the interval of Clopper and Pearson."""
    rows = ["| slower by | gates | called worse | share | 95 % interval |", "| ---: | ---: | ---: | ---: | --- |"]
    for share, count in sorted(gates.items()):
        found = binomtest(caught[share], count).proportion_ci(method="exact")
        rows.append(f"| {share:g} % | {count} | {caught[share]} | {caught[share] / count:.0%} | "
                    f"{found.low:.0%} to {found.high:.0%} |")
    return "\n".join(rows)


def main() -> int:
    """Print the table, anew after each turn; runs that were judged are removed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gates", type=int, default=20, help="of each share (default: 20)")
    parser.add_argument("--shares", default="0,5,10", help="percent (default: 0,5,10)")
    parser.add_argument("--wire", default="tap")
    parser.add_argument("--plan", default="gate")
    args = parser.parse_args()
    shares = [float(share) for share in args.shares.split(",")]
    caught, gates, began = Counter[float](), Counter[float](), time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        (place / "base").mkdir()
        base = Path(shutil.copy(BUILD / SERVER, place / "base"))
        _, run = gate(place, args.wire, args.plan, base)
        cost = cycles(run)
        shutil.rmtree(run)
        print(f"a request costs {cost:,.0f} cycles; {time.monotonic() - began:.0f} s for a gate", flush=True)
        programs = {share: slowed(place, base, share, cost) for share in shares}
        for turn in range(args.gates):
            for share in shares[turn % len(shares):] + shares[:turn % len(shares)]:
                worse, run = gate(place, args.wire, args.plan, programs[share])
                shutil.rmtree(run)
                gates[share] += 1
                caught[share] += worse
            print(f"\nturn {turn + 1}, {(time.monotonic() - began) / 60:.1f} minutes\n{table(caught, gates)}",
                  flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
