# SPDX-License-Identifier: BSD-3-Clause
"""Say what this machine can run, and what is missing."""

from harness.doctor.machine import doctor as doctor
from harness.doctor.nic import candidates as candidates
from harness.doctor.nic import nic_doctor as nic_doctor
