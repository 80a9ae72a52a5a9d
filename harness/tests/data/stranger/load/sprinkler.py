# SPDX-License-Identifier: BSD-3-Clause
"""A load tool of a stranger: wrk under another name, for one workload."""

from harness.trial.load.wrk import Wrk


class Sprinkler(Wrk):
    name = "sprinkler"
    workloads = ("rps",)
    usual = False


TOOL = Sprinkler()
