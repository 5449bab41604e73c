"""Numbers written as text: their marks, their unit, and limits that they lie beyond (``<5``).

This module knows one text, and one way to write numbers. It knows no column and no table.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

import numpy as np

# A blank between the thousands may be a narrow one or one that breaks no line.
THOUSANDS = {"": "", ".": r"\.", ",": ",", " ": "[ \u00a0\u202f]", "'": "['’]"}
"""The marks that may stand between thousands, and the pattern of each."""

_BLANKS = str.maketrans(dict.fromkeys("\u00a0\u2009\u202f", " ") | {"\u2212": "-"})
_CURRENCY = r"[$€£¥₹]|(?:USD|EUR|GBP|CHF|Rs|kr)\.?"
_UNIT = r"[^\W\d_][^#<>=;:]{0,14}|[%‰°$€£¥₹][^#\d<>=;:]{0,14}"
_SPELT = re.compile(
    rf"(?P<beyond>[<>]?) *(?P<sign>[+-]?) *(?P<before>(?:{_CURRENCY}) *|)(?P<inner>[+-]?)"
    rf"(?P<body>(?:[0-9][0-9.,'’ ]*|[.,][0-9]+)(?:[eE][+-]?[0-9]+)?)(?P<after> *(?:{_UNIT})|)",
    re.IGNORECASE,
)
# As accountants write it, and SAP: (1,234.50) and 1.234,50-
_BELOW_ZERO = re.compile(r"\((.*\d.*)\)|([^+-]*\d)-")
_MOST_LETTERS = 40


def numeral(decimal: str, thousands: str) -> str:
    """Return the pattern of a number with these marks."""
    mark = f"[{decimal}]"
    whole = rf"(\d+|[1-9]\d{{0,2}}({THOUSANDS[thousands]}\d{{3}})+)" if thousands else r"\d+"
    return rf"[+-]?({whole}({mark}\d*)?|{mark}\d+)([eE][+-]?\d+)?"


def plain_text(text: str) -> str:
    """Return a text without blanks around it, with plain blanks and a plain minus inside."""
    return text.translate(_BLANKS).strip()


class Spelt(NamedTuple):
    """A number as it stands in a text.

    Args:
        beyond: ``<`` or ``>`` before it, or nothing.
        body: Its digits and marks, with the sign.
        unit: What stands around it, with ``#`` in its place: ``$#``, ``# kg``; nothing where it stands alone.
    """

    beyond: str
    body: str
    unit: str

    @property
    def unit_key(self) -> str:
        """The unit whatever its case and its blanks."""
        return "".join(self.unit.split()).casefold()

    @property
    def behind(self) -> int | None:
        """How many digits follow the last point or comma; ``None`` for powers of ten."""
        if "e" in self.body.lower():
            return None
        return len(re.split(r"[.,]", self.body)[-1]) if re.search(r"[.,]", self.body) else 0


def split_number(text: str) -> Spelt | None:
    """Return the number that a text is, in parts; ``None`` where it is none, or a code that begins with a zero.

    Example:
        >>> split_number("<5"), split_number("$1,234.50"), split_number("70 kg").unit
        (Spelt(beyond='<', body='5', unit=''), Spelt(beyond='', body='1,234.50', unit='$#'), '# kg')
        >>> split_number("($9.50)"), split_number("1.234,50-").body
        (Spelt(beyond='', body='-9.50', unit='$#'), '-1.234,50')
        >>> [split_number(text) for text in ("120/80", "12:30", "007", "Q1 2019", "unknown")]
        [None, None, None, None, None]
    """
    text = plain_text(text)
    if below := _BELOW_ZERO.fullmatch(text):
        text = f"-{below[1] or below[2]}"
    if len(text) > _MOST_LETTERS or not (found := _SPELT.fullmatch(text)):
        return None
    body, after = found["body"].rstrip(), found["after"]
    if re.match(r"0\d", body) or (found["sign"] and found["inner"]) or (found["before"] and after):
        return None
    blank = " " if found["body"] != body and after else ""
    unit = f"{found['before']}#{blank}{after.strip()}"
    return Spelt(found["beyond"], found["sign"] + found["inner"] + body, unit if unit != "#" else "")


@dataclass(frozen=True)
class NumberStyle:
    """One way to write numbers.

    Args:
        decimal: The decimal mark, ``.`` or ``,``.
        thousands: What stands between thousands; nothing by default.
        decimals: Digits behind the mark, where all numbers have as many; ``None``: as many as each needs.
        unit: What stands around the number, which is ``#`` in it (``$#``, ``#%``); without ``#`` it follows a blank.
        below: Numbers below it are written as ``<`` and this limit.
        above: Numbers above it are written as ``>`` and this limit.

    Example:
        >>> style = NumberStyle(decimal=",", unit="kg", below=5)
        >>> style.read("70,5 KG"), style.read("<5"), style.read("70 lb"), style.read("7.5")
        (70.5, 4.0, None, None)
        >>> style.write(70.5), style.write(3.0)
        ('70,5 kg', '<5 kg')
    """

    decimal: str = "."
    thousands: str = ""
    decimals: int | None = None
    unit: str | None = None
    below: float | None = None
    above: float | None = None

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        return re.compile(numeral(self.decimal, self.thousands))

    @cached_property
    def _around(self) -> str:
        unit = self.unit or ""
        return unit if "#" in unit or not unit else f"# {unit}"

    def fits(self, body: str) -> bool:
        """Return whether digits have the marks of this style."""
        has_power = "e" in body.lower() and self.thousands != "" and self.thousands in body
        return self._pattern.fullmatch(body) is not None and not has_power

    def number(self, body: str) -> float:
        """Return the number of digits that fit."""
        if self.thousands:
            body = re.sub(THOUSANDS[self.thousands], "", body)
        return float(body.replace(self.decimal, "."))

    def read(self, text: str) -> float | None:
        """Return the number of a text, or ``None``; a bare number is one in the unit. A limit is the next number beyond it."""
        spelt = split_number(text)
        if spelt is None or not self.fits(spelt.body):
            return None
        if spelt.unit and spelt.unit_key != "".join(self._around.split()).casefold():
            return None
        number = self.number(spelt.body)
        if not np.isfinite(number):
            return None
        if not spelt.beyond:
            return number
        limit = self.below if spelt.beyond == "<" else self.above
        return self._next(spelt.beyond) if limit is not None and number == limit else None

    def _next(self, beyond: str) -> float:
        """Return the number that stands for all beyond a limit: one step of the limit's last digit away."""
        limit = Decimal(str(self.below if beyond == "<" else self.above))
        exponent = limit.as_tuple().exponent
        step = Decimal(1).scaleb(min(int(exponent), 0))
        return float(limit - step if beyond == "<" else limit + step)

    def write(self, number: float) -> str:
        """Return a number as text."""
        beyond = ""
        if self.below is not None and number < self.below:
            beyond, number = "<", self.below
        elif self.above is not None and number > self.above:
            beyond, number = ">", self.above
        if self.decimals is not None and not beyond:
            plain = f"{number:.{self.decimals}f}"
        else:
            plain = np.format_float_positional(number, trim="-")
        minus, (whole, point, rest) = plain[:1] == "-", plain.lstrip("-").partition(".")
        if self.thousands:
            whole = f"{int(whole):,}".replace(",", self.thousands)
        return beyond + "-" * minus + (self._around or "#").replace("#", whole + (self.decimal if point else "") + rest)
