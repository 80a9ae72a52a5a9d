# SPDX-License-Identifier: BSD-3-Clause
"""The ways a command can end other than well. One line to the user; the class carries the exit code."""

import os
import sys
import traceback


class StackduelError(Exception):
    """Base: `str(error)` is one line saying what failed, where, and what to do next."""

    exit_code = 4


class CheckFailed(StackduelError):
    """A gate or a check did not hold."""

    exit_code = 1


class UsageError(StackduelError):
    """Bad usage or bad input: an option, a plan, a results file."""

    exit_code = 2


class MachineError(StackduelError):
    """The machine cannot do it; says what is missing and how to get it."""

    exit_code = 3


class ContenderError(StackduelError):
    """A contender or the load tool failed."""

    exit_code = 4


class Interrupted(StackduelError):
    """SIGINT or SIGTERM: the partial run is kept."""

    exit_code = 130


def not_imported(error: BaseException) -> str:
    """Return the line on a module that this Python lacks, or has for another Python."""
    while isinstance(error.__context__, ImportError):
        error = error.__context__
    return (f"{sys.executable}: {error}: `sudo make deps` installs what /usr/bin/python3 needs; "
            "another Python needs the same modules of its own")


def internal_error() -> int:
    """Print the exception at hand, a fault of ours, and return an exit code that is no verdict."""
    traceback.print_exc()
    print("internal error: please report it, with the lines above", file=sys.stderr)
    return os.EX_SOFTWARE
