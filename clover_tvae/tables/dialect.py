"""How a CSV file is written: what separates its cells, how its numbers look, how its text is encoded.

What nobody says is found in the file: the separator in its first lines, the decimal mark in the cells. Where two readings
are equally likely, nothing is guessed: the file is refused, and the message names the option that settles it.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import io
from collections.abc import Hashable, Iterable, Mapping
from typing import Annotated, Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, WithJsonSchema, model_validator

from clover_tvae.columns.number_texts import THOUSANDS, numeral
from clover_tvae.errors import ColumnTypeError, ConfigError, Problem, TableFileError, did_you_mean
from clover_tvae.parameters import described

_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_OTHER: dict[str, Any] = {".": ",", ",": "."}
_PLAIN = {"separator": ",", "decimal": ".", "thousands": "", "encoding": "utf-8", "quote": '"'}

Separator = Annotated[
    Literal[",", ";", "\t", "|"],
    BeforeValidator(lambda said: "\t" if said == "tab" else said),
    WithJsonSchema({"enum": [*_SEPARATORS, "tab"]}),
]


class Dialect(BaseModel):
    r"""How a CSV file is written. What is ``None`` is found in the file.

    Example:
        >>> print(Dialect(separator=";", decimal=",", encoding="cp1252"))
        separator ';', decimal ',', encoding cp1252
        >>> Dialect.of({"separator": "tab"}).separator
        '\t'
    """

    # strict and hide_input: as in a job file, whose key ``read`` this is.
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, hide_input_in_errors=True)

    separator: Separator | None = described(
        "What stands between two cells: , ; | or tab. Left out, it is found in the first lines."
    )
    decimal: Literal[".", ","] | None = described(
        "The decimal mark of numbers. Left out, it is found in the cells; where commas separate them it is a point."
    )
    thousands: Literal["", ".", ",", " ", "'"] | None = described(
        "What stands between the thousands of numbers; '' for nothing. Left out, a point or comma is found in the cells."
    )
    encoding: Literal["utf-8", "utf-8-sig", "utf-16", "cp1252", "cp1250", "latin-1"] | None = described(
        "How text is encoded. Left out: UTF-8, or UTF-16 where the file begins with the mark of it. cp1252 is what "
        "Windows writes in western Europe, cp1250 in central Europe."
    )
    quote: Literal['"', "'"] | None = described("What stands around a cell that needs it: \" or '.")
    blank: bool | None = described(
        "true: blanks that stand before a cell, after the separator, are no part of it. Left out, it is found: one "
        "follows every separator."
    )
    trailing: bool | None = described(
        "Whether a separator ends every line, too. Left out, it is found: the last column has no name and no cell."
    )

    sheet: str | int | None = described(
        "The sheet of a workbook, by its name or its number from 1. Left out, it is the only one."
    )

    #: Of each column whose numbers all have as many decimals in the file, how many: found, never said.
    _decimals: Mapping[Hashable, int] = {}

    @model_validator(mode="after")
    def _marks_differ(self) -> Dialect:
        if self.thousands and self.thousands == self.decimal:
            raise ValueError("decimal and thousands must be two different marks")
        return self

    @classmethod
    def of(cls, read: Dialect | Mapping[str, Any] | None) -> Dialect:
        """Return what the argument ``read`` of :func:`clover_tvae.tables.read_table` says.

        Raises:
            ConfigError: It has other keys, or other values, than those of this class.
        """
        if isinstance(read, cls):
            return read
        try:
            return cls.model_validate({} if read is None else read)
        except ValidationError as error:
            problems = []
            for detail in error.errors(include_url=False, include_input=False):
                key = str(detail["loc"][0]) if detail["loc"] else ""
                text = f"must be {detail['msg'].removeprefix('Input should be ').removeprefix('Value error, ')}"
                if detail["type"] == "extra_forbidden":
                    known = f"; known: {', '.join(cls.model_fields)}"
                    text = f"unknown key{did_you_mean(key, cls.model_fields) or known}"
                problems.append(Problem(f"read.{key}" if key else "read", text))
            raise ConfigError(problems) from None

    def __str__(self) -> str:
        """Return in words what differs from UTF-8 with commas and decimal points; nothing where nothing does."""
        told = [
            f"{key} {value if key == 'encoding' else ascii(value)}"
            for key, plain in _PLAIN.items()
            if (value := getattr(self, key)) is not None and value != plain
        ]
        told += ["blanks before cells left out"] if self.blank else []
        return ", ".join(told + (["a separator at the end of every line"] if self.trailing else []))

    def but(self, **found: Any) -> Dialect:
        """Return the dialect with what was found; what was given stays."""
        return self.model_copy(update={key: value for key, value in found.items() if getattr(self, key) is None})

    def with_decimals(self, numbers: Mapping[Hashable, Any]) -> Dialect:
        """Return the dialect with the decimals of columns of numbers, whose cells are given as pyarrow arrays of text."""
        found = self.model_copy()
        plain = f"^[^eE]*[{self.decimal or '.'}]"
        for name, cells in numbers.items():
            n_decimals = pc.unique(pc.binary_length(pc.replace_substring_regex(cells, plain, "")))
            if len(n_decimals) == 1 and pc.all(pc.match_substring_regex(cells, rf"{plain}\d+$")).as_py():
                found._decimals = {**found._decimals, name: n_decimals[0].as_py()}
        return found

    def spelt(self, number: Any, column: Hashable) -> str:
        """Return a number as the file writes those of its column: with as many decimals, unless it has more.

        Example:
            >>> prices = Dialect(decimal=",").with_decimals({"price": pa.array(["12,50", "7,00"])})
            >>> [prices.spelt(number, "price") for number in (3.5, 1.125, 1e-9)]
            ['3,50', '1,125', '1e-09']
        """
        text = str(number)
        if "." in text and "e" not in text:
            whole, _, decimals = text.partition(".")
            text = f"{whole}.{decimals.ljust(self._decimals.get(column, 0), '0')}"
        return text.replace(".", self.decimal or ".")

    def rows(self, text: str, separator: str | None = None) -> Iterable[list[str]]:
        """Yield the rows that have cells. Another separator than the dialect's is only tried: then quotes must be whole.

        Raises:
            csv.Error: A cell is too long, or the text is none.
        """
        marks: dict[str, Any] = {"delimiter": separator or self.separator, "quotechar": self.quote or '"'}
        strict = separator not in (None, ",")
        return filter(None, csv.reader(io.StringIO(text, newline=""), strict=strict, **marks))

    def in_lines(self, text: str, place: str, *, cut: bool) -> Dialect:
        """Return the dialect with the separator that the first lines have, and whether it ends them.

        Args:
            text: The first lines, with the header.
            cut: Whether the last line may lack its end.

        Raises:
            TableFileError: Two separators fit, or one does in some lines only.
            csv.Error: There is no header that can be read.
        """
        found = self.but(quote='"', separator=self._separator_of(text, place, cut))
        found = found.but(blank=_blank_after(str(found.separator), text, cut))
        header = next(iter(found.rows(text)), [])
        ends = self.trailing is None and len(header) > 1 and not header[-1] and all(map(str.strip, header[:-1]))
        return found.but(trailing=ends and all(not row[-1] for row in found._whole_rows(text, cut)))

    def _whole_rows(self, text: str, cut: bool, separator: str | None = None) -> list[list[str]]:
        try:
            rows = [*self.rows(text, separator)]
        except csv.Error:
            return []
        return rows[:-1] if cut else rows

    def _separator_of(self, text: str, place: str, cut: bool) -> str:
        if self.separator is not None:
            return self.separator
        n_cells = {",": len(next(iter(self.rows(text, ",")), []))}
        for mark in (";", "\t", "|"):
            with contextlib.suppress(csv.Error):
                n_cells[mark] = len(next(iter(self.rows(text, mark)), []))
        fits = [mark for mark, n in n_cells.items() if n > 1]
        if not fits:
            _refuse_lone(text, place, cut)
        if fits in ([], [","]):  # told by the parser where rows have more cells, or less
            return ","
        same = [m for m in fits if {n_cells[m]} == {*map(len, self._whole_rows(text, cut, m))}]
        cure = 'say which: read: {separator: ";"}, or --read "separator=;"'
        if len(same) == 1:
            return same[0]
        if same:
            names = " or by ".join(_SEPARATORS[mark] for mark in same)
            raise TableFileError(f"can be read as separated by {names}: every line fits both; {cure}", place)
        lines = [line for line in text.splitlines() if line][:2]
        for mark in fits:
            alike = len(lines) == 2 and len({line.count(mark) for line in lines}) == 1 and '"' not in lines[0]
            if mark != "," and "," not in fits and alike:
                text = f"seems to be separated by {_SEPARATORS[mark]}, but lines have other numbers of cells"
                raise TableFileError(f"{text}; mend it, or {cure}", place)
        return ","

    def in_cells(self, columns: Iterable[tuple[str, Any, bool]], place: str) -> Dialect:
        """Return the dialect with the marks of the numbers that the cells hold.

        Args:
            columns: Of each column that may hold numbers its name, its cells as a pyarrow array of text, and whether it was
                declared to hold numbers: then cells that are none say nothing, else all must be numbers to say something.

        Raises:
            ColumnTypeError: The cells can be read in two ways, or contradict each other.
        """
        if self.separator == ",":
            return self.but(decimal=_OTHER.get(self.thousands or "", "."), thousands="")
        if self.decimal is not None and self.thousands is not None:
            return self
        marks = [mark for mark in _OTHER if mark != self.thousands]
        patterns = {m: f"^{numeral(m, _OTHER[m] if self.thousands is None else self.thousands)}$" for m in marks}
        sure: dict[str, str] = {}  # a decimal mark, and the first column that has it
        unsure: dict[str, str] = {}  # a mark of which nobody knows what it is, and the first column that has it
        grouped: set[str] = set()
        for name, cells, is_declared in columns:
            fits = {mark: pc.match_substring_regex(cells, pattern) for mark, pattern in patterns.items()}
            if is_declared:
                cells = cells.filter(functools.reduce(pc.or_, fits.values()))
                fits = {mark: pc.match_substring_regex(cells, pattern) for mark, pattern in patterns.items()}
            there = [mark for mark in _OTHER if pc.any(pc.match_substring(cells, mark), min_count=0).as_py()]
            fitting = [mark for mark in marks if pc.all(fits[mark], min_count=0).as_py()] if there else []
            if len(fitting) == 1 and self.decimal in (None, fitting[0]):
                sure.setdefault(fitting[0], name)
                grouped |= {mark for mark in there if mark != fitting[0]}
            elif len(fitting) == 2:
                unsure = dict.fromkeys(there, name) | unsure
        cure = "say how the file writes numbers: read: {decimal: ..., thousands: ...}, thousands '' for none"
        if len(sure) == 2:
            text = f"column {sure['.']!r} has decimal points and column {sure[',']!r} decimal commas; {cure}"
            raise ColumnTypeError(text, place)
        decimal: Any = self.decimal or next(iter(sure), None)
        thousands: Any = self.thousands if self.thousands is not None else next(iter(grouped), None)
        open_ = [m for m in unsure if decimal is None or (m != decimal and thousands is None)]
        if open_:
            mark, called = open_[0], {".": "point", ",": "comma"}[open_[0]]
            text = f"numbers such as 1{mark}234 can have a decimal {called}, or be 1234 with a {called} between the thousands"
            said = f"{{decimal: {mark!r}}} or {{decimal: {_OTHER[mark]!r}, thousands: {mark!r}}}"
            if decimal is not None:
                said = " or, for text, ".join(f"{{decimal: {decimal!r}, thousands: {t!r}}}" for t in (mark, ""))
            raise ColumnTypeError(f"{text}; say which: read: {said}", f"{place}: column {unsure[mark]!r}")
        return self.but(decimal=decimal or _OTHER.get(thousands or "", "."), thousands=thousands or "")

    def plain_numbers(self, cells: Any) -> Any:
        """Return cells of text with numbers as Python writes them; what is no number of the dialect becomes none of Python's."""
        if (self.decimal or ".", self.thousands or "") == (".", ""):
            return cells
        pattern = f"^({numeral(self.decimal or '.', self.thousands or '')}|[+-]?(?i:inf|infinity))$"
        wrong = pc.invert(pc.fill_null(pc.match_substring_regex(cells, pattern), True))
        if self.thousands:
            cells = pc.replace_substring_regex(cells, THOUSANDS[self.thousands], "")
        plain = pc.replace_substring(cells, self.decimal or ".", ".")
        return pc.replace_with_mask(plain, wrong, pa.scalar("none", plain.type))


def _lines(text: str, cut: bool) -> list[str]:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[:-1] if cut else lines


def _blank_after(separator: str, text: str, cut: bool) -> bool:
    """Return whether a blank follows every separator."""
    lines = _lines(text, cut)
    return len(lines) > 1 and all(0 < line.count(separator) == line.count(separator + " ") for line in lines)


def _refuse_lone(text: str, place: str, cut: bool) -> None:
    """Refuse lines that seem to have several cells below a first line of one."""
    head, *lines = _lines(text, cut) or [""]
    lines = lines[len(lines) // 2 :]
    if len(lines) < 3 or '"' in head:
        return
    n_words = {len(line.split()) for line in lines}
    if n_words <= {len(head.split()), len(head.split()) + 1} and len(n_words) == 1 and min(n_words) > 2:
        raise TableFileError("seems to be separated by blanks; export it with commas or semicolons", place)
    for mark, name in _SEPARATORS.items():
        n_marks = {line.count(mark) for line in lines}
        if mark != "," and len(n_marks) == 1 and 0 not in n_marks:
            cure = "delete lines above the header, such as a title, or quote the cells if there is one column"
            text = f"has one name in its first line, and lines below are separated by {name}"
            raise TableFileError(f"{text}; {cure}", place)
