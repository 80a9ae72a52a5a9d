# SPDX-License-Identifier: BSD-3-Clause
"""The launcher on-lwip: what it hands to a program, and each refusal: one line, its exit code, no program run."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path
from typing import Iterator

import pytest

from harness.tests.system.conftest import ROOT

BUILD = ROOT / "build"
LAUNCHER = BUILD / "on-lwip"
LIBRARY = BUILD / "libstackduel_preload.so"
ADDRESS = ("--address", "198.18.0.2")
SEPARATOR = "\x1f"
NOBODY = 65534
GO_NOTE = r'''__asm__(".section .note.go.buildid,\"a\",@note\n.balign 4\n.long 4,4,4\n.ascii \"Go\\0\\0abcd\"\n.text");
int main(void) { return 0; }'''
ENDLESS = "void _start(void) { for (;;) { } }"


def run(*words: str | Path, launcher: str | Path = LAUNCHER, cwd: Path | None = None,
        env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([launcher, *words], cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True,
                          text=True, timeout=60, check=False)


def assert_refused(code: int, line: str, *words: str | Path, launcher: str | Path = LAUNCHER,
                   cwd: Path | None = None, env: dict[str, str] | None = None) -> None:
    """Exactly `line` and its newline, after the launcher's name, and nothing on stdout."""
    done = run(*words, launcher=launcher, cwd=cwd, env=env)
    assert (done.stderr, done.stdout, done.returncode) == (f"on-lwip: {line}\n", "", code)


def build(path: Path, source: str, *flags: str) -> Path:
    subprocess.run(["gcc", "-x", "c", "-", "-x", "none", "-o", path, *flags], input=source, text=True, check=True)
    return path


def script(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o755)
    return path


# --- what the program gets ---------------------------------------------------------------------------

def test_hands_on_arguments_and_settings() -> None:
    done = run(*ADDRESS, "--eal=--no-pci -l 1", "--", "sh", "-c", 'printf "%s\\n" "$0" "$@" "$LD_PRELOAD" '
               '"$STACKDUEL_PRELOAD"', "a b", "--", "--mtu", "")
    settings = SEPARATOR.join([*ADDRESS, "--eal=--no-pci -l 1"])
    assert done.stdout.split("\n") == ["a b", "--", "--mtu", "", str(LIBRARY), settings, ""]
    assert (done.stderr, done.returncode) == ("", 0)


def test_keeps_what_is_preloaded_already() -> None:
    for before, after in (("", str(LIBRARY)), ("libm.so.6", f"libm.so.6:{LIBRARY}"),
                          ("libm.so.6 libdl.so.2", f"libm.so.6 libdl.so.2:{LIBRARY}")):
        done = run(*ADDRESS, "--", "sh", "-c", "echo $LD_PRELOAD", env={**os.environ, "LD_PRELOAD": before})
        assert (done.stdout, done.stderr) == (after + "\n", "")


def test_the_library_is_in_the_program_and_in_what_it_starts() -> None:
    done = run(*ADDRESS, "--", "sh", "-c", f"grep -c {LIBRARY} /proc/$$/maps; exec grep -c {LIBRARY} /proc/self/maps")
    assert done.returncode == 0
    assert all(int(count) > 0 for count in done.stdout.split()) and len(done.stdout.split()) == 2


def test_same_process_and_exit_code() -> None:
    with subprocess.Popen([LAUNCHER, *ADDRESS, "--", "sh", "-c", "echo $$; exit 42"], stdout=subprocess.PIPE,
                          text=True) as process:
        assert process.stdout is not None
        assert int(process.stdout.readline()) == process.pid
    assert process.returncode == 42


def test_standard_input_is_the_programs() -> None:
    done = subprocess.run([LAUNCHER, *ADDRESS, "--", "cat"], input="text", text=True, capture_output=True,
                          check=False)
    assert (done.stdout, done.stderr) == ("text", "")


def test_no_descriptor_is_left_open() -> None:
    listing = ("--", "sh", "-c", "ls /proc/$$/fd")
    assert run(*ADDRESS, *listing).stdout == subprocess.run(
        ["sh", "-c", "ls /proc/$$/fd"], text=True, stdin=subprocess.DEVNULL, capture_output=True,
        check=True).stdout


def test_the_counters_file_is_where_the_launcher_was(tmp_path: Path) -> None:
    done = run(*ADDRESS, "--counters", "some.json", "--", "sh", "-c", 'cd /; echo "$STACKDUEL_PRELOAD"', cwd=tmp_path)
    assert done.stdout.rstrip("\n").split(SEPARATOR)[-2:] == ["--counters", f"{tmp_path}/some.json"]


@pytest.mark.parametrize("launcher", ["./on-lwip", "../build/on-lwip", "on-lwip", "link"])
def test_finds_its_library_however_it_was_called(launcher: str, tmp_path: Path) -> None:
    path = f"{BUILD}:{tmp_path}:{os.environ['PATH']}"
    (tmp_path / "link").symlink_to(LAUNCHER)
    done = run(*ADDRESS, "--", "sh", "-c", "echo $LD_PRELOAD", cwd=BUILD, env={**os.environ, "PATH": path},
               launcher=shutil.which(launcher, path=path) or launcher if "/" not in launcher else launcher)
    assert (done.stdout, done.stderr) == (f"{LIBRARY}\n", "")


def test_finds_the_program_as_a_shell_would(tmp_path: Path) -> None:
    script(tmp_path / "program", "#!/bin/sh -e\necho here $1\n")
    (tmp_path / "directory" / "program").mkdir(parents=True)
    for path in (":/usr/bin", "/usr/bin:", "/usr/bin::/bin", f"{tmp_path}", f"{tmp_path}/directory:.", ""):
        done = run(*ADDRESS, "--", "program", "x", cwd=tmp_path, env={"PATH": path})
        assert (done.stdout, done.stderr) == ("here x\n", ""), path
    assert run(*ADDRESS, "--", "./program", "y", cwd=tmp_path, env={"PATH": "/bin"}).stdout == "here y\n"
    assert run(*ADDRESS, "--", "sh", "-c", "echo z", env={}).stdout == "z\n"


def test_scripts(tmp_path: Path) -> None:
    assert run(*ADDRESS, "--", script(tmp_path / "a", "#!/usr/bin/env -S sh -e\necho $LD_PRELOAD")
               ).stdout == f"{LIBRARY}\n"
    assert run(*ADDRESS, "--", script(tmp_path / "b", "echo a shell\\'s")).stdout == "a shell's\n"


# --- help and options --------------------------------------------------------------------------------

def test_help() -> None:
    for words in (("--help",), (*ADDRESS, "--help", "--", "true"), ("--mtu", "1500", "--help")):
        done = run(*words)
        assert (done.stderr, done.returncode) == ("", 0)
        assert done.stdout.startswith("usage: on-lwip [option…] -- program [argument…]\n")
        assert max(map(len, done.stdout.splitlines())) <= 110
        for option in ("address", "netmask", "gateway", "mac", "mtu", "mbufs", "rx-descriptors", "tx-descriptors",
                       "no-offload", "eal", "sockets", "idle", "linger", "counters", "help"):
            assert f"\n  --{option} " in done.stdout
    assert run("--", "sh", "-c", "echo no", "--help").returncode == 2  # the program's, not ours


MISSING = "the program is missing: on-lwip [option…] -- program [argument…]"


@pytest.mark.parametrize("line, words", [
    (MISSING, ()), (MISSING, ("--",)), (MISSING, ADDRESS), (MISSING, (*ADDRESS, "--")), (MISSING, ("true",)),
    ("--address is required; see --help", ("--", "true")),
    ("--address: '1.2.3' is not an IPv4 address", ("--address", "1.2.3", "--", "true")),
    ("--mtu: '10' is not in 576..9000", (*ADDRESS, "--mtu=10", "--", "true")),
    ("--port: no such option; see --help", (*ADDRESS, "--port", "80", "--", "true")),
    ("true: no such option; see --help", (*ADDRESS, "true", "--", "true")),
    ("--eal: the value is missing", (*ADDRESS, "--eal", "--", "true")),
    ("--idle: 'nap' is neither poll nor sleep:1..1000000", (*ADDRESS, "--idle", "nap", "--", "true")),
    ("--linger: '1s' is not in 0..600000", (*ADDRESS, "--linger", "1s", "--", "true")),
    ("--sockets: '10.0.0.1/8': the address has bits outside the prefix",
     (*ADDRESS, "--sockets", "10.0.0.1/8", "--", "true")),
    ("--sockets: '': no IPv4 address where one is expected", (*ADDRESS, "--sockets", "", "--", "true")),
    ("--counters: '' is not a file", (*ADDRESS, "--counters", "", "--", "true")),
    ("the options cannot be handed on: Invalid argument", (*ADDRESS, "--counters", "/a\x1fb", "--", "true")),
])
def test_bad_options(line: str, words: tuple[str, ...]) -> None:
    assert_refused(2, line, *words)


# --- programs ----------------------------------------------------------------------------------------

def test_program_not_found(tmp_path: Path) -> None:
    assert_refused(127, "no-such-program: not found on PATH", *ADDRESS, "--", "no-such-program")
    assert_refused(127, "./none: No such file or directory", *ADDRESS, "--", "./none", cwd=tmp_path)
    assert_refused(127, ": No such file or directory", *ADDRESS, "--", "")
    script(tmp_path / "script", "#!/nonexistent/python -u\n")
    assert_refused(127, "./script: its interpreter /nonexistent/python: No such file or directory", *ADDRESS, "--",
                   "./script", cwd=tmp_path)
    build(tmp_path / "lost", "int main(void) { return 0; }", "-Wl,--dynamic-linker=/nonexistent/ld.so")
    assert_refused(127, "./lost: its loader /nonexistent/ld.so: No such file or directory", *ADDRESS, "--", "./lost",
                   cwd=tmp_path)


def test_program_not_executable(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    assert_refused(126, "./text: is not an executable file", *ADDRESS, "--", "./text", cwd=tmp_path)
    assert_refused(126, "text: is not an executable file", *ADDRESS, "--", "text", env={"PATH": str(tmp_path)})
    assert_refused(126, f"{tmp_path}: is not an executable file", *ADDRESS, "--", tmp_path)
    build(tmp_path / "object", "int x;", "-c")
    (tmp_path / "object").chmod(0o755)
    assert_refused(126, "./object: is no program", *ADDRESS, "--", "./object", cwd=tmp_path)


def test_programs_past_the_c_library(tmp_path: Path) -> None:
    build(tmp_path / "static", ENDLESS, "-nostdlib", "-static")
    assert_refused(3, "./static: is statically linked: no library can be preloaded", *ADDRESS, "--", "./static",
                   cwd=tmp_path)
    build(tmp_path / "go", GO_NOTE)
    assert_refused(3, "./go: is a Go program, which calls the kernel past the C library: its sockets cannot be lwIP's",
                   *ADDRESS, "--", "./go", cwd=tmp_path)
    script(tmp_path / "script", "#!./static\n")
    assert_refused(3, "./script: its interpreter ./static: is statically linked: no library can be preloaded",
                   *ADDRESS, "--", "./script", cwd=tmp_path)


def test_program_of_another_machine(tmp_path: Path) -> None:
    image = bytearray(Path(shutil.which("true") or "/bin/true").read_bytes())
    image[18:20] = (22).to_bytes(2, "little")  # e_machine: S/390
    (tmp_path / "other").write_bytes(image)
    (tmp_path / "other").chmod(0o755)
    assert_refused(3, "./other: is built for another kind of machine than the library", *ADDRESS, "--", "./other",
                   cwd=tmp_path)


def test_program_of_another_identity(tmp_path: Path) -> None:
    program = tmp_path / "program"
    shutil.copy(shutil.which("true") or "/bin/true", program)
    os.chown(program, NOBODY, -1)
    program.chmod(0o4755)
    if os.statvfs(tmp_path).f_flag & os.ST_NOSUID:
        pytest.skip("set bits are not heeded here")
    assert stat.S_IMODE(program.stat().st_mode) == 0o4755
    assert_refused(3, "./program: would run as another user or group or with capabilities: its loader then ignores "
                   "LD_PRELOAD", *ADDRESS, "--", "./program", cwd=tmp_path)
    os.chown(program, 0, 0)  # which takes the bit away
    program.chmod(0o4755)
    assert run(*ADDRESS, "--", program).returncode == 0  # root is root


# --- the library and EAL's words ---------------------------------------------------------------------

@pytest.fixture()
def alone(tmp_path: Path) -> Path:
    """A launcher without a library next to it."""
    shutil.copy(LAUNCHER, tmp_path)
    return tmp_path / "on-lwip"


def test_library_is_missing(alone: Path) -> None:
    assert_refused(3, f"{alone.parent / LIBRARY.name}: No such file or directory", *ADDRESS, "--", "true",
                   launcher=alone)


def test_library_for_another_dpdk(alone: Path) -> None:
    """As if DPDK's next version were installed, and this one's libraries gone."""
    library, needed = alone.parent / LIBRARY.name, alone.parent / "librte_eal.so.99"
    version = alone.parent / "version.map"
    version.write_text("DPDK_99 { f; };")
    build(needed, "int f(void) { return 1; }", "-shared", "-fPIC", f"-Wl,-soname,{needed.name}",
          f"-Wl,--version-script={version}")
    build(library, "int f(void); int g(void) { return f(); }", "-shared", "-fPIC", str(needed),
          f"-Wl,-rpath,{alone.parent}")
    assert run(*ADDRESS, "--", "true", launcher=alone).returncode == 0
    hint = "is it built for the DPDK that is installed?"
    version.write_text("DPDK_100 { f; };")
    build(needed, "int f(void) { return 1; }", "-shared", "-fPIC", f"-Wl,-soname,{needed.name}",
          f"-Wl,--version-script={version}")
    assert_refused(3, f"{library.name} does not load: ld.so: {needed}: version `DPDK_99' not found (required by "
                   f"{library}); {hint}", *ADDRESS, "--", "true", launcher=alone)
    needed.unlink()
    assert_refused(3, f"{library.name} does not load: {needed.name} => not found; {hint}", *ADDRESS, "--", "true",
                   launcher=alone)


def copied(directory: Path) -> Path:
    """Return a launcher, the library beside it, in a new directory."""
    directory.mkdir()
    for file in (LAUNCHER, LIBRARY):
        shutil.copy(file, directory)
    return directory / LAUNCHER.name


def test_library_where_the_loader_cannot_be_told_of_it(tmp_path: Path) -> None:
    launcher = copied(tmp_path / "a:b")
    assert_refused(3, f"{launcher.parent / LIBRARY.name}: the loader preloads from no path with a colon, or with a "
                   "space and a semicolon", *ADDRESS, "--", "true", launcher=launcher)


def test_library_in_a_directory_with_blanks(tmp_path: Path) -> None:
    launcher = copied(tmp_path / "a 'b' c")
    done = run(*ADDRESS, "--", "sh", "-c", "cat /proc/$$/maps; echo $LD_LIBRARY_PATH", launcher=launcher,
               env={**os.environ, "LD_LIBRARY_PATH": "/nowhere"})
    assert done.returncode == 0 and str(launcher.parent / LIBRARY.name) in done.stdout
    assert done.stdout.splitlines()[-1] == f"{launcher.parent}:/nowhere"


@pytest.fixture()
def listening(tmp_path: Path) -> Iterator[Path]:
    with socket.socket(socket.AF_UNIX) as owner:
        owner.bind(str(tmp_path / "s"))
        owner.listen()
        yield tmp_path / "s"


def test_sockets_of_the_wire(listening: Path, tmp_path: Path) -> None:
    """Told before the program runs: in one line that names the path."""
    for code, device in ((2, f"net_vhost0,iface={'x' * 200}"), (3, f"net_vhost0,iface={listening}"),
                         (3, f"net_virtio_user0,path={tmp_path}/none")):
        done = run(*ADDRESS, "--eal", f"--no-pci --vdev={device}", "--", "echo", "ran")
        assert (done.stdout, done.returncode) == ("", code)
        assert len(done.stderr.splitlines()) == 1 and device.split("=")[1][:40] in done.stderr
    done = run(*ADDRESS, "--eal", f"--vdev=net_virtio_user0,path={listening}", "--", "echo", "ran")
    assert (done.stdout, done.stderr) == ("ran\n", "")


THREADS = """
import os, select, signal, socket
listener = socket.create_server(("198.18.0.2", 80))
poll = select.epoll()
poll.register(listener)
poll.poll(0)
for thread in os.listdir("/proc/self/task"):
    if int(thread) != os.getpid():
        status = dict(line.split(":", 1) for line in open(f"/proc/self/task/{thread}/status"))
        print(status["Name"].strip(), int(status["SigBlk"], 16) >> (signal.SIGTERM - 1) & 1)
"""


def test_a_signal_goes_to_a_thread_of_the_programs(tmp_path: Path) -> None:
    """Else a wait that it should end would go on: the kernel may choose any thread that does not block it."""
    done = run(*ADDRESS, "--eal", f"--no-huge -m 128 --no-pci --vdev=net_vhost0,iface={tmp_path}/s", "--",
               "/usr/bin/python3", "-c", THREADS)
    threads = dict(line.split() for line in done.stdout.splitlines())
    assert {"eal-intr-thread", "vhost-events"} <= threads.keys(), done
    assert {*threads.values()} == {"1"}, threads
