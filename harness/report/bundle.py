# SPDX-License-Identifier: BSD-3-Clause
"""Pack a run as evidence: one archive with its files, its report and their hashes; check one.

The archive is a gzipped tar (POSIX ustar) of <run>/{run/, report/, bundle.json}: the same run and
report give the same bytes. A check proves that nothing in it was changed since bundle.json was
written, and that the figures follow from the run; of a bundle that this version made, also that
every byte of the report does. It cannot prove who wrote it: for that, publish the SHA-256 of the
archive itself. Knows no machine.
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

from harness.analyse import METRICS
from harness.plan import load_published
from harness.store import NAME
from harness.errors import CheckFailed, MachineError, UsageError
from harness.report.report import build, loaded, replace_file
from harness.report.templates import TEMPLATES

SCHEMA = 1
MANIFEST, SUMMARY = "bundle.json", "summary.json"
# what the bytes of charts and pages depend on beside this project
_MAKERS = ("matplotlib", "numpy", "scipy", "Jinja2")
# bytes of an archive that is read, unpacked: more is none of ours
MOST_BYTES = 4 << 30
_NAMED = 5
# sentences of schema 1, codes of schema 2: no figures
_TEXTS = ("schema", "sweep", "caveats", "contenders", "evidence", "calibration", "reasons",
          "unseen", "arrivals")
_SAME = ("run", "wire", "rounds", "duration_seconds", "baseline", "tsc_hz", "statistics",
         "attempts", "open_loop")
_SAME_IN_CELLS = ("trials", "invalid", "errors", "latency_us", "cycles_from",
                  "bytes_per_connection")
# what tells the items of a list from one another
_KEYS = (("contender", "over"), ("name",), ("offered",), ("contender", "round"))
Json = Mapping[str, Any]
Files = dict[str, bytes]


@dataclass(frozen=True)
class Verified:
    """What was right.

    files: by hash
    figures: of the summary, that follow from the run
    regenerated: files of the report that came out the same
    another: versions that differ from those that made the bundle; where there are any, the report
        was not compared byte for byte
    """

    run: str
    files: int
    figures: int
    regenerated: int
    another: tuple[str, ...] = ()


def pack(run_dir: Path, out: Path, names: Sequence[str] = ()) -> Path:
    """Write <out>/<run>.tar.gz, its report made anew from the run's files; return where it is.

    Raises UsageError on a foreign run or an unknown publication, MachineError if `out` cannot be
    written.
    """
    run, summary = loaded(run_dir)
    pages = build(run, summary, [load_published(name) for name in names])
    files = {**{f"run/{path.relative_to(run_dir)}": path.read_bytes() for path in _files(run_dir)},
             **{f"report/{name}": data for name, data in pages.items()}}
    manifest = {"schema": SCHEMA, "run": run.id, "published": list(names),
                "made_with": made_with(), "git": run.facts.raw.get("git"),
                "sha256": {name: _hash(data) for name, data in sorted(files.items())}}
    files[MANIFEST] = (json.dumps(manifest, indent=1) + "\n").encode()
    path = out / f"{run.id}.tar.gz"
    try:
        out.mkdir(parents=True, exist_ok=True)
        replace_file(path, _archive(run.id, files))
    except OSError as error:
        raise MachineError(f"{path}: cannot write: {error.strerror or error}") from error
    return path


def made_with() -> dict[str, str | None]:
    """Return the versions of what draws and writes a report; None for what has none here.

    `stackduel`: the hash of the report's own code and templates.
    """
    def of(name: str) -> str | None:
        try:
            return version(name)
        except PackageNotFoundError:
            return None
    source = sorted((*TEMPLATES.glob("*.j2"), *(file for room in ("analyse", "report", "store")
                                                for file in (Path(__file__).parents[1] / room)
                                                .rglob("*.py"))))
    own = _hash(b"".join(file.name.encode() + file.read_bytes() for file in source))
    return {"stackduel": own[:16], "python": platform.python_version(),
            **{name.lower(): of(name) for name in _MAKERS}}


def verify(path: Path) -> Verified:
    """Check an archive.

    CheckFailed, naming each file or figure that differs; UsageError if it is no bundle of ours.
    """
    run_id, files = _read(path)
    manifest = _manifest(path, files)
    if manifest["run"] != run_id:
        raise UsageError(f"{path}: {MANIFEST} is of run {manifest['run']}, not of {run_id}")
    told: dict[str, str] = manifest["sha256"]
    _fail(path, [*(f"{name}: not in the archive" for name in sorted({*told} - {*files})),
                 *(f"{name}: not in {MANIFEST}" for name in sorted({*files} - {*told, MANIFEST})),
                 *(f"{name}: another SHA-256" for name in sorted({*told} & {*files})
                   if _hash(files[name]) != told[name])])
    with tempfile.TemporaryDirectory(prefix="stackduel-") as directory:
        at = Path(directory) / run_id
        for name, data in files.items():
            if name.startswith("run/"):
                target = at / name.removeprefix("run/")
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        run, summary = loaded(at)
        pages = build(run, summary, [load_published(str(name)) for name in manifest["published"]])
    checked = _check_figures(path, _in(files, "report/"), pages[SUMMARY])
    now, then = made_with(), manifest["made_with"]
    another = tuple(f"{name} {then.get(name)} then, {now[name]} now" for name in now
                    if now[name] != then.get(name))
    kept = _in(files, "report/")
    if not another:
        _fail(path, [f"report/{name}: differs from the report made anew"
                     for name in sorted({*pages, *kept}) if pages.get(name) != kept.get(name)])
    return Verified(run_id, len(told), checked, 0 if another else len(pages), another)


def _check_figures(path: Path, kept: Mapping[str, bytes], anew: bytes) -> int:
    """Compare the packed summary with the one made anew, field by field; count its figures.

    An older bundle may have fewer; a figure that the run does not give is wrong.
    """
    try:
        old = json.loads(kept[SUMMARY])
    except (KeyError, ValueError):
        raise UsageError(f"{path}: no report/{SUMMARY} in it: not a bundle of ours") from None
    then, now = figures(old), figures(json.loads(anew))
    _fail(path, [f"report/{SUMMARY}: {name} is {value!r}, from the run it is {now.get(name)!r}"
                 for name, value in sorted(then.items()) if value != now.get(name)])
    if not then:
        raise CheckFailed(f"{path}: report/{SUMMARY} has no figure of this run")
    return len(then)


def _fail(path: Path, wrong: Sequence[str]) -> None:
    if wrong:
        more = f" and {len(wrong) - _NAMED} more" if len(wrong) > _NAMED else ""
        raise CheckFailed(f"{path}: {'; '.join(wrong[:_NAMED])}{more}")


def _in(files: Mapping[str, bytes], folder: str) -> Files:
    return {name.removeprefix(folder): data for name, data in files.items()
            if name.startswith(folder)}


def _hash(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _files(run_dir: Path) -> Iterator[Path]:
    """Yield the files of a run, without those that an interrupted write left."""
    return (path for path in sorted(run_dir.rglob("*"))
            if path.is_file() and not path.is_symlink() and not path.name.startswith("."))


def _archive(run: str, files: Mapping[str, bytes]) -> bytes:
    """Return the archive: names in order, no owner, no time: equal files give equal bytes."""
    inner = io.BytesIO()
    with tarfile.open(fileobj=inner, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name, data in sorted(files.items()):
            entry = tarfile.TarInfo(f"{run}/{name}")
            entry.size, entry.mode = len(data), 0o644
            tar.addfile(entry, io.BytesIO(data))
    return gzip.compress(inner.getvalue(), mtime=0)


def _read(path: Path) -> tuple[str, Files]:
    """Return the run's id, and the bytes of each file by its name; unpack nothing to disk."""
    files: Files = {}
    tops = set()
    total = 0
    try:
        with tarfile.open(path, "r:gz") as tar:
            for entry in tar:
                place = PurePosixPath(entry.name)
                if (not entry.isfile() or place.is_absolute() or ".." in place.parts
                        or len(place.parts) < 2):
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
        ok = (found["schema"] == SCHEMA and isinstance(found["run"], str)
              and isinstance(found["published"], list) and isinstance(found["made_with"], dict)
              and all(isinstance(name, str) and isinstance(digest, str)
                      for name, digest in found["sha256"].items()))
    except (KeyError, ValueError, TypeError, AttributeError):
        ok = False
    if not ok:
        raise UsageError(f"{path}: no {MANIFEST} of schema {SCHEMA} in it: not a bundle of ours")
    return dict(found)


# --- figures of a summary.json of any schema -----------------------------------------------------


def figures(data: Json) -> dict[str, Any]:
    """Return every figure and verdict of a summary.json by its path."""
    upgraded = _from_schema1(data) if data.get("schema") == 1 else data
    return dict(_flat(upgraded, ""))


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key not in _TEXTS and key != "at":
                yield from _flat(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list) and value and isinstance(value[0], Mapping):
        for item in value:
            yield from _flat(item, f"{path}[{_name(item)}]")
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _flat(item, f"{path}[{place}]")
    elif value is not None:
        # what every schema has
        yield path, float(f"{value:.6g}") if isinstance(value, float) else value


def _name(item: Json) -> str:
    """Return what tells an item of a list from the others: a load point, a pair, a name."""
    at = {key: value for key, value in item.get("at", {}).items()
          if value and (key, value) not in (("server_cores", 1), ("body_size_bytes", 1))}
    keys = next((keys for keys in _KEYS if all(key in item for key in keys)), ())
    return " ".join(map(str, (*(item[key] for key in keys), *dict(sorted(at.items())).values())))


def _from_schema1(old: Json) -> dict[str, Any]:
    """Return the figures of a summary of schema 1 as schema 2 has them."""
    names = list(old["contenders"])
    return {
        **{key: old[key] for key in _SAME if key in old},
        "workload": old["workload"]["name"], "body_size_bytes": old["workload"]["body_size_bytes"],
        "points": [_point(point, names) for point in old["points"]],
        "steadiness": {key: value for key, value in old.get("steadiness", {}).items()
                       if key not in ("trials", "contenders")},
        "ablation": [{"at": _at(entry), "plain": entry["plain"], "all": entry["all"],
                      "optimisations": [{key: value for key, value in row.items() if key != "what"}
                                        for row in entry["measures"]]}
                     for entry in old.get("ablation", ())]}


def _at(point: Json) -> dict[str, int]:
    return {"connections": point["connections"]}


def _point(point: Json, names: list[str]) -> dict[str, Any]:
    gains = [{**gain, "contender": name, "over": over} for name in names for over in names
             if (gain := point["gain"].get(f"{name}/{over}"))]
    ceiling = point.get("client_ceiling", {})
    return {
        "at": _at(point), "best_kernel": point.get("best_kernel"),
        "cells": {name: _cell(cell, point["limit"][name]["by"])
                  for name, cell in point["contenders"].items()},
        "gains": [{key: value for key, value in gain.items() if key != "disputed_by"}
                  for gain in gains],
        "ceiling": {key: ceiling.get(key) for key in ("requests_per_sec", "at_least")}}


def _cell(cell: Json, by: str) -> dict[str, Any]:
    return {
        **{key: cell[key] for key in _SAME_IN_CELLS if key in cell}, "limit": {"by": by},
        "cpu_by_role": cell["cpu_us_per_request"]["by_role"],
        "memory_per_connection": cell.get("memory_bytes", {}).get("per_connection"),
        "figures": {key: {part: cell[key].get(part) for part in ("median", "ci95")}
                    for key in METRICS if key in cell}}
