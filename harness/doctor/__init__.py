# SPDX-License-Identifier: BSD-3-Clause
"""Say what this machine can run, and what is missing."""

from harness.doctor.machine import doctor
from harness.doctor.nic import candidates, nic_doctor
