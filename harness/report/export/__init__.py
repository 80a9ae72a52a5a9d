# SPDX-License-Identifier: BSD-3-Clause
"""Write a run's figures for other tools, a format each."""

from harness.report.export.formats import FORMATS, export
