"""Made tables of thirty columns with twelve planted relations, and with at least twelve that only look like one.

Two themes together have every kind of relation. ``structure`` draws what is fixed in a theme (which region a city lies
in), ``seed`` the rows, so that a fresh table of the same structure tells whether a relation that was found is real.

What only looks like a relation: a running number and amounts that are nearly unique determine everything; a constant;
two rare flags that agree in most rows; dates and numbers whose ranges lie apart; a strong association of categories; an
inequality in 92% or 97% of the rows; cells missing equally often, but not together; small whole numbers that agree by
chance; combinations of rare categories that no row happens to have; ranges that are narrow where rows are few; codes
of few values that go together; a category of many values in a small table.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

__all__ = ["THEMES", "Planted", "Truth", "planted"]

THEMES = ("hospital", "orders")


@dataclass(frozen=True)
class Truth:
    """A planted relation: the kinds that tell it, and its columns."""

    kinds: frozenset[str]
    columns: frozenset[str]


@dataclass(frozen=True)
class Planted:
    """A made table.

    Args:
        df: The rows.
        kinds: Each column's kind in the metadata.
        truths: The planted relations.
        groups: Columns that have to do with each other; columns of different groups are independent.
        trivial: Relations that hold only since ranges lie apart.
    """

    df: pd.DataFrame
    kinds: dict[str, str]
    truths: tuple[Truth, ...]
    groups: tuple[frozenset[str], ...]
    trivial: tuple[Truth, ...]


def planted(theme: str, n_rows: int, structure: int, seed: int) -> Planted:
    """Return a table of a theme."""
    fixed, rng = np.random.default_rng([structure, 1]), np.random.default_rng([structure, seed, 2])
    return {"hospital": _hospital, "orders": _orders}[theme](n_rows, fixed, rng)


def _truth(kinds: str, columns: str) -> Truth:
    return Truth(frozenset(kinds.split()), frozenset(columns.split()))


def _groups(text: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(group.split()) for group in text.split(","))


def _skewed(fixed: np.random.Generator, n_levels: int) -> np.ndarray:
    weights = fixed.dirichlet(np.full(n_levels, 3.0)) + 0.1 / n_levels
    return weights / weights.sum()


def _hospital(n: int, fixed: np.random.Generator, rng: np.random.Generator) -> Planted:
    df = pd.DataFrame({"reference": rng.permutation(10 * n)[:n]})
    admission = pd.Timestamp("2018-01-01") + pd.to_timedelta(rng.integers(0, 1500, n), unit="D")
    stay = np.floor(rng.gamma(1.2, 6.0, n)).astype(int)
    birth = pd.Timestamp("1930-01-01") + pd.to_timedelta(rng.integers(0, 25_000, n), unit="D")
    df["birth"], df["admission"], df["discharge"] = birth, admission, admission + pd.to_timedelta(stay, unit="D")
    df["stay"] = stay
    before = (admission.month < birth.month) | ((admission.month == birth.month) & (admission.day < birth.day))
    df["age"] = admission.year - birth.year - before.astype(int)
    df["weekday"] = admission.dayofweek
    city = rng.choice(40, n, p=_skewed(fixed, 40))
    df["city"] = [f"city {c}" for c in city]
    df["region"] = fixed.permutation(np.arange(40) % 6)[city].astype(str)
    hospital, noise = rng.choice(5, n, p=_skewed(fixed, 5)), rng.random(n)
    likely = fixed.integers(0, 4, 5)
    ward = np.where(noise < 0.3, likely[hospital], rng.integers(0, 4, n))
    df["hospital"], df["ward"] = hospital.astype(str), np.array(["surgery", "heart", "eyes", "skin"])[ward]
    df["unit"] = [f"U{u}" for u in fixed.integers(0, 9, (5, 4))[hospital, ward]]
    df["room"], df["drugs"] = rng.gamma(2, 300, n).round(2), (rng.random(n) < 0.7) * rng.gamma(1, 80, n).round(2)
    df["tests"] = rng.gamma(3, 40, n).round(2)
    df["total"] = (df["room"] + df["drugs"] + df["tests"]).round(2)
    df["quantity"], df["price"] = rng.poisson(3, n) + 1, rng.gamma(4, 3, n).round(2)
    df["amount"] = (df["quantity"] * df["price"]).round(2)
    hour = np.clip(rng.normal(13, 4, n), 0, 23).astype(int)
    df["clock"], df["hour"] = 100 * hour + rng.integers(0, 60, n), hour
    df["bill"] = rng.gamma(2, 900, n).round(0)
    part = np.where(rng.random(n) < 0.92, rng.random(n), 1.5)
    df["payment"] = np.where(rng.random(n) < 0.15, df["bill"], (df["bill"] * part).round(0))
    order = rng.choice(["none", "before", "after"], n, p=[0.6, 0.25, 0.15])
    df["order"] = order
    df["order_day"] = np.where(order == "none", np.nan, rng.integers(0, 60, n))
    test = rng.choice(5, n, p=_skewed(fixed, 5))
    low = np.array([3.0, 130, 60, 7.1, 0.2])
    df["test"] = np.array(["potassium", "sodium", "glucose", "ph", "bilirubin"])[test]
    df["result"] = (low[test] + np.array([2.5, 18, 200, 0.5, 3])[test] * rng.beta(1.5, 2, n)).round(2)
    df.loc[rng.random(n) < 0.05, "result"] = np.nan
    df["insurer"] = "public"
    df["flag_a"], df["flag_b"] = (rng.random(n) < 0.02).astype(int), (rng.random(n) < 0.02).astype(int)
    kinds = dict.fromkeys(df, "continuous")
    kinds |= dict.fromkeys(
        "city region hospital ward unit order test insurer flag_a flag_b weekday".split(), "categorical"
    )
    kinds |= dict.fromkeys(["birth", "admission", "discharge"], "datetime")
    truths = (
        _truth("interval inequality", "admission discharge"),
        _truth("computed", "admission discharge stay"),
        _truth("computed", "birth admission age"),
        _truth("computed", "admission weekday"),
        _truth("determines", "city region"),
        _truth("determines", "hospital ward unit"),
        _truth("computed", "room drugs tests total"),
        _truth("computed", "quantity price amount"),
        _truth("computed", "clock hour"),
        _truth("equal", "bill payment"),
        _truth("missing_when", "order order_day"),
        _truth("ranges", "test result"),
    )
    groups = _groups(
        "birth admission discharge stay age weekday,city region,hospital ward unit,room drugs tests total,"
        "quantity price amount,clock hour,bill payment,order order_day,test result"
    )
    trivial = (
        _truth("interval inequality", "birth admission"),
        _truth("interval inequality", "birth discharge"),
        _truth("equal", "clock hour"),
    )
    return Planted(df, kinds, truths, groups, trivial)


def _orders(n: int, fixed: np.random.Generator, rng: np.random.Generator) -> Planted:
    df = pd.DataFrame({"line": np.arange(1, n + 1)})
    quotes = rng.gamma(5, 20, (n, 2)).round(1)
    df["low"], df["high"] = quotes.min(1), quotes.max(1)
    ship = rng.choice(3, n, p=_skewed(fixed, 3))
    for i, name in enumerate(["ship_air", "ship_road", "ship_sea"]):
        df[name] = (ship == i).astype(int)
    sensors = rng.normal([20, 5], [3, 2], (n, 2)).round(3)
    sensors[rng.random(n) < 0.1] = np.nan
    df["sensor_x"], df["sensor_y"] = sensors.T
    status = rng.choice(["auto", "hand", "late"], n, p=[0.4, 0.35, 0.25])
    due = rng.integers(1, 300, n)
    df["status"], df["due_day"] = status, due
    df["paid_day"] = np.where(
        status == "auto", due, np.where(rng.random(n) < 0.92, due + rng.integers(0, 40, n), due - 5)
    )
    size = rng.choice(5, n, p=_skewed(fixed, 5))
    allowed = np.array([fixed.permutation(6)[:3] for _ in range(5)])
    colour = allowed[size, rng.choice(3, n, p=[0.5, 0.3, 0.2])]
    df["size"], df["colour"] = np.array(["xs", "s", "m", "l", "xl"])[size], [f"colour {c}" for c in colour]
    df["net"] = rng.gamma(3, 70, n).round(2)
    df["margin"] = rng.normal(40, 21, n).round(2)
    df["gross"] = (df["net"] + df["margin"]).round(2)
    df["distance"], df["hours"] = rng.gamma(3, 90, n).round(0), (rng.gamma(4, 1, n) + 0.5).round(1)
    df["speed"] = (df["distance"] / df["hours"]).round(1)
    df.loc[rng.random(n) < 0.1, "distance"] = np.nan
    minute = rng.integers(0, 60, n)
    df["clock"], df["minute"] = 100 * rng.integers(6, 22, n) + minute, minute
    code = rng.choice(15, n, p=_skewed(fixed, 15))
    df["code"], df["label"] = fixed.permutation(900)[:15][code], [f"label {c}" for c in fixed.permutation(15)[code]]
    ordered = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 1400, n), unit="D")
    df["ordered"], df["month"] = ordered, ordered.month
    article = rng.choice(120, n, p=_skewed(fixed, 120))
    df["article"], df["family"] = (
        [f"A{a:03d}" for a in article],
        fixed.permutation(np.arange(120) % 9)[article].astype(str),
    )
    grade = rng.choice(6, n, p=_skewed(fixed, 6))
    df["grade"] = grade + 1
    df["salary"] = (20_000 + 9_000 * grade + 14_000 * rng.beta(2, 2, n)).round(0)
    df["score"] = np.clip(grade + 1 + rng.integers(-1, 2, n) * (rng.random(n) < 0.1), 1, 6)
    kinds = dict.fromkeys(df, "continuous")
    kinds |= dict.fromkeys(
        "status size colour code label article family grade score ship_air ship_road ship_sea".split(), "categorical"
    )
    kinds["ordered"] = "datetime"
    truths = (
        _truth("inequality interval", "low high"),
        _truth("one_hot", "ship_air ship_road ship_sea"),
        _truth("missing_together", "sensor_x sensor_y"),
        _truth("equal", "status due_day paid_day"),
        _truth("combinations", "size colour"),
        _truth("computed", "net margin gross"),
        _truth("computed", "distance hours speed"),
        _truth("computed", "clock minute"),
        _truth("determines", "code label"),
        _truth("computed", "ordered month"),
        _truth("determines", "article family"),
        _truth("ranges", "grade salary"),
    )
    groups = _groups(
        "low high,ship_air ship_road ship_sea,sensor_x sensor_y,status due_day paid_day,size colour,net margin gross,"
        "distance hours speed,clock minute,code label,ordered month,article family,grade salary score"
    )
    return Planted(df, kinds, truths, groups, ())
