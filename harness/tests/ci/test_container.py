# SPDX-License-Identifier: BSD-3-Clause
"""The container's files, and what ci/README.md says that it needs, against the table of needs."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from harness.plan import load_wire, wire_names
from harness.provision.needs import TABLE, parts
from harness.tests.provision.test_needs import BITS, confined, lacks

ROOT = Path(__file__).resolve().parents[3]
CONTAINERFILE = (ROOT / "ci/Containerfile").read_text()


def test_what_git_ignores_stays_out_of_the_image() -> None:
    """Above all a build of the machine outside."""
    ignored = {line.strip("/") for line in (ROOT / ".gitignore").read_text().split()}
    left_out = {line.removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().split()}
    assert {"build", "results/runs"} <= ignored == left_out


def test_what_is_copied_and_made_is_there() -> None:
    sources = re.findall(r"^COPY (\S+) ", CONTAINERFILE, re.M)
    assert "ci" in sources and all((ROOT / source).exists() for source in sources)
    targets = re.findall(r"make ([a-z]+)", CONTAINERFILE)
    assert {"deps", "all"} <= {*targets}
    for target in {*targets} - {"in"}:
        done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True)
        assert done.returncode == 0, target


def test_each_wire_s_row_has_the_capabilities_of_the_table() -> None:
    text = (ROOT / "ci/README.md").read_text()
    rows = re.findall(r"^\| ([a-z, -]+) \| ([A-Z_ ]*)\| (.*?) ?\|$", text, re.M)
    said = {wire: ({*words.split()}, more) for wires, words, more in rows
            for wire in wires.split(", ")}
    assert {*said} == {*wire_names()} and said.pop("nic") == (set(), "`--privileged`")
    for name, (capabilities, more) in said.items():
        wire = load_wire(name)
        # docker lets a process lock 8 MiB as a rule
        assert not lacks(confined(*BITS.keys() - capabilities, locked_kib=8192), wire), name
        for word in capabilities:
            assert lacks(confined(word, *BITS.keys() - capabilities, locked_kib=8192), wire), name
        rows = [TABLE[part] for part in parts(list(wire.contenders.values()), wire.port)]
        assert ("no user namespace" in more) == any(not row.own_user_namespace for row in rows)
        pages = re.search(r"(\d+) hugepages", more)
        assert not pages or int(pages[1]) == wire.hugepage_count, name
