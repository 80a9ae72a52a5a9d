# SPDX-License-Identifier: BSD-3-Clause
"""This machine and others: the only package that runs commands or writes outside a run."""

from harness.host.confinement import (
    cpu_quota, has_capability, has_seccomp_filter, in_user_namespace, is_confined, is_read_only,
    most_locked_kib, room)
from harness.host.cpu import CYCLE_COUNTERS, DMI, cpu_model, fields, hypervisor, is_guest
from harness.host.dpdk import driver_folders, driver_folders_of, network_drivers
from harness.host.dry_run import DryRun
from harness.host.energy import Energy, energy, joules
from harness.host.host import (
    NETNS_DIRECTORY, Host, Log, Process, Result, command, now, parse_cpu_list, stat_fields)
from harness.host.local import LocalHost, inside
from harness.host.pci import (
    DEVICES, INTERFACES, Nic, driver_of, emulated, find_nic, interface_of, network_devices)
from harness.host.ssh import RemoteProcess, SshHost, clear, connected
