# SPDX-License-Identifier: BSD-3-Clause
"""What to measure."""

from harness.plan.workload import expected_body as expected_body
