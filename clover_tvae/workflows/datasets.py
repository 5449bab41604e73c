"""Tables that a job can name instead of a file, so that the examples run on a fresh install without a download.

Four are real tables that scikit-learn ships; one, ``clover.employees``, is made here from random numbers and describes
nobody. This module knows pandas, numpy and scikit-learn's loaders; it does not know jobs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from clover_tvae.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    import pandas as pd

DatasetName = Literal["sklearn.breast_cancer", "sklearn.diabetes", "sklearn.iris", "sklearn.wine", "clover.employees"]
DATASETS: tuple[str, ...] = get_args(DatasetName)

_TARGETS = {"breast_cancer": "diagnosis", "diabetes": "progression", "iris": "species", "wine": "cultivar"}
# Department: share of all employees, share of women in it, salary in EUR before level, city and years of service.
_DEPARTMENTS: dict[str, tuple[float, float, float]] = {
    "Development": (0.46, 0.06, 52_000),
    "Operations": (0.16, 0.08, 45_000),
    "Sales": (0.12, 0.17, 47_000),
    "Support": (0.10, 0.16, 36_000),
    "Finance": (0.06, 0.24, 50_000),
    "Marketing": (0.05, 0.30, 44_000),
    "Human Resources": (0.03, 0.45, 42_000),
    "Legal": (0.02, 0.35, 58_000),
}
_LEVELS: dict[str, tuple[float, float]] = {
    "junior": (0.30, 0.82),
    "middle": (0.36, 1.00),
    "senior": (0.22, 1.24),
    "lead": (0.09, 1.48),
    "principal": (0.03, 1.85),
}
_CITIES = (
    "Berlin", "Paris", "Madrid", "Rome", "Vienna", "Warsaw", "Lisbon", "Dublin", "Brussels", "Amsterdam",
    "Copenhagen", "Stockholm", "Helsinki", "Oslo", "Zurich", "Prague", "Budapest", "Athens", "Bucharest", "Sofia",
    "Zagreb", "Ljubljana", "Bratislava", "Vilnius", "Riga", "Tallinn", "Luxembourg", "Valletta", "Nicosia", "Reykjavik",
)  # fmt: skip


def builtin_table(name: str) -> pd.DataFrame:
    """Return a built-in table.

    Args:
        name: One of :data:`DATASETS`.

    Returns:
        The table; the target of a scikit-learn table is its last column, as text where it is a class.

    Raises:
        ConfigError: There is no such table.

    Example:
        >>> builtin_table("sklearn.breast_cancer").shape
        (569, 31)
    """
    if name not in DATASETS:
        raise ConfigError(f"must be a built-in table: {', '.join(DATASETS)}{did_you_mean(name, DATASETS)}", name)
    source, _, table = name.partition(".")
    return make_employees() if source == "clover" else _from_sklearn(table)


def _from_sklearn(table: str) -> pd.DataFrame:
    from sklearn import datasets

    load = getattr(datasets, f"load_{table}")
    bunch = load(as_frame=True, **({"scaled": False} if table == "diabetes" else {}))
    frame = bunch.data.copy()
    classes = getattr(bunch, "target_names", None)
    values = bunch.target.to_numpy()
    frame[_TARGETS[table]] = values if classes is None else np.asarray(classes, dtype=object)[values]
    return frame


def make_employees(n_rows: int = 5000, seed: int = 20240501) -> pd.DataFrame:
    """Make a table of employees who do not exist.

    Every value is drawn from the distributions written above; no real person, firm or survey stands behind it. Women
    are 12% of the staff, the imbalance that conditional sampling is for. The salary depends on department, level, city
    and years of service, and not on gender.

    Args:
        n_rows: Number of employees, at least 1.

    Returns:
        ``employee_id``, ``gender``, ``department``, ``level``, ``city`` (30 values, some missing), ``hire_date`` (text,
        ISO 8601), ``remote``, ``rating`` (some missing), ``bonus`` (mostly 0), ``salary`` (EUR a year).

    Example:
        >>> make_employees(3)["employee_id"].tolist()
        ['E-000001', 'E-000002', 'E-000003']
    """
    import pandas as pd

    rng = np.random.default_rng(seed)
    names = np.array(list(_DEPARTMENTS), dtype=object)
    shares, women, base = (np.array(figures) for figures in zip(*_DEPARTMENTS.values(), strict=True))
    department = rng.choice(len(names), n_rows, p=shares)
    gender = np.where(rng.random(n_rows) < women[department], "F", "M").astype(object)

    level_shares, factors = (np.array(figures) for figures in zip(*_LEVELS.values(), strict=True))
    level = rng.choice(len(factors), n_rows, p=level_shares)

    # City sizes fall like 1 / rank, and pay follows the city: 30 values from 25% down to under 1%.
    sizes = 1 / np.arange(1, len(_CITIES) + 1)
    city = rng.choice(len(_CITIES), n_rows, p=sizes / sizes.sum())
    pay = np.random.default_rng(seed + 1).normal(1.0, 0.09, len(_CITIES))

    # Years of service grow with the level; the firm was founded in 2004 and the table is of the end of 2023.
    years = np.minimum(rng.gamma(1.6, 1.5 + 0.9 * level), 19.5)
    hired = np.datetime64("2023-12-31") - (years * 365.25).astype(int).astype("timedelta64[D]")

    salary = base[department] * factors[level] * pay[city] * (1 + 0.012 * years) * rng.lognormal(0, 0.07, n_rows)
    remote = rng.random(n_rows) < np.where(department == 0, 0.65, 0.2)
    rating = np.clip(np.round(rng.normal(3.4 + 0.1 * level, 0.7), 1), 1, 5)
    gets_one = rng.random(n_rows) < 0.15 + 0.12 * level
    bonus = np.where(gets_one, np.round(salary * rng.uniform(0.02, 0.12, n_rows), -2), 0.0)

    frame = pd.DataFrame(
        {
            "employee_id": [f"E-{number:06d}" for number in range(1, n_rows + 1)],
            "gender": gender,
            "department": names[department],
            "level": np.array(list(_LEVELS), dtype=object)[level],
            "city": np.array(_CITIES, dtype=object)[city],
            "hire_date": hired.astype(str).astype(object),
            "remote": remote,
            "rating": rating,
            "bonus": bonus.astype(np.int64),
            "salary": np.round(salary, -2).astype(np.int64),
        }
    )
    frame.loc[rng.random(n_rows) < 0.03, "city"] = None
    # New staff have not been rated yet.
    frame.loc[(years < 1) | (rng.random(n_rows) < 0.05), "rating"] = np.nan
    return frame
