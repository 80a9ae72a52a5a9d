# SPDX-License-Identifier: BSD-3-Clause
"""Tune the machine and its interfaces for a run, by level."""

from harness.provision.tuning.cpus import (
    choose_client_cpus, choose_server_cpus, isolated_cpus, node_cpus, smt_siblings)
from harness.provision.tuning.ethtool import Interface, Settings, Shown
from harness.provision.tuning.interface import tune_interface
from harness.provision.tuning.machine import (
    LEVELS, Tuned, free_pages, hugepages_for, machine_steps, page_name, pages, results, tuned)
from harness.provision.tuning.rps import SOFTIRQ, Softirq, targets
