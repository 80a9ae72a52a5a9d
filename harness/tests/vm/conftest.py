# SPDX-License-Identifier: BSD-3-Clause
"""Tests that run inside the virtual machine of ci/vm, with its cards. Emulation is slow: import little at the top."""

from __future__ import annotations

import os
import subprocess
from typing import Callable

import pytest

INSIDE = "VM_NIC" in os.environ


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "model(*names): only with one of these models as the server's card")
    config.addinivalue_line("markers", "extra(name): only in a machine booted with --with name")


def _why_not(item: pytest.Item) -> str:
    """Why a test cannot run here; "" when it can."""
    if not INSIDE:
        return "needs the virtual machine: make vm-test"
    model = item.get_closest_marker("model")
    if model and os.environ["VM_MODEL"] not in model.args:
        return f"needs a machine with --nic {' or '.join(model.args)}"
    extra = item.get_closest_marker("extra")
    if extra and extra.args[0] not in os.environ["VM_EXTRAS"].split():
        return f"needs a machine booted with --with {extra.args[0]}"
    return ""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        why = _why_not(item) if "harness/tests/vm/" in item.path.as_posix() else ""
        if why:
            item.add_marker(pytest.mark.skip(reason=why))


@pytest.fixture
def nic() -> str:
    """PCI address of the server's card."""
    return os.environ["VM_NIC"]


@pytest.fixture
def client() -> str:
    """Name of the client's interface."""
    return os.environ["VM_CLIENT"]


@pytest.fixture
def vmctl() -> Callable[..., None]:
    """vmctl("link", "server", "off"): the machine's monitor."""
    def request(*words: str) -> None:
        done = subprocess.run(["vmctl", *words], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return request
