# SPDX-License-Identifier: BSD-3-Clause
"""Load tools, one file each."""
