# SPDX-License-Identifier: BSD-3-Clause
"""What a reader meets first: the page's first screen, and the index of all runs."""
