# SPDX-License-Identifier: BSD-3-Clause
"""The preload library behaves as the kernel's sockets do: the same cases on both, and random calls under ASan.

Each program runs in a network namespace without a name, which goes when it ends. Under the library both ends of
every connection lie in the program, and nothing is sent: DPDK's net_null is the port.
"""

from __future__ import annotations

import difflib
import re
import subprocess
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.tests.system.conftest import ROOT

ADDRESS = "198.18.0.9"
EAL = "--no-huge --no-shconf -m 512 --no-pci --no-telemetry --vdev=net_null0,no-rx=1 --file-prefix=conformance"
ALONE = f'ip link set lo up && ip address add {ADDRESS}/32 dev lo && exec "$@"'
CASES = [name for source in sorted((ROOT / "servers/tests").glob("conformance/conformance_*.c"))
         for name in re.findall(r"^CASE(?:_OF)?\((\w+)", source.read_text(), re.MULTILINE)]
BROKEN = re.compile(r"(GAVE UP|HANG|CRASH|EXIT)\b")
SECONDS = 900
# case -> lines of its trace
Trace = dict[str, list[str]]


def alone(*words: str | Path) -> subprocess.CompletedProcess[str]:
    """Runs a program in a namespace of its own that has ADDRESS."""
    return subprocess.run(["unshare", "--net", "sh", "-c", ALONE, "sh", *words], stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, errors="replace", timeout=SECONDS, check=False)


def under_library(build: Path, runtime: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """The same under the library of `build`; what DPDK writes goes to `runtime`.

    The library that has sanitizers needs theirs to be loaded first, whatever the program was built with.
    """
    environment = [f"RUNTIME_DIRECTORY={runtime}"]
    if build.name == "checked":
        found = subprocess.run(["gcc", "-print-file-name=libasan.so"], capture_output=True, text=True, check=True)
        environment.append(f"LD_PRELOAD={found.stdout.strip()}")
    return alone("env", *environment, build / "on-lwip", "--address", ADDRESS, "--eal", EAL, "--", *words)


def read_trace(text: str) -> Trace:
    trace: Trace = {}
    for line in text.splitlines():
        name, _, said = line.partition(": ")
        trace.setdefault(name, []).append(said)
    return trace


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Trace]]]:
    """Of the kernel and of both builds of the library, made side by side."""
    with ThreadPoolExecutor() as pool:
        yield {"kernel": pool.submit(kernel_trace),
               **{build: pool.submit(library_trace, ROOT / build, tmp_path_factory.mktemp("dpdk"))
                  for build in ("build", "build/checked")}}


def kernel_trace() -> Trace:
    done = alone(ROOT / "build/conformance", "--address", ADDRESS)
    broken = [line for line in done.stdout.splitlines() if BROKEN.search(line)]
    assert (done.returncode, done.stderr, broken) == (0, "", [])
    return read_trace(done.stdout)


def library_trace(build: Path, runtime: Path) -> Trace:
    done = under_library(build, runtime, ROOT / "build/conformance", "--address", ADDRESS)
    assert "AddressSanitizer" not in done.stderr and "runtime error" not in done.stderr, done.stderr
    return read_trace(done.stdout)


@pytest.fixture(scope="module")
def kernel(traces: dict[str, Future[Trace]]) -> Trace:
    return traces["kernel"].result()


@pytest.fixture(scope="module", params=["build", "build/checked"])
def library(request: pytest.FixtureRequest, traces: dict[str, Future[Trace]]) -> Trace:
    return traces[request.param].result()


@pytest.fixture(scope="module")
def known() -> dict[str, str]:
    """case -> why the library differs, as the program itself lists them."""
    done = alone(ROOT / "build/conformance", "--list")
    rows = [line.partition("\t") for line in done.stdout.splitlines()]
    return {name: reason for name, _, reason in rows if reason}


def test_every_case_has_run(kernel: Trace, library: Trace) -> None:
    assert sorted(CASES) == sorted(kernel) == sorted(library)


@pytest.mark.parametrize("case", CASES)
def test_behaves_as_the_kernel(case: str, kernel: Trace, library: Trace, known: dict[str, str]) -> None:
    difference = "\n".join(difflib.unified_diff(kernel[case], library.get(case, []), "kernel", "library",
                                                lineterm="", n=3))
    if case in known:
        assert difference, f"{case} no longer differs: take it off the list"
        pytest.skip(f"known difference: {known[case]}")
    if difference:
        pytest.fail(f"{case}\n{difference}", pytrace=False)


# --- random calls ------------------------------------------------------------------------------------

OnStack = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(params=["kernel", "library"])
def on_stack(request: pytest.FixtureRequest, tmp_path: Path) -> OnStack:
    """On the kernel's sockets too, where the program proves itself."""
    if request.param == "kernel":
        return alone
    return lambda *words: under_library(ROOT / "build/checked", tmp_path, *words)


def seeds(count: int, at_once: int) -> list[object]:
    """Seeds from 1 on, of which those after the first `at_once` belong to `make test-long`."""
    return [pytest.param(seed, marks=[pytest.mark.long] * (seed > at_once)) for seed in range(1, count + 1)]


@pytest.mark.parametrize("seed", seeds(4, 2))
def test_random_calls(seed: int, on_stack: OnStack) -> None:
    assert_survives(on_stack, seed, 50000, 1)


@pytest.mark.parametrize("seed", seeds(3, 2))
def test_random_calls_of_threads(seed: int, on_stack: OnStack) -> None:
    assert_survives(on_stack, seed, 20000, 4)


def assert_survives(on_stack: OnStack, seed: int, calls: int, threads: int) -> None:
    done = on_stack(ROOT / "build/checked/fuzz_preload", "--address", ADDRESS, "--seed", str(seed),
                    "--calls", str(calls), "--threads", str(threads))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith(f"fuzz_preload: seed {seed}, {calls} calls, {threads} threads\n")
    assert "fuzz_preload: done, " in done.stdout
