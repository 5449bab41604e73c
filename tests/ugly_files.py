"""Thirty files as hospitals, laboratories, HR departments and their programs really export them, each with the table that a careful human reads from it.

The first ten were written from knowledge of those programs alone, before the reader was looked at; ``python tests/ugly_files.py FOLDER`` makes all of them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

ROWS = 60


@dataclass(frozen=True)
class Ugly:
    """One file: what is wrong with it, and the table that a careful human reads from it; none where a hand must mend it first."""

    name: str
    wrong: str
    make: Callable[[Path], None]
    table: Callable[[], pd.DataFrame] | None = None


@dataclass(frozen=True)
class Answer:
    """What happens to a file now.

    Args:
        now: In words, for the documentation.
        told: What the message says that refuses it, or that names the option; empty where it is read at once.
        option: The option that the message named.
        written: Of columns of the synthetic rows the pattern that each cell has.
    """

    now: str
    told: str = ""
    option: tuple[str, ...] = ()
    written: dict[str, str] = field(default_factory=dict)


def _people() -> dict[str, list]:
    """Sixty people, the same each time, as plain Python values."""
    draw = np.random.default_rng(7)
    days = pd.Timestamp("2019-01-05") + pd.to_timedelta(draw.integers(0, 700, ROWS), unit="D")
    return {
        "sex": [str(s) for s in draw.choice(["männlich", "weiblich"], ROWS)],
        "ward": [str(s) for s in draw.choice(["Chirurgie", "Innere", "Pädiatrie"], ROWS)],
        "age": [int(a) for a in draw.integers(18, 90, ROWS)],
        "weight": [round(float(w), 1) for w in draw.normal(75, 12, ROWS)],
        "salary": [round(float(s), 2) for s in draw.uniform(950, 9800, ROWS)],
        "share": [round(float(s), 2) for s in draw.uniform(0, 1, ROWS)],
        "day": [d.date() for d in days],
        "stay": [int(s) for s in draw.integers(1, 30, ROWS)],
        "flag": [bool(b) for b in draw.integers(0, 2, ROWS)],
    }


P = _people()
DAY = pd.to_datetime(pd.Series(P["day"]))


def german(number: float, decimals: int = 2) -> str:
    return f"{number:,.{decimals}f}".translate(str.maketrans(",.", ".,"))


def french(number: float, decimals: int = 2) -> str:
    return f"{number:,.{decimals}f}".translate(str.maketrans({",": "\u202f", ".": ","}))


def lines(separator: str, header: list[str], columns: list[list[str]], end: str = "", newline: str = "\r\n") -> str:
    rows = [header, *map(list, zip(*columns, strict=True))]
    return "".join(separator.join(row) + end + newline for row in rows)


# The first ten.


def sap(path: Path) -> None:
    amounts = [german(abs(a)) + ("-" if a < 0 else " ") for a in sap_amounts()]
    columns = [P["ward"], [f"{d:%d.%m.%Y}" for d in P["day"]], amounts, [german(w, 1) for w in P["weight"]]]
    path.write_bytes(lines(";", ["Abteilung", "Datum", "Betrag", "Größe"], columns, end=";").encode("cp1252"))


def sap_amounts() -> list[float]:
    return [-a if i % 4 == 0 else a for i, a in enumerate(P["salary"])]


def sap_table() -> pd.DataFrame:
    return pd.DataFrame({"Abteilung": P["ward"], "Datum": DAY, "Betrag": sap_amounts(), "Größe": P["weight"]})


def unicode_text(path: Path) -> None:
    columns = [
        P["sex"],
        [str(a) for a in P["age"]],
        [german(s) for s in P["salary"]],
        ["WAHR" if f else "FALSCH" for f in P["flag"]],
    ]
    path.write_bytes(lines("\t", ["Geschlecht", "Alter", "Gehalt", "Vollzeit"], columns).encode("utf-16"))


def unicode_text_table() -> pd.DataFrame:
    return pd.DataFrame({"Geschlecht": P["sex"], "Alter": P["age"], "Gehalt": P["salary"], "Vollzeit": P["flag"]})


def sep_line(path: Path) -> None:
    wards = [f'"Station ""{w}"""' for w in P["ward"]]
    columns = [
        wards,
        [str(w).replace(".", ",") for w in P["weight"]],
        [str(s) for s in P["stay"]],
        [f"{d:%d.%m.%y}" for d in P["day"]],
    ]
    text = "sep=;\r\n" + lines(";", ["Station", "Gewicht (kg)", "Tage", "Aufnahme"], columns)
    path.write_bytes(text.encode("utf-8-sig"))


def sep_line_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Station": [f'Station "{w}"' for w in P["ward"]],
            "Gewicht (kg)": P["weight"],
            "Tage": P["stay"],
            "Aufnahme": DAY,
        }
    )


def redcap_cells() -> dict[str, list]:
    blank = [i % 6 == 0 for i in range(ROWS)]
    return {
        "redcap_event_name": ["baseline_arm_1" if i % 2 == 0 else "follow_up_arm_1" for i in range(ROWS)],
        "visit_date": [pd.NaT if b else d for b, d in zip(blank, DAY, strict=True)],
        "comorbid___1": ["Checked" if f else "Unchecked" for f in P["flag"]],
        "comorbid___2": ["Unchecked" if f else "Checked" for f in P["flag"]],
        "weight": [np.nan if b else w for b, w in zip(blank, P["weight"], strict=True)],
        "demographics_complete": ["Incomplete" if b else "Complete" for b in blank],
    }


def redcap(path: Path) -> None:
    cells = redcap_cells()
    columns = [[str(i // 2 + 1) for i in range(ROWS)]]
    for name, values in cells.items():
        texts = [
            ("" if pd.isna(v) else f"{v:%Y-%m-%d}") if name == "visit_date" else "" if pd.isna(v) else str(v)
            for v in values
        ]
        columns.append([f'"{t}"' for t in texts] if name not in ("weight", "visit_date") else texts)
    path.write_text(lines(",", ["record_id", *cells], columns, newline="\n"), encoding="utf-8", newline="")


def redcap_table() -> pd.DataFrame:
    return pd.DataFrame({"record_id": [str(i // 2 + 1) for i in range(ROWS)], **redcap_cells()})


def spss(path: Path) -> None:
    import pyreadstat

    frame = pd.DataFrame(
        {
            "geschl": [1.0 if s == "männlich" else 2.0 for s in P["sex"]],
            "alter": [999.0 if i % 10 == 0 else float(a) for i, a in enumerate(P["age"])],
            "raucht": [9.0 if i % 12 == 0 else float(f) for i, f in enumerate(P["flag"])],
            "aufn": P["day"],
        }
    )
    pyreadstat.write_sav(
        frame,
        str(path),
        column_labels={"alter": "Alter bei Aufnahme"},
        variable_value_labels={
            "geschl": {1: "männlich", 2: "weiblich"},
            "raucht": {0: "nein", 1: "ja", 9: "keine Angabe"},
            "alter": {999: "keine Angabe"},
        },
        missing_ranges={"alter": [999], "raucht": [9]},
    )


def spss_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "geschl": P["sex"],
            "alter": [np.nan if i % 10 == 0 else a for i, a in enumerate(P["age"])],
            "raucht": [None if i % 12 == 0 else ("ja" if f else "nein") for i, f in enumerate(P["flag"])],
            "aufn": DAY,
        }
    )


def stata(path: Path) -> None:
    frame = pd.DataFrame(
        {"female": [int(s == "weiblich") for s in P["sex"]], "weight": P["weight"], "admitted": DAY, "ward": P["ward"]}
    )
    frame["weight"] = frame["weight"].where(frame.index % 9 != 0)
    labels = {"female": {0: "no", 1: "yes"}}
    frame.to_stata(path, convert_dates={"admitted": "td"}, value_labels=labels, write_index=False, version=118)


def stata_table() -> pd.DataFrame:
    weight = [np.nan if i % 9 == 0 else w for i, w in enumerate(P["weight"])]
    return pd.DataFrame(
        {
            "female": ["yes" if s == "weiblich" else "no" for s in P["sex"]],
            "weight": weight,
            "admitted": DAY,
            "ward": P["ward"],
        }
    )


def workbook(path: Path) -> None:
    import xlsxwriter

    with xlsxwriter.Workbook(str(path)) as book:
        book.add_worksheet("Hinweise").write(0, 0, "Stand: 01.02.2021, vertraulich")
        sheet = book.add_worksheet("Daten")
        day = book.add_format({"num_format": "dd.mm.yyyy"})
        percent = book.add_format({"num_format": "0%"})
        euro = book.add_format({"num_format": '#,##0.00 "€"'})
        sheet.write_row(0, 0, ["Personalnr", "Abteilung", "Eintritt", "Gehalt", "Anteil", "Vollzeit", "Alter"])
        for i in range(ROWS):
            sheet.write_string(i + 1, 0, f"{i + 1:06d}")
            sheet.write_string(i + 1, 1, P["ward"][i])
            sheet.write_datetime(i + 1, 2, pd.Timestamp(P["day"][i]).to_pydatetime(), day)
            sheet.write_number(i + 1, 3, P["salary"][i], euro)
            sheet.write_number(i + 1, 4, P["share"][i], percent)
            sheet.write_boolean(i + 1, 5, P["flag"][i])
            sheet.write_string(i + 1, 6, str(P["age"][i]))  # a number stored as text


def workbook_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Personalnr": [f"{i + 1:06d}" for i in range(ROWS)],
            "Abteilung": P["ward"],
            "Eintritt": DAY,
            "Gehalt": P["salary"],
            "Anteil": P["share"],
            "Vollzeit": P["flag"],
            "Alter": P["age"],
        }
    )


def laboratory(path: Path) -> None:
    crp = ["<0.5" if s < 0.3 else f"{10 * s:.1f}" for s in P["share"]]
    columns = [
        ["female" if s == "weiblich" else "male" for s in P["sex"]],
        [str(a) for a in P["age"]],
        crp,
        [f"{w:.1f}" for w in P["weight"]],
    ]
    columns = [[unit, *cells] for unit, cells in zip(["", "years", "mg/l", "kg"], columns, strict=True)]
    path.write_text(lines(", ", ["Sex", "Age", "CRP", "Weight"], columns), encoding="utf-8", newline="")


def warehouse(path: Path) -> None:
    from decimal import Decimal

    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "ward": pa.array(P["ward"]).dictionary_encode(),
            "cost": pa.array([Decimal(str(s)).quantize(Decimal("0.01")) for s in P["salary"]], pa.decimal128(12, 2)),
            "admitted": pa.array(P["day"], pa.date32()),
            "seen": pa.array(list(DAY.dt.tz_localize("Europe/Berlin")), pa.timestamp("us", tz="Europe/Berlin")),
            "urgent": pa.array([None if i % 8 == 0 else f for i, f in enumerate(P["flag"])]),
            "days": pa.array([None if i % 7 == 0 else s for i, s in enumerate(P["stay"])], pa.int16()),
        }
    )
    pq.write_table(table, path)


def warehouse_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "ward": P["ward"],
            "cost": P["salary"],
            "admitted": DAY,
            "seen": DAY,
            "urgent": [None if i % 8 == 0 else f for i, f in enumerate(P["flag"])],
            "days": [np.nan if i % 7 == 0 else s for i, s in enumerate(P["stay"])],
        }
    )


def american(path: Path) -> None:
    salaries = [f'"${s:,.2f}"' if s < 9000 else f'"(${s:,.2f})"' for s in P["salary"]]
    columns = [
        [f"{d:%m/%d/%Y}" for d in P["day"]],
        salaries,
        [f"{100 * s:.0f}%" for s in P["share"]],
        ["TRUE" if f else "FALSE" for f in P["flag"]],
        ["N/A" if i % 6 == 0 else str(s) for i, s in enumerate(P["stay"])],
        [""] * ROWS,
        [""] * ROWS,
    ]
    path.write_text(
        lines(",", ["Hire Date", "Salary", "FTE", "Active", "Days", "Comment", ""], columns),
        encoding="utf-8",
        newline="",
    )


def american_table() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Hire Date": DAY,
            "Salary": [s if s < 9000 else -s for s in P["salary"]],
            "FTE": [round(100 * s) for s in P["share"]],
            "Active": P["flag"],
            "Days": [np.nan if i % 6 == 0 else s for i, s in enumerate(P["stay"])],
        }
    )


FILES: list[Ugly] = [
    Ugly(
        "sap.csv",
        "SAP, Germany: semicolons, one more at the end of each line, 1.234,56 and 1.234,56-, cp1252 umlauts, 31.12.2019",
        sap,
        sap_table,
    ),
    Ugly(
        "unicode_text.txt",
        'Excel\'s "Unicode text": UTF-16, tabs, the name ends in .txt; 1.234,56; WAHR and FALSCH',
        unicode_text,
        unicode_text_table,
    ),
    Ugly(
        "sep_line.csv",
        "Excel: a byte order mark, a first line sep=;, doubled quotes, decimal commas, years of two digits",
        sep_line,
        sep_line_table,
    ),
    Ugly(
        "redcap.csv",
        "REDCap labels: checkboxes (Checked, Unchecked), two rows a record, gaps, some cells quoted",
        redcap,
        redcap_table,
    ),
    Ugly("spss.sav", "SPSS: value labels, user-missing 9 and 999 with labels of their own, dates", spss, spss_table),
    Ugly("stata.dta", "Stata: a labelled 0/1, days as %td, missing numbers", stata, stata_table),
    Ugly(
        "workbook.xlsx",
        "Excel: a sheet of remarks first, numbers stored as text, 000123, euros, percent, TRUE",
        workbook,
        workbook_table,
    ),
    Ugly("laboratory.csv", "laboratory: a row of units under the header, a blank after each comma, <0.5", laboratory),
    Ugly(
        "warehouse.parquet",
        "data warehouse: dictionary, decimal128, date32, a time zone, whole numbers and booleans with gaps",
        warehouse,
        warehouse_table,
    ),
    Ugly(
        "american.csv",
        "Excel, USA: $1,234.56, ($9,876.50) for less than zero, 12%, 12/31/2019, N/A, an empty column with and one without a name",
        american,
        american_table,
    ),
]


# Twenty more, written when the reader was known.


def _csv(separator: str, names: list[str], columns: list[list[str]], **how: str) -> Callable[[Path], None]:
    """Return what writes a plain file; ``above`` and ``below`` stand around the table."""

    def make(path: Path) -> None:
        text = (
            how.get("above", "")
            + lines(separator, names, columns, newline=how.get("newline", "\r\n"))
            + how.get("below", "")
        )
        path.write_bytes(text.encode(how.get("encoding", "utf-8")))

    return make


def _plain(**columns: list) -> Callable[[], pd.DataFrame]:
    return lambda: pd.DataFrame(columns)


TEXT = {name: [str(value) for value in values] for name, values in P.items()}
SOME = [i % 6 == 0 for i in range(ROWS)]


def or_none(values: list, word: object = None) -> list:
    """Every sixth value is missing, or the word for it."""
    return [word if gap else value for gap, value in zip(SOME, values, strict=True)]


BASIC = (["ward", "age", "weight"], [TEXT["ward"], TEXT["age"], TEXT["weight"]])


def protected(path: Path) -> None:
    codes = [f'="{i % 9:05d}"' for i in range(ROWS)]
    quoted = ['"' + code.replace('"', '""') + '"' for code in codes]
    _csv(",", ["postcode", "age", "weight"], [quoted, [f'"=""{a}"""' for a in TEXT["age"]], TEXT["weight"]])(path)


def breaks(path: Path) -> None:
    notes = [f'"{w}\nBett {s % 3}"' for w, s in zip(P["ward"], P["stay"], strict=True)]
    _csv(",", ["place", "age"], [notes, TEXT["age"]])(path)


def errors(path: Path) -> None:
    import xlsxwriter

    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["ward", "age", "ratio"])
        for i in range(ROWS):
            sheet.write_string(i + 1, 0, P["ward"][i])
            sheet.write_number(i + 1, 1, P["age"][i])
            sheet.write_formula(
                i + 1, 2, f"=B{i + 2}/0" if SOME[i] else f"=B{i + 2}/4", None, "#DIV/0!" if SOME[i] else P["age"][i] / 4
            )


def merged(path: Path) -> None:
    import xlsxwriter

    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        sheet.merge_range(0, 0, 0, 1, "person")
        sheet.write_row(1, 0, ["sex", "age"])
        for i in range(ROWS):
            sheet.write_row(i + 2, 0, [P["sex"][i], P["age"][i]])


def mixed(path: Path) -> None:
    import xlsxwriter

    with xlsxwriter.Workbook(str(path)) as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["ward", "crp"])
        for i in range(ROWS):
            sheet.write_row(i + 1, 0, [P["ward"][i], "n.d." if SOME[i] else P["weight"][i]])


def html(path: Path) -> None:
    rows = "".join(f"<tr><td>{w}</td><td>{a}</td></tr>" for w, a in zip(P["ward"], P["age"], strict=True))
    path.write_text(
        f"<html><body><table><tr><th>ward</th><th>age</th></tr>{rows}</table></body></html>", encoding="utf-8"
    )


MORE: list[Ugly] = [
    Ugly(
        "french.csv",
        "Excel, France: 1\u202f234,56 € with narrow blanks, VRAI and FAUX, 31/12/2019",
        _csv(
            ";",
            ["service", "salaire", "entrée", "actif"],
            [
                TEXT["ward"],
                [french(s) + " €" for s in P["salary"]],
                [f"{d:%d/%m/%Y}" for d in P["day"]],
                ["VRAI" if f else "FAUX" for f in P["flag"]],
            ],
            encoding="utf-8-sig",
        ),
        lambda: pd.DataFrame({"service": P["ward"], "salaire": P["salary"], "entrée": DAY, "actif": P["flag"]}),
    ),
    Ugly(
        "title.csv",
        "a report: a title and an empty line above the header",
        _csv(";", *BASIC, above="Patientenliste, Stand 01.02.2021\r\n\r\n"),
    ),
    Ugly(
        "totals.csv",
        "a report: a row of totals at the end",
        _csv(",", *BASIC, below=f"Total,{sum(P['age'])},{sum(P['weight']):.1f}\r\n"),
    ),
    Ugly(
        "twice.csv",
        "a join: two columns of one name",
        _csv(",", ["ward", "age", "age"], [TEXT["ward"], TEXT["age"], TEXT["stay"]]),
    ),
    Ugly(
        "row_names.csv",
        "R's write.csv: row names in a column without a name",
        _csv(",", ['""', *BASIC[0]], [[str(i) for i in range(1, ROWS + 1)], *BASIC[1]]),
    ),
    Ugly(
        "write_table.csv",
        "R's write.table: separated by blanks, one name less than columns",
        _csv(" ", BASIC[0], [[f'"{i}" "{w}"' for i, w in enumerate(P["ward"], 1)], *BASIC[1][1:]]),
    ),
    Ugly(
        "write_csv2.csv",
        "R's write.csv2: semicolons, decimal commas, quoted text, NA",
        _csv(
            ";",
            ['"ward"', '"age"', '"weight"'],
            [
                or_none([f'"{w}"' for w in P["ward"]], "NA"),
                or_none(TEXT["age"], "NA"),
                [w.replace(".", ",") for w in TEXT["weight"]],
            ],
        ),
        _plain(ward=or_none(P["ward"]), age=or_none(P["age"]), weight=P["weight"]),
    ),
    Ugly(
        "mysql.tsv",
        "MySQL: tabs, \\N for NULL, times to the second",
        _csv(
            "\t",
            ["ward", "age", "seen"],
            [TEXT["ward"], or_none(TEXT["age"], "\\N"), [f"{d} 08:30:00" for d in P["day"]]],
        ),
        lambda: pd.DataFrame({"ward": P["ward"], "age": or_none(P["age"]), "seen": DAY + pd.Timedelta("8h30min")}),
    ),
    Ugly(
        "sql_server.csv",
        "SQL Server: NULL, times with .000",
        _csv(
            ",",
            ["ward", "age", "seen"],
            [TEXT["ward"], or_none(TEXT["age"], "NULL"), or_none([f"{d} 00:00:00.000" for d in P["day"]], "NULL")],
        ),
        lambda: pd.DataFrame({"ward": P["ward"], "age": or_none(P["age"]), "seen": or_none(list(DAY), pd.NaT)}),
    ),
    Ugly(
        "old_mac.csv",
        "an old Mac: lines end with a carriage return alone",
        _csv(",", *BASIC, newline="\r"),
        _plain(ward=P["ward"], age=P["age"], weight=P["weight"]),
    ),
    Ugly(
        "protected.csv",
        'Excel: ="00123", which keeps its zeros',
        protected,
        _plain(postcode=[f"{i % 9:05d}" for i in range(ROWS)], age=P["age"], weight=P["weight"]),
    ),
    Ugly(
        "breaks.csv",
        "a form: line breaks inside quoted cells",
        breaks,
        _plain(place=[f"{w}\nBett {s % 3}" for w, s in zip(P["ward"], P["stay"], strict=True)], age=P["age"]),
    ),
    Ugly(
        "open_end.csv",
        "HR: 31.12.9999 where a contract has no end",
        _csv(";", ["ward", "end"], [TEXT["ward"], or_none([f"{d:%d.%m.%Y}" for d in P["day"]], "31.12.9999")]),
        lambda: pd.DataFrame({"ward": P["ward"], "end": or_none(list(DAY), pd.NaT)}),
    ),
    Ugly(
        "sas.csv",
        "SAS: 05JAN2019, a point for a missing number",
        _csv(
            ",",
            ["ward", "day", "age"],
            [TEXT["ward"], [f"{d:%d%b%Y}".upper() for d in P["day"]], or_none(TEXT["age"], ".")],
        ),
        lambda: pd.DataFrame({"ward": P["ward"], "day": DAY, "age": or_none(P["age"])}),
    ),
    Ugly("again.csv", "two exports in one file: the header comes again", _csv(",", *BASIC, below=lines(",", *BASIC))),
    Ugly(
        "swiss.csv",
        "Switzerland: CHF 1'234.50",
        _csv(";", ["ward", "amount"], [TEXT["ward"], ["CHF " + f"{s:,.2f}".replace(",", "'") for s in P["salary"]]]),
        _plain(ward=P["ward"], amount=P["salary"]),
    ),
    Ugly(
        "errors.xlsx",
        "Excel: formulas that failed (#DIV/0!)",
        errors,
        lambda: pd.DataFrame({"ward": P["ward"], "age": P["age"], "ratio": or_none([a / 4 for a in P["age"]])}),
    ),
    Ugly("merged.xlsx", "Excel: two rows of headers, the upper one merged", merged),
    Ugly(
        "mixed.xlsx",
        'Excel: numbers, and "n.d." among them',
        mixed,
        _plain(ward=P["ward"], crp=or_none(P["weight"])),
    ),
    Ugly("html.xls", "a report server: HTML in a file that is called .xls", html),
]
FILES += MORE


ANSWERS: dict[str, Answer] = {
    "sap.csv": Answer(
        "asks for `--read encoding=cp1252`; then read, the minus behind a number too; it is written before the number",
        "--read encoding=cp1252",
        ("--read", "encoding=cp1252"),
        {"Datum": r"\d\d\.\d\d\.\d{4}", "Betrag": r"-?\d{1,3}(\.\d{3})*,\d\d", "Größe": r"\d+(\.\d)?"},
    ),
    "unicode_text.txt": Answer("refused: rename it to .tsv; then read", "tabs between the cells: .tsv"),
    "sep_line.csv": Answer(
        "read; the hundred years that two digits mean are told; rows are written without the first line",
        written={"Station": 'Station "[A-Z]\\w+"', "Gewicht (kg)": r"\d+(\.\d)?", "Aufnahme": r"\d\d\.\d\d\.(19|20)"},
    ),
    "redcap.csv": Answer(
        "read; the record is taken for the person, who has several rows",
        written={"visit_date": r"\d{4}-\d\d-\d\d|", "comorbid___1": "Checked|Unchecked"},
    ),
    "spss.sav": Answer(
        "read: labels are categories, user-missing cells are missing",
        written={"geschl": "männlich|weiblich", "raucht": "ja|nein|", "aufn": r"\d{4}-\d\d-\d\d"},
    ),
    "stata.dta": Answer("read: labels are categories", written={"female": "yes|no", "admitted": r"\d{4}-\d\d-\d\d"}),
    "workbook.xlsx": Answer(
        "asks for the sheet, whose names it lists; then read, numbers stored as text too",
        "or --read sheet=NAME; it has 'Hinweise', 'Daten'",
        ("--read", "sheet=Daten"),
        {"Eintritt": r"\d{4}-\d\d-\d\d", "Alter": r"\d\d", "Vollzeit": "True|False"},
    ),
    "laboratory.csv": Answer(
        "refused: delete the row of units", "a second header, such as units, from data row 1 on; delete it"
    ),
    "warehouse.parquet": Answer("read", written={"cost": r"\d+\.\d\d?", "urgent": "True|False|"}),
    "american.csv": Answer(
        "read; what stands in brackets is below zero, and written with a minus; the column without a name and cells is left out",
        written={
            "Salary": r"-?\$\d{1,3}(,\d{3})*\.\d\d",
            "FTE": r"\d+%",
            "Hire Date": r"\d\d/\d\d/\d{4}",
            "Active": "True|False",
            "Comment": "",
        },
    ),
    "french.csv": Answer(
        "read; rows are written with plain blanks",
        written={"salaire": r"\d( ?\d{3})*( ?\d+)?,\d\d €", "actif": "VRAI|FAUX", "entrée": r"\d\d/\d\d/\d{4}"},
    ),
    "title.csv": Answer("refused: delete the lines above the header", "delete lines above the header, such as a title"),
    "totals.csv": Answer(
        "refused: delete the row of totals", "seems to end with a row of totals (data row 61); delete it"
    ),
    "twice.csv": Answer(
        "refused: rename or drop one", "column 'age': 2 columns have this name; rename or drop all but one"
    ),
    "row_names.csv": Answer("refused: write it without row names", "in R row.names=FALSE"),
    "write_table.csv": Answer(
        "refused: export it with commas or semicolons", "separated by blanks; export it with commas or semicolons"
    ),
    "write_csv2.csv": Answer(
        "NA is missing among numbers; among words it is asked for: `--set ward=missing`",
        "--set ward=missing",
        ("--set", "ward=missing"),
        {"ward": r"Chirurgie|Innere|Pädiatrie|", "age": r"\d*", "weight": r"\d+(\.\d)?"},
    ),
    "mysql.tsv": Answer("read", written={"age": r"\d*", "seen": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"}),
    "sql_server.csv": Answer("read", written={"age": r"\d*", "seen": r"|\d{4}-\d\d-\d\d 00:00:00\.0+"}),
    "old_mac.csv": Answer("read", written={"age": r"\d+"}),
    "protected.csv": Answer("read; rows are written as 00123", written={"postcode": r"0000\d", "age": r"\d+"}),
    "breaks.csv": Answer("read", written={"place": r"\w+\nBett \d"}),
    "open_end.csv": Answer(
        "read as dates; asked is whether they mean missing: `--set end=missing:31.12.9999`",
        "--set end=missing:31.12.9999|keep",
        ("--set", "end=missing:31.12.9999"),
        {"end": r"\d\d\.\d\d\.20\d\d|"},
    ),
    "sas.csv": Answer("read; months are written as Jan", written={"day": r"\d\d[A-Z][a-z]{2}\d{4}", "age": r"\d*"}),
    "again.csv": Answer("refused: delete the second header", "has its header again in data row 61; delete these rows"),
    "swiss.csv": Answer("read", written={"amount": r"CHF \d{1,3}('\d{3})*\.\d\d"}),
    "errors.xlsx": Answer("read: formulas that failed are missing", written={"ratio": r"\d*(\.\d+)?"}),
    "merged.xlsx": Answer("refused: unmerge them", "found 1 merged ones; unmerge them"),
    "mixed.xlsx": Answer(
        "refused, the rows named; read with `--missing n.d.`",
        "missing: [TEXT], or --missing TEXT",
        ("--missing", "n.d."),
        {"crp": r"\d*(\.\d)?"},
    ),
    "html.xls": Answer(
        "refused: open it in Excel and save it as .xlsx", "is HTML or XML inside, not a workbook; open it in Excel"
    ),
}


def table() -> str:
    """Return the table of the documentation."""
    rows = [
        f"| `{ugly.name}` | {ugly.wrong.replace('|', chr(92) + '|')} | {ANSWERS[ugly.name].now} |\n" for ugly in FILES
    ]
    return "| file | what is wrong with it | what happens now |\n| --- | --- | --- |\n" + "".join(rows)


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for ugly in FILES:
        ugly.make(folder / ugly.name)
    print(table())
