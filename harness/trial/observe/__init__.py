# SPDX-License-Identifier: BSD-3-Clause
"""What is observed beside a trial."""
