# SPDX-License-Identifier: BSD-3-Clause
"""Start the command line: `python3 -m harness`, as ./stackduel does.

Older Pythons than ours read this file too, and say that they are.
"""

import sys

from harness.errors import MachineError, internal_error, not_imported

OLDEST = (3, 11)

if __name__ == "__main__":
    try:
        if sys.version_info < OLDEST:
            raise MachineError("Python %d.%d or newer is needed; %s is %d.%d" % (
                *OLDEST, sys.executable, *sys.version_info[:2]))
        from harness.cli import start
    except (ImportError, MachineError) as error:
        line = not_imported(error) if isinstance(error, ImportError) else error
        print("stackduel: %s" % line, file=sys.stderr)
        sys.exit(MachineError.exit_code)
    except Exception:
        sys.exit(internal_error())
    start()
