# SPDX-License-Identifier: BSD-3-Clause
"""The machine, once a run."""
