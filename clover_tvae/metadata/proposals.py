"""How a column of text could be read: as numbers, pairs, dates, true and false, an order; each with what was found and the words that change it.

What can be read in one way only is proposed; what can be read in two is left as it is until a word says which (``decimal-comma``,
``day-first``...). This module knows texts and columns. It tells counts, rows, and words that at least ``MIN_COUNT`` people share.
"""

from __future__ import annotations

import datetime
import re
from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.cells import zone_name_of
from clover_tvae.columns.date_formats import (
    Written,
    century_of,
    formats_of,
    has_short_years,
    packed_width,
    read_texts,
    whole_number_formats,
)
from clover_tvae.columns.labels import are_numbers_of_two_parts, is_school_year, names_people
from clover_tvae.columns.names import may_name_an_id, names_a_birth, names_a_person
from clover_tvae.columns.number_texts import NumberStyle, Spelt, plain_text, split_number
from clover_tvae.columns.numeric import identifier_told
from clover_tvae.columns.people import People, people_of_each
from clover_tvae.errors import data_rows
from clover_tvae.metadata.column import Column, Kind
from clover_tvae.metadata.readings import MOST_ODD, PAIR, style_of
from clover_tvae.metadata.validate import BIRTHS, KEEP_LESS
from clover_tvae.parameters import MIN_COUNT

MAX_CODES = 10
"""Numbers of at most so many distinct values, each met five times on average, are taken for codes."""
MARKERS = {
    "", "-", "--", "---", ".", "..", "?", "??", "na", "n/a", "n.a.", "n.a", "#n/a", "nan", "null", "none", "nil", "unknown", "unk", "not known",
    "missing", "nd", "n.d.", "not done", "not available", "not recorded", "not applicable", "no data", "k.a.", "unbekannt", "inconnu", "<na>",
    "\\n",
}  # fmt: skip
"""Words that mean missing, in lower case."""
_MARKER_NUMBERS = (-9, -99, -999, -9999, -1, -7, -8, 99, 999, 9999, 99999, 999999, 88, 888, 8888, 77, 777, 7777)
_NEVER = np.array(
    ["9999-12-31", "2999-12-31", "2099-12-31", "1900-01-01", "1800-01-01", "1753-01-01", "0001-01-01"],
    dtype="datetime64[D]",
)
_ZERO_IN_FRONT = re.compile(r"0\d")
_DAY_AND_WORD = re.compile(r"\d{1,2}[. -]+[^\W\d_]{3,9}[. -]+\d{2,4}")
_OTHER_MONTH = re.compile(
    r"\b(mrz|märz?|mai|okt|dez|janv|févr|mars|avr|juin|juil|août|déc|ene|abr|ago|dic|maart|mei|gen|mag|giu|lug|ott)",
    re.IGNORECASE,
)
_MARKS = ((".", ""), (",", ""), (".", ","), (",", "."), (".", " "), (",", " "), (".", "'"), (",", "'"))
_STYLES = [NumberStyle(decimal, thousands) for decimal, thousands in _MARKS]
_TRUTHS = (
    ("yes", "no"), ("y", "n"), ("true", "false"), ("t", "f"), ("ja", "nein"), ("j", "n"), ("oui", "non"), ("sí", "no"), ("si", "no"),
    ("wahr", "falsch"), ("vrai", "faux"), ("verdadero", "falso"), ("vero", "falso"),
)  # fmt: skip
_SCALES = (
    ("very low", "low", "medium", "high", "very high"), ("very low", "low", "moderate", "high", "very high"), ("low", "normal", "high"),
    ("none", "minimal", "mild", "moderate", "severe", "very severe"), ("never", "rarely", "sometimes", "often", "always"),
    ("very small", "small", "medium", "large", "very large"), ("very poor", "poor", "fair", "good", "very good", "excellent"),
    ("strongly disagree", "disagree", "neutral", "agree", "strongly agree"), ("very bad", "bad", "fair", "good", "very good"),
    ("i", "ii", "iii", "iv", "v", "vi"), ("-", "+", "++", "+++", "++++"), ("negative", "trace", "1+", "2+", "3+", "4+"),
)  # fmt: skip


@dataclass(frozen=True)
class Finding:
    """One column as it looks.

    Args:
        column: What it is taken for.
        reason: Why, in a few words.
        warning: What its owner should look at; empty if the guess is plain.
        is_unit: Whether it tells which rows are of one person.
        words: The words that make something else of it.
        asks: Whether it can be read in two ways, and is left as it is until a word says which.
        second: The second column, of one that is split in two.
    """

    column: Column
    reason: str
    warning: str = ""
    is_unit: bool = False
    words: tuple[str, ...] = ()
    asks: bool = False
    second: Column | None = None

    @property
    def name(self) -> Hashable:
        """The column of the table."""
        return self.column.name if self.column.part_of is None else self.column.part_of

    @property
    def columns(self) -> tuple[Column, ...]:
        """What it is taken for, one column or two."""
        return (self.column,) if self.second is None else (self.column, self.second)

    @property
    def told(self) -> str:
        """The warning, with the words that make something else of it."""
        return self.warning + (f" (or say: {', '.join(self.words)})" if self.words and not self.asks else "")


@dataclass(frozen=True)
class Texts:
    """The cells of one column that are not missing, all of them text.

    Args:
        rows: The row of each, in the table.
        taken: The names of all columns.
        word: How its owner says that it is to be read; empty if nothing is said.
        people: Whose each row of the table is; left out, each is a person.
    """

    name: Hashable
    cells: pd.Series
    rows: NDArray[np.int64]
    taken: frozenset[Hashable] = frozenset()
    word: str = ""
    people: People | None = None

    @cached_property
    def plain(self) -> pd.Series:
        """The cells without blanks around them."""
        return self.cells.astype(object).map(plain_text)

    @cached_property
    def counts(self) -> dict[str, int]:
        """How often each text is there, the most frequent first."""
        return {str(text): int(n) for text, n in self.plain.value_counts().items()}

    @property
    def n(self) -> int:
        """How many cells there are."""
        return len(self.cells)

    def tally(self, keys: Mapping[str, Any]) -> Counter[Any]:
        """How many cells have each key; of each text that counts, its key is given."""
        counts = Counter[Any]()
        for text, key in keys.items():
            counts[key] += self.counts[text]
        return counts

    def held(self, texts: Collection[str]) -> tuple[list[str], People | None]:
        """Return the cells that are one of these texts, and whose each is; where each row is a person, each text once."""
        if self.people is None:
            return [*texts], None
        is_there = self.plain.isin(set(texts)).to_numpy()
        return self.plain[is_there].tolist(), self.people[self.rows[is_there]]

    @property
    def whose(self) -> People | None:
        """Whose each cell is; ``None``: each is of another person."""
        return None if self.people is None else self.people[self.rows]

    @cached_property
    def _places(self) -> tuple[NDArray[np.intp], Collection[str]]:
        """Return the place of each cell among the texts, and these."""
        return pd.factorize(self.plain)

    def shared(self, keys: Mapping[str, Any]) -> Counter[Any]:
        """How many cells have each key that at least ``MIN_COUNT`` people have: what may stand in the metadata, and so in the file."""
        n_cells = self.tally(keys)
        if self.people is None or not n_cells:
            return Counter({key: n for key, n in n_cells.items() if n >= MIN_COUNT})
        places, texts = self._places
        number = {key: i for i, key in enumerate(n_cells)}
        key_of = np.array([number[keys[text]] if text in keys else -1 for text in texts])[places]
        n_people = people_of_each(key_of, len(number), self.whose)
        return Counter({key: n for key, n in n_cells.items() if n_people[number[key]] >= MIN_COUNT})

    def n_of(self, texts: Iterable[str]) -> int:
        """How many cells are one of these texts."""
        return sum(self.counts[text] for text in set(texts))

    @cached_property
    def markers(self) -> dict[str, int]:
        """Return the known words for missing that enough people share, whatever their case."""
        return self.shared({text: text.casefold() for text in self.counts if text.casefold() in MARKERS})

    def rows_of(self, texts: Iterable[str]) -> str:
        """Name the rows of these texts."""
        return data_rows(sorted(self.rows[self.plain.isin(set(texts)).to_numpy()].tolist()))

    @property
    def are_pairs(self) -> bool:
        """Whether most are two numbers with ``/`` between them, which ``pair`` reads."""
        halves = {text: found.groups() for text in self.counts if (found := PAIR.fullmatch(text))}
        return 2 * self.n_of(halves) > self.n and not any(map(_ZERO_IN_FRONT.match, chain(*halves.values())))

    @property
    def as_label(self) -> Kind:
        """What the column is where it is not read: categories, or left out where it names rows."""
        counts = np.array([*self.counts.values()])
        share = len(counts) / max(1, self.n)
        return "ignore" if names_people(counts) or (len(counts) > MAX_CODES and share > 0.5) else "categorical"


class _Rest:
    """The texts that are not what most of a column's are: words for missing, other words that repeat, and odd ones."""

    def __init__(self, texts: Texts, kept: Collection[str]) -> None:
        self.texts, counts = texts, {text: n for text, n in texts.counts.items() if text not in kept}
        folded = {text.casefold() for text in counts}
        self.markers = {text: n for text, n in texts.markers.items() if text in folded}
        left = {text: n for text, n in counts.items() if text.casefold() not in self.markers}
        self.repeated = texts.shared({text: text for text in left})
        self.odd = set(left) - set(self.repeated)

    @property
    def fits(self) -> bool:
        """Whether the others are few enough for a column to be read in spite of them."""
        n_known = self.texts.n - sum(self.markers.values())
        n_odd, n_repeated = self.texts.n_of(self.odd), sum(self.repeated.values())
        return n_known > 0 and n_odd <= max(1, MOST_ODD * self.texts.n) and (n_odd + n_repeated) < 0.5 * self.texts.n

    @property
    def options(self) -> dict[str, Any]:
        """The options of the column that say what becomes of them."""
        words = (*self.markers, *self.repeated)
        return {"missing": words or None, "odd": "missing" if self.odd else None}

    def told(self, what: str) -> str:
        """Say how many there are; the odd ones by their rows."""
        told = _cells_told({**self.markers, **self.repeated})
        text = f", {told} are missing cells" if told else ""
        if self.odd:
            n, rows = self.texts.n_of(self.odd), self.texts.rows_of(self.odd)
            text = f", but for {n} cells ({rows}), which are none and are made missing: mend them first if they mean {what}{text}"
        return text


def look_at_texts(texts: Texts) -> Finding | None:
    """Return how a column of text is best read; ``None`` for labels, identifiers and prose."""
    tries: dict[str, Sequence[Callable[[Texts], Finding | None]]] = {
        "number": (_numbers,), "decimal-comma": (_numbers,), "decimal-point": (_numbers,), "pair": (_pair,), "date": (_dates,),
        "day-first": (_dates,), "month-first": (_dates,), "boolean": (_truth,), "ordinal": (_scale,),
    }  # fmt: skip
    for look in tries.get(texts.word, (_dates, _truth, _scale, _numbers, _pair)):
        if (found := look(texts)) is not None:
            return found
    return None


# ------------------------------------------------------------------------------------------------ numbers


def _numbers(texts: Texts) -> Finding | None:
    spelt = {text: found for text in texts.counts if (found := split_number(text)) is not None}
    n_spelt = texts.n_of(spelt)
    if not n_spelt or (n_spelt < 0.5 * (texts.n - sum(texts.markers.values())) and not texts.word):
        return None
    unit, n_units = _unit(texts, spelt)
    if n_units > 1:
        is_code = 2 * len(spelt) > n_spelt and all(re.fullmatch("#[A-Z]", found.unit_key) for found in spelt.values())
        if len(spelt) <= MAX_CODES or is_code:  # such as 12345678Z, another in most rows
            return None
        told = f"{_mostly(texts, spelt)} in {n_units} units; bring them to one first"
        return _left(texts, told, "numbers of several units")
    # A bare 999 among "70 kg" is no number of kilograms.
    bare = {text for text, found in spelt.items() if unit and not found.unit}
    marked = {text for text in bare if float(text) in _MARKER_NUMBERS} if all(map(str.isdecimal, bare)) else set()
    kept = {text: found for text, found in spelt.items() if found.unit_key in (unit, "") and text not in marked}
    if 2 * texts.n_of(kept) < n_spelt:
        return None  # what follows the numbers is hardly twice the same: codes
    styles, is_open = _styles(texts, kept)
    if not styles:
        n_any = max(texts.n_of(text for text, found in kept.items() if style.fits(found.body)) for style in _STYLES)
        text = f"{_mostly(texts, spelt)}, whose decimal marks differ; write all with one mark"
        return _left(texts, text, "numbers with several marks") if n_any >= 0.5 * texts.n else None
    style = styles[0]
    kept = {text: found for text, found in kept.items() if style.fits(found.body)}
    limits, n_limits = _limits(texts, kept, style)
    number_of = {text: style.number(found.body) for text, found in kept.items()}
    kept = {t: found for t, found in kept.items() if not found.beyond or number_of[t] == limits.get(found.beyond)}
    rest = _Rest(texts, kept)
    if n_limits > len(limits) or not rest.fits:
        why = "the others are no numbers: mend them, or list them as 'missing'"
        why = "limits of several heights, such as <5 and <10; bring them to one" if n_limits > len(limits) else why
        return _left(texts, f"{_mostly(texts, kept)}; {why}", "mostly numbers")
    values = np.repeat([number_of[text] for text in kept], [texts.counts[text] for text in kept])
    plain = "numbers written as text"
    but = f", but for {texts.n_of(rest.odd)} cells ({texts.rows_of(rest.odd)})" if rest.odd else ""
    if not texts.word and (of_births := births(texts.name, [*whole_number_formats(np.array(values))])):
        return of_births
    if not texts.word and (told := identifier_told(values, texts.name, int(texts.rows.max()) + 1)):
        warning = f"holds {plain}{but}, that look like an identifier ({told}): declared 'ignore'; number if it is a measurement"
        return Finding(Column(texts.name, "ignore"), plain, warning, words=("number", "category", "id"))
    inside = {text: found for text, found in kept.items() if not found.beyond}
    behind = [*texts.shared({t: found.behind if style.decimal in found.body else 0 for t, found in inside.items()})]
    spellings = texts.shared({text: found.unit for text, found in kept.items() if found.unit_key == unit}) or {unit: 0}
    column = Column(
        texts.name, "continuous", read_as="number",
        decimal="," if style.decimal == "," else None, thousands=style.thousands or None,
        decimals=behind[0] or None if len(behind) == 1 else None,
        unit=max(spellings, key=lambda spelt: spellings[spelt]).removeprefix("# ") or None, below=limits.get("<"), above=limits.get(">"), **rest.options,
    )  # fmt: skip
    is_plain = not (unit or limits or style.thousands or rest.markers or rest.repeated or texts.word)
    if is_plain and len(kept) <= MAX_CODES and texts.n >= MIN_COUNT * len(kept):
        warning = f"holds {plain}{but}: declared 'categorical', as there are only {len(kept)}; number reads them"
        return Finding(Column(texts.name, "categorical"), f"{plain}, {len(kept)} of them", warning, words=("number",))
    return _of_numbers(texts, column, rest, kept, n_bare=texts.n_of(bare - marked), is_open=is_open)


def _mostly(texts: Texts, numbers: Iterable[str]) -> str:
    return f"holds mostly numbers ({texts.n_of(numbers)} of {texts.n} cells)"


def _of_numbers(
    texts: Texts,
    column: Column,
    rest: _Rest,
    kept: Mapping[str, Spelt],
    *,
    n_bare: int,
    is_open: bool,
) -> Finding:
    """Say what was found of numbers, and ask what cannot be told."""
    style, asks = style_of(column), list[str]()
    if is_open:
        asks.append("a mark in them can be a decimal one or stand between thousands (1,234: 1.234 or 1234)")
    if n_bare > MOST_ODD * texts.n:
        asks.append(f"{n_bare} cells have no unit: say number if all are in {column.unit!r}")
    if re.fullmatch("#[A-Z]", column.unit or ""):
        asks.append("a letter follows them, as in codes: say number if it is a unit")
    if rest.repeated:
        asks.append(f"{_cells_told(rest.repeated)} are none: say number if they mean missing")
    inside = [style.number(found.body) for found in kept.values() if not found.beyond]
    low, high = min(inside, default=0.0), max(inside, default=0.0)
    if (column.below is not None and low < column.below) or (column.above is not None and high > column.above):
        asks.append("some lie beyond the limit that others are given by: say number if they may be written by it, too")
    shown = column.below or column.above or 1234 + 0.5 * (column.decimals is not None)
    plain, example = "numbers written as text", style.write(shown)
    if is_open or (asks and not texts.word):
        cure = "; say decimal-comma or decimal-point" if is_open else ""
        words = ("decimal-comma", "decimal-point") if is_open else ("number",)
        return _asked(texts, plain, f"holds {plain}: {'; '.join(asks)}{cure}", *words, "category", "drop")
    limits = [(sign, limit) for sign, limit in (("<", column.below), (">", column.above)) if limit is not None]
    told = "".join(
        f", {texts.n_of(t for t in kept if kept[t].beyond == sign)} cells {sign}{limit:g}" for sign, limit in limits
    )
    written = {text: style.write(number) for text in kept if (number := style.read(text)) is not None}
    lost = int((texts.plain.map(written) != texts.cells).sum()) - texts.n + texts.n_of(kept)
    alike = f"; {lost} are spelt otherwise" if lost else ""
    numbers = texts.plain.map({text: style.number(found.body) for text, found in kept.items()})
    marked = marker_numbers(numbers.to_numpy(dtype=float), texts.whose)
    also = f"; {markers_told(marked)}" if marked else ""
    warning = f"holds {plain}{rest.told('a number')}{told}: read, and written as {example!r}{alike}{also}"
    reason, asked = f"{plain}, such as {example!r}{told}", ["missing", "keep"] if marked else []
    return Finding(column, reason, warning, words=(*asked, "category", "drop"), asks=bool(marked))


def _unit(texts: Texts, spelt: Mapping[str, Spelt]) -> tuple[str, int]:
    """Return the key of the unit that most numbers have, and how many units more than a few have."""
    keys = {text: found.unit_key for text, found in spelt.items()}
    n = texts.n_of(keys)
    counts = texts.shared(keys) if n >= MIN_COUNT else texts.tally(keys)
    units = [key for key, count in counts.most_common() if key and count > MOST_ODD * n]
    return (units[0] if units else ""), len(units)


def _styles(texts: Texts, kept: Mapping[str, Spelt]) -> tuple[list[NumberStyle], bool]:
    """Return the ways to write numbers that fit most of them, and whether they read other numbers of the same texts."""
    mark = {"decimal-comma": ",", "decimal-point": "."}.get(texts.word)
    n_fit = {
        style: texts.n_of(text for text, found in kept.items() if style.fits(found.body))
        for style in _STYLES
        if mark in (None, style.decimal)
    }
    most = max(n_fit.values())
    if not kept or most <= (1 - MOST_ODD) * texts.n_of(kept):
        return [], False
    best = [style for style, n in n_fit.items() if n == most]
    bodies = [found.body for found in kept.values() if best[0].fits(found.body)]
    others = (style.fits(body) and style.number(body) != best[0].number(body) for style in best for body in bodies)
    return best, any(others)


def _limits(texts: Texts, kept: Mapping[str, Spelt], style: NumberStyle) -> tuple[dict[str, float], int]:
    """Return the limits that cells of enough people lie below and above, one of each, and how many there are."""
    numbers = {text: style.number(found.body) for text, found in kept.items() if found.beyond}
    whole = {text: int(number) if number == int(number) else number for text, number in numbers.items()}
    counts = texts.shared({text: (kept[text].beyond, number) for text, number in whole.items()})
    shared = [limit for limit, _ in counts.most_common()]
    return dict(reversed(shared)), len(shared)


def _left(texts: Texts, warning: str, reason: str) -> Finding | None:
    """Leave a column of mostly numbers as it is, with a warning; ``None`` where its owner said that it is to be read."""
    if texts.word:
        return None
    kind = texts.as_label
    return Finding(Column(texts.name, kind), reason, f"{warning}: declared {kind!r}", words=("category", "drop"))


def _asked(texts: Texts, reason: str, warning: str, *words: str) -> Finding:
    """Leave a column as it is, that can be read in two ways, until one of these words says which."""
    kind = texts.as_label
    return Finding(Column(texts.name, kind), reason, f"{warning}; until then declared {kind!r}", words=words, asks=True)


def _cells_told(counts: Mapping[str, int]) -> str:
    """Say how often words are there."""
    return " and ".join(f"{n} cells {word!r}" for word, n in counts.items())


def marker_numbers(values: NDArray[Any], people: People | None) -> dict[float, int]:
    """Return the numbers that may mean missing, such as 999 and -1: far from all others, in cells of enough people.

    Args:
        people: Whose each value is; ``None``: each is of another person.

    Example:
        >>> ages = np.array([*range(18, 97), *[999] * 8, *[-1] * 5])
        >>> marker_numbers(ages, None)
        {-1.0: 5, 999.0: 8}
    """
    found: dict[float, int] = {}
    known = np.isfinite(values)
    distinct, keys, counts = np.unique(values[known], return_inverse=True, return_counts=True)
    n_people = people_of_each(keys, len(distinct), None if people is None else people[known])
    rest = distinct[~np.isin(distinct, _MARKER_NUMBERS)]
    if len(rest) <= MAX_CODES:
        return {}
    spread = rest[-1] - rest[0]
    for number, n, n_own in zip(distinct, counts, n_people, strict=True):
        is_far = number > rest[-1] + 0.5 * spread if number > 0 else rest[0] >= 0
        if number in _MARKER_NUMBERS and is_far and n_own >= MIN_COUNT:
            found[float(number)] = int(n)
    return found


def markers_told(marked: Mapping[float, int]) -> str:
    """Say how often numbers are there that may mean missing."""
    counts = " and ".join(f"{n} cells {number:g}" for number, n in marked.items())
    return f"{counts} look as if they meant missing: say missing, or keep; until then they are numbers"


# ------------------------------------------------------------------------------------------------ pairs


def _pair(texts: Texts) -> Finding | None:
    """Propose two columns for cells such as 120/80, but none for case numbers such as 2023/417."""
    both = {text: found for text in texts.counts if (found := PAIR.fullmatch(text))}
    names = [f"{texts.name}_1", f"{texts.name}_2"]
    if not isinstance(texts.name, str) or len(both) <= MAX_CODES or set(names) & texts.taken:
        return None
    if all(map(is_school_year, both)):
        return None
    says_so = (names_a_person(texts.name) or may_name_an_id(texts.name)) and 2 * len(both) > sum(
        texts.counts[text] for text in both
    )
    is_number = not texts.word and (says_so or are_numbers_of_two_parts({text: texts.counts[text] for text in both}))
    if is_number or not (rest := _Rest(texts, both)).fits:
        return None
    halves = []
    for part, name in enumerate(names, start=1):
        half = {text: found[part] for text, found in both.items()}
        # Weeks (07/2015) and school years (2004/05) are no measurements.
        if any(map(_ZERO_IN_FRONT.match, half.values())):
            return None
        cells = texts.plain.map(lambda text, half=half: half.get(text, text))
        read = _numbers(replace(texts, name=name, cells=cells, word="number"))
        if read is None or not read.column.read_as:
            return None
        halves.append(replace(read.column, part_of=texts.name, part=part))
    warning = f"holds two numbers in each cell{rest.told('two numbers')}: read as two columns, {names[0]!r} and {names[1]!r}, which are joined again in the rows"
    reason = "two numbers as text, with / between them"
    return Finding(halves[0], reason, warning, words=("category", "id", "drop"), second=halves[1])


# ------------------------------------------------------------------------------------------------ dates


def _dates(texts: Texts) -> Finding | None:
    known = [text for text in texts.counts if text.casefold() not in texts.markers]
    have_words = 2 * texts.n_of(filter(_DAY_AND_WORD.fullmatch, known)) > texts.n
    if have_words and any(map(_OTHER_MONTH.search, known)):
        text = "holds dates whose months are not named in English; write months as numbers"
        return _left(texts, text, "dates of other languages")
    order = {"day-first": "day", "month-first": "month"}.get(texts.word, "")
    packed = _packed(texts, known, order)
    found = packed or formats_of(known, 1 - MOST_ODD, order) if known else None
    if not found:
        return None
    if any(not written.formats for written in found):
        text = "holds dates of which some have the day first and others the month; write all in one way"
        return _left(texts, text, "dates in two orders")
    shared = texts.shared({text: written.formats[0] for written in found for text in written.texts})
    found = sorted(found, key=lambda written: (-shared[written.formats[0]], -texts.n_of(written.texts)))
    rare = [written for written in found[1:] if written.formats[0] not in shared]
    found = [written for written in found if written not in rare]
    formats = list(dict.fromkeys(written.formats[0] for written in found))
    readable: set[str] = set()
    never: list[str] = []  # what stands for no date at all
    century = None
    for written in found:
        instants, read, _ = read_texts(written.texts, written.formats[0])
        readable |= {text for text, is_date in zip(written.texts, read, strict=True) if is_date}
        days = instants.astype("datetime64[us]").astype("datetime64[D]")
        is_never = np.isin(days, _NEVER) & read & ("%Y" in written.formats[0])
        never += [text for text, is_one in zip(written.texts, is_never, strict=True) if is_one]
    if short := next((format for format in formats if has_short_years(format)), None):
        shortened = [text for written in found if written.formats[0] == short for text in written.texts]
        cells, whose = texts.held(shortened)
        century = century_of(cells, short, MIN_COUNT, whose)
    rest = _Rest(texts, readable)
    if not rest.fits:
        return None
    if rest.repeated and not texts.word:
        warning = f"holds dates written as text, and {_cells_told(rest.repeated)}: say date if these mean missing"
        return _asked(texts, "dates as text, and words", warning, "date", "category", "drop")
    if any(len(written.formats) > 1 for written in found):
        text = "holds dates written as text, and no day is over 12, so that day and month cannot be told apart"
        warning = f"{text}: say day-first or month-first"
        return _asked(texts, "dates as text, day or month first", warning, "day-first", "month-first", "drop")
    if len(formats) > 1 and any("%z" in format for format in formats):
        text = "holds dates written in several ways, some with their offset from UTC; write all in one way"
        return _left(texts, text, "dates and offsets")
    format, also = formats[0], ""
    if packed_width(format) and not texts.word and (of_births := births(texts.name, formats)):
        return of_births
    zone = _zone(texts, readable, format)
    if zone is None and "%z" in format:
        zone = "UTC"
        also += "; it has several offsets from UTC, so its time_zone is declared 'UTC': name its own instead"
    if century is not None:
        also += f" and century_starts: {century}, as years have two digits, so that their years are {century} to {century + 99}: check it"
    if formats[1:]:
        n = texts.n_of(text for written in found if written.formats[0] != format for text in written.texts)
        others = " and ".join(map(repr, formats[1:]))
        also += f"; {n} cells are written by {others}, and are read, too, and written alike"
    warning = f"holds dates written as text{rest.told('a date')}: declared 'datetime' with the format {format!r}{also}"
    column = Column(
        texts.name, "datetime", format=format, formats=tuple(formats[1:]) or None, time_zone=zone,
        century_starts=century if has_short_years(format) else None, **rest.options,
    )  # fmt: skip
    never = [] if texts.word else [*texts.shared({text: text for text in never})]
    listed = f"missing:{';'.join(never)}"
    if never:
        told = _cells_told({text: texts.counts[text] for text in never})
        warning = f"{warning}; {told} look as if they meant missing: say {listed}, or keep; until then they are dates"
    reason = f"text that reads as dates by {format!r}"
    words = (listed, "keep") if never else ()
    if names_a_birth(texts.name) and "%d" in format and not texts.word:
        warning, words = f"{warning}; {BIRTHS}: {KEEP_LESS}", (*words, *(() if never else ("keep",)))
    return Finding(column, reason, warning, words=(*words, "category", "drop"), asks=bool(never))


def _zone(texts: Texts, readable: Iterable[str], format: str) -> str | None:
    """Return the offset from UTC that cells of enough people have, as a time zone; ``None`` where these have several, or none."""
    offsets = {text: read_texts([text], format)[2] for text in readable} if "%z" in format else {}
    shared = texts.shared({text: offset.pop() for text, offset in offsets.items() if offset})
    return zone_name_of(datetime.timezone(next(iter(shared)))) if len(shared) == 1 else None


def births(name: Hashable, formats: Sequence[str]) -> Finding | None:
    """Leave out a column of digits that read as dates by these formats, where they are of births, which name people to the day."""
    if not (names_a_birth(name) and formats and "%d" in formats[0]):
        return None
    warning = (
        f"{BIRTHS}: declared 'ignore', neither learnt nor given back; {KEEP_LESS}, or declare it 'datetime' "
        "with its format"
    )
    return Finding(Column(name, "ignore"), "dates of birth as digits", warning, words=("date", "drop"))


def _packed(texts: Texts, known: Sequence[str], order: str) -> list[Written] | None:
    """Return the formats of dates that are digits alone, of one length, those of enough people with leading zeros."""
    widths = {len(text) for text in known}
    if len(widths) != 1 or max(widths) > 14 or not all(text.isdecimal() and text.isascii() for text in known):
        return None
    if not texts.shared({text: "zero" for text in known if text.startswith("0")}):
        return None
    formats = [
        format
        for format in whole_number_formats(np.array([int(text) for text in known]))
        if packed_width(format) in widths
        and (not order or format.startswith("%Y") or format.startswith("%d") == (order == "day"))
    ]
    return [Written(tuple(formats), [*known])] if formats else None


# ------------------------------------------------------------------------------------------------ words


def _truth(texts: Texts) -> Finding | None:
    """Propose true and false for text such as yes and no."""
    words = {text.casefold(): text for text in reversed(texts.counts)}  # the most frequent spelling of each
    markers = texts.markers
    left = set(words) - set(markers)
    pair = next((pair for pair in _TRUTHS if left == set(pair)), None)
    if pair is None:
        return None
    if markers and texts.word != "boolean":
        reason = f"text with {len(words)} distinct values; {_cells_told(markers)} are one of them"
        return Finding(Column(texts.name, "categorical"), reason, words=("boolean", "missing"))
    true, false = words[pair[0]], words[pair[1]]
    if len(texts.shared({true: true, false: false})) < 2:  # the metadata stand in the file
        return None
    column = Column(texts.name, "boolean", true=true, false=false, missing=tuple(markers) or None)
    return Finding(column, f"text of two words: {true!r} is true, {false!r} is false", words=("category", "drop"))


def order_of(texts: Iterable[str]) -> tuple[str, ...] | None:
    """Return the whole scale that some words are of, as they are spelt; ``None`` if they are of none.

    Example:
        >>> order_of(["High", "Low", "Medium"])
        ('Very low', 'Low', 'Medium', 'High', 'Very high')
    """
    texts = set(texts)
    for scale in _SCALES:
        if len(texts) < (2 if "++" in scale else 3) or not {text.casefold() for text in texts} <= set(scale):
            continue
        for spell in (str.lower, str.capitalize, str.upper, str.title):
            if texts <= (levels := dict.fromkeys(map(spell, scale))).keys():
                return tuple(levels)
    return None


def _scale(texts: Texts) -> Finding | None:
    order = order_of(texts.cells.unique())
    if order is None:
        return None
    column = Column(texts.name, "ordinal", order=order)
    return Finding(column, f"text of a scale, from {order[0]!r} to {order[-1]!r}", words=("category", "drop"))
