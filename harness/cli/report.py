# SPDX-License-Identifier: BSD-3-Clause
"""Commands that report: write a report and print its gains; compare, export, bundle, verify.

Knows no machine and measures nothing: works without root, on any copy of a run.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Sequence

from harness.report import (
    export, index_page, loaded, macro, pack, terminal_lines, verify, write_comparison, write_files,
    write_report)
from harness.store import (
    OUT, RESULTS, adopt_conformance, find_run, give_to_user, load_run, write_file)


def show_run(run_dir: Path, published: Sequence[str], out: Path = OUT) -> None:
    """Write the report to <out>/<id>/ and <out>/index.html, and print its gains.

    UsageError without a trial.
    """
    run, runs = load_run(run_dir), RESULTS / "runs"
    if run_dir.parent.name == "runs":
        runs = run_dir.parent
        adopt_conformance(run, runs.parent)
    place = out / run.id
    run, summary, files = write_report(run_dir, place, published)
    index = write_files(out, {"index.html": index_page(runs, out)})
    for path in (place, *index):
        give_to_user(path)
    print("\n".join(terminal_lines(run, summary)))
    _print_pages(files)


def show_comparison(names: Sequence[str], published: Sequence[str], out: Path = OUT) -> None:
    """Write the comparison of runs to <out>/compare-<id>-<id>…/."""
    runs = [find_run(name) for name in names]
    place = out / "-".join(["compare", *(load_run(path).id for path in runs)])
    files = write_comparison(runs, place, published)
    give_to_user(place)
    _print_pages(files)


def show_bundle(run_dir: Path, published: Sequence[str], out: Path = OUT) -> None:
    """Pack a run to <out>/<id>.tar.gz and print the hash by which the archive is known."""
    path = pack(run_dir, out, published)
    give_to_user(path)
    print(f"{path}\nsha256: {hashlib.sha256(path.read_bytes()).hexdigest()}")


def show_export(run_dir: Path, form: str, output: str) -> None:
    """Write a run's figures in a format to a file, or to stdout, in UTF-8 in any locale."""
    data = export(*loaded(run_dir), form)
    if output:
        write_file(Path(output), data)
        give_to_user(Path(output))
    else:
        sys.stdout.buffer.write(data)
        sys.stdout.flush()


def show_verified(path: str) -> None:
    """Check a bundle. CheckFailed where it is not what it was, UsageError where it is none."""
    print("\n".join(macro("terminal.j2", "verified", verify(Path(path)))))


def _print_pages(files: Sequence[Path]) -> None:
    for file in files:
        if file.suffix in (".html", ".md"):
            print(file)
