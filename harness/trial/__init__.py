# SPDX-License-Identifier: BSD-3-Clause
"""One trial to its record."""
