# SPDX-License-Identifier: BSD-3-Clause
"""Read and write results/runs/<id>/ {facts.json, plan.json, trials.jsonl, raw/}.

Units: results/README.md.

Every write replaces the whole file (temporary file, fsync, rename), so a run is readable at any
instant. Lines of schema 1 are read as those of schema 2. Knows no machine and no analysis.
"""

from __future__ import annotations

import errno
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Iterable

from harness.errors import MachineError, UsageError
from harness.plan import UNKNOWN, Plan, Reason, from_json, settled, to_json, without
from harness.store import convert, facts, obligations, schema1
from harness.store.convert import Json
from harness.store.facts import Facts
from harness.store.trial_record import SCHEMA as TRIAL_SCHEMA
from harness.store.trial_record import TrialRecord
from harness.structure import parse_json

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"
# the committed run
REFERENCE = RESULTS / "reference"
OUT = ROOT / "reports" / "out"
# of facts.json and plan.json
SCHEMA = 1
TRIALS = "trials.jsonl"
# with lines of the same schema; absent where the client's ceiling was not looked for
CALIBRATION = "calibration.jsonl"
# bytes: what contenders and wrk print, and a line of trials.jsonl
ROOM_FOR_A_TRIAL = 64 * 1024
# bytes of what is read, as who wrote it may mean ill: its values take 50 times as much
MOST_TRIALS, MOST_TRIAL, MOST_JSON = 256 << 20, 4 << 20, 16 << 20
ID = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z0-9_-]+")
# what a run may be called: an id, or another word that can name a directory
NAME = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True)
class Run:
    """One run as it is on disk.

    planned: what was to be measured, before the machine was looked at
    trials: in the order in which they ended
    calibration: trials of the client against the cheapest answerer
    conformance: which obligations of TCP its contenders keep, as far as they were tested
    """

    id: str
    path: Path
    facts: Facts
    planned: Plan
    trials: tuple[TrialRecord, ...] = ()
    calibration: tuple[TrialRecord, ...] = ()
    conformance: obligations.Conformance | None = None

    @cached_property
    def plan(self) -> Plan:
        """What is measured: as planned, but for what the run has found out before its trials.

        That is who cannot be measured fairly here, and what each contender can do.
        """
        plan = without(self.planned, {name: Reason(note.code, note.values)
                                      for name, note in self.facts.not_applicable.items()})
        if plan.offered != UNKNOWN:
            return plan
        return settled(plan, {name: can.requests_per_sec
                              for name, can in self.facts.saturation.items()})


def run_id(now: datetime, wire: str) -> str:
    return f"{now:%Y%m%d-%H%M%S}-{wire}"


def find_run(name: str, results: Path = RESULTS) -> Path:
    """Return the directory of a run: an id under results/runs/, "reference", or a directory.

    UsageError if none.
    """
    if name == "reference":
        runs = sorted(path for path in (results / "reference").glob("*") if path.is_dir())
        if len(runs) != 1:
            raise UsageError(f"{results / 'reference'}: must hold exactly one run, holds "
                             f"{len(runs)}")
        return runs[0]
    for path in (results / "runs" / name, Path(name)):
        if name and path.is_dir():
            return path
    raise UsageError(f"no run '{name}': give an id under {results / 'runs'}, 'reference', or a "
                     "directory")


def load_run(name: str | Path, results: Path = RESULTS) -> Run:
    """Return a whole run; UsageError, with file and line, on a truncated or a foreign file."""
    path = name if isinstance(name, Path) and name.is_dir() else find_run(str(name), results)
    return _load(path)[0]


class Store:
    """A run being written, and what is written so far. Each append is on disk when it returns."""

    def __init__(self, run: Run, cut: str = "") -> None:
        self.raw = run.path / "raw"
        self.run = run
        self._cut = cut

    @classmethod
    def create(cls, id_: str, plan: Plan, found: Json, results: Path = RESULTS) -> "Store":
        """Make a new run's directory; MachineError if the disk refuses, UsageError if the id is
        taken."""
        path = make_new(results / "runs" / id_, f"; RESUME={id_} goes on with it")
        store = cls(Run(id_, path, facts.read({"schema": SCHEMA, "run": id_, **found}), plan))
        write_json(path / "plan.json", to_json(plan))
        store.enter()
        store._write(TRIALS, ())
        return store

    @classmethod
    def resume(cls, id_: str, results: Path = RESULTS) -> "Store":
        """Return the run to go on with; nothing is written yet.

        Only a last line which a full disk or a crash cut short is left out; anything else is a
        UsageError.
        """
        return cls(*_load(find_run(id_, results), resumed=True))

    def drop_cut_line(self) -> str:
        """Drop a last line that was cut short from the disk, and say so ("" if there was none)."""
        if not self._cut:
            return ""
        self._write(TRIALS, self.run.trials)
        return f"{self._cut}: dropped, that trial runs again"

    def append(self, record: TrialRecord) -> None:
        """Add one trial. On MachineError (full disk) the file is as it was before."""
        trials = (*self.run.trials, record)
        self._write(TRIALS, trials)
        self.run = replace(self.run, trials=trials)

    def append_calibration(self, record: TrialRecord) -> None:
        """Add one trial of the calibration, as append()."""
        calibration = (*self.run.calibration, record)
        self._write(CALIBRATION, calibration)
        self.run = replace(self.run, calibration=calibration)

    def enter(self, **found: Any) -> None:
        """Enter these among the facts, in the stead of those of the same names."""
        self.run = replace(self.run, facts=self.run.facts.entered(**found))
        write_json(self.run.path / "facts.json", self.run.facts.raw)

    def _write(self, name: str, records: Iterable[TrialRecord]) -> None:
        write_file(self.run.path / name, "".join(map(_line, records)))


def make_new(path: Path, hint: str = "") -> Path:
    """Make a directory with one for raw data in it. MachineError if the disk refuses, UsageError,
    with the hint, where there is one already."""
    try:
        path.mkdir(parents=True)
        (path / "raw").mkdir()
    except FileExistsError:
        raise UsageError(f"{path}: is there already{hint}") from None
    except OSError as error:
        raise _disk(path, error) from error
    return path


def write_json(path: Path, data: Json) -> None:
    """Write as write_file()."""
    write_file(path, json.dumps(data, indent=1) + "\n")


def write_file(path: Path, data: str | bytes) -> None:
    """Replace `path` by `data`, whole or not at all. MachineError if the disk refuses."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        # one that was left, or a link to elsewhere
        temporary.unlink(missing_ok=True)
        with open(temporary, "xb") as file:
            file.write(data if isinstance(data, bytes) else data.encode())
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
        directory = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise _disk(path, error) from error


def check_writable(results: Path = RESULTS) -> None:
    """Raises MachineError unless a run can be stored under results/runs/."""
    probe = results / "runs" / f".probe-{os.getpid()}"
    try:
        probe.parent.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"probe")
    except OSError as error:
        raise _disk(probe.parent, error) from error
    finally:
        with suppress(OSError):
            probe.unlink()


def give_to_user(path: Path) -> None:
    """Give files of a run or a report to who ran sudo, so that `make report` works without root.

    So does the directory above if it is the project's own; nobody else's changes hands.
    """
    user, group = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() != 0 or not (user.isdecimal() and group.isdecimal()):
        return
    above = [path.parent] if path.parent.resolve() in (
        RESULTS / "runs", RESULTS / "profiles", RESULTS / "conformance", OUT) else []
    for entry in (*above, path, *path.rglob("*")):
        os.chown(entry, int(user), int(group), follow_symlinks=False)


def disk_is_full(path: Path) -> bool:
    """Tell whether there is no room left for a trial: then a server or wrk may fail first."""
    room = os.statvfs(path)
    return room.f_bavail * room.f_frsize < ROOM_FOR_A_TRIAL


def disk_reason(error: OSError, path: Path | None = None) -> str:
    """One line for a person: what could not be done to which file, and why."""
    place = path or error.filename or "a file"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{place}: the disk is full: free some space"
    return f"{place}: {error.strerror or error}"


def _disk(path: Path, error: OSError) -> MachineError:
    return MachineError(f"cannot write {disk_reason(error, path)}")


def _line(record: TrialRecord) -> str:
    line = {"schema": TRIAL_SCHEMA, **convert.to_json(record)}
    return json.dumps(line, separators=(",", ":")) + "\n"


def _load(path: Path, resumed: bool = False) -> tuple[Run, str]:
    """Return the run, and where a last line was cut short: a UsageError unless `resumed`."""
    found, planned = _read_facts(path / "facts.json"), _read_plan(path / "plan.json")
    plan = Run(found.run, path, found, planned).plan
    trials, cut = _read_lines(path / TRIALS, plan)
    calibration: tuple[TrialRecord, ...] = ()
    cut_there = ""
    if (path / CALIBRATION).exists():
        # what is cut short there is measured again
        calibration, cut_there = _read_lines(path / CALIBRATION, plan)
    if (cut or cut_there) and not resumed:
        raise UsageError(f"{cut or cut_there}; RESUME={path.name} drops it and runs that trial "
                         "again")
    for number, record in enumerate(trials, 1):
        if record.contender not in plan.contenders or not 0 <= record.round < plan.most_rounds:
            raise UsageError(f"{path / TRIALS}:{number}: a trial that is not in this run's plan")
    file = path / obligations.FILE
    tested = obligations.read(read_json(file), str(file)) if file.exists() else None
    return Run(found.run, path, found, planned, trials, calibration, tested), cut


def _read_plan(file: Path) -> Plan:
    data = read_json(file)
    try:
        return from_json(data)
    except UsageError as error:
        raise UsageError(f"{file}: {error}") from None


def _read_facts(file: Path) -> Facts:
    data = read_json(file)
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        raise UsageError(f"{file}: not facts of schema {SCHEMA}")
    found = facts.read(data, str(file))
    if not NAME.fullmatch(found.run):
        # it could lead elsewhere as a path
        raise UsageError(f"{file}: 'run' is {found.run!r}, which is no id of a run")
    return found


def _read_text(path: Path, most: int) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise UsageError(f"{path}: cannot read: {error.strerror}") from None
    if len(data) > most:
        raise UsageError(f"{path}: more than {most >> 20} MiB: not one of our files")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not text: not one of our files") from None


def read_json(path: Path) -> Any:
    """Return what a file of ours holds. UsageError, with the place, where it is no JSON."""
    try:
        return parse_json(_read_text(path, MOST_JSON))
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}:{error.lineno}: truncated or not JSON: {error.msg}") from None
    except ValueError as error:
        raise UsageError(f"{path}: not JSON: {error}") from None


def _read_lines(path: Path, plan: Plan) -> tuple[tuple[TrialRecord, ...], str]:
    """Return the records, and where a last line was cut short ("" if it was not)."""
    lines = _read_text(path, MOST_TRIALS).split("\n")
    cut = f"{path}:{len(lines) + 1}: the last line is cut short" if lines.pop() else ""
    return tuple(_record(line, plan, f"{path}:{number}")
                 for number, line in enumerate(lines, 1)), cut


def _record(text: str, plan: Plan, place: str) -> TrialRecord:
    if len(text) > MOST_TRIAL:
        raise UsageError(f"{place}: more than {MOST_TRIAL >> 20} MiB: no trial")
    try:
        line = parse_json(text)
    except ValueError as error:
        what = error.msg if isinstance(error, json.JSONDecodeError) else error
        raise UsageError(f"{place}: truncated or not JSON: {what}") from None
    schema = line.get("schema") if isinstance(line, dict) else None
    if schema == TRIAL_SCHEMA:
        record = convert.from_json(TrialRecord, line, place)
    elif schema == schema1.SCHEMA:
        record = schema1.read(line, plan, place)
    else:
        raise UsageError(f"{place}: not a trial of schema {TRIAL_SCHEMA} or {schema1.SCHEMA}")
    if record.point not in plan.load_points:
        raise UsageError(f"{place}: a load point that is not in this run's plan")
    return record
