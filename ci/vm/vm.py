#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The virtual test bed: a command in a virtual machine that has network cards, an IOMMU and a kernel with modules.

Command line only. Exit code: the inner command's; 2 bad usage, 3 this machine cannot, 124 the time limit struck, 125 the
guest died, 70 internal error, 130 or 143 ended by a signal.
"""

from __future__ import annotations

import argparse
import shlex
import signal
import sys
from pathlib import Path
from typing import Sequence

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ci.vm import bed, boots
from ci.vm.devices import EXTRAS, MODELS
from ci.vm.errors import BedError, UsageError
from harness.errors import internal_error


class _Signalled(BaseException):
    """A signal asked us to end."""

    def __init__(self, number: int) -> None:
        self.number = number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="vm.py", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, said in (("run", "run COMMAND inside"), ("shell", "an interactive shell inside, or a script piped in")):
        sub = verbs.add_parser(verb, help=said)
        sub.add_argument("--nic", default="e1000e", metavar="MODEL", help=f"the server's card: {', '.join(MODELS)}")
        sub.add_argument("--with", dest="extras", action="append", default=[], metavar="EXTRA",
                         help=f"also: {'; '.join(f'{name}, {what}' for name, what in EXTRAS.items())}")
        sub.add_argument("--limit", type=float, default=170.0 if verb == "run" else 86400.0, metavar="SECONDS")
        sub.add_argument("--memory", type=int, default=2048, metavar="MIB")
    test = verbs.add_parser("test", help="the boots of boots.py, or those named")
    test.add_argument("--limit", type=float, metavar="SECONDS", help="for all of them together")
    test.add_argument("--plan", default="quick", help="PLAN in the environment of the commands")
    test.add_argument("boots", nargs="*", metavar="BOOT")
    run = verbs.choices["run"]
    run.add_argument("--after-reboot", action="append", default=[], metavar="SHELL_TEXT",
                     help="run this when the guest is up again after `vmctl reset`")
    run.add_argument("command", nargs="+", metavar="COMMAND")
    return parser


def _job(arguments: argparse.Namespace) -> bed.Job:
    if arguments.verb == "shell":
        commands = ["exec bash" if sys.stdin.isatty() else "exec bash -s"]
    else:
        commands = [f"exec {shlex.join(arguments.command)}", *arguments.after_reboot]
    return bed.Job(tuple(commands), arguments.nic, tuple(arguments.extras), arguments.limit, arguments.memory,
                   terminal=True)


def _do(arguments: argparse.Namespace) -> int:
    if arguments.limit is not None and arguments.limit <= 0:
        raise UsageError(f"--limit {arguments.limit:g}: it is a number of seconds above 0")
    if arguments.verb == "test":
        wanted = boots.chosen(arguments.boots)
        return boots.run_all(wanted, arguments.limit or boots.limit_of(wanted), arguments.plan)
    return bed.run(_job(arguments))


def main(argv: Sequence[str]) -> int:
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

    def end(number: int, frame: object) -> None:
        for repeated in signals:  # one is enough, and must not cut short the way out
            signal.signal(repeated, signal.SIG_IGN)
        raise _Signalled(number)

    for number in signals:
        signal.signal(number, end)
    try:
        return _do(_parser().parse_args(argv))
    except BedError as error:
        bed.say(str(error))
        return error.exit_code
    except _Signalled as signalled:
        bed.say(f"ended by {signal.Signals(signalled.number).name}")
        return 128 + signalled.number
    except Exception:
        return internal_error()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
