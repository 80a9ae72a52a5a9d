# SPDX-License-Identifier: BSD-3-Clause
"""Tune the machine and its interfaces for a run, by level."""

from harness.provision.tuning.cpus import choose_client_cpus as choose_client_cpus
from harness.provision.tuning.cpus import choose_server_cpus as choose_server_cpus
from harness.provision.tuning.cpus import isolated_cpus as isolated_cpus
from harness.provision.tuning.cpus import node_cpus as node_cpus
from harness.provision.tuning.cpus import prefer_isolated as prefer_isolated
from harness.provision.tuning.cpus import smt_siblings as smt_siblings
from harness.provision.tuning.ethtool import Interface as Interface
from harness.provision.tuning.ethtool import Settings as Settings
from harness.provision.tuning.ethtool import Shown as Shown
from harness.provision.tuning.interface import tune_interface as tune_interface
from harness.provision.tuning.machine import LEVELS as LEVELS
from harness.provision.tuning.machine import Tuned as Tuned
from harness.provision.tuning.machine import hugepages_for as hugepages_for
from harness.provision.tuning.machine import machine_steps as machine_steps
from harness.provision.tuning.machine import pages as pages
from harness.provision.tuning.machine import results as results
from harness.provision.tuning.machine import tuned as tuned
from harness.provision.tuning.rps import Softirq as Softirq
from harness.provision.tuning.rps import targets as targets
