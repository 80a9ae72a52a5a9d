# SPDX-License-Identifier: BSD-3-Clause
"""This machine and others: the only package that runs commands or writes outside a run."""

from harness.host.dpdk import driver_folders, network_drivers
from harness.host.dry_run import DryRun
from harness.host.host import (
    NETNS_DIRECTORY, Host, Log, Process, Result, command, now, parse_cpu_list, stat_fields)
from harness.host.local import LocalHost, inside
from harness.host.pci import (
    DEVICES, INTERFACES, Nic, driver_of, emulated, find_nic, interface_of, network_devices)
from harness.host.ssh import RemoteProcess, SshHost, clear, connected
