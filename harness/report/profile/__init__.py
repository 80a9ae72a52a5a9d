# SPDX-License-Identifier: BSD-3-Clause
"""Make the page of a profile: bars of cycles a request by layer, and a flame graph each."""

from harness.report.profile.page import profile_lines, profile_page
