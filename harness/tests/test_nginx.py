# SPDX-License-Identifier: BSD-3-Clause
"""How nginx is configured: with a shell script in nginx's place, which says what it was given."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from harness.exchange import expected_body

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_it_becomes_the_program_with_a_configuration_and_a_body(tmp_path: Path, size: int) -> None:
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\necho "$@"\ncat "$(sed -n "s/.*alias \\([^;]*\\);.*/\\1/p" "$5")"\n')
    program.chmod(0o755)
    done = subprocess.run([str(ROOT / "harness/nginx.py"), str(tmp_path), "198.18.0.2", "8080", str(size), "1024", "--",
                           str(program), "--"], capture_output=True, check=True)
    config = tmp_path / "nginx.conf"
    words, _, body = done.stdout.partition(b"\n")
    assert words.decode().split() == ["--", "-e", "stderr", "-c", str(config)]
    assert body == expected_body(size)
    text = config.read_text()
    assert "listen 198.18.0.2:8080 " in text and "worker_connections 1040;" in text
    assert text.count("{") == text.count("}") and "{{" not in text


def test_nothing_but_the_record_and_a_pid_is_written_there(tmp_path: Path) -> None:
    subprocess.run([str(ROOT / "harness/nginx.py"), str(tmp_path), "a", "80", "1", "9", "--", "true"], check=True)
    assert [path.name for path in tmp_path.iterdir()] == ["nginx.conf"]
    paths = re.findall(r"_temp_path ([^;]+);", (tmp_path / "nginx.conf").read_text())
    assert len(paths) == 5 and set(paths) == {str(tmp_path)}
