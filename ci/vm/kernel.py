# SPDX-License-Identifier: BSD-3-Clause
"""The distribution's kernel for the guest: fetched, unpacked and cached by its version, never installed.

Leaves DIR/<version>/{vmlinux,release,lib/modules/…}. The uncompressed vmlinux boots without the decompressor (PVH), which
is seconds under software emulation. Knows nothing of QEMU.
"""

from __future__ import annotations

import bz2
import lzma
import os
import shutil
import struct
import subprocess
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Iterable, Mapping

from ci.vm.errors import MachineError

META_PACKAGE = "linux-image-amd64"
# Changes with each `apt-get update` that brings something; asking apt takes a second.
LISTS = Path("/var/lib/apt/lists")


@dataclass(frozen=True)
class Kernel:
    """One kernel on disk. `release` is what `uname -r` says in the guest."""

    version: str
    release: str
    vmlinux: Path
    modules: Path


def _zstd(data: bytes) -> bytes:
    if shutil.which("zstd") is None:
        raise MachineError("this kernel is packed with zstd, and there is no zstd here: run 'ci/deps.sh packages vm'")
    # The length that the kernel's build appends is no frame: zstd complains of it after all else is out.
    return subprocess.run(["zstd", "-dcq"], input=data, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


# How a payload begins, and what unpacks it; each stops at the end of its stream, behind which the length stands.
UNPACK: dict[bytes, Callable[[bytes], bytes]] = {
    b"\xfd7zXZ\0": lambda data: lzma.LZMADecompressor(lzma.FORMAT_XZ).decompress(data),
    b"\x5d\0\0": lambda data: lzma.LZMADecompressor(lzma.FORMAT_ALONE).decompress(data),
    b"\x1f\x8b\x08": lambda data: zlib.decompressobj(31).decompress(data),
    b"BZh": lambda data: bz2.BZ2Decompressor().decompress(data),
    b"\x28\xb5\x2f\xfd": _zstd,
    b"\x7fELF": bytes,
}


def vmlinux_of(image: bytes) -> bytes:
    """The ELF kernel inside a bzImage (Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length).

    MachineError when it is no bzImage, or packed in a way not in UNPACK.
    """
    if image[0x202:0x206] != b"HdrS" or struct.unpack_from("<H", image, 0x206)[0] < 0x208:
        raise MachineError("the kernel's package holds no bzImage with a payload (boot protocol 2.08 or newer)")
    sectors = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    begin = (sectors + 1) * 512 + offset
    payload = image[begin:begin + length]
    for magic, unpack in UNPACK.items():
        if payload.startswith(magic):
            try:
                elf = unpack(payload)
            except (lzma.LZMAError, zlib.error, OSError) as error:
                raise MachineError(f"the kernel's payload is damaged: {error}") from None
            if elf.startswith(b"\x7fELF"):
                return elf
            break
    raise MachineError(f"the kernel's payload does not unpack to an ELF file (it begins with {payload[:6].hex()})")


def _output(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, encoding="utf-8", errors="replace",
                          env={**os.environ, "LC_ALL": "C"})
    return done.stdout if done.returncode == 0 else ""


def candidate() -> tuple[str, str]:
    """(package, version) that the distribution's meta package stands for; ("", "") when apt knows none."""
    names = [line.split()[-1] for line in _output("apt-cache", "depends", META_PACKAGE).splitlines()
             if line.strip().startswith("Depends: linux-image-")]
    shown = _output("apt-cache", "show", "--no-all-versions", names[0]) if names else ""
    versions = [line.split()[1] for line in shown.splitlines() if line.startswith("Version: ")]
    return (names[0], versions[0]) if versions else ("", "")


def _run(what: str, *argv: str, cwd: Path | None = None) -> None:
    done = subprocess.run(argv, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf-8",
                          errors="replace")
    if done.returncode != 0:
        last = (done.stdout.strip().splitlines() or ["it printed nothing"])[-1]
        raise MachineError(f"{what}: `{' '.join(argv)}` failed (exit {done.returncode}): {last}")


def _load(directory: Path) -> Kernel:
    release = (directory / "release").read_text("utf-8").strip()
    return Kernel(directory.name, release, directory / "vmlinux", directory / "lib/modules" / release)


def _unpack(deb: Path, work: Path) -> None:
    """Leaves in `work` what _load wants, and nothing else."""
    tree = work / "tree"
    _run("unpacking the kernel", "dpkg-deb", "-x", str(deb), str(tree))
    deb.unlink()
    images = list((tree / "boot").glob("vmlinuz-*"))
    if len(images) != 1:
        raise MachineError(f"the kernel's package holds {len(images)} images: expected one boot/vmlinuz-*")
    release = images[0].name.removeprefix("vmlinuz-")
    (work / "vmlinux").write_bytes(vmlinux_of(images[0].read_bytes()))
    modules = next(path for path in (tree / "lib/modules", tree / "usr/lib/modules") if path.is_dir())
    (work / "lib").mkdir()
    modules.rename(work / "lib/modules")
    shutil.rmtree(tree)
    _run("indexing the kernel's modules", "depmod", "-b", str(work), release)
    (work / "release").write_text(release + "\n", "utf-8")


def _up_to_date(have: Mapping[str, Path]) -> str:
    """The version of a cached kernel that was there when apt last learned something; "" when there is none."""
    learned = LISTS.stat().st_mtime if LISTS.is_dir() else 0.0
    return next((version for version, path in have.items() if (path / "release").stat().st_mtime > learned), "")


def _fetch(cache: Path, package: str, version: str, old: Iterable[Path]) -> None:
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache, prefix=".new-") as name:
        work = Path(name)
        _run("fetching the kernel", "apt-get", "-q", "-o", "APT::Sandbox::User=", "download", f"{package}={version}",
             cwd=work)
        _unpack(next(work.glob("*.deb")), work)
        for directory in old:
            shutil.rmtree(directory)
        work.rename(cache / version)
        work.mkdir()  # for the context manager to remove


def kernel(cache: Path, say: Callable[[str], None]) -> Kernel:
    """The kernel, from `cache` or fetched into it. MachineError when there is none and none can be had."""
    have = {path.name: path for path in cache.glob("*") if (path / "release").is_file()}
    version = _up_to_date(have)
    if not version:
        package, version = candidate()
        if not package and not have:
            raise MachineError(f"the guest has Debian's kernel, and apt knows no {META_PACKAGE} here: run 'apt-get "
                               "update' (another distribution than Debian for amd64 has none of that name)")
        if not package:
            version = max(have, key=lambda name: have[name].stat().st_mtime)
        elif version not in have:
            say(f"fetching the guest's kernel: {package} {version}")
            _fetch(cache, package, version, have.values())
        os.utime(cache / version / "release")
    return _load(cache / version)
