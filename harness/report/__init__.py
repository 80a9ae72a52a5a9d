# SPDX-License-Identifier: BSD-3-Clause
"""Make reports from a run's summary: pages, charts, tables, bundles, and what commands print."""

from harness.report.bundle import pack as pack
from harness.report.bundle import verify as verify
from harness.report.compare import write as write_comparison
from harness.report.papers import differences as differences
from harness.report.report import write as write_report
from harness.report.report import terminal_lines as terminal_lines
from harness.report.templates import macro as macro
