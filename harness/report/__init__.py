# SPDX-License-Identifier: BSD-3-Clause
"""Make reports from a run's summary: pages, charts, tables, bundles, and what commands print."""

from harness.report.bundle import pack, verify
from harness.report.compare import write_comparison
from harness.report.page.conformance import conformance_lines
from harness.report.export import FORMATS, export
from harness.report.format import command, connections, counted, listed
from harness.report.page.index import index_page
from harness.report.papers import differences
from harness.report.profile import profile_lines, profile_page
from harness.report.regression import (
    gate_failures, gate_page, interleaved_failures, interleaved_page, noise_page, trend_page)
from harness.report.report import loaded, terminal_lines, write_files, write_report
from harness.report.templates import macro, note_text
