# SPDX-License-Identifier: BSD-3-Clause
"""Make the wire on this machine, and leave the machine as it was found."""

from harness.provision.fd_limit import allow_files, most_files, needed_files
from harness.provision.journal import DIRECTORY, left_behind
from harness.provision.kernel_modules import missing
from harness.provision.links import TUN, VHOST, socket_path
from harness.provision.nic.driver import (
    DEVBIND, bind_command, choose_binding, kernel_driver, pmd_of)
from harness.provision.nic.in_use import USER_SPACE_DRIVERS, uses
from harness.provision.nic.steps import Use
from harness.provision.provision import Inspect, Provisioned, problems, provisioned, restore
from harness.provision.resolve import (
    cost_of_turns, nic_pair, planned_use, reached, requested, resolve, usable_cpus, with_cpus,
    with_tap)
from harness.provision.resolved_wire import NicPair, ResolvedWire, resolved
from harness.provision.step import Action
from harness.provision.steps import PROGRAMS, ROOT, Hugepages, built, has_program
from harness.provision.tuning import Interface, Shown
from harness.provision.vhost import pin_worker
