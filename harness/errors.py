# SPDX-License-Identifier: BSD-3-Clause
"""The ways a command can end other than well. One line to the user; the class carries the exit code."""


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
