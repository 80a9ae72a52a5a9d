# SPDX-License-Identifier: BSD-3-Clause
"""The cases, a file a subject: each file here is read (case.all_cases())."""
