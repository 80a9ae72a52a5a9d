# SPDX-License-Identifier: BSD-3-Clause
"""A NIC handed from its driver to DPDK and back."""
