# SPDX-License-Identifier: BSD-3-Clause
"""stackduel: user-space TCP against kernel TCP, measured fairly."""
