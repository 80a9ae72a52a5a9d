# SPDX-License-Identifier: BSD-3-Clause
"""The client on another machine, over ssh: a namespace with the client's card, an sshd, and another way to the server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Callable, Iterator

import pytest

from harness.tests.vm.conftest import INSIDE

if INSIDE:
    from harness.host import LocalHost, Host
    from harness.host.pci import driver_of
    from harness.store.store import RESULTS
    from harness.tests.vm.forked import Forked, machine, running, until

NAME, PORT = "elsewhere", "2222"


def sh(text: str) -> None:
    done = subprocess.run(["sh", "-ec", text], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`client` is its name for ssh, and its card is eth9, with its address."""
    keys, port = tmp_path_factory.mktemp("keys"), os.environ["VM_CLIENT"]
    sh(f"""ip netns add {NAME}
           ip link add to-client type veth peer name eth8 netns {NAME}
           ip address add 10.9.0.1/30 dev to-client; ip link set to-client up
           ip link set {port} netns {NAME} name eth9
           ip -n {NAME} address add 10.9.0.2/30 dev eth8; ip -n {NAME} link set eth8 up
           ip -n {NAME} link set lo up; ip -n {NAME} link set eth9 up
           mkdir -p /run/sshd /root/.ssh; chmod 700 /root/.ssh
           rm -f /root/.bashrc  # what a login does here is the host's business, and may take long
           ssh-keygen -q -t ed25519 -N '' -f {keys}/host; ssh-keygen -q -t ed25519 -N '' -f {keys}/user
           cp {keys}/user.pub {keys}/authorized
           printf 'Host client\\n HostName 10.9.0.2\\n Port {PORT}\\n IdentityFile {keys}/user\\n UserKnownHostsFile {keys}/known\\n' \\
               > /root/.ssh/config
           printf '[10.9.0.2]:{PORT} %s\\n' "$(cut -d' ' -f1,2 {keys}/host.pub)" > {keys}/known""")
    sshd = subprocess.Popen(["ip", "netns", "exec", NAME, "/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", "-p", PORT,
                             "-h", f"{keys}/host", "-o", f"AuthorizedKeysFile={keys}/authorized", "-o", "UsePAM=no",
                             "-o", "StrictModes=no", "-o", "PidFile=none"], stderr=(keys / "log").open("w"))
    try:
        until("ssh answers", lambda: subprocess.run(["ssh", "-o", "BatchMode=yes", "client", "true"],
                                                    capture_output=True).returncode == 0)
        yield "ssh:client,if=eth9"
    finally:
        sshd.terminate()
        sshd.wait()
        sh(f"""ip -n {NAME} link set eth9 down; ip -n {NAME} link set eth9 netns 1 name {port}
               ip netns del {NAME}; rm -f /root/.ssh/config""")


@pytest.fixture
def run(tmp_path: Path, nic: str, elsewhere: str) -> Callable[..., "Forked"]:
    def start(*words: str) -> "Forked":
        short = ("ROUNDS=1", "CONNECTIONS=4", "WARMUP=0", "CONTENDERS=epoll,lwip")
        settings = [each for word in (*short, *words) for each in ("--set", word)]
        return Forked(tmp_path, "bench", "--wire", "nic", "--plan", "quick", "--nic", nic, "--client", elsewhere, *settings)
    return start


def test_a_client_without_an_address_is_told_how_to_get_one(run: Callable[..., "Forked"]) -> None:
    before = machine()
    lost = run("DURATION=1")
    assert lost.wait() == 3
    assert len(lost.said) == 1 and "client has no address in 198.18.0.0/24" in lost.said[0]
    assert "ip address add 198.18.0.1/24 dev eth9" in lost.said[0]
    assert machine() == before


def test_both_contenders_are_loaded_from_there(run: Callable[..., "Forked"]) -> None:
    sh(f"ip -n {NAME} address add 198.18.0.1/24 dev eth9")
    before, there = machine(), set(os.listdir(RESULTS / "runs"))
    done = run("DURATION=2")
    assert done.wait() == 0, done.said
    assert machine() == before
    [id_] = set(os.listdir(RESULTS / "runs")) - there
    trials = [json.loads(line) for line in (RESULTS / "runs" / id_ / "trials.jsonl").read_text().splitlines()]
    assert [(trial["contender"], trial.get("problems")) for trial in trials] == [("epoll", None), ("lwip", None)]
    assert all(set(trial["clients"]) == {"client"} and trial["requests"] > 0 for trial in trials)
    facts = json.loads((RESULTS / "runs" / id_ / "facts.json").read_text())
    assert facts["nic"]["client"][0]["interface"] == "eth9" and facts["clients"]["client"]["wrk"]
    assert facts["nic"]["binding"]["dpdk"] == "vfio-pci"


def test_killed_while_the_other_machine_loads(run: Callable[..., "Forked"], nic: str, tmp_path: Path) -> None:
    before = machine()
    killed = run("CONTENDERS=lwip", "DURATION=60")
    killed.under_load("lwip_server")
    assert driver_of(LocalHost(), nic) == "vfio-pci"
    os.kill(killed.pid, signal.SIGKILL)
    os.waitpid(killed.pid, 0)
    until("the far wrk has ended with its line", lambda: not running("wrk"), 30)
    undoing = Forked(tmp_path, "restore")
    assert undoing.wait() == 0, undoing.said
    assert machine() == before
