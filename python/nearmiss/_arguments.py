"""Arguments, checked before the library sees them: ctypes would cut numbers off and name nothing."""
from __future__ import annotations

import math
import operator
import os
import reprlib
from typing import Any, Iterable, Mapping, Tuple

import numpy as np


class WrongType(TypeError, ValueError):
    """An argument of the wrong type: a ValueError, as every wrong argument is, and a TypeError, as Python calls it."""


_short = reprlib.Repr()
_short.maxstring = _short.maxother = 80


def shown(value: Any) -> str:
    """A value in a message: not all of an array."""
    return _short.repr(value).replace("\n", " ")


def _whole(value: Any, what: str) -> int:
    try:
        return int(operator.index(value))
    except TypeError:
        raise WrongType(f"{what} must be a whole number, not {shown(value)}") from None


def unsigned(value: Any, what: str, bits: int = 32) -> int:
    """A whole number that the library can take."""
    whole = _whole(value, what)
    if not 0 <= whole < 1 << bits:
        raise ValueError(f"{what} {whole} is not in 0..{(1 << bits) - 1}")
    return whole


def identity(value: Any, what: str) -> int:
    """A number of a store's row."""
    whole = _whole(value, what)
    if not -(1 << 63) <= whole < 1 << 63:
        raise ValueError(f"{what} {whole} is not in 64 bits")
    return whole


def number(value: Any, what: str, low: float = -3e38, high: float = 3e38) -> float:
    """A finite number in low..high; the default is what a float of C holds."""
    try:
        if isinstance(value, (str, bytes, bytearray)):  # float() would read them
            raise TypeError
        found = float(value)
    except (TypeError, ValueError):
        raise WrongType(f"{what} must be a number, not {shown(value)}") from None
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise ValueError(f"{what} must be a finite number, not {shown(value)}")
    if not low <= found <= high:
        raise ValueError(f"{what} {shown(value)} is not in {low:g}..{high:g}")
    return found


def bounds(pair: Any, what: str) -> Tuple[float, float]:
    """(low, high), None for an open end; NaN for an open end is the library's. None is both open."""
    if pair is None:
        return math.nan, math.nan
    try:
        low, high = pair
    except (TypeError, ValueError):
        raise WrongType(f"{what} must be a pair (low, high), None for an open end, not {shown(pair)}") from None
    low = math.nan if low is None or low == -math.inf else number(low, f"the low end of {what}")
    high = math.nan if high is None or high == math.inf else number(high, f"the high end of {what}")
    if low > high:
        raise ValueError(f"{what} begins at {low:g} and ends before that, at {high:g}")
    return low, high


def flag(value: Any, what: str) -> int:
    """A truth value. Not whatever Python takes for one: "no" is true."""
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, (int, np.integer)) and value in (0, 1)):
        return int(value)
    raise WrongType(f"{what} must be True or False, not {shown(value)}")


def choice(table: Mapping[str, Any], name: Any, what: str) -> Any:
    """What the table has for a name."""
    if not isinstance(name, str):
        raise WrongType(f"{what} must be one of: {', '.join(table)}; not {shown(name)}")
    if name not in table:
        raise ValueError(f"{what} {name!r} is none of: {', '.join(table)}")
    return table[name]


def listed(values: Any, what: str) -> "list[Any]":
    """Things one after the other."""
    if isinstance(values, (str, bytes)) or not isinstance(values, Iterable):
        raise WrongType(f"{what} must be a sequence, not {shown(values)}")
    return list(values)


def encoded(text: Any, what: str) -> bytes:
    """Text for the library, which ends at a zero: refused where it would be cut off there."""
    if not isinstance(text, str):
        raise WrongType(f"{what} must be text, not {shown(text)}")
    if "\0" in text:
        raise ValueError(f"{what} has a zero in it: {text!r}")
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{what} is no Unicode text: {text!r}") from None


def path_of(path: Any, what: str = "a path") -> bytes:
    """The same for paths."""
    try:
        place = os.fsencode(path)
    except TypeError:
        raise WrongType(f"{what} must be a path (str or os.PathLike), not {shown(path)}") from None
    if b"\0" in place:
        raise ValueError(f"{what} has a zero in it: {path!r}")
    return place


def steps_of(seconds: Any) -> int:
    """Steps of 0.1 s."""
    return round(number(seconds, "seconds", 0.0, 1e8) * 10)
