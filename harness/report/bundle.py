# SPDX-License-Identifier: BSD-3-Clause
"""Pack a run as evidence: one archive with its files, its report and their hashes; check one.

The archive is a gzipped tar (POSIX ustar) of <run>/{run/, report/, bundle.json}: the same run and
report give the same bytes. A check proves that nothing in it was changed since bundle.json was
written, and that the figures follow from the run; of a bundle that this version of stackduel made,
also that the report's text does, and with the same packages and processor every byte of it, charts
too. It cannot prove who wrote it: for that, publish the SHA-256 of the archive itself.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import math
import platform
import re
import tarfile
import tempfile
import zlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path, PurePosixPath
from typing import Any, Iterable, Iterator, Mapping, Sequence

from matplotlib.ft2font import __freetype_version__

from harness.analyse import METRICS
from harness.plan import load_published
from harness.store import NAME, from_json
from harness.errors import CheckFailed, UsageError
from harness.structure import parse_json
from harness.report.report import build, loaded, write_files
from harness.report.templates import TEMPLATES

SCHEMA = 1
MANIFEST, SUMMARY = "bundle.json", "summary.json"
# what the bytes of charts and pages depend on beside this project
_MAKERS = ("matplotlib", "Pillow", "numpy", "scipy", "Jinja2")
_CHARTS = (".png", ".svg")
_EMBEDDED = re.compile(rb'data:image/[^"]*|<svg class="chart".*?</svg>', re.DOTALL)
_NUMBER = re.compile(r"(-?\d+(?:\.\d+)?(?:e[+-]\d+)?)")
# of an archive that is read, unpacked: more is none of ours
MOST_BYTES, MOST_FILES = 256 << 20, 1 << 16
_MOST = f"more than {MOST_BYTES >> 20} MiB or {MOST_FILES:,} files"
_BLOCK = 512
_NAMED = 5
# parts of a summary's paths that name no figure: sentences of schema 1, codes of schema 2
_TEXTS = re.compile(r"(^|\.)(schema|sweep|caveats|contenders|evidence|calibration|reasons|unseen|"
                    r"arrivals|at)([.[]|$)")
# what the method of the intervals makes of the same trials; another release may have another
_JUDGED = re.compile(r"\.(ci95\[\d\]|p|p_adjusted|verdict|disputed)$|^statistics\.")
_METHOD = ("statistics.method", "statistics.adjustment")
_INTERVALS = re.compile(r"(^|\.)(gains|factors)\[|^statistics\.")
# what tells the items of a list from one another
_KEYS = (("contender", "over"), ("name",), ("offered",), ("contender", "round"))
# paths of summary.json of schema 1, and as schema 2 has them; what none fits is no figure.
# NAME: a contender of the run
_RENAMED = (
    (r"(?:workload\.)?(run|wire|rounds|duration_seconds|baseline|tsc_hz|body_size_bytes)", r"\1"),
    (r"(workload)\.name", r"\1"),
    (r"((?:statistics|attempts|open_loop)[.[].*)", r"\1"),
    (r"(steadiness\.(?!trials\b).*)", r"\1"),
    (r"(points\[\d+\]\.best_kernel)", r"\1"),
    (r"(points\[\d+\]\.)client_(ceiling\.(?:requests_per_sec|at_least))", r"\1\2"),
    (r"(points\[\d+\]\.)limit\.(NAME)\.by", r"\1cells.\2.limit.by"),
    (r"(points\[\d+\]\.)gain\.(NAME)/(NAME)\.(?!disputed_by)(.+)", r"\1gains[\2 \3].\4"),
    (r"(points\[\d+\]\.)contenders\.(NAME)\.cpu_us_per_request\.by_role(.+)",
     r"\1cells.\2.cpu_by_role\3"),
    (r"(points\[\d+\]\.)contenders\.(NAME)\.memory_bytes\.per_connection",
     r"\1cells.\2.memory_per_connection"),
    (r"(points\[\d+\]\.)contenders\.(NAME)\.((?:trials|invalid|errors|latency_us|cycles_from|"
     r"bytes_per_connection)\b.*)", r"\1cells.\2.\3"),
    (rf"(points\[\d+\]\.)contenders\.(NAME)\.((?:{'|'.join(METRICS)})\.(?:median|ci95).*)",
     r"\1cells.\2.figures.\3"),
    (r"(ablation\[\d+\]\.(?:plain|all))", r"\1"),
    (r"(ablation\[\d+\]\.)measures(\[.+\]\.(?!what$).+)", r"\1optimisations\2"),
)
Files = dict[str, bytes]
Json = Mapping[str, Any]


@dataclass(frozen=True)
class Manifest:
    """What bundle.json says: of what the archive is, and the hash of each other file in it."""

    schema: int
    run: str
    published: tuple[str, ...]
    made_with: Mapping[str, str | None]
    sha256: Mapping[str, str]


@dataclass(frozen=True)
class Verified:
    """What was right.

    files: by hash
    figures: of the summary, that follow from the run
    regenerated: files of the report that came out the same
    another: versions that differ from those that made the bundle; where there are any, charts were
        not compared; where stackduel itself is another one, no page was (regenerated is 0)
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
    if sum(map(len, files.values())) > MOST_BYTES or len(files) > MOST_FILES:
        raise UsageError(f"run {run.id} and its report have {_MOST}: a bundle may not")
    path, = write_files(out, {f"{run.id}.tar.gz": _archive(run.id, files)})
    return path


def made_with() -> dict[str, str]:
    """Return the versions of what draws and writes a report.

    `stackduel`: the hash of the report's own code and templates.
    """
    source = sorted((*TEMPLATES.glob("*.j2"), *(file for room in ("analyse", "report", "store")
                                                for file in (Path(__file__).parents[1] / room)
                                                .rglob("*.py"))))
    own = _hash(b"".join(file.name.encode() + file.read_bytes() for file in source))
    return {"stackduel": own[:16], "python": platform.python_version(),
            **{name.lower(): version(name) for name in _MAKERS}, "machine": platform.machine()}


def verify(path: Path) -> Verified:
    """Check an archive.

    CheckFailed, naming each file or figure that differs; UsageError if it is no bundle of ours.
    """
    run_id, files = _read(path)
    manifest = _manifest(path, files)
    if manifest.run != run_id:
        raise UsageError(f"{path}: {MANIFEST} is of run {manifest.run}, not of {run_id}")
    told = manifest.sha256
    _fail(path, [*(f"{name}: not in the archive" for name in sorted({*told} - {*files})),
                 *(f"{name}: not in {MANIFEST}" for name in sorted({*files} - {*told, MANIFEST})),
                 *(f"{name}: another SHA-256" for name in sorted({*told} & {*files})
                   if _hash(files[name]) != told[name])])
    with tempfile.TemporaryDirectory(prefix="stackduel-") as directory:
        at = Path(directory) / run_id
        try:
            for name, data in _in(files, "run/").items():
                (at / name).parent.mkdir(parents=True, exist_ok=True)
                (at / name).write_bytes(data)
        except OSError as error:
            raise UsageError(f"{path}: its files cannot be written: {error.strerror}") from None
        run, summary = loaded(at)
        pages = build(run, summary, [load_published(name) for name in manifest.published])
    kept = _in(files, "report/")
    now, then = made_with(), manifest.made_with
    another = tuple(f"{name} {then.get(name)} then, {now[name]} now" for name in now
                    if now[name] != then.get(name))
    checked = _check_figures(path, kept, pages[SUMMARY], near=bool(another))
    if now["stackduel"] != then.get("stackduel"):
        return Verified(run_id, len(told), checked, 0, another)
    charts = [name for name in pages if another and name.endswith(_CHARTS)]
    same = _same_text if another else bytes.__eq__
    _fail(path, [f"report/{name}: differs from the report made anew"
                 for name in sorted({*pages, *kept})
                 if name not in pages or name not in kept
                 or name not in charts and not same(pages[name], kept[name])])
    return Verified(run_id, len(told), checked, len(pages) - len(charts), another)


def _check_figures(path: Path, kept: Mapping[str, bytes], anew: bytes, near: bool) -> int:
    """Compare the packed summary with the one made anew, field by field; count its figures.

    An older bundle may have fewer; a figure that the run does not give is wrong. Intervals and
    verdicts of gains are not compared where they were made by another method.
    near: other packages made it, whose sums may differ in the last digits
    """
    try:
        old = parse_json(kept[SUMMARY].decode())
        if not isinstance(old, dict):
            raise ValueError
    except (KeyError, ValueError):
        raise UsageError(f"{path}: no report/{SUMMARY} in it: not a bundle of ours") from None
    then, now = figures(old), figures(json.loads(anew))
    if any(then.get(name) != now[name] for name in _METHOD):
        then = {name: value for name, value in then.items()
                if not (_INTERVALS.search(name) and _JUDGED.search(name))}
    _fail(path, [f"report/{SUMMARY}: {name} is {value!r}, from the run it is {now.get(name)!r}"
                 for name, value in sorted(then.items()) if value != now.get(name)
                 and not (near and _near(value, now.get(name)))])
    if not then:
        raise CheckFailed(f"{path}: report/{SUMMARY} has no figure of this run")
    return len(then)


def _near(one: object, two: object) -> bool:
    """Return whether two numbers differ by no more than the last of the six digits kept."""
    return (isinstance(one, float) and isinstance(two, float)
            and math.isclose(one, two, rel_tol=1.01e-5, abs_tol=1e-12))


def _same_text(one: bytes, two: bytes) -> bool:
    """Compare pages but for the charts in them, and their numbers as far as they are kept."""
    parts = [_NUMBER.split(_EMBEDDED.sub(b"", page).decode(errors="replace")) for page in (one, two)]
    return len(parts[0]) == len(parts[1]) and all(
        a == b or place % 2 == 1 and _near(float(a), float(b))
        for place, (a, b) in enumerate(zip(*parts)))


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
    try:
        with gzip.open(path) as archive:
            for member, data in _members(path, archive):
                place = PurePosixPath(member)
                if place.is_absolute() or ".." in place.parts or len(place.parts) < 2:
                    raise UsageError(f"{path}: '{member}' is no file of a bundle")
                tops.add(place.parts[0])
                name = str(PurePosixPath(*place.parts[1:]))
                if name in files:
                    raise UsageError(f"{path}: '{member}' stands there twice")
                files[name] = data
    except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise UsageError(f"{path}: cannot be read as a bundle: {reason}") from None
    if len(tops) != 1 or not NAME.fullmatch(next(iter(tops))):
        raise UsageError(f"{path}: must hold one run, holds {', '.join(sorted(tops)) or 'none'}")
    return tops.pop(), files


def _members(path: Path, archive: gzip.GzipFile) -> Iterator[tuple[str, bytes]]:
    """Yield name and bytes of each member. UsageError on any but a plain file, and on too many.

    What tarfile would follow, extended headers and sparse files, may ask for any amount of memory.
    """
    count, total = 0, 0
    while (block := archive.read(_BLOCK)).strip(b"\0"):
        entry = tarfile.TarInfo.frombuf(block, "utf-8", "backslashreplace")
        count, total = count + 1, total + max(entry.size, 0)
        if entry.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or entry.size < 0:
            raise UsageError(f"{path}: '{entry.name}' is no file of a bundle")
        if total > MOST_BYTES or count > MOST_FILES:
            raise UsageError(f"{path}: {_MOST}: no bundle of ours")
        data = archive.read(entry.size)
        if len(data) < entry.size or len(archive.read(-entry.size % _BLOCK)) < -entry.size % _BLOCK:
            raise EOFError("it is cut short")
        yield entry.name, data


def _manifest(path: Path, files: Files) -> Manifest:
    try:
        found = from_json(Manifest, parse_json(files[MANIFEST].decode()), MANIFEST)
    except (KeyError, ValueError, UsageError):
        found = None
    if found is None or found.schema != SCHEMA:
        raise UsageError(f"{path}: no {MANIFEST} of schema {SCHEMA} in it: not a bundle of ours")
    return found


# --- figures of a summary.json of any schema -----------------------------------------------------


def figures(data: Json) -> dict[str, object]:
    """Return every figure and verdict of a summary.json by its path in schema 2."""
    flat = dict(_flat(data, ""))
    if data.get("schema") == 1:
        flat = dict(_as_schema2(flat, data["contenders"]))
    return {path: value for path, value in flat.items() if not _TEXTS.search(path)}


def _as_schema2(flat: Mapping[str, object], names: Iterable[str]) -> Iterator[tuple[str, object]]:
    name = f"(?:{'|'.join(map(re.escape, names))})"
    rules = [(re.compile(pattern.replace("NAME", name)), new) for pattern, new in _RENAMED]
    for path, value in flat.items():
        for pattern, new in rules:
            if match := pattern.fullmatch(path):
                yield match.expand(new), value
                break


def _flat(value: object, path: str) -> Iterator[tuple[str, object]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            name = _name(item) if isinstance(item, Mapping) else place
            yield from _flat(item, f"{path}[{name}]")
    elif value is not None:
        yield path, float(f"{value:.6g}") if isinstance(value, float) else value


def _name(item: Json) -> str:
    """Return what tells an item of a list from the others: a load point, a pair, a name."""
    at = item.get("at") or {key: item[key] for key in ("connections",) if key in item}
    known = {key: value for key, value in at.items()
             if value and (key, value) not in (("server_cores", 1), ("body_size_bytes", 1))}
    keys = next((keys for keys in _KEYS if all(key in item for key in keys)), ())
    return " ".join(map(str, (*(item[key] for key in keys), *dict(sorted(known.items())).values())))
