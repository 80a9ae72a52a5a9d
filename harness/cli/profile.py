# SPDX-License-Identifier: BSD-3-Clause
"""`profile`: profile contenders, or take a profile that there is, and write and print its page."""

from __future__ import annotations

import sys
from pathlib import Path

from harness.errors import CheckFailed
from harness.host import Host
from harness.report import note_text, profile_lines, profile_page, write_files
from harness.run import RunRequest, profile
from harness.store import OUT, RESULTS, give_to_user, load_profile


def show_profile(request: RunRequest, name: str, host: Host, results: Path = RESULTS,
                 out: Path = OUT) -> None:
    """Profile, or read the profile `name`, and show it. CheckFailed where answers were wrong."""
    id_ = name or profile(request, host, lambda line: print(line, file=sys.stderr, flush=True),
                          results).id
    found, facts = load_profile(id_, results)
    place = out / found.id
    files = write_files(place, profile_page(found, facts))
    give_to_user(place)
    print("\n".join([*profile_lines(found), *(str(file) for file in files
                                              if file.suffix in (".html", ".md"))]))
    if wrong := [f"{item.contender}: {'; '.join(map(note_text, item.load.problems))}"
                 for item in found.contenders if item.load.problems]:
        raise CheckFailed("; ".join(wrong))
