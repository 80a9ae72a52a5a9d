# SPDX-License-Identifier: BSD-3-Clause
"""Read what others wrote, TOML and JSON, as the frozen values that classes describe.

A value must be of the very type that the class names: an int is no bool, a float is finite (a
whole one may stay an int), a list holds one kind of thing.
"""

from __future__ import annotations

import json
import math
import re
import tomllib
from pathlib import Path
from typing import Any, Mapping, TypeVar, get_args, get_origin

from cattrs import BaseValidationError, Converter, ForbiddenExtraKeysError

from harness.errors import UsageError

_T = TypeVar("_T")
# what a terminal obeys and a reader does not see: control characters but tab and line feed, and
# what turns the direction of writing, and halves of characters, which cannot be encoded
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069"
                     "\ud800-\udfff]")
# the same in a text of JSON, where it may be escaped
_MAY_HIDE = re.compile(rf"{_HIDDEN.pattern}|\\[bfr]|\\u(?:00[0189]|007[fF]|20[026]|[dD][89a-fA-F])")
_KINDS: Mapping[type, tuple[type, ...]] = {
    str: (str,), int: (int,), float: (float, int), bool: (bool,)}
# one of them, and a list of them
_WORDS = {str: ("text", "text"), int: ("a whole number", "whole numbers"),
          float: ("a number", "numbers"), bool: ("true or false", "true or false")}


def read_toml(path: Path) -> dict[str, Any]:
    """Return the tables of a file. OSError where there is none, UsageError on what is no TOML."""
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from None


def visible(text: str) -> str:
    """Return a text with its control characters as \\x1b and the like."""
    return _HIDDEN.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def parse_json(text: str) -> Any:
    """Return what JSON of others holds, every text visible(). ValueError where it is none."""
    try:
        data = json.loads(text)
        return _shown(data) if _MAY_HIDE.search(text) else data
    except RecursionError:
        raise ValueError("too deep") from None


def _shown(value: Any) -> Any:
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if isinstance(value, dict):
        return {visible(key): _shown(item) for key, item in value.items()}
    return value


def strict(forbid_extra_keys: bool = False, omit_if_default: bool = False) -> Converter:
    """Return a converter that takes exact types only; its options are those of cattrs."""
    made = Converter(forbid_extra_keys=forbid_extra_keys, omit_if_default=omit_if_default)
    for kind in _KINDS:
        made.register_structure_hook(kind, _exactly)

    def structure(values: Any, kind: Any) -> tuple[Any, ...]:
        items = get_args(kind)
        item = items[0] if items[-1] is Ellipsis else None
        whose = f" of {_WORDS[item][1]}" if item in _WORDS else ""
        if not isinstance(values, (list, tuple)) or (
                item in _WORDS and not all(_is(value, item) for value in values)):
            raise TypeError(f"must be a list{whose}, not {values!r}")
        if item in _WORDS:
            return tuple(values)
        if item is not None:
            return tuple(made.structure(list(values), list[item]))  # type: ignore[valid-type]
        return tuple(made.structure(value, of) for value, of in zip(values, items, strict=True))
    made.register_structure_hook_func(lambda kind: generic_of(kind) is tuple, structure)
    return made


def generic_of(kind: Any) -> Any:
    """Return what a type with parameters is one of, as tuple of tuple[int, str]; None without.

    Any: the types of get_origin() know of no classes of ours, and so call a comparison wrong.
    """
    return get_origin(kind)


def _is(value: Any, kind: type) -> bool:
    return type(value) in _KINDS[kind] and (kind is not float or math.isfinite(value))


def _exactly(value: Any, kind: type[_T]) -> _T:
    if kind not in _KINDS:
        # an enum of texts or numbers
        return kind(value)  # type: ignore[call-arg]
    if not _is(value, kind):
        raise TypeError(f"must be {_WORDS[kind][0]}, not {value!r}")
    return value  # type: ignore[no-any-return]


def structured(converter: Converter, kind: type[_T], data: Any, where: str) -> _T:
    """Return `data` as a `kind`. UsageError, one line, on the first thing that is wrong."""
    try:
        return converter.structure(data, kind)
    except (BaseValidationError, ForbiddenExtraKeysError, TypeError, AttributeError,
            ValueError) as error:
        keys, what = first_wrong(error)
    if not what.startswith("unknown"):
        what = " ".join([*(f"'{key}'" for key in keys[-1:]), what])
        keys = keys[:-1]
    table = f"[{'.'.join(keys)}] " if keys else ""
    raise UsageError(f"{where}: {table}{what}")


def first_wrong(error: BaseException) -> tuple[list[str], str]:
    """Return the keys that lead to the first thing that is wrong, and what is wrong with it."""
    keys: list[str] = []
    while isinstance(error, BaseValidationError):
        error = error.exceptions[0]
        notes = getattr(error, "__notes__", [])
        keys += [note.rpartition(" ")[2].strip("'") for note in notes]
    if isinstance(error, ForbiddenExtraKeysError):
        return keys, f"unknown key '{sorted(error.extra_fields)[0]}'"
    if isinstance(error, KeyError):
        return [*keys[:-1], str(error.args[0])], "is missing"
    return keys, str(error)
