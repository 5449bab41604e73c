"""The labels of a pandas column: its distinct cells by type and value, in order, and which of them a cell is."""

from __future__ import annotations

import contextlib
import math
import re
from collections import Counter
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from clover_tvae.columns.cells import is_missing, is_number, plain_cell, typed_key
from clover_tvae.columns.dtypes import CellType, where_of
from clover_tvae.columns.given_names import is_given_name
from clover_tvae.columns.names import (
    is_half_of_a_name,
    is_name_of_people,
    is_surely_name_of_people,
    names_a_person,
    names_people_or_counts_them,
    names_relatives,
    names_staff,
    names_things,
)
from clover_tvae.columns.numeric import FREQUENT, MAX_PLACEHOLDERS, identifier_told
from clover_tvae.columns.people import People, people_of_each
from clover_tvae.errors import ColumnTypeError, IdentifierColumnError

# Fewer cells than this can all differ by chance or by design (a code book).
_MIN_CELLS_OF_IDENTIFIER, _ONCE_SHARE = 15, 0.6
_MOST_CELLS, _BESIDE_PLACEHOLDERS = 0.75, 0.25
# An e-mail address, or nine digits and more that a plus, brackets, hyphens, slashes or blanks make a telephone number.
# Of texts of at most this length: the way to find no match grows with its square.
_CONTACT, _MAX_CONTACT = re.compile(r"\S+@[\w-]+\.\S+|(?=.*[-+( /])\+?(?:[-( )/]*\d){9,15}\)?"), 320


# Two to four words with a capital letter each, with or without a comma: Ada Lovelace; O'Neill, Mary-Ann.
_FULL_NAME = re.compile(r"[^\W\d_][\w'’.-]+(?:,? [^\W\d_][\w'’.-]*){1,3}")
# Of letters alone, in a column of names: Maier, ada lovelace.
_LETTERS, _MIN_NAMES, _MIN_SURNAMES = re.compile(r"[^\W\d_][\w'’.-]*(?:,? [^\W\d_][\w'’.-]*){0,4}"), 5, 4
# Of full names, those that begin with a given name: under a heading of people, and under any, where so many begin with different ones.
_GIVEN_SHARE, _GIVEN_SHARE_ANYWHERE, _MIN_GIVEN = 1 / 3, 1 / 2, 4
# What stands before a name. As "Ms Word", "Fr" and "HR" are something else, these need a full stop; "Sr" is also "senior".
_TITLE = re.compile(
    r"\b(?:(?:[Dd]r|[Pp]rof(?:essor)?|Mrs?|Miss|Mme|Mlle|Herrn?|Frau|Señora?|Sra)(?:\. ?| )|(?:Ms|Fr|Hr)\. ?)(?:[a-z]+\. ?)*(?=[^\W\d_])"
)
# Where so many values stand under a heading of people, words are names; of so many surnames, each may come first.
_MANY_NAMES, _MANY_SURNAMES = 20, 10
# Titles of jobs, departments, schools and grades have the form of names; one of these words in a third of the texts tells them.
_NO_NAMES, _NO_NAMES_SHARE = (
    re.compile(
        r"\b(?:senior|junior|assistant|associate|deputy|staff|managers?|engineers?|analysts?|developers?|nurses?|officers?|directors?"
        r"|technicians?|specialists?|consultants?|department|unit|ward|clinic|hospital|care|medicine|surgery|school(?:ing)?|college|university|degree"
        r"|training|education|type|grade|group|level|stage|class|phase|team|street|road|avenue|park|city|north|south|east|west|new|vitamin|\w+olog\w+"
        r"|(?:ober)?arzt|klinik|schule|abteilung|leiter(?:in)?|stra(?:ss|ß)e)\b",
        re.IGNORECASE,
    ),
    1 / 3,
)
# In halves (First, Last), words are names where there are more of them, and no months.
_MIN_HALVES = 10
_MONTHS = re.compile(
    "jan|f[eé][bv]|m[aä]r|a[pv]r|ma[iy]|ju[iln]|a[ouû]|sep|o[ck]t|nov|d[eé][cz]|ene|abr|ago|dic", re.IGNORECASE
)
# A number that is given out has so many digits, and at most half as many letters; an IBAN in groups has up to 42 signs.
_MIN_DIGITS, _MAX_NUMBER, _MIN_LONG_NUMBERS = 8, 42, 20
_YEARS_OF_CASES = (1900, 2100)


@dataclass(frozen=True, eq=False)
class Labels:
    """The distinct cells of a column.

    Args:
        cells: The dtype of the column.
        values: The cells by type and value, in order.
    """

    cells: CellType
    values: tuple[Any, ...]

    @cached_property
    def places(self) -> dict[tuple[str, Any], int]:
        """The place of every label by its type and value."""
        return {typed_key(value): place for place, value in enumerate(self.values)}

    @cached_property
    def _by_number(self) -> dict[Any, int]:
        """Places of numeric labels by value, where only one label has that value."""
        numbers = {place: value for place, value in enumerate(self.values) if is_number(value)}
        counts = Counter(numbers.values())
        return {value: place for place, value in numbers.items() if counts[value] == 1}

    def place(self, value: Any) -> int:
        """Return which label a cell is, -1 for none; a number or a date may be of another type and the same value."""
        try:
            key = typed_key(value)
        except TypeError:
            return -1
        if key in self.places:
            return self.places[key]
        if key[0] in ("int", "float", "Decimal"):
            place = self._by_number.get(value, -1)
            if place < 0 and "float32" in self.cells.name.lower() and math.isfinite(value):
                place = self._by_number.get(float(np.float32(value)), -1)
            return place
        if key[0] != "bool" and any(isinstance(label, pd.Timestamp) for label in self.values):
            with contextlib.suppress(ValueError, TypeError):
                return self.places.get(("Timestamp", pd.Timestamp(value)), -1)
        return -1


def names_people(counts: NDArray[Any]) -> bool:
    """Return whether a column's values, by the cells of each, name its rows: whether most of those that are not frequent occur once.

    Example:
        >>> names_people(np.array([120, *[1] * 880]))  # a placeholder hides nothing
        True
        >>> names_people(np.array([9_000, *[1] * 100]))  # however frequent it is
        True
        >>> names_people(np.array([300, 300, 200, 100, *[1] * 100]))  # "other" answers
        False
    """
    rare = counts[counts < FREQUENT]
    share, n_frequent = rare.sum() / max(1, counts.sum()), len(counts) - len(rare)
    most = share >= _MOST_CELLS or (share >= _BESIDE_PLACEHOLDERS and n_frequent <= MAX_PLACEHOLDERS) or n_frequent <= 1
    return bool(most and rare.sum() >= _MIN_CELLS_OF_IDENTIFIER and (rare == 1).sum() >= _ONCE_SHARE * rare.sum())


def have_form_of_names(texts: Sequence[str]) -> bool:
    """Return whether nearly all texts are two to four words with capital letters, as full names are; names of towns may be, too.

    Titles of jobs and names of schools and departments are not: too many have a word that says so.

    Example:
        >>> have_form_of_names(["Ada Lovelace", "O'Neill, Mary-Ann"]), have_form_of_names(["sales manager", "Ada Lovelace"])
        (True, False)
    """
    words = [text.split() for text in map(_without_title, texts) if _FULL_NAME.fullmatch(text)]
    of_names = all(word[0].isupper() for both in words for word in (both[0], both[-1]))
    return bool(texts) and len(words) >= 0.9 * len(texts) and of_names and not name_things(texts)


def name_things(texts: Sequence[str]) -> bool:
    """Return whether a third of the texts, and two, have a word of titles of jobs, departments, schools, streets or types.

    Example:
        >>> name_things(["Head Nurse", "Night Nurse", "Ada Byron"]), name_things(["Ada Byron", "Cem Kaya"])
        (True, False)
    """
    return sum(bool(_NO_NAMES.search(text)) for text in texts) >= max(2, _NO_NAMES_SHARE * len(texts))


def _without_title(text: str) -> str:
    """Return a name without titles, and with a comma and a blank where there is a comma or a semicolon."""
    return re.sub("[,;] ?", ", ", _TITLE.sub("", text))


def are_names(name: Hashable, values: Sequence[Any]) -> bool:
    """Return whether distinct values are names of people, as their heading says and however few they are.

    In a column of names (``patient_name``) any words are; under a heading of people or of staff, or ``name`` alone, full names are,
    where there are several and they do not repeat one word, as kinds of nurses do, or begin with common given names.
    Under ``first`` or ``last``, single words with capitals are; under a heading of staff twenty words with capitals (surnames), and
    under one of names, or ``name`` alone, twenty texts. Under any heading but those of names of things, texts behind titles are, and
    full names of which half begin with common given names.

    Example:
        >>> are_names("surname", ["Maier", "Kaya"]), are_names("full_name", ["Firm 1", "Firm 2"])
        (True, False)
        >>> people = ["Ada Byron", "Bo Li", "Cem Kaya", "Dora Weiss", "Eva Lang"]
        >>> are_names("seen by", people), are_names("ward name", people), are_names("nurse", [f"{word} Nurse" for word in "ABCDE"])
        (True, False, False)
        >>> are_names("seen by", ["Frau Ohm", "Dr. Kaya", "Mr Hut", "Herr Lang", "Prof. Dr. Weiss"])
        True
    """
    titled = [value.strip() for value in values if isinstance(value, str) and value.strip()]
    texts = [*map(_without_title, titled)]
    if len(texts) < 2 or not all(isinstance(value, str) for value in values):
        return False
    if len(texts) >= _MANY_NAMES and is_name_of_people(name) and not name_things(titled):
        return True
    if is_surely_name_of_people(name):
        n_names = sum(bool(_LETTERS.fullmatch(text)) for text in texts)
        return n_names >= 2 and n_names >= min(0.9 * len(texts), len(texts) - 1)  # a placeholder may be no word
    if is_half_of_a_name(name):
        n_names = sum(text.isalpha() and text[0].isupper() for text in texts)
        return len(texts) >= _MIN_HALVES and n_names >= 0.9 * len(texts) and not all(map(_MONTHS.match, texts))
    if len(texts) < _MIN_NAMES:
        return False
    n_titled = sum(bool(_TITLE.match(text)) for text in titled)
    are_titled = n_titled >= 0.9 * len(texts) and len({*texts}) >= _MIN_SURNAMES and not name_things(titled)
    if not names_things(name) and (are_titled or begin_with_given_names(texts)):
        return True
    if len(texts) >= _MANY_NAMES and names_staff(name) and not names_relatives(name):
        n_words = sum(text[:1].isupper() and bool(_LETTERS.fullmatch(text)) for text in texts)
        return n_words >= 0.9 * len(texts) and not name_things(titled)
    if not any(says(name) for says in (is_name_of_people, names_a_person, names_people_or_counts_them, names_staff)):
        return False
    if not have_form_of_names(texts):
        return False
    # A letter at the end is that of a type: Type A.
    n_first, n_last = (len({text.split()[at] for text in texts if not text[-2:-1].isspace()}) for at in (0, -1))
    are_varied = n_first > 1 and n_last >= _MIN_SURNAMES and max(n_first, n_last) >= len(texts) ** 0.5
    n_given = sum(is_given_name(_ends(text)[0]) for text in texts)
    return (are_varied and not names_relatives(name)) or n_given >= _GIVEN_SHARE * len(texts)


def begin_with_given_names(texts: Sequence[str]) -> bool:
    """Return whether texts are full names, in small letters or not, of which half begin with common given names, and four with different ones.

    Four surnames differ; where half of them do, or ten, they may come first: Ohm Anna.

    Example:
        >>> begin_with_given_names(["anna ohm", "peter lang", "maria kaya", "paul hut"]), begin_with_given_names(["max speed", "max load"])
        (True, False)
        >>> begin_with_given_names(["St. Anna", "St. Peter", "St. Maria", "St. Paul"])
        False
    """
    n_all, texts = len(texts), [text.title() if text.islower() else text for text in map(_without_title, texts)]
    texts = [text for text in texts if " " in text]
    if len(texts) < min(0.9 * n_all, n_all - 1) or not have_form_of_names(texts):  # a placeholder may be one word
        return False
    ends = [_ends(text) for text in texts]
    for at, least_others in ((0, _MIN_SURNAMES), (1, min(len(texts) / 2, _MANY_SURNAMES))):
        given = [both[at] for both in ends if is_given_name(both[at])]
        are_many = len(given) >= _GIVEN_SHARE_ANYWHERE * len(texts) and len({*given}) >= _MIN_GIVEN
        if are_many and len({both[1 - at] for both in ends}) >= least_others:
            return True
    return False


def _ends(text: str) -> tuple[str, str]:
    """Return the first and the last word of a name without titles; words behind a comma come first."""
    last, _, first = _without_title(text).partition(",")
    words = [*first.split(), *last.split()] or [""]
    return words[0], words[-1]


def are_contacts(values: Sequence[Any]) -> bool:
    """Return whether most of these distinct values are e-mail addresses or telephone numbers, which name people.

    Example:
        >>> are_contacts(["ada@example.org", "unknown", "bob@example.org"]), are_contacts(["+49 170 1234567"])
        (True, True)
        >>> are_contacts(["2020-01-31", "I10-I15", "4006381333931", "12 345"])
        False
    """
    texts = [value.strip() for value in values if isinstance(value, str)]
    return 2 * sum(len(text) <= _MAX_CONTACT and bool(_CONTACT.fullmatch(text)) for text in texts) > len(values)


def is_school_year(text: str) -> bool:
    """Return whether a text is of two years, one after the other.

    Example:
        >>> is_school_year("2014/2015"), is_school_year("1999-2000"), is_school_year("2023/4170")
        (True, True, False)
    """
    found = re.fullmatch(r"\s*((?:1[5-9]|2[01])\d\d)\s*[/-]\s*(\d{4})\s*", text)
    return found is not None and int(found[2]) == int(found[1]) + 1


def are_long_numbers(values: Sequence[Any]) -> bool:
    """Return whether most of these distinct values are long numbers, perhaps with some letters, as insurers, banks and registries give out.

    Codes of things (bar codes) look alike, so this is a reason to ask, not to refuse.

    Example:
        >>> numbers = np.random.default_rng(0).integers(10**8, 10**9, 30)
        >>> are_long_numbers([f"K{number}" for number in numbers]), are_long_numbers([f"{number}000" for number in numbers])
        (True, False)
        >>> are_long_numbers(["I10.0", "I10.1"] * 15)
        False
    """
    texts = [
        value for value in values if isinstance(value, str) and len(value) <= _MAX_NUMBER and not is_school_year(value)
    ]
    texts = [re.sub(r"[\s./-]", "", text) for text in texts]
    digits = [(text, sum(map(str.isdecimal, text))) for text in texts if text.isalnum()]
    long = [text for text, n in digits if n >= max(_MIN_DIGITS, 2 * (len(text) - n))]
    n_round = sum(text.endswith("0") for text in long)
    return len(long) >= _MIN_LONG_NUMBERS and 2 * len(long) > len(values) and 2 * n_round < len(long)


def are_numbers_of_two_parts(counts: Mapping[str, int]) -> bool:
    """Return whether texts such as ``2023/417``, by the cells of each, are case, account or policy numbers, and no two measurements.

    They have many digits, or all differ where measurements would hardly: of 500 people some have a blood pressure of 120/80.
    Where both parts are closer to their middle than numbers are that are given out, such as 2368/2050 ml in and out, they are measured.

    Example:
        >>> are_numbers_of_two_parts({f"{2020 + i % 3}/{i}": 1 for i in range(300)})
        True
        >>> rng = np.random.default_rng(0)
        >>> are_numbers_of_two_parts(Counter(f"{a:.0f}/{b:.0f}" for a, b in rng.normal((125, 78), (18, 11), (500, 2))))
        False
    """
    parts = {text: [part.strip() for part in text.split("/")] for text in counts}
    if not counts or not all(len(both) == 2 and all(map(str.isdecimal, both)) for both in parts.values()):
        return False
    first, second = np.array([[*map(float, both)] for both in parts.values()]).T
    if are_long_numbers(list(counts)):
        return not (_are_clustered(first) and _are_clustered(second))
    if any(part.min() == 1 and part.max() == len(np.unique(part)) == 12 for part in (first, second)):
        return False  # months
    cells = [*counts.values()]
    if any(identifier_told(np.repeat(part, cells)) for part in (first, second) if not _are_years(part)):
        return True  # 417/23, whose first part alone is another one in every row
    joined = first * (np.ptp(second) + 1) + second  # one number for each of all possible pairs
    return bool(identifier_told(np.repeat(joined - joined.min(), cells)))


def _are_years(part: NDArray[np.float64]) -> bool:
    return bool(_YEARS_OF_CASES[0] <= part.min() and part.max() <= _YEARS_OF_CASES[1])


def _are_clustered(part: NDArray[np.float64]) -> bool:
    """Return whether numbers of at most four digits spread less in their range than even ones, whose standard deviation is range / sqrt(12).

    Of n even numbers it is a part sqrt(0.2 / n) more or less: four times that is hardly chance. Years of case numbers cluster, too.
    """
    low, high = np.quantile(part, (0.02, 0.98))
    inner = part[(part >= low) & (part <= high)]
    if part.max() >= 10_000 or low == high or _are_years(part):
        return False
    return bool(inner.std() * np.sqrt(12) / np.ptp(inner) < 1 - 4 * np.sqrt(0.2 / len(inner)))


def read_labels(
    series: pd.Series,
    name: object,
    kind: str = "categorical",
    order: Sequence[Any] | None = None,
    people: People | None = None,
) -> tuple[Labels, NDArray[np.int64]]:
    """Return the labels of a column, and how many people hold each, those of missing cells last.

    Args:
        kind: ``categorical``; ``boolean``: true and false, or 0 and 1; or ``ordinal``.
        order: Of an ordinal column, lowest first; ``None`` for the order of its dtype, or sorted.
        people: The number of the person of each row; ``None``: every row is one.

    Raises:
        IdentifierColumnError: A categorical column most of whose cells have a value of their own.
        ColumnTypeError: Cells of a type that cannot be learnt, outside ``order``, or not true and false.
    """
    cells = CellType.of(series, name)
    codes, found = factorize(series, cells)
    n_known = int((codes >= 0).sum())
    by_label = np.bincount(codes[codes >= 0], minlength=len(found))
    if kind == "categorical" and cells.holds != "boolean" and names_people(by_label):
        how_many = "each" if len(found) == n_known else f"{int((by_label == 1).sum())}"
        also = ", or 'continuous' if it is a measurement" if cells.holds in ("integer", "float", "decimal") else ""
        message = (
            f"must repeat its values to be 'categorical', found another one in {how_many} of {n_known} cells: an "
            "identifier or free text, which must not be learnt; declare it 'id' (dropped, or made anew) or 'ignore', or "
            f"merge its values{also}"
        )
        raise IdentifierColumnError(message, where_of(name))
    of_people = is_name_of_people(name) or names_a_person(name)
    rare = by_label[by_label < FREQUENT]
    are_rare = of_people and 2 * len(rare) > len(found) and rare.sum() >= _MIN_CELLS_OF_IDENTIFIER
    if kind != "boolean" and is_surely_name_of_people(name) and are_names(name, found):
        message = (
            f"must not name people, as its heading says, found {len(found)} names; "
            "declare it 'id' (and as 'unit' where it tells whose a row is) or 'ignore'; give it another heading if it names no people"
        )
        raise IdentifierColumnError(message, where_of(name))
    if kind == "categorical" and are_rare:
        message = (
            f"must not name people, as its heading says, found {len(found)} values, most of them in fewer than {FREQUENT} cells; "
            "declare it 'id' (dropped, or made anew) or 'ignore', or merge its values; give it another heading if it names no people"
        )
        raise IdentifierColumnError(message, where_of(name))
    if cells.is_text and are_contacts(found):  # however often each is there: a person may have many rows
        message = (
            "must not name people, found e-mail addresses or telephone numbers; declare it 'id' (and as 'unit' where people "
            "have several rows) or 'ignore', or merge its values"
        )
        raise IdentifierColumnError(message, where_of(name))
    is_truth = cells.holds == "boolean" or (cells.holds in ("integer", "float") and set(found) <= {0, 1})
    if kind == "boolean" and n_known and not is_truth:
        counted = f"{len(found)} distinct value{'s' if len(found) > 1 else ''} in {cells.found_in(series)}"
        cure = "declare it 'categorical'"
        if len(found) <= 2:
            cure += ", or say which value is true: (cells == VALUE).astype('boolean').mask(cells.isna())"
        message = f"must hold true and false, or 0 and 1, found {counted}; {cure}"
        raise ColumnTypeError(message, where_of(name))
    holders = people_of_each(np.where(codes < 0, len(found), codes), len(found) + 1, people)
    held = dict(zip(map(typed_key, found), holders, strict=False))

    def with_people(values: Iterable[Any]) -> tuple[Labels, NDArray[np.int64]]:
        labels = Labels(cells, tuple(values))
        return labels, np.array([*(held[typed_key(value)] for value in labels.values), holders[-1]], dtype=np.int64)

    labels, counts = with_people(sorted(found, key=_sorting))
    if order is not None:
        places = dict.fromkeys(place for place in map(labels.place, order) if place >= 0)
        if len(places) < len(found):
            raise ColumnTypeError(_not_in_order(labels, order, set(places), codes, found), where_of(name))
        return with_people(labels.values[place] for place in places)
    if cells.family == "category":
        rank = {typed_key(value): place for place, value in enumerate(cells.categories)}
        return with_people(sorted(found, key=lambda value: rank[typed_key(value)]))
    if kind == "ordinal" and cells.holds == "mixed":
        cure = "list the values as 'order', lowest first"
        message = f"must have an order, found {cells.found_in(series)}, which have none; {cure}"
        raise ColumnTypeError(message, where_of(name))
    return labels, counts


def factorize(series: pd.Series, cells: CellType) -> tuple[NDArray[np.int64], list[Any]]:
    """Return the codes of a column (-1 where missing) and its distinct cells by type and value.

    Returns:
        int64 codes ``(rows,)`` and the Python values that they stand for, in no promised order.
    """
    if cells.family == "category":
        codes = series.cat.codes.to_numpy().astype(np.int64)
        present = np.unique(codes[codes >= 0])
        lookup = np.full(len(cells.categories) + 1, -1, dtype=np.int64)  # the last place answers code -1
        lookup[present] = np.arange(len(present))
        return lookup[codes], [cells.categories[i] for i in present]
    if cells.family == "object" and cells.name in ("mixed", "Decimal", "datetime", "Timestamp", "date"):
        return _factorize_slowly(series.to_numpy(dtype=object))
    if cells.family == "object" or cells.name.startswith("python"):
        raw = series.to_numpy(dtype=object)
        if cells.is_text and not _hashes_well(raw[~pd.isna(raw)]):
            return _factorize_slowly(raw)
        series = pd.Series(raw, dtype=object)
    elif cells.holds == "float":  # Arrow holds a NaN to be a number, and -0.0 to be another one than 0.0
        series = pd.Series(series.to_numpy(dtype=float, na_value=np.nan))
    codes, found = pd.factorize(series, use_na_sentinel=True)
    return codes.astype(np.int64), [plain_cell(value) for value in found.tolist()]


def _not_in_order(
    labels: Labels, order: Sequence[Any], places: set[int], codes: NDArray[Any], found: Sequence[Any]
) -> str:
    unknown = np.array([labels.place(value) not in places for value in found])
    n_cells = int(np.append(unknown, False)[codes].sum())
    alike = {str(value) for value, is_unknown in zip(found, unknown, strict=True) if is_unknown} <= set(map(str, order))
    types = " and ".join(sorted({type(value).__name__ for value in order}))
    cure = f"the same values as {types} are: use one type" if alike else "list every value, or make these cells missing"
    counted = f"{n_cells} of {int((codes >= 0).sum())} cells ({int(unknown.sum())} distinct) that are not"
    return f"must be listed in 'order', found {counted}; {cure}"


def _sorting(value: Any) -> tuple[str, Any, str]:
    """Return a key that sorts any cells: by type, then by value; times of several zones by how they are written."""
    tag, key = typed_key(value)
    if tag in ("Timestamp", "datetime"):
        return tag, str(key), ""
    return (tag, value, str(key)) if tag == "Decimal" else (tag, key, "")


def _hashes_well(cells: NDArray[Any]) -> bool:
    """Return whether pandas can tell these strings apart: its table of strings ends them at a NUL, and needs UTF-8."""
    joined = "".join(cells)
    try:
        joined.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in joined


def _factorize_slowly(cells: NDArray[Any]) -> tuple[NDArray[np.int64], list[Any]]:
    places: dict[tuple[str, Any], int] = {}
    uniques: list[Any] = []
    codes = np.full(len(cells), -1, dtype=np.int64)
    for row, cell in enumerate(cells):
        if is_missing(cell):
            continue
        key = typed_key(cell)
        place = places.setdefault(key, len(uniques))
        if place == len(uniques):
            uniques.append(plain_cell(cell))
        codes[row] = place
    return codes, uniques
