"""Dates written as text: read by a format, and the formats that are tried where none is given."""

from __future__ import annotations

import contextlib
import datetime
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["DATE_FORMATS", "EPOCH", "MICROSECOND", "guess_format", "read_texts"]

DATE_FORMATS = (
    "%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%f", "%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%d %H:%M:%S%z", "%d/%m/%Y",
    "%m/%d/%Y", "%d/%m/%Y %H:%M", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M:%S", "%m/%d/%Y %H:%M:%S", "%d.%m.%Y",
    "%d.%m.%Y %H:%M", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y/%m/%d %H:%M:%S", "%d/%m/%y", "%m/%d/%y", "%d %b %Y",
    "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y", "%d-%b-%y", "%Y%m%d",
)  # fmt: skip
"""Ways to write a date that are tried where none is given; the first of two that fit the same cells is taken."""

EPOCH = datetime.datetime(1970, 1, 1)
MICROSECOND = datetime.timedelta(microseconds=1)
_DATE_LIKE = re.compile(r"(?=.*\d).{6,40}", flags=re.DOTALL)
_MANY = 2_000


def read_texts(
    texts: Sequence[str] | NDArray[Any], format: str
) -> tuple[NDArray[np.int64], NDArray[np.bool_], set[datetime.timedelta]]:
    """Read distinct texts as dates.

    Args:
        texts: Texts, all different.
        format: How they are written, in ``strptime``'s directives.

    Returns:
        Microseconds since 1970, in UTC where the text has an offset, 0 where it is no date; which texts are dates; and the
        offsets from UTC that they have, none for a format without ``%z``.
    """
    instants, readable = np.zeros(len(texts), dtype=np.int64), np.zeros(len(texts), dtype=bool)
    offsets: set[datetime.timedelta] = set()
    if len(texts) > _MANY and "%z" not in format:
        # pandas parses many texts at once, but only of 1678 to 2261; it leaves the others to the loop.
        with contextlib.suppress(ValueError, re.error):  # directives that only strptime knows
            times = pd.to_datetime(pd.Series(texts), format=format, errors="coerce").to_numpy()
            readable = ~np.isnat(times)
            instants[readable] = times[readable].astype("M8[us]").astype(np.int64)
    for i in np.flatnonzero(~readable):
        try:
            time = datetime.datetime.strptime(texts[i], format)
            if (offset := time.utcoffset()) is not None:
                offsets.add(offset)
                time = time.astimezone(datetime.UTC).replace(tzinfo=None)
        except (ValueError, TypeError, OverflowError, re.error):
            continue
        instants[i], readable[i] = (time - EPOCH) // MICROSECOND, True
    return instants, readable, offsets


def guess_format(texts: pd.Series, share: float = 0.95) -> tuple[str | None, bool]:
    """Return the format that reads more than ``share`` of the texts, and whether another reads them as well.

    Args:
        texts: The cells that are not missing, all of them text.
        share: The part that must parse, in [0, 1).
    """
    sample = texts.unique()[:1000]
    if not len(sample) or np.mean([_DATE_LIKE.fullmatch(text) is not None for text in sample]) <= share:
        return None, False
    fitting = []
    for format in DATE_FORMATS:
        if format == "%Y%m%d" and not all(re.fullmatch(r"(19|20)\d{6}", text) for text in sample):
            continue
        read = read_texts(sample[:20], format)[1]
        promising = read.any() and (len(sample) <= 20 or read.mean() > 0.5)
        if promising and read_texts(sample, format)[1].mean() > share:
            fitting.append(format)
    return (fitting[0], len(fitting) > 1) if fitting else (None, False)
