"""Files as programs really export them: each is read as a careful human reads it, or refused with a line that says what to do."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pandas as pd
import pytest
from typer.testing import CliRunner
from ugly_files import (
    ANSWERS,
    BASIC,
    DAY,
    FILES,
    ROWS,
    TEXT,
    Answer,
    P,
    Ugly,
    lines,
    table,
    unicode_text,
    unicode_text_table,
)

from clover_tvae import Metadata
from clover_tvae.cli import app
from clover_tvae.tables import read_table, write_table

EVERY = [pytest.param(ugly, ANSWERS[ugly.name], id=ugly.name) for ugly in FILES]
READ = [case for case in EVERY if case.values[1].option or not case.values[1].told]


def run(*words: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, [str(word) for word in words], env={"COLUMNS": "400"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def plain(cell: object) -> object:
    """Return a cell as a value that compares, whatever library holds it; None where it is missing."""
    if cell is None or pd.isna(cell):
        return None
    if isinstance(cell, pd.Timestamp):
        return cell.tz_localize(None)
    return (
        cell
        if isinstance(cell, str | bool)
        else bool(cell)
        if type(cell).__name__ == "bool_"
        else pd.to_numeric(cell) * 1.0
    )


def values(cells: pd.Series, date_format: str | None = None) -> list[object]:
    is_date = date_format is not None or type(cells.dropna().iloc[0]).__name__ == "date"
    return [plain(cell) for cell in (pd.to_datetime(cells, format=date_format) if is_date else cells.astype(object))]


def same(found: pd.DataFrame, expected: pd.DataFrame, metadata: Metadata) -> None:
    """Compare every cell, and require that no other column has one."""
    formats = {column.name: column.format for column in metadata.columns}
    assert [*found.columns[: expected.shape[1]]] == [*expected.columns]
    assert found.iloc[:, expected.shape[1] :].isna().all(axis=None)
    for name in expected:
        for here, there in zip(values(found[name], formats.get(name)), values(expected[name]), strict=True):
            is_number = isinstance(here, float) and isinstance(there, float)
            assert here == there or (is_number and math.isclose(here, there, rel_tol=1e-12)), name


def read_by_user(file: Path, answer: Answer) -> tuple[pd.DataFrame, Metadata]:
    """Describe a file on the command line, and return it as it is learnt."""
    code, told = run("metadata", "infer", file, "-o", f"{file}.json", *answer.option)
    assert code == 0, told
    metadata = Metadata.load(f"{file}.json")
    read = dict([answer.option[1].split("=", 1)]) if "--read" in answer.option else None
    missing = ("", answer.option[1]) if "--missing" in answer.option else ("",)
    return metadata.read(read_table(file, metadata, missing, read=read)), metadata


def test_there_are_thirty_and_the_documentation_lists_them() -> None:
    assert len(FILES) == len({ugly.name for ugly in FILES}) == 30
    assert ANSWERS.keys() == {ugly.name for ugly in FILES}
    assert table() in (Path(__file__).parent.parent / "docs" / "files.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("ugly", "answer"), EVERY)
def test_a_file_is_read_at_once_or_the_message_says_what_to_do(ugly: Ugly, answer: Answer, tmp_path: Path) -> None:
    file = tmp_path / ugly.name
    ugly.make(file)
    code, told = run("metadata", "infer", file)
    asks = answer.option[:1] == ("--set",)
    assert code == (2 if answer.told and not asks else 0), told
    assert answer.told in told
    if code == 2:
        assert told.startswith("error: ")
        assert told.count("\n") == 1


@pytest.mark.parametrize(("ugly", "answer"), READ)
def test_every_cell_is_what_a_careful_human_reads(ugly: Ugly, answer: Answer, tmp_path: Path) -> None:
    assert ugly.table is not None
    ugly.make(tmp_path / ugly.name)
    found, metadata = read_by_user(tmp_path / ugly.name, answer)
    same(found, ugly.table(), metadata)


@pytest.mark.parametrize(("ugly", "answer"), READ)
def test_synthetic_rows_are_written_as_the_file_was(ugly: Ugly, answer: Answer, tmp_path: Path) -> None:
    file, generator, rows = tmp_path / ugly.name, tmp_path / "g.pkl", tmp_path / "rows.csv"
    ugly.make(file)
    _, metadata = read_by_user(file, answer)
    how = answer.option if answer.option[:1] != ("--set",) else ()
    code, told = run("fit", file, "-m", f"{file}.json", "-o", generator, "--epochs", 1, "--seed", 1, "--quiet", *how)
    assert code == 0, told
    code, told = run("sample", generator, "-n", 40, "-o", rows, "--seed", 1, "--quiet")
    assert code == 0, told
    metadata.read(read_table(rows, metadata))  # it is a table of the same description
    cells = pd.read_csv(rows, dtype=str, keep_default_na=False)
    for name, pattern in answer.written.items():
        assert [cell for cell in cells[name] if not re.fullmatch(pattern, cell)] == [], name


def test_the_text_of_excel_is_read_when_it_is_renamed(tmp_path: Path) -> None:
    unicode_text(tmp_path / "text.tsv")
    found, metadata = read_by_user(tmp_path / "text.tsv", Answer(""))
    same(found, unicode_text_table(), metadata)


ROWS_OF_BASIC = lines(";", *BASIC)
MONTHS = "Jan Feb Mrz Apr Mai Jun Jul Aug Sep Okt Nov Dez".split()
SURVEY = [
    ["How old?", "{ImportId: 1}", *TEXT["age"]],
    ["Weight", "{ImportId: 2}", *TEXT["weight"]],
    ["Ward", "{ImportId: 3}", *TEXT["ward"]],
]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("Patientenliste\r\n\r\n" + ROWS_OF_BASIC, "delete lines above the header, such as a title"),
        ("List,,\r\n" + lines(",", *BASIC), "must name every column, found 2 without a name (2, 3); delete lines above the header"),
        (lines("   ", *BASIC), "seems to be separated by blanks; export it"),
        (lines(",", ["Q1", "Q2", "Q3"], SURVEY), "seems to have a second header"),
        (ROWS_OF_BASIC.encode("utf-16-le"), "seems to be UTF-16; say read: {encoding: utf-16}"),
        (ROWS_OF_BASIC + ";;\r\n" * 7, "7 rows without a cell (data rows 61, 62, 63, 64, 65, ...) are learnt as rows: delete them"),
        (
            lines(",", ["day", "ward"], [[f"{d.day}. {MONTHS[d.month - 1]} {d.year}" for d in P["day"]], TEXT["ward"]]),
            "months are not named in English; write months as numbers",
        ),
    ],
)  # fmt: skip
def test_more_that_is_told_with_its_cure(content: str | bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert said in run("metadata", "infer", tmp_path / "t.csv")[1]


def test_utf_16_without_its_mark_is_read_when_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(ROWS_OF_BASIC.encode("utf-16-le"))
    found = read_table(tmp_path / "t.csv", read={"encoding": "utf-16", "decimal": "."})
    assert found.to_dict("list") == {"ward": P["ward"], "age": P["age"], "weight": P["weight"]}


@pytest.mark.filterwarnings("ignore:column")
def test_times_are_not_asked_about_and_the_word_date_settles_a_last_day() -> None:
    ends = ["31.12.9999"] * 10 + [f"{d:%d.%m.%Y}" for d in P["day"]]
    assert (
        not Metadata.infer(pd.DataFrame({"clock": ["08:30", "13:15", "00:00"] * 20}))
        .to_dict()["datetime"][0]
        .get("missing")
    )
    column = Metadata.infer(pd.DataFrame({"end": ends}), set={"end": "date"}).to_dict()["datetime"][0]
    assert column == {"name": "end", "format": "%d.%m.%Y"}


def test_a_first_row_with_gaps_is_no_second_header(tmp_path: Path) -> None:
    text = lines(",", BASIC[0], [TEXT["ward"], ["NA", *TEXT["age"][1:]], ["unknown", *TEXT["weight"][1:]]])
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    assert len(read_table(tmp_path / "t.csv")) == ROWS


def test_months_and_quarters_of_stata_are_dates(tmp_path: Path) -> None:
    month = DAY.dt.to_period("M").dt.to_timestamp()
    frame = pd.DataFrame(
        {"month": month.where(month.index > 3), "quarter": DAY.dt.to_period("Q").dt.to_timestamp(), "n": P["stay"]}
    )
    frame.to_stata(tmp_path / "t.dta", convert_dates={"month": "tm", "quarter": "tq"}, write_index=False)
    found = read_table(tmp_path / "t.dta")
    assert found["month"].equals(frame["month"])
    assert found["quarter"].equals(frame["quarter"])


@pytest.mark.parametrize("cell", ["-1.234,50", "-$1,234.50", "-1 234,50 €", "+5%"])
def test_negative_numbers_of_any_country_are_no_formulas(cell: str, tmp_path: Path) -> None:
    write_table(pd.DataFrame({"amount": [cell], "n": [1]}), tmp_path / "t.tsv")
    assert (tmp_path / "t.tsv").read_text(encoding="utf-8").splitlines()[1] == f"{cell}\t1"


@pytest.mark.parametrize("cell", ["-1+2", "-A1", "-5 kg+A1", "+1,2)", "-1:2", "-€A1"])
def test_what_a_spreadsheet_could_run_is_still_made_inert(cell: str, tmp_path: Path) -> None:
    write_table(pd.DataFrame({"amount": [cell], "n": [1]}), tmp_path / "t.tsv")
    assert (tmp_path / "t.tsv").read_text(encoding="utf-8").splitlines()[1] == f"'{cell}\t1"
