# SPDX-License-Identifier: BSD-3-Clause
"""The host's side of the virtual test bed, without QEMU: a script takes its place where one is run."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

import pytest

from ci.vm import accelerator, bed, boots, devices, initramfs, kernel, qemu, share, vm
from ci.vm.errors import GuestDied, LimitStruck, MachineError, UsageError
from ci.vm.monitor import Control, Monitor

ROOT = Path(__file__).resolve().parents[3]
ELF = b"\x7fELF" + bytes(range(256)) * 40


def image(payload: bytes, protocol: int = 0x20F) -> bytes:
    """A bzImage of two setup sectors whose payload begins 100 bytes into the rest."""
    setup = bytearray(3 * 512)
    setup[0x1F1] = 2
    setup[0x202:0x208] = b"HdrS" + struct.pack("<H", protocol)
    struct.pack_into("<II", setup, 0x248, 100, len(payload))
    return bytes(setup) + b"\0" * 100 + payload + b"trailer"


# --- the kernel

@pytest.mark.parametrize("pack", [
    lambda elf: lzma.compress(elf, lzma.FORMAT_XZ, filters=[{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2}]),
    lambda elf: lzma.compress(elf, lzma.FORMAT_ALONE), gzip.compress, bytes])
def test_vmlinux_comes_out_of_a_kernel_image(pack: Callable[[bytes], bytes]) -> None:
    packed = pack(ELF) + struct.pack("<I", len(ELF))  # the kernel's build appends the length
    assert kernel.vmlinux_of(image(packed))[:len(ELF)] == ELF


@pytest.mark.skipif(shutil.which("zstd") is None, reason="no zstd")
def test_vmlinux_comes_out_of_a_kernel_image_of_zstd() -> None:
    packed = subprocess.run(["zstd", "-q", "-c"], input=ELF, capture_output=True, check=True).stdout
    assert kernel.vmlinux_of(image(packed + struct.pack("<I", len(ELF)))) == ELF


def test_a_kernel_of_zstd_without_zstd_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(MachineError, match="ci/deps.sh packages vm"):
        kernel.vmlinux_of(image(b"\x28\xb5\x2f\xfd"))


@pytest.mark.parametrize("wrong", [b"", b"x" * 4096, image(b"\x02!L\x18whatever"), image(gzip.compress(b"no elf")),
                                   image(gzip.compress(ELF), protocol=0x207), image(b"\xfd7zXZ\0damaged")],
                         ids=["nothing", "text", "lz4", "no-elf", "old-protocol", "damaged"])
def test_what_is_no_kernel_image_is_refused(wrong: bytes) -> None:
    with pytest.raises(MachineError):
        kernel.vmlinux_of(wrong)


def test_a_kernel_is_fetched_once(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory,
                                  monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[str] = []

    def tool(what: str, *argv: str, cwd: Path | None = None) -> None:
        if argv[0] == "apt-get":
            assert cwd is not None
            fetched.append(argv[-1])
            (cwd / "linux.deb").touch()
        elif argv[0] == "dpkg-deb":
            (Path(argv[-1]) / "boot").mkdir(parents=True)
            (Path(argv[-1]) / "boot/vmlinuz-6.1.0-9-amd64").write_bytes(image(gzip.compress(ELF)))
            (Path(argv[-1]) / "lib/modules/6.1.0-9-amd64").mkdir(parents=True)
    monkeypatch.setattr(kernel, "_run", tool)
    monkeypatch.setattr(kernel, "LISTS", tmp_path_factory.mktemp("apt") / "lists")
    monkeypatch.setattr(kernel, "candidate", lambda: ("linux-image-6.1.0-9-amd64", "6.1.9-1"))
    first = kernel.kernel(tmp_path, lambda line: None)
    assert first == kernel.kernel(tmp_path, lambda line: None)
    assert fetched == ["linux-image-6.1.0-9-amd64=6.1.9-1"]
    assert (first.release, first.vmlinux.read_bytes()) == ("6.1.0-9-amd64", ELF)
    assert first.modules.is_dir()

    monkeypatch.setattr(kernel, "candidate", lambda: ("linux-image-6.1.0-9-amd64", "6.1.9-2"))
    assert kernel.kernel(tmp_path, lambda line: None).version == "6.1.9-1"  # apt has learned nothing since
    monkeypatch.setattr(kernel, "LISTS", learned := tmp_path_factory.mktemp("learned"))
    os.utime(learned, (time.time() + 100, time.time() + 100))
    assert kernel.kernel(tmp_path, lambda line: None).version == "6.1.9-2"
    assert os.listdir(tmp_path) == ["6.1.9-2"]
    monkeypatch.setattr(kernel, "candidate", lambda: ("", ""))
    assert kernel.kernel(tmp_path, lambda line: None).version == "6.1.9-2"


def test_without_a_kernel_it_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "candidate", lambda: ("", ""))
    with pytest.raises(MachineError, match="apt-get update"):
        kernel.kernel(tmp_path, lambda line: None)


# --- the initramfs

def test_modules_are_loaded_after_what_they_stand_on() -> None:
    dependencies = ("kernel/a/virtio_ring.ko:\nkernel/a/virtio.ko: kernel/a/virtio_ring.ko\n"
                    "kernel/b/virtio-pci.ko: kernel/a/virtio.ko kernel/a/virtio_ring.ko\n"
                    "kernel/c/9p.ko.xz: kernel/a/virtio.ko kernel/a/virtio_ring.ko\n")
    order = initramfs.load_order(dependencies, "kernel/d/overlay.ko\n", ["virtio_pci", "9p", "overlay"])
    assert order == ["kernel/a/virtio_ring.ko", "kernel/a/virtio.ko", "kernel/b/virtio-pci.ko", "kernel/c/9p.ko.xz"]
    with pytest.raises(MachineError, match="no module overlay"):
        initramfs.load_order(dependencies, "", ["overlay"])


def unpack(archive: bytes) -> dict[str, tuple[int, bytes]]:
    """name: (mode, data) of a newc archive."""
    found, at = {}, 0
    while at < len(archive):
        assert archive[at:at + 6] == b"070701"
        fields = [int(archive[at + 6 + 8 * k:at + 14 + 8 * k], 16) for k in range(13)]
        name = archive[at + 110:at + 110 + fields[11] - 1].decode()
        data = (at + 110 + fields[11] + 3) // 4 * 4
        found[name] = (fields[1], archive[data:data + fields[6]])
        at = (data + fields[6] + 3) // 4 * 4
    return found


def test_the_archive_holds_what_was_put_in() -> None:
    entries = [("bin", 0o040755, b"", (0, 0)), ("init", 0o100755, b"#!/bin/sh\n", (0, 0)),
               ("dev/console", 0o020600, b"", (5, 1))]
    assert unpack(initramfs.newc(entries)) == {**{name: (mode, data) for name, mode, data, _ in entries},
                                               "TRAILER!!!": (0, b"")}


def test_the_guest_s_scripts_are_shell() -> None:
    for script in (ROOT / "ci/vm/guest").iterdir():
        assert subprocess.run(["sh", "-n", str(script)]).returncode == 0


# --- cards and command line

@pytest.mark.parametrize("model", devices.MODELS)
def test_the_card_under_test_is_behind_a_root_port_and_on_the_client_s_cable(model: str) -> None:
    made = devices.devices(model)
    server = made.named("server")
    assert server["bus"] == "port1" and any(device.get("id") == "port1" for device in made.devices)
    netdevs = {netdev["id"]: netdev for netdev in made.netdevs}
    client_end, server_end = netdevs["net-client"], netdevs[made.named("server")["netdev"]]
    if made.taps:
        assert {client_end["ifname"], server_end["ifname"]} == set(made.taps)
        assert server_end["queues"] == devices.MODELS[model].queues == made.taps["tap-server"]
    else:
        assert client_end["hubid"] == server_end["hubid"] == devices.HUB


def test_extras_are_added() -> None:
    made = devices.devices("e1000e", ("shared", "spare"))
    ports = {device["id"]: device for device in made.devices if device["driver"] == "pcie-root-port"}
    sibling = next(device for device in made.devices if device.get("id") == "sibling")
    shared = [ports[str(device["bus"])] for device in (made.named("server"), sibling)]
    assert [port["addr"] for port in shared] == ["0x10.0x0", "0x10.0x1"]
    assert all(port["disable-acs"] for port in shared)
    spare = next(netdev for netdev in made.netdevs if netdev["id"] == "net-spare")
    assert made.named("spare")["netdev"] == "net-spare" and spare["hubid"] != devices.HUB


def test_names_that_are_not_there_are_refused_with_those_that_are() -> None:
    with pytest.raises(UsageError, match="e1000e, "):
        devices.devices("ne2000")
    with pytest.raises(UsageError, match="shared, no-iommu, spare"):
        devices.devices("e1000e", ("frob",))
    with pytest.raises(UsageError, match="client, server$"):
        devices.devices("e1000e").named("spare")
    with pytest.raises(UsageError, match="e1000e"):
        boots.chosen(["frob"])


def test_the_command_line_names_every_port_and_card(tmp_path: Path) -> None:
    made = devices.devices("virtio")
    setup = qemu.Setup("tcg", tmp_path / "vmlinux", tmp_path / "initramfs", tmp_path / "console", tmp_path, made)
    words = qemu.command_line(setup, {"monitor": 7, "stdin": 8, "terminal": 9})
    pairs = list(zip(words, words[1:]))
    assert ("-mon", "chardev=monitor,mode=control") in pairs
    assert ("-device", "virtserialport,chardev=stdin,name=stdin") in pairs
    assert ("-device", "virtconsole,chardev=terminal,name=terminal") in pairs
    assert ("-device", json.dumps(made.named("server"))) in pairs
    assert "readonly=on" in next(word for word in words if "id=root" in word)
    kvm = qemu.accelerator_arguments("kvm")
    assert ("-accel", "kvm") in list(zip(kvm, kvm[1:]))
    assert any(word.startswith("intel-iommu") for word in words)
    without = qemu.command_line(replace(setup, iommu=False), {"monitor": 7})
    assert not any("intel-iommu" in word for word in without)


# --- the job's share

def test_a_job_goes_in_and_results_come_out(tmp_path: Path) -> None:
    directory, project = tmp_path / "share", tmp_path / "project"
    share.write_job(directory, project, Path("/m"), ["exec true", "echo 2"], {"A": "it's"}, (24, 80))
    assert (directory / "command-2").read_text() == "echo 2\n"
    assert (directory / "environment").read_text() == "export A='it'\"'\"'s'\n"
    assert (directory / "terminal").read_text() == "24 80\n"
    assert (share.boots(directory), share.exit_code(directory, 1)) == (0, None)

    (directory / "boots").write_text("1\n")
    (directory / "exit-1").write_text("7\n")
    assert (share.boots(directory), share.exit_code(directory, 1)) == (1, 7)
    (directory / "runs/new").mkdir(parents=True)
    (directory / "runs/new/trials.jsonl").write_text("inside")
    (directory / "runs/old").mkdir()
    (project / "results/runs/old").mkdir(parents=True)
    came, refused = share.bring_out(directory, project)
    assert came == [project / "results/runs/new"]
    assert (came[0] / "trials.jsonl").read_text() == "inside"
    assert len(refused) == 1 and "results/runs/old is there already" in refused[0]


# --- the monitor

class Qemu:
    """QEMU's end of the monitor, and the guest's end of the control port."""

    def __init__(self) -> None:
        ours, self.monitor_port = socket.socketpair()
        guest, self.guest = socket.socketpair()
        self.monitor = Monitor(ours)
        self.control = Control(guest, self.monitor, devices.devices("e1000e"))
        self.asked()

    def asked(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.monitor_port.recv(65536).splitlines()]

    def says(self, *messages: dict[str, Any]) -> None:
        self.monitor_port.sendall(b"".join(json.dumps(message).encode() + b"\n" for message in messages))
        self.monitor.readable()

    def request(self, line: str) -> None:
        self.guest.sendall(line.encode() + b"\n")
        self.control.readable()

    def answer(self) -> str:
        self.guest.settimeout(5)
        return self.guest.recv(4096).decode()


def test_a_request_of_the_guest_reaches_the_monitor_and_is_answered() -> None:
    machine = Qemu()
    machine.says({"QMP": {}}, {"return": {}})
    machine.request("link server off")
    assert machine.asked() == [{"execute": "set_link", "arguments": {"name": "server", "up": False}}]
    machine.says({"return": {}})
    assert machine.answer() == "ok\n"
    machine.request("plug server")
    assert machine.asked()[0]["arguments"] == dict(devices.devices("e1000e").named("server"))
    machine.says({"error": {"class": "GenericError", "desc": "it is\nthere"}})
    assert machine.answer() == "it is there\n"
    for wrong in ("link frob off", "frob", "unplug spare"):
        machine.request(wrong)
        assert machine.answer().startswith("no ")


def test_both_ends_of_the_cable_go_together() -> None:
    machine = Qemu()
    machine.says({"return": {}})
    machine.request("link cable off")
    machine.says({"return": {}})
    machine.says({"return": {}})
    assert [request["arguments"]["name"] for request in machine.asked()] == ["client", "server"]
    assert machine.answer() == "ok\n"


def test_unplugging_is_answered_when_the_card_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    machine = Qemu()
    machine.says({"return": {}})
    machine.request("unplug server")
    machine.says({"return": {}})
    machine.guest.setblocking(False)
    with pytest.raises(BlockingIOError):
        machine.guest.recv(1)
    machine.says({"event": "DEVICE_DELETED", "data": {"path": "/x"}},
                 {"event": "DEVICE_DELETED", "data": {"device": "server"}})
    assert machine.answer() == "ok\n"
    monkeypatch.setattr("ci.vm.monitor.UNPLUG_SECONDS", -1.0)
    machine.request("unplug server")
    machine.says({"return": {}})
    machine.monitor.tick()
    assert "has not let go" in machine.answer()


def test_a_reset_that_was_asked_for_does_not_end_the_machine() -> None:
    machine = Qemu()
    machine.says({"return": {}})
    machine.request("reset")
    assert [request["execute"] for request in machine.asked()] == ["set-action", "system_reset"]
    machine.says({"return": {}}, {"return": {}}, {"event": "RESET", "data": {"guest": False}})
    machine.request("up")
    assert machine.asked() == [{"execute": "set-action", "arguments": {"reboot": "shutdown"}}]


# --- a job, with a script in QEMU's place

@pytest.fixture
def as_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes a shell script be QEMU; SHARE is its share, PID_FILE where to leave its pid."""
    (tmp_path / "modules").mkdir()
    monkeypatch.setattr(bed, "CACHE", tmp_path / "cache")
    monkeypatch.setattr(bed, "ROOT", tmp_path)
    monkeypatch.setattr(kernel, "kernel", lambda cache, say: kernel.Kernel(
        "1", "1", tmp_path / "vmlinux", tmp_path / "modules"))
    monkeypatch.setattr(initramfs, "initramfs", lambda modules, files: b"")
    monkeypatch.setattr(accelerator, "choose", lambda cache, setup, say: "tcg")
    monkeypatch.setattr(qemu, "missing", lambda: [])
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("PID_FILE", str(tmp_path / "pid"))

    def make(script: str) -> None:
        (tmp_path / "bin").mkdir()
        program = tmp_path / "bin" / qemu.QEMU
        program.write_text('#!/bin/sh\nfor word; do case $word in *id=share,path=*) SHARE=${word#*path=}; '
                           f'SHARE=${{SHARE%%,*}};; esac; done\necho $$ > $PID_FILE\n{script}\n')
        program.chmod(0o755)
    return make


def nothing_is_left(directory: Path) -> bool:
    pid = int((directory / "pid").read_text())
    return not Path(f"/proc/{pid}").exists() and not list((directory / "cache/runs").iterdir())


def test_the_exit_code_is_the_command_s(as_qemu: Callable[[str], None], tmp_path: Path) -> None:
    as_qemu("echo 1 > $SHARE/boots; echo 7 > $SHARE/exit-1; mkdir -p $SHARE/reports/r")
    assert bed.run(bed.Job(("exec false",))) == 7
    assert (tmp_path / "reports/out/r").is_dir()
    assert nothing_is_left(tmp_path)


def test_the_limit_ends_the_machine(as_qemu: Callable[[str], None], tmp_path: Path) -> None:
    as_qemu("exec sleep 100")
    with pytest.raises(LimitStruck, match="time limit of 0.5 s struck"):
        bed.run(bed.Job(("exec true",), limit=0.5))
    assert nothing_is_left(tmp_path)


@pytest.mark.parametrize("script, said", [
    ("echo 'no such device' >&2; exit 1", r"before it was up without a result \(no such device\)"),
    ("echo 2 > $SHARE/boots; echo 0 > $SHARE/exit-1", "in boot 2 without a result"),
    ("echo 1 > $SHARE/boots; echo 0 > $SHARE/exit-1", "without `vmctl reset`")])
def test_a_guest_that_dies_is_told_in_one_line(as_qemu: Callable[[str], None], tmp_path: Path, script: str,
                                               said: str) -> None:
    as_qemu(script)
    with pytest.raises(GuestDied, match=said):
        bed.run(bed.Job(("exec true", "exec true")))
    assert nothing_is_left(tmp_path)


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, as_qemu: Callable[[str], None]) -> None:
    as_qemu("exit 0")
    monkeypatch.setattr(qemu, "missing", lambda: ["qemu-system-x86"])
    with pytest.raises(MachineError, match=r"ci/deps.sh packages vm' \(qemu-system-x86\)"):
        bed.run(bed.Job(("exec true",)))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_nothing_is_left_when_we_are_killed(number: int, as_qemu: Callable[[str], None], tmp_path: Path) -> None:
    as_qemu("exec sleep 100")
    body = ("import sys; from pathlib import Path; from ci.vm import accelerator, bed, initramfs, kernel, qemu, vm\n"
            f"here = Path({str(tmp_path)!r}); bed.CACHE = here / 'cache'; bed.ROOT = here; qemu.missing = lambda: []\n"
            "kernel.kernel = lambda cache, say: kernel.Kernel('1', '1', here / 'vmlinux', here / 'modules')\n"
            "initramfs.initramfs = lambda modules, files: b''; accelerator.choose = lambda cache, setup, say: 'tcg'\n"
            "sys.exit(vm.main(['run', 'true']))")
    ours = subprocess.Popen([sys.executable, "-c", body], cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE,
                            text=True)
    wait_for(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text() != "")
    ours.send_signal(number)
    said = ours.communicate()[1]
    wait_for(lambda: nothing_is_left(tmp_path))
    if number == signal.SIGKILL:
        assert ours.returncode == -signal.SIGKILL
    else:
        assert (ours.returncode, said.strip()) == (128 + number, f"vm: ended by {signal.Signals(number).name}")


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


# --- the plan of boots, and usage

def test_every_boot_is_run_and_the_first_failure_is_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[bed.Job] = []

    def run(job: bed.Job) -> int:
        ran.append(job)
        if job.model == "virtio":
            raise GuestDied("it died")
        return 5 if job.model == "e1000e" else 0
    plan = [boots.Boot("a", boots.BENCH, "e1000e", "x"), boots.Boot("b", boots.BENCH, "virtio", "y"),
            boots.Boot("c", boots.BENCH, "virtio-mq", "z")]
    assert boots.run_all(plan, 100, "quick", run) == 5
    assert [job.commands for job in ran] == [("x",), ("y",), ("z",)]
    assert ran[0].environment["PLAN"] == "quick" and "REPORT=no" in ran[0].environment["SETTINGS"] and 0 < ran[2].limit <= 100
    told = capsys.readouterr().err.splitlines()
    assert [line.rpartition(",")[0] for line in told] == [
        "vm: a: FAILED with exit code 5", "vm: b: FAILED: it died", "vm: c: passed"]


def test_no_boot_is_started_when_the_time_is_over() -> None:
    assert boots.run_all(boots.chosen([]), 0, "quick", lambda job: pytest.fail("started")) == 124


@pytest.mark.parametrize("argv", [["run", "--nic", "frob", "true"], ["run", "--limit", "0", "true"], ["test", "frob"]])
def test_bad_usage_ends_with_2_and_one_line(argv: list[str], capsys: pytest.CaptureFixture[str],
                                            as_qemu: Callable[[str], None]) -> None:
    as_qemu("exit 0")
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    try:
        assert vm.main(argv) == 2
    finally:
        for number, handler in zip((signal.SIGINT, signal.SIGTERM, signal.SIGHUP), before):
            signal.signal(number, handler)
    assert len(capsys.readouterr().err.splitlines()) == 1
