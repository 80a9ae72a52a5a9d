# SPDX-License-Identifier: BSD-3-Clause
"""A run as evidence that one can hand on: one archive with its files, its report and the hash of each; and its check.

The archive is a gzipped tar (POSIX ustar) of <run>/{run/, report/, bundle.json}: the same run and report give the same
bytes. What a check proves: nothing in it was changed since bundle.json was written, and the report follows from the
figures. Who wrote it, it cannot prove: for that, publish the SHA-256 of the archive itself. Knows no machine.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import tarfile
import tempfile
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path, PurePosixPath
from typing import Any, Iterator, Mapping, Sequence

from harness.plan import published
from harness.report import report
from harness.errors import CheckFailed, MachineError, UsageError
from harness.store.store import NAME, Run

SCHEMA = 1
MANIFEST = "bundle.json"
# what the bytes of charts and pages depend on beside this project
_MAKERS = ("matplotlib", "numpy", "scipy", "Jinja2")
# bytes of an archive that is read, unpacked: more is none of ours
MOST_BYTES = 4 << 30


@dataclass(frozen=True)
class Verified:
    """What was found right: files by hash, and files of the report that came out the same."""

    run: str
    files: int
    regenerated: int


def pack(run_dir: Path, out: Path, published_names: Sequence[str] = ()) -> Path:
    """Writes <out>/<run>.tar.gz, its report made anew from the run's files; where it is.

    Raises UsageError on a foreign run or an unknown publication, MachineError if `out` cannot be written.
    """
    run, summary = report.loaded(run_dir)
    pages = report.build(run, summary, [published.load(name) for name in published_names])
    files = {**{f"run/{path.relative_to(run_dir)}": path.read_bytes() for path in _files(run_dir)},
             **{f"report/{name}": data for name, data in pages.items()}}
    manifest = {"schema": SCHEMA, "run": run.id, "published": list(published_names), "made_with": made_with(),
                "git": run.facts.get("git"),
                "sha256": {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}}
    files[MANIFEST] = (json.dumps(manifest, indent=1) + "\n").encode()
    path = out / f"{run.id}.tar.gz"
    try:
        out.mkdir(parents=True, exist_ok=True)
        report.replace_file(path, _archive(run.id, files))
    except OSError as error:
        raise MachineError(f"{path}: cannot write: {error.strerror or error}") from error
    return path


def made_with() -> dict[str, str | None]:
    """Versions of what draws and writes a report; None for what has none here."""
    def of(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None
    return {"python": platform.python_version(), **{name.lower(): of(name) for name in _MAKERS}}


def verify(path: Path) -> Verified:
    """Checks an archive. CheckFailed, naming each file, where a hash or the report made anew differs; UsageError where
    it is no bundle of ours.
    """
    run_id, files = _read(path)
    manifest = _manifest(path, files)
    if manifest["run"] != run_id:
        raise UsageError(f"{path}: {MANIFEST} is of run {manifest['run']}, not of {run_id}")
    told: dict[str, str] = manifest["sha256"]
    wrong = [*(f"{name}: not in the archive" for name in sorted({*told} - {*files})),
             *(f"{name}: not in {MANIFEST}" for name in sorted({*files} - {*told, MANIFEST})),
             *(f"{name}: another SHA-256" for name in sorted({*told} & {*files})
               if hashlib.sha256(files[name]).hexdigest() != told[name])]
    if wrong:
        raise CheckFailed(f"{path}: {_some(wrong)}")
    with tempfile.TemporaryDirectory(prefix="stackduel-") as directory:
        at = Path(directory) / run_id
        for name, data in files.items():
            if name.startswith("run/"):
                target = at / name.removeprefix("run/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        run, summary = report.loaded(at)
        pages = report.build(run, summary, [published.load(str(name)) for name in manifest["published"]])
    _check_same(path, run, pages, {name.removeprefix("report/"): data for name, data in files.items()
                                   if name.startswith("report/")}, manifest)
    return Verified(run_id, len(told), len(pages))


def _check_same(path: Path, run: Run, pages: Mapping[str, bytes], kept: Mapping[str, bytes],
                manifest: Mapping[str, Any]) -> None:
    differs = [name for name in sorted({*pages, *kept}) if pages.get(name) != kept.get(name)]
    if not differs:
        return
    now, then = made_with(), manifest["made_with"]
    other = [f"{name} {then.get(name)} then, {now[name]} now" for name in now if now[name] != then.get(name)]
    why = f"; it was made with other programs: {', '.join(other)}" if other else (
        f"; it was made by the programs that are here, of this project perhaps another revision than that of the run "
        f"({(run.facts.get('git') or {}).get('revision', 'not recorded')})")
    raise CheckFailed(f"{path}: the report made anew differs in {_some(differs)}{why}")


def _some(lines: Sequence[str], most: int = 5) -> str:
    more = f" and {len(lines) - most} more" if len(lines) > most else ""
    return f"{'; '.join(lines[:most])}{more}"


def _files(run_dir: Path) -> Iterator[Path]:
    """Of a run, all but what a write in mid-air has left."""
    return (path for path in sorted(run_dir.rglob("*"))
            if path.is_file() and not path.is_symlink() and not path.name.startswith("."))


def _archive(run: str, files: Mapping[str, bytes]) -> bytes:
    """Names in order, no owner, no time: equal files give equal bytes."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(f"{run}/{name}")
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(inner.getvalue(), mtime=0)


def _read(path: Path) -> tuple[str, dict[str, bytes]]:
    """The run's id, and the bytes of each file by its name below it; nothing is unpacked to disk."""
    files: dict[str, bytes] = {}
    tops = set()
    total = 0
    try:
        with tarfile.open(path, "r:gz") as tar:
            for entry in tar:
                place = PurePosixPath(entry.name)
                if not entry.isfile() or place.is_absolute() or ".." in place.parts or len(place.parts) < 2:
                    raise UsageError(f"{path}: '{entry.name}' is no file of a bundle")
                total += entry.size
                if total > MOST_BYTES:
                    raise UsageError(f"{path}: more than {MOST_BYTES >> 30} GiB: no bundle of ours")
                tops.add(place.parts[0])
                data = tar.extractfile(entry)
                name = str(PurePosixPath(*place.parts[1:]))
                if name in files or data is None:
                    raise UsageError(f"{path}: '{entry.name}' stands there twice")
                files[name] = data.read()
    except (OSError, EOFError, tarfile.TarError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{path}: cannot be read as a bundle: {reason}") from None
    if len(tops) != 1 or not NAME.fullmatch(next(iter(tops))):
        raise UsageError(f"{path}: must hold one run, holds {', '.join(sorted(tops)) or 'none'}")
    return tops.pop(), files


def _manifest(path: Path, files: Mapping[str, bytes]) -> dict[str, Any]:
    try:
        found = json.loads(files[MANIFEST])
        ok = (found["schema"] == SCHEMA and isinstance(found["run"], str) and isinstance(found["published"], list)
              and isinstance(found["made_with"], dict)
              and all(isinstance(name, str) and isinstance(digest, str) for name, digest in found["sha256"].items()))
    except (KeyError, ValueError, TypeError, AttributeError):
        ok = False
    if not ok:
        raise UsageError(f"{path}: no {MANIFEST} of schema {SCHEMA} in it: not a bundle of ours")
    return dict(found)
