# SPDX-License-Identifier: BSD-3-Clause
"""A machine over ssh, with an `ssh` on PATH that does on this machine what it is to do on another."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path
from typing import Iterator

import pytest

from harness.errors import MachineError, UsageError
from harness.host import LocalHost, Result
from harness.host import SshHost, clear, connected
from harness.plan.nic_request import IfClient, SshClients, SshTarget, parse_client
from harness.tests.fixtures.fake_host import FakeHost

HOST = LocalHost()
# says what it was called with; what is asked of `bad-…` fails as ssh does, and says the file of that name
SSH = """#!/bin/sh
printf '%s\\n' "$*" >> {here}/calls
case "$*" in *" bad-"*) cat {here}/said >&2; exit 255;; esac
for word; do last=$word; done
case " $* " in
    *" -W 192.0.2.2:1 "*) echo 'Stdio forwarding request failed: Session open refused by peer' >&2; exit 255;;
    *" -W 192.0.2.1:1 "*) echo 'channel 0: open failed: connect failed: Connection refused' >&2; exit 255;;
    *" -W "*) exec cat;;
esac
exec sh -c "$last"
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where the `ssh` and what it was called with are."""
    # a command line that has ended leaves it ignored, and so would all that is started here
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    ssh = tmp_path / "bin" / "ssh"
    ssh.parent.mkdir()
    ssh.write_text(SSH.format(here=tmp_path))
    ssh.chmod(0o755)
    monkeypatch.setenv("PATH", f"{ssh.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    yield tmp_path
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def site(here: Path) -> Iterator[SshHost]:
    with connected(HOST, [SshTarget("me@there", "eth7")]) as sites:
        yield sites[0]


def wait_for(path: Path, text: str) -> None:
    deadline = time.monotonic() + 30
    while not path.exists() or text not in path.read_text():
        assert time.monotonic() < deadline, f"{text!r} did not come"
        time.sleep(0.01)


@pytest.mark.parametrize("text, client", [
    ("if:eth1", IfClient("eth1")),
    ("ssh:me@there", SshClients((SshTarget("me@there"),))),
    ("ssh:alias,if=enp3s0", SshClients((SshTarget("alias", "enp3s0"),))),
    ("ssh:me@[2001:db8::7],if=eth0", SshClients((SshTarget("me@2001:db8::7", "eth0"),))),
    ("ssh:fe80::1%eth0", SshClients((SshTarget("fe80::1%eth0"),))),
    ("ssh:a; ssh:b@c,if=x;", SshClients((SshTarget("a"), SshTarget("b@c", "x"))))])
def test_a_client_is_an_interface_or_other_machines(text: str, client: object) -> None:
    assert parse_client(text) == client


@pytest.mark.parametrize("text, said", [
    ("", "names no client"), (";", "names no client"), ("eth1", "'eth1' is no client"),
    ("if:", "cannot name an interface"), ("if:a;ssh:b", "'if:a' must be the only client"),
    ("ssh:", "'' is not user@host"), ("ssh:-oX", "'-oX' is not user@host"),
    ("ssh:me@-oX", "is not user@host"), ("ssh:a b", "is not user@host"), ("ssh:a'b", "is not user@host"),
    ("ssh:a,mtu=9", "'mtu=9' is no option"), ("ssh:a,if=x,if=y", "'if=y' is no option"),
    ("ssh:a,if=this-name-is-too-long", "cannot name an interface"), ("ssh:a;ssh:a", "a stands there twice")])
def test_another_client_is_one_line(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        parse_client(text)
    assert "\n" not in str(caught.value) and str(caught.value).startswith("CLIENT")


def test_nothing_that_a_host_does_is_done_here_in_its_stead() -> None:
    assert not issubclass(SshHost, LocalHost)
    site = SshHost(FakeHost(), SshTarget("there"), "/nowhere")
    with pytest.raises(MachineError, match="^there is another machine"):
        site.unlink("/etc/passwd")
    with pytest.raises(MachineError, match="^there is another machine"):
        site.kill(1, 2)


def test_commands_go_there_word_by_word(here: Path, site: SshHost) -> None:
    assert site.run(["printf", "%s|", "a b", "'", "$HOME", '"']).stdout == "a b|'|$HOME|\"|"
    assert site.run(["sh", "-c", "exit 3"], check=False).code == 3
    with pytest.raises(MachineError, match=r"^`false` failed on me@there \(exit 1\)"):
        site.run(["false"])
    with pytest.raises(MachineError, match="^`sleep 9` did not end on me@there within 0.1 s; see that "):
        site.run(["sleep", "9"], timeout=0.1)
    calls = (here / "calls").read_text().splitlines()
    assert " -M " in calls[0] and all(" -M " not in call for call in calls[1:])
    sockets = {call.split(" -S ")[1].split()[0] for call in calls}
    assert len(sockets) == 1 and all("BatchMode=yes" in call and " -- me@there " in call for call in calls)


def test_its_directory_and_its_socket_go_with_it(here: Path) -> None:
    with connected(HOST, [SshTarget("one"), SshTarget("two")]) as (one, two):
        directories = [Path(one.directory), Path(two.directory)]
        assert all(each.is_dir() and each.stat().st_mode & 0o777 == 0o700 for each in directories)
        assert directories[0] != directories[1]
        local = {call.split(" -S ")[1].split()[0] for call in (here / "calls").read_text().splitlines()}
        assert len(local) == 2 and {Path(each).parent.stat().st_mode & 0o777 for each in local} == {0o700}
    assert not any(each.exists() for each in directories)
    assert not any(Path(each).parent.exists() for each in local)


def test_files_are_written_and_read_as_they_are(site: SshHost) -> None:
    text, path = "a\\nb\n\n\t'%d' \"x\" $y \\\\ \\", f"{site.directory}/file"
    site.write(path, text)
    assert site.read(path) == text
    assert site.exists(path) and not site.exists(f"{path}x")
    assert site.listing(site.directory) == ["file"] and site.listing(f"{path}x") == []
    with pytest.raises(MachineError, match="^cannot read .* on me@there: .*No such file"):
        site.read(f"{path}x")
    assert site.which("sh") and site.which("no-such-program") is None
    assert site.cpus() == HOST.cpus()
    assert site.link_counters(None)["lo"]["rx_packets"] == site.link_counters(None)["lo"]["tx_packets"]


def test_a_program_there_has_environment_and_cpus_and_can_be_stopped(here: Path, site: SshHost) -> None:
    out, err, cpu = here / "out", here / "err", HOST.cpus()[0]
    script = 'echo "$A"; grep Cpus_allowed_list /proc/self/status; echo warn >&2; exit 7'
    process = site.spawn(["sh", "-c", script], cpus=[cpu], stdout=out, stderr=err, env={"A": "x  'y'"})
    assert process.wait(60) == 7 and process.poll() == 7 and not process.lost
    assert out.read_text() == f"x  'y'\nCpus_allowed_list:\t{cpu}\n" and err.read_text() == "warn\n"
    assert site.spawn(["sleep", "60"], stdout=out, stderr=err).stop(60) == -signal.SIGTERM
    stubborn = site.spawn(["sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.05; done"], stdout=out, stderr=err)
    wait_for(out, "up")
    assert stubborn.stop(0.2) == -signal.SIGKILL


def test_a_program_there_ends_with_its_line(here: Path, site: SshHost) -> None:
    out = here / "out"
    process = site.spawn(["sh", "-c", "echo $$; exec sleep 60"], stdout=out, stderr=here / "err")
    wait_for(out, "\n")
    process.hang_up()
    assert not Path(f"/proc/{int(out.read_text())}").exists()


def test_a_poised_program_waits_for_its_word(here: Path, site: SshHost) -> None:
    out = here / "out"
    process = site.poise(["echo", "done"], cpus=(), stdout=out, stderr=here / "err", env={})
    wait_for(out, "POISED\n")
    time.sleep(0.1)
    assert out.read_text() == "POISED\n" and process.poll() is None
    process.go()
    assert process.wait(60) == 0 and out.read_text() == "POISED\ndone\n"


def test_a_connection_from_there_is_a_socket_here(site: SshHost) -> None:
    with site.connect(None, "192.0.2.1", 80, 5) as connection:
        connection.sendall(b"hello")
        assert connection.recv(100) == b"hello"
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b""
    refused = site.connect(None, "192.0.2.1", 1, 5)
    with refused, pytest.raises(OSError, match="^channel 0: open failed: connect failed: Connection refused$"):
        refused.recv(1)
    # the ssh that the others share has been told why
    Path(f"{site._control}.err").write_text("channel 3: open failed: administratively prohibited: open failed\n")
    forbidden = site.connect(None, "192.0.2.2", 1, 5)
    with forbidden, pytest.raises(OSError, match="prohibited: open failed; allow it there: AllowTcpForwarding in sshd"):
        forbidden.recv(1)
    silent = site.connect(None, "192.0.2.1", 80, 0.1)
    with silent, pytest.raises(TimeoutError):
        silent.recv(1)


@pytest.mark.parametrize("said, step", [
    ("Host key verification failed.", "once by hand"), ("x: Permission denied (publickey).", "ssh-copy-id bad-one"),
    ("ssh: Could not resolve hostname bad-one: Name or service not known", "mend the name"),
    ("ssh: connect to host bad-one port 22: Connection refused", "start sshd there"),
    ("ssh: connect to host bad-one port 22: Connection timed out", "see that it is on"),
    ("ssh: connect to host bad-one port 22: No route to host", "see that it is on"),
    ("something else", "ssh bad-one true` works"), ("", "it said nothing; see that")])
def test_every_failure_of_ssh_is_one_line_with_the_next_step(here: Path, said: str, step: str) -> None:
    (here / "said").write_text(f"Warning: first line\n{said}\n" if said else "")
    with pytest.raises(MachineError) as caught, connected(HOST, [SshTarget("bad-one")]):
        pass
    line = str(caught.value)
    assert line.startswith("client bad-one cannot be reached by ssh: ") and "\n" not in line
    assert step in line and said.removeprefix("ssh: ").rstrip(".") in line


def test_without_ssh_here_it_says_what_to_install() -> None:
    host = FakeHost()
    host.missing.add("ssh")
    with pytest.raises(MachineError, match="apt-get install openssh-client"), connected(host, [SshTarget("x")]):
        pass


def test_what_a_killed_run_left_is_cleared() -> None:
    host = FakeHost()
    host.directories |= {"/run/stackduel-ssh-11", "/run/stackduel-ssh-22", "/run/stackduel-ssh-x"}
    host.files |= {"/run/stackduel-ssh-11/0": "", "/run/stackduel-ssh-11/0.err": "", "/run/stackduel-ssh-22/0": ""}
    exists = host.exists
    host.exists = lambda path: str(path) == "/proc/22" or exists(path) and path != "/proc/11"  # type: ignore
    assert clear(host) == ["/run/stackduel-ssh-11"]
    assert "/run/stackduel-ssh-11" not in host.directories and "/run/stackduel-ssh-11/0.err" not in host.files
    assert {"/run/stackduel-ssh-22", "/run/stackduel-ssh-x"} < host.directories


def test_without_root_its_files_are_where_nobody_else_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    host = LocalHost()
    monkeypatch.setattr(host, "is_root", lambda: False)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    own = tmp_path / f"stackduel-{os.geteuid()}"
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    kept = elsewhere / "0"
    kept.touch()
    assert clear(host) == []
    assert own.stat().st_mode & 0o777 == 0o700
    (own / "stackduel-ssh-0").mkdir()
    assert clear(host) == [f"{own}/stackduel-ssh-0"]
    own.chmod(0o770)
    with pytest.raises(MachineError, match="not a directory for you alone"):
        clear(host)
    own.rmdir()
    own.symlink_to(elsewhere)
    with pytest.raises(MachineError, match="not a directory for you alone"):
        clear(host)
    assert kept.exists()


@pytest.mark.parametrize("arp, found", [
    ("192.0.2.9 0x1 0x2 aa:bb:cc:dd:ee:ff * eth7\n", "aa:bb:cc:dd:ee:ff"),
    ("192.0.2.9 0x1 0x0 00:00:00:00:00:00 * eth7\n", ""), ("192.0.2.99 0x1 0x2 aa:bb:cc:dd:ee:ff * eth7\n", "")])
def test_a_neighbour_there_is_of_its_table(site: SshHost, monkeypatch: pytest.MonkeyPatch, arp: str,
                                           found: object) -> None:
    monkeypatch.setattr(site, "run", lambda argv, **options: Result(0, f"IP address HW type Flags HW address Mask Device\n{arp}", ""))
    assert site.neighbour(None, "192.0.2.9") == found
