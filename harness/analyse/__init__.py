# SPDX-License-Identifier: BSD-3-Clause
"""Records to a summary."""
