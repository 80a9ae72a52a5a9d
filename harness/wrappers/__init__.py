# SPDX-License-Identifier: BSD-3-Clause
"""Programs that run as contenders or load tools."""
