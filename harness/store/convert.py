# SPDX-License-Identifier: BSD-3-Clause
"""Convert the project's frozen values to JSON and back; knows no file.

A field at its default is left out. What is read must have the types that the class names: an int is no bool, a float
is finite (a whole one stays an int), a code is one of its enum. Fields that the class has not are ignored, so that
what a later version only added to can be read.
"""

from __future__ import annotations

import math
from typing import Any, Callable, TypeVar, get_args, get_origin

from cattrs import Converter
from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_unstructure_fn

from harness.errors import UsageError
from harness.plan import LoadPoint
from harness.store.codes import Note
from harness.store.trial_record import Histogram

T = TypeVar("T")


def to_json(value: Any) -> Any:
    """Return a frozen value as what json.dumps() takes."""
    return _CONVERTER.unstructure(value)


def from_json(kind: type[T], data: Any, place: str) -> T:
    """Return the `kind` that `data` holds; UsageError, with `place` and the field, where it does not."""
    try:
        return _CONVERTER.structure(data, kind)
    except (BaseValidationError, TypeError, ValueError) as error:
        first: BaseException = error
        path: list[str] = []
        while isinstance(first, BaseValidationError):
            first = first.exceptions[0]
            notes: list[str] = getattr(first, "__notes__", [])
            path += [note.split()[-1].strip("'") for note in notes[-1:]]
        what = (f"'{'.'.join(path)}' is missing or of a wrong type" if path else
                str(first) if isinstance(first, ValueError) else f"not a {kind.__name__}")
        raise UsageError(f"{place}: {what}") from None


def _exactly(*kinds: type) -> Callable[[Any, Any], Any]:
    def structure(value: Any, _: Any) -> Any:
        if type(value) not in kinds or (isinstance(value, float) and not math.isfinite(value)):
            raise TypeError(f"{value!r} is of a wrong type")
        return value
    return structure


def _tuple(value: Any, kind: Any) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{value!r} is no list")
    if kind == Histogram:
        # thousands of them
        if not all(type(us) in (int, float) and type(count) is int
                   and 0 <= us < math.inf and count >= 0 for us, count in value):
            raise TypeError("not pairs of a number and a count")
        return tuple(map(tuple, value))
    kinds = get_args(kind)
    if kinds[-1] is Ellipsis:
        return tuple(_CONVERTER.structure(item, kinds[0]) for item in value)
    return tuple(_CONVERTER.structure(item, of) for item, of in zip(value, kinds, strict=True))


def _note(value: Any, kind: Any) -> Note[Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no table")
    values = {str(name): tuple(item) if isinstance(item, list) else item
              for name, item in value.items() if name != "code"}
    if not all(isinstance(item, (int, float, str, tuple)) for item in values.values()):
        raise TypeError(f"{values!r} are not numbers and words")
    return Note(get_args(kind)[0](value.get("code")), values)


_FLOAT, _INT = _exactly(float, int), _exactly(int)
_CONVERTER = Converter(omit_if_default=True)
for _kind, _hook in ((float, _FLOAT), (int, _INT), (str, _exactly(str)), (bool, _exactly(bool))):
    _CONVERTER.register_structure_hook(_kind, _hook)
_CONVERTER.register_structure_hook_func(lambda kind: get_origin(kind) is tuple, _tuple)
_CONVERTER.register_structure_hook_func(lambda kind: get_origin(kind) is Note, _note)
_CONVERTER.register_unstructure_hook_func(lambda kind: (get_origin(kind) or kind) is Note,
                                          lambda note: {"code": note.code.value, **note.values})
_CONVERTER.register_unstructure_hook_func(lambda kind: get_origin(kind) is tuple
                                          and get_args(kind)[0] in (float, tuple[float, int]),
                                          lambda value: value)
# whoever reads a point need not know the defaults
_CONVERTER.register_unstructure_hook(LoadPoint, make_dict_unstructure_fn(LoadPoint, _CONVERTER))
