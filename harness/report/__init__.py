# SPDX-License-Identifier: BSD-3-Clause
"""A summary to pages."""
