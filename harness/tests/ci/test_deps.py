# SPDX-License-Identifier: BSD-3-Clause
"""ci/deps.sh on machines made of stubs: what is found counts, wherever it came from; nothing is installed here."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
DEPS = ROOT / "ci/deps.sh"
USED = ("sh", "sed", "grep", "tr", "dirname", "cat", "rm", "chmod", "sort")
ROWS = [line.split(None, 4) for line in (ROOT / "ci/packages.txt").read_text().splitlines() if not line.startswith("#")]
APART = ("vm", "aarch64")
PACKAGES = [name for name, kind, *_ in ROWS if kind not in APART]
VM_PACKAGES = [name for name, kind, *_ in ROWS if kind == "vm"]
FEDORA = {name: name if fedora == "=" else fedora for name, _, _, fedora, _ in ROWS}


class Machine:
    """A PATH of its own: USED, a pkg-config and a python3 that know what `has` gave them, and the programs of it."""

    def __init__(self, at: Path) -> None:
        self.at, self.bin, self.libraries = at, at / "bin", at / "lib"
        self.bin.mkdir()
        self.libraries.mkdir()
        for name in USED:
            found = shutil.which(name)
            assert found is not None
            (self.bin / name).symlink_to(found)

    def program(self, name: str, script: str = "") -> None:
        (self.bin / name).write_text(f"#!/bin/sh\n{script}\n")
        (self.bin / name).chmod(0o755)

    def has(self, *ways: str) -> Machine:
        """What these ways of packages.txt look for is there, by their first "|"."""
        for way in ways:
            how, _, names = way.split("|")[0].partition(":")
            for name in names.split(","):
                if how == "bin" and name not in USED:
                    self.program(name)
                elif how in ("pc", "py"):
                    (self.at / f"{how}-{name}").touch()
                elif how == "pmd":
                    (self.libraries / "dpdk-pmds").mkdir(exist_ok=True)
                    (self.libraries / "dpdk-pmds" / f"librte_{name}.so.24").touch()
        pkg_config = (f'case $1 in --variable=*) [ -e {self.at}/pc-$2 ] && echo {self.libraries};; '
                      f'--exists) [ -e {self.at}/pc-$2 ];; esac')
        self.program("pkg-config", pkg_config)
        self.program("aarch64-linux-gnu-pkg-config", pkg_config)
        self.program("python3", f'shift 2; for name; do [ -e {self.at}/py-$name ] && printf "%s " $name; done; :')
        return self

    def deps(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(DEPS), "packages", *words], capture_output=True, text=True, env={
            "PATH": str(self.bin), "SBIN": "", "PYTHON": str(self.bin / "python3")})


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def ways(*kinds: str, but: tuple[str, ...] = ()) -> list[str]:
    return [how for name, kind, how, *_ in ROWS if kind in (kinds or ("build", "run", "test")) and name not in but]


def test_nothing_is_done_when_all_is_there(machine: Machine) -> None:
    machine.has(*ways()).program("apt-get", "exit 9")
    done = machine.deps()
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_there_counts_without_any_package_tool(machine: Machine) -> None:
    """As on Fedora, where dpkg-query and apt-get are not, and on a machine where all was built by hand."""
    assert not (machine.bin / "dpkg-query").exists()
    done = machine.has(*ways()).deps()
    assert (done.returncode, done.stderr) == (0, "")


def test_without_apt_the_list_is_printed_with_how_each_is_told_and_it_ends_with_3(machine: Machine) -> None:
    done = machine.has().deps()
    assert done.returncode == 3
    line = done.stderr.splitlines()[-1]
    assert line.startswith("deps: no apt-get here") and "dpdk-devel (pc:libdpdk)" in line
    assert [name for name, kind, how, *_ in ROWS if kind not in APART and FEDORA[name] not in ("-", *line.split())
            and "file:" not in how and name not in ("pkg-config", "python3")] == []


def test_with_dnf_its_own_names_are_the_advice(machine: Machine) -> None:
    machine.has(*ways(but=("libdpdk-dev", "redis-server", "redis-tools"))).program("dnf", "exit 9")
    done = machine.deps()
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        3, "deps: not found here: run 'sudo dnf install dpdk-devel valkey-compat-redis '")


def test_of_several_ways_one_is_enough(machine: Machine) -> None:
    """llhttp is a library where a release packages one, and C source on Debian 12: a file outside this machine's PATH."""
    either = next(how for how in ways() if how.startswith("pc:libllhttp|file:"))
    done = machine.has(*(how for how in ways() if how != either)).deps()
    there = Path(either.partition("|file:")[2]).exists()
    assert (done.returncode, "llhttp-devel" in done.stderr) == ((0, False) if there else (3, True))


def test_of_a_way_with_several_all_must_be_there(machine: Machine) -> None:
    machine.has(*ways()).program("apt-get", "exit 9")
    machine.program("id", "echo 1000")
    (machine.libraries / "dpdk-pmds" / "librte_net_af_xdp.so.24").unlink()
    (machine.bin / "redis-cli").unlink()
    done = machine.deps()
    assert done.returncode == 3 and done.stderr.splitlines()[0] == "missing packages: librte-meta-net redis-tools "


def test_the_drivers_folder_of_debian_is_known_too(machine: Machine) -> None:
    machine.has(*ways()).program("apt-get", "exit 9")
    (machine.libraries / "dpdk").mkdir()
    (machine.libraries / "dpdk-pmds").rename(machine.libraries / "dpdk" / "pmds-23.0")
    done = machine.deps()
    assert (done.returncode, done.stderr) == (0, "")


def test_without_root_the_list_is_printed_and_it_ends_with_3(machine: Machine) -> None:
    machine.has(*ways(but=("wrk",))).program("apt-get", "exit 9")
    machine.program("id", "echo 1000")
    done = machine.deps()
    assert done.returncode == 3
    assert done.stderr.splitlines()[0] == "missing packages: wrk "
    assert "sudo apt-get install --no-install-recommends wrk" in done.stderr


def installs(machine: Machine, *programs: str) -> Path:
    """An apt-get that says what it was asked for, and brings these programs."""
    asked = machine.at / "asked"
    machine.program("id", "echo 0")
    brings = "".join(f"echo > {machine.bin / name}; chmod +x {machine.bin / name}; " for name in programs)
    machine.program("apt-get", f'echo "$@" >> {asked}; {brings}')
    return asked


def test_as_root_exactly_what_is_missing_is_installed(machine: Machine) -> None:
    machine.has(*ways(but=("wrk", "nghttp2-client")))
    asked = installs(machine, "wrk", "h2load")
    done = machine.deps()
    assert done.returncode == 0
    assert asked.read_text().splitlines() == ["update -q", "install -y -q --no-install-recommends nghttp2-client wrk"]


def test_what_apt_installed_and_is_not_found_all_the_same_ends_with_3(machine: Machine) -> None:
    """As Python's modules are not, where PYTHON= names another Python than the distribution's."""
    installs(machine.has(*ways(but=("python3-scipy",))))
    done = machine.deps()
    assert (done.returncode, done.stderr.splitlines()[-1]) == (
        3, "deps: installed, and yet not found: python3-scipy py:scipy ")


def test_what_apt_cannot_install_ends_with_3(machine: Machine) -> None:
    machine.has().program("id", "echo 0")
    machine.program("apt-get", '[ "$1" = update ]')
    done = machine.deps()
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1].startswith("deps: apt-get could not install")


def test_what_the_virtual_machine_needs_is_installed_only_when_asked_for(machine: Machine) -> None:
    asked = installs(machine.has())
    machine.deps()
    assert "wrk" in asked.read_text().split() and not set(VM_PACKAGES) & set(asked.read_text().split())


def test_asked_for_it_is_installed_and_nothing_else(machine: Machine) -> None:
    asked = installs(machine.has(), "busybox", "qemu-system-x86_64", "zstd")
    done = machine.deps("vm")
    assert done.returncode == 0
    assert asked.read_text().splitlines()[1] == f"install -y -q --no-install-recommends {' '.join(sorted(VM_PACKAGES))}"
    assert "qemu-system-x86" in VM_PACKAGES


def test_each_library_of_the_build_is_wanted_for_aarch64_too(machine: Machine) -> None:
    machine.has().program("id", "echo 1000")
    machine.program("apt-get", "exit 9")
    done = machine.deps("aarch64")
    wanted = done.stderr.splitlines()[0].split()
    assert done.returncode == 3 and {"libdpdk-dev:arm64", "libllhttp-dev:arm64", "libcmocka-dev:arm64", "qemu-user", "meson",
                                     "gcc-aarch64-linux-gnu"} < set(wanted)
    assert not {"gcc", "wrk", "libdpdk-dev", "python3-scipy"} & set(wanted)


def test_libraries_for_aarch64_never_take_the_place_of_the_machines_own(machine: Machine) -> None:
    machine.has("pc:libdpdk", "pc:libelf").program("dpkg", f"touch {machine.at}/added")
    asked = installs(machine)
    done = machine.deps("aarch64")
    assert done.returncode == 3 and "would take the place of this machine's libdpdk-dev" in done.stderr
    assert not asked.exists() and not (machine.at / "added").exists()


def test_without_root_the_command_to_repeat_is_the_one_that_was_given(machine: Machine) -> None:
    machine.has().program("apt-get", "exit 9")
    machine.program("id", "echo 1000")
    done = machine.deps("vm")
    assert done.returncode == 3
    assert "run 'sudo ci/deps.sh packages vm'" in done.stderr


def test_every_row_has_a_kind_and_a_way_to_find_it() -> None:
    way = re.compile(r"(bin|pc|py|pmd|file):[^|:]+(\|(bin|pc|py|pmd|file):[^|:]+)*")
    assert {kind for _, kind, *_ in ROWS} == {"build", "run", "test", *APART}
    assert [name for name, _, how, *_ in ROWS if not way.fullmatch(how)] == []


@pytest.mark.parametrize("words", [("frob",), ("packages", "frob")])
def test_unknown_words_end_with_2(words: tuple[str, ...]) -> None:
    done = subprocess.run([str(DEPS), *words], capture_output=True, text=True)
    assert done.returncode == 2


@pytest.mark.parametrize("package", ["libdpdk-dev", "libllhttp-dev|node-llhttp", "wrk", "python3-matplotlib"])
def test_the_list_names_what_the_project_stands_on(package: str) -> None:
    assert package in PACKAGES
