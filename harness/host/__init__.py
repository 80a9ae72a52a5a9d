# SPDX-License-Identifier: BSD-3-Clause
"""This machine and others: the only package that runs commands or writes outside a run."""

from harness.host.dry_run import DryRun as DryRun
from harness.host.host import NETNS_DIRECTORY as NETNS_DIRECTORY
from harness.host.host import Host as Host
from harness.host.host import Log as Log
from harness.host.host import Process as Process
from harness.host.host import Result as Result
from harness.host.host import command as command
from harness.host.host import now as now
from harness.host.host import parse_cpu_list as parse_cpu_list
from harness.host.host import stat_fields as stat_fields
from harness.host.local import LocalHost as LocalHost
from harness.host.local import inside as inside
from harness.host.pci import DEVICES as DEVICES
from harness.host.pci import INTERFACES as INTERFACES
from harness.host.pci import Nic as Nic
from harness.host.pci import driver_of as driver_of
from harness.host.pci import emulated as emulated
from harness.host.pci import find_nic as find_nic
from harness.host.pci import interface_of as interface_of
from harness.host.pci import network_devices as network_devices
from harness.host.ssh import RemoteProcess as RemoteProcess
from harness.host.ssh import SshHost as SshHost
from harness.host.ssh import clear as clear
from harness.host.ssh import connected as connected
