# SPDX-License-Identifier: BSD-3-Clause
"""How the machine is set for a run."""
