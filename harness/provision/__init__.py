# SPDX-License-Identifier: BSD-3-Clause
"""Make the wire, and undo it."""
