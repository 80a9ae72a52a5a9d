# SPDX-License-Identifier: BSD-3-Clause
"""Start the command line: `python3 -m harness`, as ./stackduel does."""

from harness.cli import start

if __name__ == "__main__":
    start()
