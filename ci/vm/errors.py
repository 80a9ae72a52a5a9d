# SPDX-License-Identifier: BSD-3-Clause
"""The ways the virtual test bed can end other than with the inner command's own exit code. One line to the user.
Knows nothing of machines.
"""

from __future__ import annotations


class BedError(Exception):
    """Base: `str(error)` is one line saying what failed, where, and what to do next."""

    exit_code = 125


class UsageError(BedError):
    """Bad usage: an option, a model's name."""

    exit_code = 2


class MachineError(BedError):
    """This machine cannot; says what is missing and how to get it."""

    exit_code = 3


class LimitStruck(BedError):
    """The hard time limit ended the machine."""

    exit_code = 124


class GuestDied(BedError):
    """The machine ended, and the command in it did not."""

    exit_code = 125
