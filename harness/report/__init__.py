# SPDX-License-Identifier: BSD-3-Clause
"""Make reports from a run's summary: pages, charts, tables, bundles, and what commands print."""

from harness.report.bundle import pack as pack
from harness.report.bundle import verify as verify
from harness.report.compare import write_comparison as write_comparison
from harness.report.format import command as command
from harness.report.format import connections as connections
from harness.report.format import counted as counted
from harness.report.format import listed as listed
from harness.report.papers import differences as differences
from harness.report.regression import gate_failures as gate_failures
from harness.report.regression import gate_page as gate_page
from harness.report.regression import noise_page as noise_page
from harness.report.regression import trend_page as trend_page
from harness.report.report import terminal_lines as terminal_lines
from harness.report.report import write_report as write_report
from harness.report.report import write_files as write_files
from harness.report.templates import macro as macro
