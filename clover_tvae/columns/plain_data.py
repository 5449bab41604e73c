"""Plain data: how fitted transforms are written into a generator file, and read back with suspicion.

This module knows ``str``, ``int``, ``float``, ``bool``, ``bytes``, ``list``, ``dict``, ``None`` and numpy arrays. It
knows no transform. Every reader here raises ``ValueError`` on anything but the exact form that the writer makes: no
name is looked up, nothing is called, and no more memory is taken than the bytes that are already there.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

_NAMES = ("str", "int", "float", "bool", "NoneType")


def check(holds: bool, message: str) -> None:
    """Raise ``ValueError`` unless ``holds``."""
    if not holds:
        raise ValueError(message)


def fields(plain: Any, keys: Collection[str], where: str) -> Mapping[str, Any]:
    """Return ``plain`` if it is a dict with exactly these keys.

    Raises:
        ValueError: Not a dict, or other keys.
    """
    check(type(plain) is dict, f"{where}: a dict is expected, found {type(plain).__name__}")
    check(set(plain) == set(keys), f"{where}: the keys must be {sorted(keys)}")
    return plain


def one_of(value: Any, allowed: Collection[str], where: str) -> str:
    """Return ``value`` if it is one of the allowed strings."""
    # Asked for each of many cells: no message is made before it is needed.
    if type(value) is not str or value not in allowed:
        raise ValueError(f"{where}: must be one of {sorted(allowed)}")
    return value


def text(value: Any, where: str, max_length: int = 2**31) -> str:
    """Return ``value`` if it is a string that is not too long."""
    check(type(value) is str and len(value) <= max_length, f"{where}: must be a string of at most {max_length} letters")
    return value


def integer(value: Any, where: str, low: int = 0, high: int = 2**31 - 1) -> int:
    """Return ``value`` if it is an int in ``[low, high]``."""
    check(type(value) is int and low <= value <= high, f"{where}: must be an int in [{low}, {high}]")
    return value


def number(value: Any, where: str, low: float = -np.inf) -> float:
    """Return ``value`` if it is a finite float of at least ``low``."""
    check(type(value) is float and bool(np.isfinite(value)) and low <= value, f"{where}: must be a finite float")
    return value


def optional(value: Any, read: Callable[..., Any], *args: Any) -> Any:
    """Return ``None`` for ``None``, else ``read(value, *args)``."""
    return None if value is None else read(value, *args)


def list_of(value: Any, where: str) -> list[Any]:
    """Return ``value`` if it is a list that is not too long."""
    check(type(value) is list and len(value) <= 50_000_000, f"{where}: must be a list")
    return value


def array_to_plain(array: NDArray[Any]) -> dict[str, Any]:
    """Return a one-dimensional array of floats or ints as little-endian bytes with their type and length.

    Example:
        >>> array_from_plain(array_to_plain(np.array([1.5, 2.0])), "x", "<f8").tolist()
        [1.5, 2.0]
    """
    little = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return {"dtype": little.dtype.str, "length": len(little), "data": little.tobytes()}


def array_from_plain(plain: Any, where: str, *dtypes: str, low: float = -np.inf, high: float = np.inf) -> NDArray[Any]:
    """Read what ``array_to_plain`` wrote.

    Args:
        dtypes: The numpy type strings that are allowed here.

    Returns:
        A read-only array of finite elements.

    Raises:
        ValueError: On anything else.
    """
    plain = fields(plain, ("dtype", "length", "data"), where)
    dtype = np.dtype(one_of(plain["dtype"], dtypes, where))
    length = integer(plain["length"], where, 0, 1 << 40)
    data = plain["data"]
    check(type(data) is bytes and len(data) == length * dtype.itemsize, f"{where}: {length} elements are expected")
    array = np.frombuffer(data, dtype=dtype)
    if dtype.kind == "f":
        check(bool(np.isfinite(array).all()), f"{where}: all elements must be finite")
    check(bool(((array >= low) & (array <= high)).all()), f"{where}: elements must lie in [{low}, {high}]")
    return array


def name_to_plain(name: Hashable) -> list[Any]:
    """Return a column name with the tag of its type, so that ``1`` and ``"1"`` stay two names.

    Example:
        >>> name_to_plain("age"), name_to_plain(7)
        (['str', 'age'], ['int', 7])
    """
    name = name.item() if isinstance(name, np.generic) else name
    return [one_of(type(name).__name__, _NAMES, "type of a column name"), name]


def name_from_plain(plain: Any) -> Hashable:
    """Read what ``name_to_plain`` wrote."""
    check(type(plain) is list and len(plain) == 2, "a column name must be a tag and a name")
    tag, name = plain
    one_of(tag, _NAMES, "type of a column name")
    check(type(name).__name__ == tag, "a column name must be of the type that its tag says")
    return name
