# SPDX-License-Identifier: BSD-3-Clause
"""The typed gate, noise and trend, until everything reads them."""
