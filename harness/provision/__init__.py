# SPDX-License-Identifier: BSD-3-Clause
"""Make the wire on this machine, and leave the machine as it was found."""

from harness.provision.journal import DIRECTORY as DIRECTORY
from harness.provision.journal import left_behind as left_behind
from harness.provision.kernel_modules import missing as missing
from harness.provision.links import TUN as TUN
from harness.provision.links import VHOST as VHOST
from harness.provision.links import check as check_links
from harness.provision.links import socket_path as socket_path
from harness.provision.nic.driver import DEVBIND as DEVBIND
from harness.provision.nic.driver import Binding as Binding
from harness.provision.nic.driver import bind_command as bind_command
from harness.provision.nic.driver import choose_binding as choose_binding
from harness.provision.nic.driver import kernel_driver as kernel_driver
from harness.provision.nic.driver import pmd_of as pmd_of
from harness.provision.nic.in_use import USER_SPACE_DRIVERS as USER_SPACE_DRIVERS
from harness.provision.nic.in_use import uses as uses
from harness.provision.nic.steps import Use as Use
from harness.provision.provision import Provisioned as Provisioned
from harness.provision.provision import problems as problems
from harness.provision.provision import provisioned as provisioned
from harness.provision.provision import restore as restore
from harness.provision.step import Action as Action
from harness.provision.steps import PROGRAMS as PROGRAMS
from harness.provision.steps import ROOT as ROOT
from harness.provision.steps import built as built
from harness.provision.steps import has_program as has_program
from harness.provision.vhost import pin_worker as pin_worker
