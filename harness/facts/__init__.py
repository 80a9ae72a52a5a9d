# SPDX-License-Identifier: BSD-3-Clause
"""Read what a reader must know of the machine, once a run."""

from harness.facts.facts import gather, of_machine
