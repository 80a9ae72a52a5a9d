# SPDX-License-Identifier: BSD-3-Clause
"""The guest's initramfs: busybox, our scripts, and the modules that reach the root file system, as a cpio archive.

Knows nothing of where the kernel came from, nor of QEMU.
"""

from __future__ import annotations

from pathlib import Path
from typing import Iterable, Mapping

from ci.vm.errors import MachineError

BUSYBOX = Path("/bin/busybox")
GUEST = Path(__file__).parent / "guest"
# What must be loaded before there is a root file system; all else is loaded from there.
MODULES = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_console")
DIRECTORY, FILE, CHARACTER = 0o040755, 0o100755, 0o020600


def newc(entries: Iterable[tuple[str, int, bytes, tuple[int, int]]]) -> bytes:
    """A cpio archive in the kernel's format (Documentation/driver-api/early-userspace/buffer-format.rst) of
    (name, mode, data, (major, minor)). Written here because device nodes need no root this way."""
    out = bytearray()
    for inode, (name, mode, data, device) in enumerate([*entries, ("TRAILER!!!", 0, b"", (0, 0))], 1):
        fields = (inode, mode, 0, 0, 1, 0, len(data), 0, 0, *device, len(name) + 1, 0)
        out += b"070701" + b"".join(b"%08x" % field for field in fields) + name.encode() + b"\0"
        out += b"\0" * (-len(out) % 4) + data
        out += b"\0" * (-len(out) % 4)
    return bytes(out)


def load_order(dependencies: str, builtin: str, wanted: Iterable[str]) -> list[str]:
    """Paths of the modules `wanted` and of what they stand on, in the order to load them, from the texts of
    modules.dep and modules.builtin. MachineError for one that the kernel has not."""
    def name(path: str) -> str:
        return path.rpartition("/")[2].partition(".")[0].replace("-", "_")

    lines = [line.partition(":") for line in dependencies.splitlines()]
    needs = {name(path): [*reversed(after.split()), path] for path, _, after in lines}
    in_kernel = {name(path) for path in builtin.split()}
    order: list[str] = []
    for module in wanted:
        if module not in needs and module not in in_kernel:
            raise MachineError(f"the guest's kernel has no module {module}")
        order += [path for path in needs.get(module, []) if path not in order]
    return order


def initramfs(modules: Path, guest_files: Mapping[str, bytes]) -> bytes:
    """The archive for the kernel whose modules are in `modules`; `guest_files` lie in /vm there."""
    order = load_order((modules / "modules.dep").read_text("utf-8"), (modules / "modules.builtin").read_text("utf-8"), MODULES)
    if not BUSYBOX.is_file():
        raise MachineError("no busybox here: run 'ci/deps.sh packages vm'")
    entries = [(name, DIRECTORY, b"", (0, 0)) for name in ("bin", "dev", "proc", "sys", "modules", "vm", "new")]
    entries += [("dev/console", CHARACTER, b"", (5, 1)), ("bin/busybox", FILE, BUSYBOX.read_bytes(), (0, 0))]
    entries += [(f"modules/{number:02}.ko", FILE, (modules / path).read_bytes(), (0, 0))
                for number, path in enumerate(order)]
    entries += [(f"vm/{name}", FILE, data, (0, 0)) for name, data in guest_files.items()]
    return newc([*entries, ("init", FILE, (GUEST / "init").read_bytes(), (0, 0))])


def scripts() -> dict[str, bytes]:
    """What of guest/ lies in /vm of the initramfs, to be found in /run/vm later."""
    return {name: (GUEST / name).read_bytes() for name in ("start", "vmctl")}
