"""One column: its name, its kind, and the options of that kind.

The rules of one description stand here: of a name, a kind and each option.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo

from clover_tvae.columns.cells import is_missing, plain_cell
from clover_tvae.columns.date_formats import has_short_years
from clover_tvae.errors import MetadataError, Problem, did_you_mean

Kind = Literal["continuous", "categorical", "boolean", "ordinal", "datetime", "id", "ignore"]

KINDS: tuple[Kind, ...] = get_args(Kind)
"""Every kind, in the order in which a description lists them."""

_NUMBER_TEXT = ("read_as", "decimal", "thousands", "decimals", "unit", "below", "above")
OPTIONS: dict[str, tuple[str, ...]] = {
    "continuous": (*_NUMBER_TEXT, "part_of", "part", "missing", "odd"),
    "categorical": ("rest", "missing"),
    "boolean": ("true", "false", "missing", "odd"),
    "ordinal": ("order", "missing"),
    "datetime": ("format", "formats", "time_zone", "century_starts", "missing", "odd"),
    "id": ("regenerate", "pattern"),
    "ignore": (),
}
"""The options that each kind takes."""

_ALL_OPTIONS = tuple(dict.fromkeys(option for options in OPTIONS.values() for option in options))
_LISTS = ("order", "missing", "formats")
_REGENERATE = ("sequence", "uuid", "pattern")
_TEXTS = {
    "format": "text, such as '%Y-%m-%d'",
    "time_zone": "the name of a time zone, such as 'Europe/Paris'",
    "pattern": "text, such as 'E-######'",
    "unit": "text, such as 'kg' or '$#'",
}
_ONE_OF = {
    "read_as": ("number",), "odd": ("missing",), "decimal": (".", ","), "thousands": (".", ",", " ", "'"),
}  # fmt: skip
# The directives of strptime. Others would fail only when the first cell is read.
_DIRECTIVES = set("aAwdbBmyYHIMSpfzZjUWGuVcxX%")


def is_hashable(value: Any) -> bool:
    """Return whether a value can be a name: a tuple of lists looks as if, and cannot."""
    try:
        hash(value)
    except TypeError:
        return False
    return True


@dataclass(frozen=True, slots=True, repr=False)
class Column:
    """What one column is.

    Args:
        name: The column's name: text or a number.
        kind: One of ``continuous``, ``categorical``, ``boolean``, ``ordinal``, ``datetime`` (modelled), ``id``
            (dropped, or made anew) and ``ignore`` (dropped).
        format: For ``datetime`` written as text or as whole numbers: the ``strptime`` format, such as ``"%d/%m/%Y"``,
            ``"%Y%m%d"``, or ``"%H%M"`` for times of day.
        time_zone: For ``datetime``: the IANA name, such as ``"Europe/Paris"``.
        century_starts: For ``datetime`` with years of two digits: the first of the hundred years that they mean; with 1930,
            30 is 1930 and 29 is 2029.
        rest: For ``categorical``: the category that rare ones, held by fewer than ``min_count`` people, count to; left out,
            they count to the others as they are.
        order: For ``ordinal``: the values, lowest first; left out, the order of an ordered category dtype, else sorted.
        regenerate: For ``id``: how to make new ones: ``"sequence"`` (1, 2, 3...), ``"uuid"``, ``"pattern"``; left out, the
            column is dropped.
        pattern: For ``id``: text with one run of ``#``, which becomes the row's running number, such as ``"E-######"``.
        missing: Of what is learnt: texts and numbers that mean "missing", such as ``("unknown", 999)``.
        odd: ``"missing"``: cells that cannot be read, at most one in twenty, are missing.
        read_as: For ``continuous``: ``"number"`` reads the numbers that texts are, and writes them as such texts.
        decimal: With ``read_as``: the decimal mark, ``"."`` by default.
        thousands: With ``read_as``: what stands between thousands.
        decimals: With ``read_as``: how many decimals all numbers are written with.
        unit: With ``read_as``: what stands around the number, which is ``#``: ``"$#"``, ``"#%"``; ``"kg"`` is ``"# kg"``.
        below: With ``read_as``: the limit L of cells ``<L``; numbers below it are written so.
        above: With ``read_as``: the limit L of cells ``>L``; numbers above it are written so.
        part_of: With ``read_as``: the column of the table whose cells are two numbers with ``/`` between them.
        part: With ``part_of``: which of the two numbers this is, 1 or 2.
        true: For ``boolean``: the text that means true, whatever its case.
        false: For ``boolean``: the text that means false.
        formats: For ``datetime``: further formats that some cells have; all are written by ``format``.

    Raises:
        MetadataError: An option is wrong, or belongs to another kind.

    Example:
        >>> Column("admitted", "datetime", format="%Y-%m-%d")
        Column('admitted', 'datetime', format='%Y-%m-%d')
        >>> Column("employee", "id", pattern="E-######").regenerate
        'pattern'
    """

    name: Hashable
    kind: Kind
    format: str | None = None
    time_zone: str | None = None
    order: tuple[Any, ...] | None = None
    regenerate: Literal["sequence", "uuid", "pattern"] | None = None
    pattern: str | None = None
    rest: str | int | None = None
    century_starts: int | None = None
    missing: tuple[Any, ...] | None = None
    odd: Literal["missing"] | None = None
    read_as: Literal["number"] | None = None
    decimal: str | None = None
    thousands: str | None = None
    decimals: int | None = None
    unit: str | None = None
    below: float | None = None
    above: float | None = None
    part_of: str | None = None
    part: int | None = None
    true: str | None = None
    false: str | None = None
    formats: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", plain_cell(self.name))
        for option in _LISTS:
            if isinstance(value := getattr(self, option), list | tuple):
                object.__setattr__(self, option, tuple(map(plain_cell, value)))
        given = {option: value for option in _ALL_OPTIONS if (value := getattr(self, option)) is not None}
        problems = option_problems(self.name, self.kind, given)
        if problems:
            place = f"column {self.name!r}"
            raise MetadataError([Problem(f"{place}.{option}" if option else place, text) for option, text in problems])
        if self.pattern is not None:
            object.__setattr__(self, "regenerate", "pattern")

    def __repr__(self) -> str:
        told = [repr(self.name), repr(self.kind), *(f"{option}={value!r}" for option, value in self.options.items())]
        return f"Column({', '.join(told)})"

    @property
    def reads_text(self) -> bool:
        """Whether cells are texts that the column says how to read; see ``readings``."""
        words = any(isinstance(word, str) for word in self.missing or ())
        return words or any((self.read_as, self.true, self.false, self.formats, self.odd))

    @property
    def date_options(self) -> tuple[str | None, str | None, int | None]:
        """How dates are written: what ``Calendar.learn`` takes."""
        return self.format, self.time_zone, self.century_starts

    @property
    def options(self) -> dict[str, Any]:
        """The options that are set, without those that others imply."""
        options = {option: getattr(self, option) for option in OPTIONS[self.kind]}
        if self.pattern is not None:
            options.pop("regenerate")
        return {option: value for option, value in options.items() if value is not None}

    @property
    def modelled(self) -> bool:
        """Whether the network learns this column."""
        return self.kind not in ("id", "ignore")


def unknown_kind(kind: Any) -> str:
    """Return what is said of a kind that there is not."""
    return f"unknown kind {kind!r}; use one of {', '.join(KINDS)}{did_you_mean(kind, KINDS)}"


def option_problems(name: Any, kind: Any, options: Mapping[Any, Any]) -> list[tuple[str, str]]:
    """Return every (option, message) that is wrong with one column; the option is ``""`` for the column itself."""
    problems: list[tuple[str, str]] = []
    if fault := name_fault(name):
        problems.append(("", fault))
    if kind not in KINDS:
        return [*problems, ("", unknown_kind(kind))]
    for option, value in options.items():
        if option not in OPTIONS[kind]:
            homes = " and ".join(other for other in KINDS if option in OPTIONS[other])
            takes = f"a column of kind {kind!r} takes {', '.join(OPTIONS[kind]) or 'no options'}"
            unknown = f"unknown option; {takes}{did_you_mean(option, OPTIONS[kind])}"
            text = f"a column of kind {kind!r} takes no {option!r}; it belongs to {homes}" if homes else unknown
            problems.append((option, text))
        elif value is not None and (fault := _fault(option, value)):
            problems.append((option, fault))
    if options.get("century_starts") is not None and not has_short_years(str(options.get("format"))):
        rule = "must stand beside a format with years of two digits, such as '%d/%m/%y'"
        problems.append(("century_starts", f"{rule}, found none"))
    problems += _text_problems(kind, options)
    if not problems and kind == "id":
        regenerate, pattern = options.get("regenerate"), options.get("pattern")
        if regenerate == "pattern" and pattern is None:
            problems.append(("pattern", "regenerate 'pattern' needs a pattern, such as 'E-######'"))
        if pattern is not None and regenerate not in (None, "pattern"):
            text = f"a pattern is given, so 'regenerate' must be 'pattern', not {regenerate!r}"
            problems.append(("regenerate", text))
    return problems


def _text_problems(kind: str, options: Mapping[Any, Any]) -> list[tuple[str, str]]:
    """Return what is wrong with the options of how text is read, beside each other."""
    given = {option: value for option, value in options.items() if value is not None}
    problems = []
    if "read_as" not in given and kind == "continuous":
        needs = "needs read_as: number beside it"
        problems += [(option, needs) for option in (*_NUMBER_TEXT, "part_of") if option in given]
    if ("part_of" in given) != ("part" in given):
        problems.append(("part", "part_of and part stand beside each other: the column, and 1 or 2"))
    if ("true" in given) != ("false" in given):
        problems.append(("true", "true and false stand beside each other"))
    elif "true" in given and str(given["true"]).casefold() == str(given["false"]).casefold():
        problems.append(("true", "must be another word than 'false'"))
    if given.get("thousands", "") == given.get("decimal", "."):
        problems.append(("thousands", "must be another mark than 'decimal', which is a point by default"))
    if "formats" in given and "format" not in given:
        problems.append(("formats", "needs a format beside it, which all dates are written by"))
    return problems


def name_fault(name: Any, *, any_kind: bool = False) -> str:
    """Return what is wrong with the name of a column, or an empty string; a list of truths is a mask of rows to pandas.

    Args:
        any_kind: Whether it may be other than text or a number.
    """
    if type(name) is str:
        return ""
    name = plain_cell(name)
    is_truth, lacks = isinstance(name, bool), not isinstance(name, tuple) and is_missing(name)
    if not is_truth and not lacks and (any_kind or isinstance(name, str | int)):
        return ""
    if isinstance(name, float) and math.isfinite(name):
        return ""
    found = "a missing value" if lacks else "true or false" if is_truth else f"a {type(name).__name__}"
    return f"a column name must be text or a finite number, found {found}; rename it, such as with .rename(columns=str)"


def _fault(option: str, value: Any) -> str:
    """Return what is wrong with the value of an option, or an empty string."""
    found = f"found {type(value).__name__}"
    match option:
        case "format" | "time_zone" | "pattern" | "unit" if not isinstance(value, str):
            return f"must be {_TEXTS[option]}, {found}"
        case "format":
            directives = re.findall(r"%(.?)", value, flags=re.DOTALL)
            if unknown := sorted({directive for directive in directives if directive not in _DIRECTIVES}):
                return f"unknown directive {', '.join('%' + directive for directive in unknown)}; see Python's strptime"
            if not any(directive in "dmyYjbBcxGVHIMSX" for directive in directives):
                return f"{value!r} holds no part of a date; write it like '%Y-%m-%d'"
        case "century_starts" if type(plain_cell(value)) is not int or not 1 <= value <= 9_900:
            return f"must be a year, such as 1930, found {value if type(value) is int else type(value).__name__}"
        case "time_zone" if not re.fullmatch(r"UTC[+-]\d{2}:\d{2}", value):
            try:
                zone = ZoneInfo(value)
            except (KeyError, ValueError, OSError):
                zone = None
            # These two are files of the machine's own zone: another machine reads other times from them.
            if zone is None or value in ("localtime", "posixrules"):
                return f"unknown time zone {value!r}; use an IANA name, such as 'Europe/Paris' or 'UTC'"
        case "pattern" if (runs := len(re.findall(r"#+", value))) != 1:
            return f"must hold exactly one run of '#', the running number, such as 'E-######'; found {runs}"
        case "order":
            return _order_fault(value)
        case "read_as" | "odd" | "decimal" | "thousands" if value not in _ONE_OF[option]:
            return f"must be {' or '.join(map(repr, _ONE_OF[option]))}, or be left out"
        case "decimals" if type(value) is not int or not 0 <= value <= 15:
            return "must be a whole number from 0 to 15"
        case "part" if value not in (1, 2) or isinstance(value, bool):
            return "must be 1 or 2"
        case "below" | "above" if (
            isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value)
        ):
            return f"must be a finite number, {found}"
        case "true" | "false" | "part_of" if not isinstance(value, str) or not value.strip():
            return f"must be text, {found}"
        case "unit" if (
            value.count("#") > 1 or not value.replace("#", "").strip() or re.search(r"\d", value[: value.find("#") + 1])
        ):
            return f"must be what stands around the number, which is one '#', such as '$#'; found {value!r}"
        case "missing":
            return _missing_fault(value)
        case "formats":
            return _formats_fault(value)
        case "regenerate" if value not in _REGENERATE:
            hint = did_you_mean(value, _REGENERATE)
            return f"must be 'sequence', 'uuid' or 'pattern', or be left out to drop the column{hint}"
        case "rest" if type(plain_cell(value)) not in (str, int):
            return f"must be one category, text or a whole number, {found}"
    return ""


def _missing_fault(value: Any) -> str:
    if not isinstance(value, list | tuple) or not value:
        return f"must be a list of the texts and numbers that mean missing, found {type(value).__name__}"
    for item in map(plain_cell, value):
        if isinstance(item, bool) or not isinstance(item, str | int | float) or is_missing(item):
            return f"must hold texts and numbers, found {type(item).__name__}"
    return ""


def _formats_fault(value: Any) -> str:
    if not isinstance(value, list | tuple) or not value:
        return f"must be a list of formats, found {type(value).__name__}"
    texts = (
        f"must be texts, found {type(item).__name__}" if not isinstance(item, str) else _fault("format", item)
        for item in value
    )
    return next(filter(None, texts), "")


def _order_fault(value: Any) -> str:
    if not isinstance(value, list | tuple):
        return f"must be a list of the values, lowest first, found {type(value).__name__}"
    if not value:
        return "must list at least one value"
    for position, item in enumerate(value):
        item = plain_cell(item)
        if not isinstance(item, str | int | float) or (isinstance(item, float) and not math.isfinite(item)):
            return f"entry {position} is a {type(item).__name__}; use text, finite numbers, true or false"
    # 1, 1.0 and True are one key to Python and three values to us.
    keys = [(type(plain_cell(item)), plain_cell(item)) for item in value]
    if len(set(keys)) < len(keys):
        repeated = sum(count > 1 for count in Counter(keys).values())
        return f"must list each value once, found {repeated} that are repeated"
    return ""
