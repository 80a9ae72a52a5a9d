# SPDX-License-Identifier: BSD-3-Clause
"""Convert the project's frozen values to JSON and back; knows no file.

A field at its default is left out. What is read has the very types that the class names
(harness/structure.py). Fields that the class has not are ignored, so that what a later version only
added to can be read.
"""

from __future__ import annotations

import math
from typing import Any, Mapping, TypeVar, get_args

from cattrs.errors import BaseValidationError
from cattrs.gen import make_dict_unstructure_fn

from harness.errors import UsageError
from harness.plan import LoadPoint
from harness.store.codes import Note
from harness.store.trial_record import Histogram
from harness.structure import first_wrong, generic_of, strict

T = TypeVar("T")
# what others wrote, before it is read
Json = Mapping[str, Any]


def to_json(value: Any) -> Any:
    """Return a frozen value as what json.dumps() takes."""
    return _CONVERTER.unstructure(value)


def from_json(kind: type[T], data: Any, place: str) -> T:
    """Return the `kind` that `data` holds; UsageError, with `place` and the field, for none."""
    try:
        return _CONVERTER.structure(data, kind)
    except (BaseValidationError, TypeError, ValueError) as error:
        path, what = first_wrong(error)
        if path:
            what = f"'{'.'.join(path)}' is missing or of a wrong type"
        elif isinstance(error, TypeError):
            what = f"not a {kind.__name__}"
        raise UsageError(f"{place}: {what}") from None


def _histogram(value: Any, _: Any) -> Histogram:
    # thousands of pairs
    if not isinstance(value, (list, tuple)) or not all(
            type(us) in (int, float) and type(count) is int
            and 0 <= us < math.inf and count >= 0 for us, count in value):
        raise TypeError("not pairs of a number and a count")
    return tuple((us, count) for us, count in value)


def _note(value: Any, kind: Any) -> Note[Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{value!r} is no table")
    values = {str(name): tuple(item) if isinstance(item, list) else item
              for name, item in value.items() if name != "code"}
    if not all(isinstance(item, (int, float, str, tuple)) for item in values.values()):
        raise TypeError(f"{values!r} are not numbers and words")
    return Note(get_args(kind)[0](value.get("code")), values)


_CONVERTER = strict(omit_if_default=True)
_CONVERTER.register_structure_hook_func(lambda kind: kind == Histogram, _histogram)
_CONVERTER.register_structure_hook_func(lambda kind: generic_of(kind) is Note, _note)
_CONVERTER.register_unstructure_hook_func(lambda kind: (generic_of(kind) or kind) is Note,
                                          lambda note: {"code": note.code.value, **note.values})
_CONVERTER.register_unstructure_hook_func(lambda kind: generic_of(kind) is tuple
                                          and get_args(kind)[0] in (float, tuple[float, int]),
                                          lambda value: value)
# whoever reads a point need not know the defaults
_CONVERTER.register_unstructure_hook(LoadPoint, make_dict_unstructure_fn(LoadPoint, _CONVERTER))
