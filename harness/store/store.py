# SPDX-License-Identifier: BSD-3-Clause
"""Runs on disk: results/runs/<id>/ {facts.json, plan.json, trials.jsonl, raw/}. Units: results/README.md.

Every write replaces the whole file (temporary file, fsync, rename), so a run is readable at any instant.
Knows no machine and no analysis.
"""

from __future__ import annotations

import errno
import json
import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Mapping

from harness.errors import MachineError, UsageError
from harness.plan import from_json, Plan, to_json

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"
OUT = ROOT / "reports" / "out"
SCHEMA = 1
# beside trials.jsonl, with records of the same schema; absent where the client's ceiling was not looked for
CALIBRATION = "calibration.jsonl"
# bytes: what contenders and wrk print, and a line of trials.jsonl
ROOM_FOR_A_TRIAL = 64 * 1024
ID = re.compile(r"[0-9]{8}-[0-9]{6}-[a-z0-9_-]+")
# what a run may be called: an id, or another word that can name a directory
NAME = re.compile(r"[A-Za-z0-9_-]+")

_NUMBER = (int, float)
# What every record must have for the analysis to stand on; the rest is documented in results/README.md.
_RECORD: Mapping[str, tuple[type, ...]] = {
    "contender": (str,), "connections": (int,), "round": (int,), "sequence": (int,), "threads": (int,),
    "valid": (bool,), "problems": (list,), "started_at": (str,), "duration_seconds": _NUMBER,
    "requests": (int,),
    "requests_per_sec": _NUMBER, "bytes": (int,), "latency_us": (dict,), "latency_histogram_us": (list,),
    "errors": (dict,), "reconcile": (dict,), "cpu_seconds": (dict,), "dropped": (dict,),
    "cpu_us_per_request": (*_NUMBER, type(None)),
}


@dataclass(frozen=True)
class Run:
    """One run as it is on disk; `trials` in the order in which they ended, and those of the client's `calibration`."""

    id: str
    path: Path
    facts: dict[str, Any]
    plan: Plan
    trials: list[dict[str, Any]]
    calibration: list[dict[str, Any]] = field(default_factory=list)


def run_id(now: datetime, wire: str) -> str:
    """`now` in UTC."""
    return f"{now:%Y%m%d-%H%M%S}-{wire}"


def find_run(name: str, results: Path = RESULTS) -> Path:
    """The directory of a run: an id under results/runs/, "reference", or a directory. UsageError if none."""
    if name == "reference":
        runs = sorted(path for path in (results / "reference").glob("*") if path.is_dir())
        if len(runs) != 1:
            raise UsageError(f"{results / 'reference'}: must hold exactly one run, holds {len(runs)}")
        return runs[0]
    for path in (results / "runs" / name, Path(name)):
        if name and path.is_dir():
            return path
    raise UsageError(f"no run '{name}': give an id under {results / 'runs'}, 'reference', or a directory")


def load_run(name: str | Path, results: Path = RESULTS) -> Run:
    """A whole run. Raises UsageError, with file and line, on a truncated or a foreign file."""
    path = name if isinstance(name, Path) and name.is_dir() else find_run(str(name), results)
    return _load(path, *_read_trials(path / "trials.jsonl"))


class Store:
    """A run being written. Each append is on disk, whole, when it returns."""

    def __init__(self, run: Run, cut: str = "") -> None:
        self.run = run
        self.raw = run.path / "raw"
        self._cut = cut

    @classmethod
    def create(cls, id_: str, plan: Plan, facts: Mapping[str, Any], results: Path = RESULTS) -> "Store":
        """A new run directory. Raises MachineError if the disk refuses, UsageError if the id is taken."""
        path = results / "runs" / id_
        store = cls(Run(id_, path, {"schema": SCHEMA, "run": id_, **facts}, plan, []))
        try:
            path.mkdir(parents=True)
            store.raw.mkdir()
        except FileExistsError:
            raise UsageError(f"{path}: is there already; RESUME={id_} goes on with it") from None
        except OSError as error:
            raise _disk(path, error) from error
        write_file(path / "plan.json", _pretty(to_json(plan)))
        store.write_facts()
        store._write_trials()
        return store

    @classmethod
    def resume(cls, id_: str, results: Path = RESULTS) -> "Store":
        """The run to go on with; nothing is written yet.

        Only a last line which a full disk or a crash cut short is left out; anything else is a UsageError.
        """
        path = find_run(id_, results)
        lines, cut = _read_trials(path / "trials.jsonl")
        return cls(_load(path, lines, "", resumed=True), cut)

    def drop_cut_line(self) -> str:
        """Drops a last line that was cut short from the disk; says so ("" if there was none)."""
        if not self._cut:
            return ""
        self._write_trials()
        return f"{self._cut}: dropped, that trial runs again"

    def append(self, record: dict[str, Any]) -> None:
        """Add one trial. On MachineError (full disk) the file is as it was before."""
        self.run.trials.append(record)
        try:
            self._write_trials()
        except MachineError:
            self.run.trials.pop()
            raise

    def append_calibration(self, record: dict[str, Any]) -> None:
        """Add one trial of the calibration, as append()."""
        self.run.calibration.append(record)
        try:
            write_file(self.run.path / CALIBRATION, "".join(map(_line, self.run.calibration)))
        except MachineError:
            self.run.calibration.pop()
            raise

    def write_facts(self) -> None:
        write_file(self.run.path / "facts.json", _pretty(self.run.facts))

    def _write_trials(self) -> None:
        write_file(self.run.path / "trials.jsonl", "".join(_line(record) for record in self.run.trials))


def write_file(path: Path, text: str) -> None:
    """Replace `path` by `text`, whole or not at all. Raises MachineError if the disk refuses."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
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
        probe.write_text("probe")
    except OSError as error:
        raise _disk(probe.parent, error) from error
    finally:
        with suppress(OSError):
            probe.unlink()


def give_to_user(path: Path) -> None:
    """Under sudo, files of a run or a report go to who ran it, so that `make report` works without root.

    So does the directory above if it is the project's own; nobody else's changes hands.
    """
    user, group = os.environ.get("SUDO_UID", ""), os.environ.get("SUDO_GID", "")
    if os.geteuid() != 0 or not (user.isdecimal() and group.isdecimal()):
        return
    above = [path.parent] if path.parent.resolve() in (RESULTS / "runs", OUT) else []
    for entry in (*above, path, *path.rglob("*")):
        os.chown(entry, int(user), int(group), follow_symlinks=False)


def disk_is_full(path: Path) -> bool:
    """Is there no room left for a trial? What then fails first may be a server or wrk, for another reason."""
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


def _pretty(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=1) + "\n"


def _line(record: Mapping[str, Any]) -> str:
    return json.dumps(record, separators=(",", ":")) + "\n"


def _load(path: Path, trials: list[dict[str, Any]], cut: str, resumed: bool = False) -> Run:
    if cut:
        raise UsageError(f"{cut}; RESUME={path.name} drops it and runs that trial again")
    facts = _read_json(path / "facts.json")
    if not isinstance(facts, dict) or facts.get("schema") != SCHEMA or not isinstance(facts.get("run"), str):
        raise UsageError(f"{path / 'facts.json'}: not facts of schema {SCHEMA}")
    _check_facts(facts, path / "facts.json")
    try:
        plan = from_json(_read_json(path / "plan.json"))
    except UsageError as error:
        message = str(error)
        raise UsageError(message if str(path) in message else f"{path / 'plan.json'}: {message}") from None
    for number, record in enumerate(trials, 1):
        if (record["contender"] not in plan.contenders or record["connections"] not in plan.connections
                or record.get("offered", 0) not in (plan.offered or (0,))
                or not 0 <= record["round"] < plan.most_rounds):
            raise UsageError(f"{path / 'trials.jsonl'}:{number}: a trial that is not in this run's plan")
    return Run(facts["run"], path, facts, plan, trials, _read_calibration(path, plan, resumed))


def _read_calibration(run: Path, plan: Plan, resumed: bool) -> list[dict[str, Any]]:
    """The records; of a run that goes on without a last line that was cut short, as that load point is measured again.
    """
    path = run / CALIBRATION
    if not path.exists():
        return []
    records, cut = _read_trials(path)
    if cut and not resumed:
        raise UsageError(f"{cut}; RESUME={run.name} drops it and runs that trial again")
    for number, record in enumerate(records, 1):
        if record["connections"] not in plan.connections:
            raise UsageError(f"{path}:{number}: a load point that is not in this run's plan")
    return records


def _check_facts(facts: Mapping[str, Any], file: Path) -> None:
    """UsageError on a run's name that leads elsewhere as a path, and on tables that a report cannot show."""
    if not NAME.fullmatch(facts["run"]):
        raise UsageError(f"{file}: 'run' is {facts['run']!r}, which is no id of a run")
    for key, kind, words in (("ports", dict, "a table of tables"), ("offloads", list, "a table of lists")):
        table = facts.get(key, {})
        if not isinstance(table, dict) or not all(isinstance(value, kind) for value in table.values()):
            raise UsageError(f"{file}: '{key}' is not {words}: not the facts of such a run")


def _read_text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except UnicodeDecodeError:
        raise UsageError(f"{path}: not text: not one of our files") from None
    except OSError as error:
        raise UsageError(f"{path}: cannot read: {error.strerror}") from None


def _read_json(path: Path) -> Any:
    try:
        return json.loads(_read_text(path))
    except json.JSONDecodeError as error:
        raise UsageError(f"{path}:{error.lineno}: truncated or not JSON: {error.msg}") from None


def _read_trials(path: Path) -> tuple[list[dict[str, Any]], str]:
    """The records, and what is wrong with a last line that was cut short ("" if it was not)."""
    lines = _read_text(path).split("\n")
    tail = lines.pop()
    records = [_check_record(line, f"{path}:{number}") for number, line in enumerate(lines, 1)]
    return records, f"{path}:{len(lines) + 1}: the last line is cut short" if tail else ""


def _check_record(line: str, place: str) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise UsageError(f"{place}: truncated or not JSON: {error.msg}") from None
    if not isinstance(record, dict) or record.get("schema") != SCHEMA:
        raise UsageError(f"{place}: not a trial of schema {SCHEMA}")
    for key, kinds in _RECORD.items():
        value = record.get(key)
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            raise UsageError(f"{place}: '{key}' is missing or of a wrong type")
    return record
