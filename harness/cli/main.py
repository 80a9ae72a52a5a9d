# SPDX-License-Identifier: BSD-3-Clause
# PYTHON_ARGCOMPLETE_OK
"""Start the command line: words in, exit code out. Every way to end is one line and a code.

What a command takes follows from the table of options. Commands are imported when they are asked
for: doctor and restore must run on a machine that lacks packages.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import sys
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn, Sequence

from harness.cli.commands import COMMANDS
from harness.errors import (
    Interrupted, MachineError, StackduelError, UsageError, internal_error, not_imported)
from harness.host import Host, LocalHost
from harness.plan import BY_VARIABLE, OPTIONS, RENAMED, Kind, Option
from harness.store import disk_reason
from harness.structure import visible

VERSION = "1.0"
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_DESCRIPTION = "user-space TCP against kernel TCP, measured fairly"
_EPILOG = """\
Options may also be given as make has them: ROUNDS=5 for --rounds 5.
exit codes: 0 done; 1 a gate or a check failed; 2 bad usage or input; 3 the machine cannot do it;
4 a contender or load tool failed; 70 internal error, which is no verdict; 130 interrupted, partial
run kept. make turns all but 0 into 2."""


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see `./stackduel --help`")


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands, made from the table."""
    whole = _Parser(prog="stackduel", description=_DESCRIPTION, epilog=_EPILOG,
                    formatter_class=argparse.RawDescriptionHelpFormatter)
    whole.add_argument("--version", action="version", version=f"stackduel {VERSION}")
    commands = whole.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, (line, _) in COMMANDS.items():
        command = commands.add_parser(name, help=line, description=line)
        for option in OPTIONS:
            if name in option.commands:
                _add(command, option, name in option.positional)
        if name == "unused":
            command.add_argument("TARGET")
            command.add_argument("VARIABLES", nargs="+")
    return whole


def _add(command: argparse.ArgumentParser, option: Option, positional: bool) -> None:
    line = option.help + (f" (default: {option.default})" if option.default else "")
    line = line.replace("%", "%%")
    if positional:
        extra: dict[str, str] = {}
        if option.variable == "RUNS":
            extra = {"nargs": "+"}
        elif option.default:
            extra = {"nargs": "?", "default": ""}
        command.add_argument(option.variable, metavar=option.unit, help=line,
                             **extra)  # type: ignore[arg-type]
    elif option.kind is Kind.SWITCH:
        command.add_argument(option.flag, dest=option.variable, action="store_true", help=line)
    elif option.kind is Kind.REPEATED:
        command.add_argument(option.flag, dest=option.variable, action="append", default=[],
                             metavar=option.unit, help=f"{line}; may be repeated")
    else:
        command.add_argument(option.flag, dest=option.variable, default="", metavar=option.unit,
                             help=line)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Return the options by variable. UsageError, with one line."""
    return parser().parse_args([*argv[:1], *_plain(argv[0], argv[1:])] if argv else [])


def _plain(command: str, words: Sequence[str]) -> list[str]:
    """Return the words with make's form put as options, positional ones last.

    UsageError on an option that the command does not use, which names those that do.
    """
    options: list[str] = []
    positional: list[str] = []
    rest = list(words)
    while rest:
        # two forms of the releases before
        word = {"--no-report": "REPORT=no"}.get(rest[0], rest[0].removeprefix("--set="))
        del rest[0]
        name, equals, value = word.partition("=")
        option = _named(name, bool(equals))
        if option is None:
            if word != "--set" or not rest:
                (options if word.startswith("-") else positional).append(word)
            continue
        _check_used(command, option, name)
        if name == option.flag and not equals:
            if option.kind is Kind.SWITCH:
                value = "yes"
            elif not rest:
                raise UsageError(f"{name}: expected one argument")
            else:
                value = rest.pop(0)
        _put(command, option, value.strip(), options, positional)
    return [*options, *positional]


def _named(name: str, has_value: bool) -> Option | None:
    """Return the option of a flag, or of a variable with a value; None for another word."""
    if not has_value or not re.fullmatch("[A-Z][A-Z_]*", name):
        return next((option for option in OPTIONS if option.flag == name), None)
    option = BY_VARIABLE.get(name) or RENAMED.get(name)
    if option is None:
        raise UsageError(f"unknown setting '{name}'; there are: {', '.join(BY_VARIABLE)}")
    if name in RENAMED:
        print(f"stackduel: {name} is called {option.variable} now; the old name works in this "
              "release", file=sys.stderr)
    return option


def _check_used(command: str, option: Option, name: str) -> None:
    if command in COMMANDS and command not in option.commands:
        kind = "an option" if name == option.flag else "a setting"
        raise UsageError(f"{name} is not {kind} of {command}; {', '.join(option.commands)} "
                         f"take{'s' * (len(option.commands) == 1)} it")


def _put(command: str, option: Option, value: str, options: list[str],
         positional: list[str]) -> None:
    several = option.kind is Kind.REPEATED or option.variable == "RUNS"
    values = _names(value) if several else [value] if value else []
    if command in option.positional:
        positional += values
    elif option.kind is Kind.SWITCH:
        options += [option.flag] * (value not in ("", "0", "no"))
    else:
        options += [f"{option.flag}={text}" for text in values]


def _names(text: str) -> list[str]:
    """Return several names written as words of a shell. UsageError on a quote without its end.

    The path of one directory needs no quotes.
    """
    if text and Path(text).is_dir():
        return [text]
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UsageError(f"{text}: {str(error).lower()}") from None


def run(argv: Sequence[str], host: Host) -> int:
    """Run one command. Raises StackduelError, OSError, ImportError or KeyboardInterrupt."""
    args = parse(argv)
    return COMMANDS[args.command][1](args, host) or 0


def _interrupt(number: int, frame: object) -> NoReturn:
    # the first signal starts the undoing, and no later one may disturb it
    for other in _SIGNALS:
        signal.signal(other, lambda *_: None)
    raise KeyboardInterrupt


def main(argv: Sequence[str], host: Host) -> int:
    """Return the exit code; one line on stderr for every way to end that is not 0."""
    for number in _SIGNALS:
        signal.signal(number, _interrupt)
    try:
        return run(argv, host)
    except StackduelError as error:
        code, line = error.exit_code, str(error)
    except KeyboardInterrupt:
        code, line = Interrupted.exit_code, "interrupted"
    except ImportError as error:
        code, line = MachineError.exit_code, not_imported(error)
    except OSError as error:
        code, line = MachineError.exit_code, disk_reason(error)
    except Exception:
        return internal_error()
    print(f"stackduel: {visible(line)}", file=sys.stderr, flush=True)
    return code


def start() -> NoReturn:
    """Run the command line of this process and end it with the exit code."""
    if isinstance(sys.stdout, TextIOWrapper):
        # what a terminal or a pipe of another encoding cannot show
        sys.stdout.reconfigure(errors="backslashreplace")
    with suppress(ModuleNotFoundError):  # completion is for those who have it
        __import__("argcomplete").autocomplete(parser())
    # what a run writes is nobody else's to change
    os.umask(os.umask(0o022) | 0o022)
    code = main(sys.argv[1:], LocalHost())
    # Python gives signals back to their default on its way out: a late one would replace the exit
    # code
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)
