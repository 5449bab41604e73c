"""Two tables with planted relations, written by someone who had not read the finder.

Each table looks like an export of a real office: one of a hospital, one of a staff department.
Each holds at least twelve relations that are true in every row, and twelve that only seem true.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Planted:
    """A relation that was put into a table, true or only tempting.

    ``phrasings`` counts the ways to tell it that are equally right: ``a = b + c`` may be told as
    ``b = a - c`` or ``c = a - b`` too, which makes three.
    """

    kind: str
    columns: tuple[str, ...]
    words: str
    phrasings: int = 1


def _day(rng: np.random.Generator, n: int, first: str, days: int) -> pd.Series:
    return pd.Series(pd.Timestamp(first) + pd.to_timedelta(rng.integers(0, days, n), unit="D"))


def _skewed(rng: np.random.Generator, n: int, levels: int, power: float = 0.8) -> np.ndarray:
    weights = 1.0 / np.arange(1, levels + 1) ** power
    return rng.choice(levels, n, p=weights / weights.sum())


def _age(birth: pd.Series, at: pd.Series) -> pd.Series:
    early = (at.dt.month < birth.dt.month) | ((at.dt.month == birth.dt.month) & (at.dt.day < birth.dt.day))
    return at.dt.year - birth.dt.year - early.astype(int)


def _named(codes: np.ndarray, names: list[str]) -> np.ndarray:
    return np.array(names, dtype=object)[codes]


def _clock(rng: np.random.Generator, n: int) -> np.ndarray:
    hour = np.clip(np.round(rng.normal(13, 4, n)), 0, 23).astype(int)
    return hour * 100 + rng.integers(0, 60, n)


def hospital(n_rows: int, seed: int) -> tuple[pd.DataFrame, dict[str, str], list[Planted], list[Planted]]:
    """Stays in a hospital, one a row."""
    n, rng, fixed = n_rows, np.random.default_rng([seed, 11]), np.random.default_rng(2024)
    out: dict[str, object] = {}

    ward = _skewed(rng, n, 20)
    out["ward"] = _named(ward, [f"W{i + 1:02d}" for i in range(20)])
    building_of = fixed.permutation(np.arange(20) % 5)
    out["building"] = _named(building_of[ward], ["North", "South", "East", "Old house", "Annex"])

    doctor = _skewed(rng, n, 120, 0.5)
    team = fixed.integers(0, 8, 120)[doctor]
    wrong = rng.random(n) < 0.025
    team = np.where(wrong, (team + rng.integers(1, 8, n)) % 8, team)
    out["doctor"] = _named(doctor, [f"Dr {i:03d}" for i in range(120)])
    out["team"] = _named(team, [f"Team {c}" for c in "ABCDEFGH"])

    allowed = np.argwhere(fixed.random((12, 6)) < 0.42)
    pair = allowed[rng.integers(0, len(allowed), n)]
    out["drug"] = _named(pair[:, 0], [f"drug {c}" for c in "abcdefghijkl"])
    out["form"] = _named(pair[:, 1], ["tablet", "drops", "cream", "infusion", "spray", "patch"])

    admitted = _day(rng, n, "2019-01-01", 1500) + pd.to_timedelta(rng.integers(0, 1440, n), unit="min")
    left = admitted + pd.to_timedelta(np.round(rng.gamma(1.3, 4 * 1440, n)) + 20, unit="min")
    out["admitted"], out["discharged"] = admitted, left
    out["review"] = left.dt.normalize() + pd.to_timedelta(np.round(rng.normal(6, 3, n)), unit="D")
    birth = _day(rng, n, "1925-01-01", 33000)
    out["birth"] = birth
    out["age"] = _age(birth, admitted)

    low = np.round(rng.normal(78, 12, n)).astype(int)
    out["diastolic"] = low
    out["systolic"] = low + 2 + np.round(rng.gamma(3.0, 14, n)).astype(int)
    out["temperature"] = np.round(np.clip(rng.normal(37.3, 0.8, n), 35, 41.5), 1)

    payer = rng.choice(4, n, p=[0.5, 0.25, 0.17, 0.08])
    for i, name in enumerate(["pay_insurer", "pay_self", "pay_state", "pay_charity"]):
        out[name] = (payer == i).astype(int)

    room_cost = np.round(rng.gamma(3, 240, n), 2)
    drug_cost = np.round(rng.lognormal(4.5, 0.9, n), 2)
    surgery = np.where(rng.random(n) < 0.4, np.round(rng.gamma(2, 1500, n), 2), 0.0)
    out["room_cost"], out["drug_cost"], out["surgery_cost"] = room_cost, drug_cost, surgery
    out["bill"] = np.round(room_cost + drug_cost + surgery, 2)
    out["estimate"] = np.round(room_cost + drug_cost + rng.normal(0, 15, n), 2)

    weight = np.round(np.clip(rng.normal(76, 15, n), 38, 160), 1)
    dose = rng.choice([50, 100, 150, 200, 250, 400, 500, 750, 1000], n).astype(float)
    out["weight"], out["dose_mg"] = weight, dose
    out["dose_per_kg"] = np.round(dose / weight, 2)
    out["waist"] = np.round(32 + 0.8 * weight + rng.normal(0, 2.2, n), 1)

    packed = _clock(rng, n)
    out["arrival_hhmm"] = packed
    out["arrival_hour"] = packed // 100
    late = rng.random(n) < 0.025
    out["call_hour"] = np.where(late, (packed // 100 + rng.integers(1, 5, n)) % 24, packed // 100)

    drawn = rng.random(n) < 0.7
    out["sodium"] = np.where(drawn, np.round(rng.normal(139, 4, n), 0), np.nan)
    out["potassium"] = np.where(drawn, np.round(rng.normal(4.2, 0.5, n), 1), np.nan)
    also = np.where(rng.random(n) < 0.025, ~drawn, drawn)
    out["chloride"] = np.where(also, np.round(rng.normal(103, 4, n), 0), np.nan)

    outcome = rng.choice(3, n, p=[0.72, 0.17, 0.11])
    out["outcome"] = _named(outcome, ["home", "other hospital", "died"])
    out["days_to_death"] = np.where(outcome == 2, np.round(rng.gamma(2, 9, n)), np.nan)
    out["crp"] = np.round(rng.lognormal(np.array([2.2, 2.6, 3.2])[outcome], 0.8), 1)

    test = rng.choice(5, n, p=[0.3, 0.25, 0.2, 0.15, 0.1])
    bottom = np.array([2.5, 120.0, 40.0, 200.0, 1000.0])[test]
    top = np.array([7.5, 160.0, 110.0, 800.0, 9000.0])[test]
    out["test"] = _named(test, ["potassium", "sodium", "glucose", "platelets", "d-dimer"])
    out["test_value"] = np.round(bottom + (top - bottom) * rng.beta(2, 2, n), 1)

    out["pain_in"] = np.minimum(rng.poisson(3, n), 10)
    out["pain_out"] = np.minimum(rng.poisson(3, n), 10)
    out["bed"] = _named(rng.integers(0, 400, n), [f"bed {i:03d}" for i in range(400)])
    pulse = np.round(rng.normal(82, 13, n)).astype(int)
    gap = np.round(rng.gamma(2, 6, n)).astype(int)
    wrong = rng.random(n) < 0.025
    out["pulse"] = pulse
    out["pulse_lowest"] = np.where(wrong, pulse + 1 + gap, pulse - gap)

    frame = pd.DataFrame(out)
    kinds = dict.fromkeys(frame.columns, "continuous")
    for name in ("ward", "building", "doctor", "team", "drug", "form", "outcome", "test", "bed"):
        kinds[name] = "categorical"
    for name in ("admitted", "discharged", "review", "birth"):
        kinds[name] = "datetime"
    for name in ("pay_insurer", "pay_self", "pay_state", "pay_charity"):
        kinds[name] = "boolean"
    for name in ("pain_in", "pain_out"):
        kinds[name] = "ordinal"

    truths = [
        Planted("determines", ("ward", "building"), "the ward tells the building"),
        Planted("combination", ("drug", "form"), "a drug comes in some forms only"),
        Planted("interval", ("admitted", "discharged"), "nobody leaves before entry", 2),
        Planted("from date", ("birth", "admitted", "age"), "the age is that at entry"),
        Planted("inequality", ("diastolic", "systolic"), "the lower pressure is lower", 2),
        Planted(
            "one-hot",
            ("pay_insurer", "pay_self", "pay_state", "pay_charity"),
            "exactly one pays",
        ),
        Planted(
            "sum",
            ("bill", "room_cost", "drug_cost", "surgery_cost"),
            "the bill is the sum of three costs",
            4,
        ),
        Planted("ratio", ("dose_per_kg", "dose_mg", "weight"), "dose by weight, to a hundredth", 3),
        Planted("integer part", ("arrival_hour", "arrival_hhmm"), "the hour is in the packed time"),
        Planted("missing together", ("sodium", "potassium"), "both drawn or none"),
        Planted("missing when", ("days_to_death", "outcome"), "there only for those who died"),
        Planted("ranges", ("test_value", "test"), "each test has its own range"),
    ]
    temptations = [
        Planted("determines", ("doctor", "team"), "true in 97.5% of rows, 120 levels"),
        Planted("interval", ("discharged", "review"), "negative in 2% of rows", 2),
        Planted("inequality", ("temperature", "sodium"), "the scales differ, nothing else", 2),
        Planted("sum", ("estimate", "room_cost", "drug_cost"), "a sum with noise", 3),
        Planted("inequality", ("pain_in", "pain_out"), "same distribution, independent", 2),
        Planted("determines", ("bed", "team"), "400 levels, each seen rarely, independent"),
        Planted("missing together", ("sodium", "chloride"), "true in 97.5% of rows", 2),
        Planted("ranges", ("crp", "outcome"), "the ranges overlap"),
        Planted("inequality", ("pulse_lowest", "pulse"), "true in 97.5% of rows", 2),
        Planted("sum", ("waist", "weight"), "a strong correlation", 2),
        Planted("combination", ("ward", "test"), "independent, some pairs are rare", 2),
        Planted("integer part", ("call_hour", "arrival_hhmm"), "true in 97.5% of rows", 2),
    ]
    return frame, kinds, truths, temptations


def staff(n_rows: int, seed: int) -> tuple[pd.DataFrame, dict[str, str], list[Planted], list[Planted]]:
    """People on the list of an employer, one a row."""
    n, rng, fixed = n_rows, np.random.default_rng([seed, 12]), np.random.default_rng(77)
    out: dict[str, object] = {}

    grade = rng.choice(6, n, p=[0.28, 0.24, 0.18, 0.14, 0.1, 0.06])
    region = rng.choice(5, n, p=[0.35, 0.25, 0.2, 0.12, 0.08])
    out["grade"] = _named(grade, ["A", "B", "C", "D", "E", "F"])
    out["region"] = _named(region, ["north", "south", "west", "east", "abroad"])
    out["allowance"] = fixed.choice([0, 120, 180, 250, 300, 420, 500], (6, 5))[grade, region]

    manager = _skewed(rng, n, 25)
    numbers = fixed.permutation(900)[:25] + 100
    out["manager_id"] = numbers[manager]
    out["manager_name"] = _named(manager, [f"{c}. Person" for c in "ABCDEFGHIJKLMNOPQRSTUVWXY"])

    hired = _day(rng, n, "1990-03-01", 12000)
    gone = rng.random(n) < 0.35
    left = hired + pd.to_timedelta(1 + np.round(rng.gamma(1.5, 900, n)), unit="D")
    out["hired"] = hired
    out["left"] = left.where(gone)
    reason = rng.choice(["retired", "new job", "end of contract", "other"], n)
    out["leave_reason"] = pd.Series(reason, dtype=object).where(gone)
    out["hired_year"] = hired.dt.year
    out["hired_weekday"] = hired.dt.day_name()
    out["first_year_on_file"] = hired.dt.year + np.where(rng.random(n) < 0.03, 1, 0)
    out["reviewed"] = hired + pd.to_timedelta(np.round(rng.normal(420, 200, n)), unit="D")

    hours = np.round(rng.normal(150, 22, n), 1)
    overtime = rng.choice(3, n, p=[0.6, 0.25, 0.15])
    shift = np.round(rng.gamma(2, 6, n) + 0.5, 1) * rng.choice([-1, 1], n)
    out["hours"] = hours
    out["overtime"] = _named(overtime, ["none", "asked", "granted"])
    out["approved_hours"] = np.where(overtime == 0, hours, np.round(hours + shift, 1))
    rate = np.round(rng.gamma(20, 1.4, n), 2)
    out["rate"] = rate
    out["pay"] = np.round(hours * rate, 2)
    out["budget"] = np.round(hours * rate * (1 + rng.normal(0, 0.02, n)), 0)

    gross = np.round(rng.normal(4200, 700, n), 2)
    deducted = np.round(gross * rng.beta(6, 18, n), 2)
    out["gross"], out["deducted"] = gross, deducted
    out["net"] = np.round(gross - deducted, 2)

    base = np.array([24000, 31000, 40000, 52000, 68000, 90000])[grade]
    out["salary"] = np.round(base * (1 + 0.28 * rng.beta(2, 2, n)), 0)
    out["score"] = np.round(rng.normal(60 + 4 * grade, 10), 1)
    out["age"] = rng.integers(19, 66, n)

    packed = _clock(rng, n)
    out["start_hhmm"], out["start_minute"] = packed, packed % 100

    car = rng.random(n) < 0.3
    out["company_car"] = car
    plate = pd.Series(rng.choice(["new", "used", "electric"], n), dtype=object)
    out["car_type"] = plate.where(car)
    park = np.where(rng.random(n) < 0.03, ~car, car)
    out["parking_lot"] = pd.Series(rng.choice(["P1", "P2", "P3"], n), dtype=object).where(park)

    allowed = rng.choice([20, 24, 25, 28, 30, 35], n)
    out["leave_days"] = allowed
    out["leave_taken"] = np.minimum(allowed, rng.poisson(23, n))

    contract = rng.choice(3, n, p=[0.6, 0.3, 0.1])
    for i, name in enumerate(["is_full_time", "is_part_time", "is_temporary"]):
        out[name] = contract == i
    speaks = rng.choice(3, n, p=[0.5, 0.3, 0.2])
    twice = rng.random(n) < 0.03
    for i, name in enumerate(["writes_english", "writes_french", "writes_german"]):
        out[name] = (speaks == i) | (twice & ((speaks + 1) % 3 == i))

    department, site = _skewed(rng, n, 9), _skewed(rng, n, 5)
    centre = fixed.integers(0, 20, (9, 5))[department, site]
    centre = np.where(rng.random(n) < 0.025, (centre + rng.integers(1, 20, n)) % 20, centre)
    out["department"] = _named(department, [f"Dept {i}" for i in range(9)])
    out["site"] = _named(site, ["Main", "Port", "Hill", "Lake", "Mill"])
    out["cost_centre"] = 4000 + 10 * centre
    moved = rng.random(n) < 0.02
    out["home_site"] = _named(np.where(moved, (site + 1) % 5, site), ["Main", "Port", "Hill", "Lake", "Mill"])

    out["rating_spring"] = rng.choice([1, 2, 3, 4, 5], n, p=[0.05, 0.15, 0.4, 0.3, 0.1])
    out["rating_autumn"] = rng.choice([1, 2, 3, 4, 5], n, p=[0.05, 0.15, 0.4, 0.3, 0.1])
    out["phone_year"] = np.where(rng.random(n) < 0.35, np.nan, rng.integers(2012, 2024, n))
    out["laptop_year"] = np.where(rng.random(n) < 0.35, np.nan, rng.integers(2012, 2024, n))
    out["locker"] = _named(rng.integers(0, 350, n), [f"L{i}" for i in range(350)])

    frame = pd.DataFrame(out)
    kinds = dict.fromkeys(frame.columns, "continuous")
    for name in (
        *("grade", "region", "manager_id", "manager_name", "leave_reason", "hired_weekday"),
        *("overtime", "car_type", "parking_lot", "department", "site", "cost_centre"),
        *("home_site", "locker"),
    ):
        kinds[name] = "categorical"
    for name in ("hired", "left", "reviewed"):
        kinds[name] = "datetime"
    for name in frame.columns:
        if frame[name].dtype == bool:
            kinds[name] = "boolean"
    for name in ("rating_spring", "rating_autumn"):
        kinds[name] = "ordinal"

    truths = [
        Planted("determines", ("grade", "region", "allowance"), "two columns tell a third"),
        Planted("determines", ("manager_id", "manager_name"), "a number and its name", 2),
        Planted("interval", ("hired", "left"), "nobody leaves before the first day", 2),
        Planted("missing together", ("left", "leave_reason"), "a leave has a reason"),
        Planted("from date", ("hired", "hired_year"), "the year of a date"),
        Planted("from date", ("hired", "hired_weekday"), "the name of the day of a date"),
        Planted(
            "equal when",
            ("approved_hours", "hours", "overtime"),
            "equal exactly where there is no overtime",
        ),
        Planted("product", ("pay", "hours", "rate"), "hours by rate, to a hundredth", 3),
        Planted("difference", ("net", "gross", "deducted"), "net is gross less deducted", 3),
        Planted("ranges", ("salary", "grade"), "each grade has its band", 2),
        Planted("remainder", ("start_minute", "start_hhmm"), "the minute of a packed time"),
        Planted("missing when", ("car_type", "company_car"), "a car has a type"),
        Planted("inequality", ("leave_taken", "leave_days"), "no more days than allowed", 2),
        Planted("one-hot", ("is_full_time", "is_part_time", "is_temporary"), "one contract each"),
    ]
    temptations = [
        Planted("equal", ("site", "home_site"), "equal in 98% of rows", 2),
        Planted("determines", ("department", "site", "cost_centre"), "true in 97.5% of rows"),
        Planted("interval", ("hired", "reviewed"), "negative in 2% of rows", 2),
        Planted("product", ("budget", "hours", "rate"), "a product with noise", 3),
        Planted("from date", ("hired", "first_year_on_file"), "true in 97% of rows"),
        Planted("missing when", ("parking_lot", "company_car"), "true in 97% of rows"),
        Planted("missing together", ("phone_year", "laptop_year"), "independent, same rate", 2),
        Planted("ranges", ("score", "grade"), "the ranges overlap"),
        Planted("inequality", ("age", "salary"), "the scales differ, nothing else", 2),
        Planted("one-hot", ("writes_english", "writes_french", "writes_german"), "97% of rows"),
        Planted("inequality", ("rating_spring", "rating_autumn"), "same distribution", 2),
        Planted("determines", ("locker", "department"), "350 levels, each seen rarely"),
    ]
    return frame, kinds, truths, temptations


def planted(
    n_rows: int, seed: int, table: str = "hospital"
) -> tuple[pd.DataFrame, dict[str, str], list[Planted], list[Planted]]:
    """One of the two tables: the frame, the kind of each column, what is true, what only seems."""
    return {"hospital": hospital, "staff": staff}[table](n_rows, seed)
