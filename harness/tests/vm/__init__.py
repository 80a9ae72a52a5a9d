# SPDX-License-Identifier: BSD-3-Clause
"""Tests on the real machine: namespaces, links, servers, wrk. They need root and skip without it."""
