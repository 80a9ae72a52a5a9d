# SPDX-License-Identifier: BSD-3-Clause
"""The check of rooms finds circles and full rooms in servers/, and nothing in servers/ as it is."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
_SPEC = importlib.util.spec_from_file_location("check_imports", ROOT / "ci" / "check_imports.py")
assert _SPEC and _SPEC.loader
check_imports = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(check_imports)


def written(root: Path, files: dict[str, str]) -> Path:
    """Write files below root/servers, each with the headers that it includes."""
    for name, headers in files.items():
        path = root / "servers" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f'#include "{header}"\n' for header in headers.split()))
    return root


def test_servers_have_no_circle_and_no_full_room() -> None:
    wrong, rooms = check_imports.check_includes(ROOT)
    assert wrong == []
    assert rooms["preload"] == {"common", "stack"} and "common" not in rooms


def test_a_circle_of_modules_is_found_through_their_sources(tmp_path: Path) -> None:
    root = written(tmp_path, {"a/x.h": "", "a/x.c": "x.h y.h", "a/y.h": "", "a/y.c": "a/x.h"})
    wrong, rooms = check_imports.check_includes(root)
    assert wrong == ["include circle: servers/a/x -> servers/a/y -> servers/a/x"] and rooms == {}


def test_a_circle_of_rooms_is_found_without_one_of_modules(tmp_path: Path) -> None:
    root = written(tmp_path, {"a/x.h": "b/y.h", "b/y.h": "", "b/z.h": "a/w.h", "a/w.h": ""})
    wrong, rooms = check_imports.check_includes(root)
    assert wrong == ["circle of rooms: a -> b -> a"] and rooms == {"a": {"b"}, "b": {"a"}}


def test_headers_of_others_and_of_tests_do_not_count(tmp_path: Path) -> None:
    root = written(tmp_path, {"a/x.h": "lwip/tcp.h", "tests/t.c": "a/x.h", "stack/lwip/w.h": "lwip/v.h",
                              "stack/lwip/v.h": ""})
    assert check_imports.check_includes(root) == ([], {})


def test_a_full_room_is_found(tmp_path: Path) -> None:
    root = written(tmp_path, {f"a/{number}.{suffix}": "" for number in range(13) for suffix in "ch"})
    assert check_imports.check_includes(root)[0] == ["servers/a: 13 modules, more than 12"]


def test_a_file_with_too_many_lines_is_found_but_for_tests(tmp_path: Path) -> None:
    root = written(tmp_path, {"a/x.c": "", "tests/t.c": ""})
    for name, lines in (("a/x.c", 400), ("tests/t.c", 2000)):
        (root / "servers" / name).write_text("\n" * lines)
    assert check_imports.check_includes(root)[0] == []
    (root / "servers" / "a/x.c").write_text("\n" * 401)
    assert check_imports.check_includes(root)[0] == ["servers/a/x.c: 401 lines, more than 400"]
