"""Tables that are not held in memory: a uniform sample tells what they are, and all rows are learnt, shuffled."""

from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import needs_sdv
from typer.testing import CliRunner

from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.cli import app
from clover_tvae.errors import (
    CloverWarning,
    ConfigError,
    DataError,
    DuplicateColumnsError,
    TableFileError,
    TrainingError,
)
from clover_tvae.jobs import load_jobs, run_job
from clover_tvae.tables import dataset, is_large, read_dataset, read_table, write_table
from clover_tvae.training import SpooledRows, checkpoint, spooled

METADATA = {
    "continuous": ["age", "stay"], "datetime": ["arrived", "left"], "categorical": ["ward"], "ignore": ["number"], "unit": "patient", "id": ["patient"],
}  # fmt: skip
QUICK = {
    "epochs": 2,
    "batch_size": 512,
    "compress_dims": [8],
    "decompress_dims": [8],
    "verbose": False,
    "random_state": 1,
}


def visits(n: int, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    arrived = pd.Timestamp("2020-01-01") + pd.to_timedelta(rng.integers(0, 2000, n), unit="D")
    stay = rng.poisson(4.0, n)
    return pd.DataFrame(
        {
            "patient": rng.integers(0, n // 4, n).astype(str),
            "number": np.arange(n),
            "age": np.where(rng.random(n) < 0.1, np.nan, rng.integers(18, 90, n)),
            "arrived": arrived,
            "left": arrived + pd.to_timedelta(stay, unit="D"),
            "stay": stay,
            "ward": rng.choice(["A", "B", "C"], n, p=[0.6, 0.3, 0.1]),
        }
    )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """6,000 rows in three files, of which 1,000 are the sample, read in blocks of 700 and dealt into files of 1,000."""
    for name, value in (("MOST_ROWS", 1_500), ("SAMPLE_ROWS", 1_000), ("_ROWS_A_BLOCK", 700)):
        monkeypatch.setattr(dataset, name, value)
    monkeypatch.setattr(spooled, "_ROWS_A_FILE", 1_000)
    (tmp_path / "visits").mkdir()
    df = visits(6_000)
    for i in range(3):
        write_table(df.iloc[2_000 * i : 2_000 * (i + 1)], tmp_path / "visits" / f"{i}.parquet")
    return tmp_path / "visits"


def test_the_sample_is_uniform_and_all_rows_are_read_again(folder):
    whole, chosen = visits(6_000), np.zeros(6_000)
    for seed in range(30):
        df, beyond = read_dataset(folder, np.random.default_rng(seed))
        chosen[beyond.places] += 1
        assert len(df) == len(set(beyond.places)) == 1_000
        pd.testing.assert_frame_equal(df, whole.iloc[beyond.places].reset_index(drop=True))
    by_file = chosen.reshape(3, -1).sum(axis=1)
    assert np.abs(by_file - 10_000).max() < 500  # 5 standard deviations
    assert chosen.max() < 20
    pd.testing.assert_frame_equal(pd.concat(beyond.frames()), whole)
    assert beyond.n_rows == 6_000


def test_a_table_that_fits_is_read_whole(folder, monkeypatch):
    monkeypatch.setattr(dataset, "MOST_ROWS", 6_000)
    df, beyond = read_dataset(folder, np.random.default_rng(0))
    assert beyond is None
    pd.testing.assert_frame_equal(df, visits(6_000))
    one, beyond = read_dataset(folder / "0.parquet", np.random.default_rng(0))
    assert beyond is None
    pd.testing.assert_frame_equal(one, read_table(folder / "0.parquet"))


def test_a_folder_of_files_is_described_by_its_sample(folder, tmp_path):
    result = CliRunner().invoke(app, ["metadata", "infer", str(folder), "-o", str(tmp_path / "visits.json"), "--quiet"])
    assert result.exit_code == 0, result.stderr
    assert set(Metadata.load(tmp_path / "visits.json").names) == {*visits(10)}
    refused = CliRunner().invoke(app, ["metadata", "infer", str(folder), "--missing", "?"])
    assert (refused.exit_code, "Parquet" in refused.stderr) == (2, True), refused.stderr


def test_folders_of_keys_are_columns(tmp_path):
    for year in (2020, 2021):
        (tmp_path / "t" / f"year={year}").mkdir(parents=True)
        write_table(pd.DataFrame({"x": [1, 2]}), tmp_path / "t" / f"year={year}" / "part.parquet")
    df, _ = read_dataset(tmp_path / "t", np.random.default_rng(0))
    assert df["year"].tolist() == [2020, 2020, 2021, 2021]


def test_codes_in_the_names_of_folders_keep_their_zeros(tmp_path):
    for code, year in (("01", "2023"), ("1", "2024"), ("75", "__HIVE_DEFAULT_PARTITION__")):
        folder = tmp_path / "of=007" / "table" / f"post%20code={code}" / f"year={year}"
        folder.mkdir(parents=True)
        write_table(visits(4), folder / "part.parquet")
    df, _ = read_dataset(tmp_path / "of=007" / "table", np.random.default_rng(1))
    assert sorted(df["post code"].unique()) == ["01", "1", "75"]
    assert sorted(df["year"].dropna().unique()) == [2023, 2024]
    assert "of" not in df


@pytest.mark.parametrize("dtype", ["object", "int32", "int64", "int16"])
def test_a_column_of_files_and_of_folders_is_read_where_both_say_the_same(tmp_path, dtype):
    names, cells = (["x", "y"], ["x", "y"]) if dtype == "object" else (["1", "2"], [1, 2])
    for name, cell in zip(names, cells, strict=True):
        (tmp_path / f"b={name}").mkdir()
        df = pd.DataFrame({"a": [1, 2], "b": [cell, cell]}).astype({"b": dtype})
        write_table(df, tmp_path / f"b={name}" / "part.parquet")
    df, _ = read_dataset(tmp_path, np.random.default_rng(0))
    assert df["b"].tolist() == [cells[0], cells[0], cells[1], cells[1]]
    other = df.assign(b=pd.Series([cells[1], cells[0]]).astype(dtype))
    gap = df.assign(b=pd.Series([cells[1], None]).astype(dtype.replace("int", "Int")))
    for wrong in (other, gap):
        write_table(wrong, tmp_path / f"b={names[1]}" / "part.parquet")
        with pytest.raises(TableFileError, match="'b' stands in the files and in the names of folders, and differs"):
            read_dataset(tmp_path, np.random.default_rng(0))


def test_what_is_no_dataset_is_refused(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "t.parquet").write_text("a,b\n1,2\n")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n")
    for name in ("empty", "text", "nowhere", "t.csv"):
        with pytest.raises(TableFileError) as error:
            read_dataset(tmp_path / name, np.random.default_rng(0))
        assert name in str(error.value)
    (folder / "about.csv").write_text("a,b\n1,2\n")
    with pytest.raises(TableFileError, match=r"about\.csv: is no Parquet file that.*take it out of the folder"):
        TVAESynthesizer(folder, METADATA, **QUICK)
    (folder / "about.csv").unlink()
    write_table(visits(9).assign(ward=1), folder / "9.parquet")
    with pytest.raises(TableFileError, match=r"files of one table: .* ward has incompatible types"):
        TVAESynthesizer(folder, METADATA, **QUICK)
    write_table(pd.DataFrame({"other": ["x"]}), folder / "9.parquet")
    with pytest.raises(TableFileError, match="other columns"):
        TVAESynthesizer(folder, METADATA, **QUICK)


def test_whole_numbers_in_one_file_and_gaps_in_the_next_are_one_column(tmp_path):
    write_table(pd.DataFrame({"x": [1, 2]}), tmp_path / "a.parquet")
    write_table(pd.DataFrame({"x": [2.5, None]}), tmp_path / "b.parquet")
    df, _ = read_dataset(tmp_path, np.random.default_rng(0))
    assert df["x"].tolist()[:3] == [1, 2, 2.5]


def test_a_pass_has_every_row_once_and_goes_on_where_it_stood(folder):
    rows = torch.arange(6_000)
    blocks = [(part, part.double()[:, None].expand(-1, 2)) for part in rows.split(700)]
    source, other = (SpooledRows(blocks, 6_000, np.random.SeedSequence(5)) for _ in range(2))
    passes = []
    for _ in range(2):
        source.begin(6_000)
        taken = [source.take(n) for n in (5, 3_000, 2_995)]
        assert all(torch.equal(numbers.double(), pairs[:, 1]) for numbers, pairs in taken)
        passes.append(torch.cat([numbers for numbers, _ in taken]))
        assert torch.equal(passes[-1].sort().values, rows)
    assert not torch.equal(*passes)
    # The place of a row in a pass does not depend on where it came from.
    assert np.abs(np.corrcoef(passes[0].numpy(), np.arange(6_000))[0, 1]) < 0.07
    source.begin(6_000)
    source.take(2_345)
    other.restore(source.state())
    assert torch.equal(source.take(3_000)[0], other.take(3_000)[0])
    source.close()
    other.close()


def test_a_full_disk_is_told(monkeypatch):
    def full() -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(spooled.tempfile, "TemporaryFile", full)
    with pytest.raises(TrainingError, match="TMPDIR"):
        SpooledRows([(torch.arange(3),)], 3, np.random.SeedSequence(1))


@pytest.mark.filterwarnings("ignore")  # of people with several rows
@pytest.mark.parametrize("unit", [None, "patient"])
def test_all_rows_but_those_held_out_are_learnt(folder, monkeypatch, unit):
    seen: list[np.ndarray] = []
    made = SpooledRows.__init__

    def watched(self, blocks, n_about, seed):
        blocks = list(blocks)
        seen.append(torch.cat([scalars for _, scalars, *_ in blocks]).numpy())
        made(self, blocks, n_about, seed)

    monkeypatch.setattr(SpooledRows, "__init__", watched)
    metadata = {"continuous": ["number"], "categorical": ["ward"], "ignore": ["age", "arrived", "left", "stay"]}
    metadata |= {"id": ["patient"]} | ({} if unit is None else {"unit": unit})
    synth = TVAESynthesizer(folder, metadata, privacy="none", exact_values=True, **QUICK)
    assert synth.n_rows == 6_000
    sample = synth.table
    synth.fit()
    held_out = sample.iloc[synth._backend.held_out]
    whole = visits(6_000)
    left = len(held_out) if unit is None else int(whole[unit].isin(held_out[unit]).sum())
    assert 0 < len(held_out) <= left
    assert sum(map(len, seen)) == 6_000 - left
    assert synth.card()["training"]["rows"] == 6_000


def test_relations_hold_and_rows_that_break_them_are_counted_out(folder):
    df = visits(6_000)
    df.loc[[7, 4_321], "left"] = df["arrived"] - pd.Timedelta(days=3)
    chosen = read_dataset(folder, np.random.default_rng(0))[1].places
    for i in range(3):
        write_table(df.iloc[2_000 * i : 2_000 * (i + 1)], folder / f"{i}.parquet")
    synth = TVAESynthesizer(folder, METADATA, privacy="none", **QUICK)
    n_broken = 2 - int(synth.table["number"].isin([7, 4_321]).sum())
    assert n_broken, chosen
    with pytest.warns(CloverWarning, match=r"break relations that hold in all of it, and were not learnt"):
        synth.fit()
    rows = synth.sample(300)
    assert (rows["left"] - rows["arrived"]).dt.days.tolist() == rows["stay"].tolist()


def test_the_student_checkpoint_and_the_same_seed(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SECONDS_BETWEEN", 0.0)
    digests = []
    for path in (None, tmp_path / "fit.ckpt"):
        synth = TVAESynthesizer(folder, METADATA, privacy="student", **QUICK)
        if path is not None:
            save = checkpoint.Stage.save

            def cut(self, state, save=save):
                save(self, state)
                if len(state["training"][0]) == 1:
                    raise KeyboardInterrupt

            monkeypatch.setattr(checkpoint.Stage, "save", cut)
            with pytest.raises(KeyboardInterrupt):
                synth.fit(checkpoint=path)
            monkeypatch.setattr(checkpoint.Stage, "save", save)
            synth = TVAESynthesizer(folder, METADATA, privacy="student", **QUICK)
        synth.fit(checkpoint=path, resume=path is not None)
        assert synth.table is None
        digests.append(synth.save(tmp_path / "g.pkl"))
    assert digests[0] == digests[1]


def test_a_job_learns_a_large_file(folder, tmp_path):
    write_table(visits(3_000), tmp_path / "visits.parquet")
    assert is_large(tmp_path / "visits.parquet")
    Metadata.of(METADATA).save(tmp_path / "m.json")
    text = """version: 1
jobs:
  - name: visits
    data: visits.parquet
    metadata: m.json
    generator_filepath: visits.pkl
    synthesizer: {random_state: 1, epochs: 1, privacy: none, decompress_dims: [8], compress_dims: [8]}
    sample: {rows: 10, output: rows.csv}
"""
    (tmp_path / "job.yaml").write_text(text)
    lines: list[str] = []
    assert run_job(load_jobs([tmp_path / "job.yaml"])[0], tell=lines.append).status == "done"
    assert any("learnt 3,000 rows" in line for line in lines)
    (tmp_path / "job.yaml").write_text(text + "    holdout: 0.1\n    report: page.html\n")
    told = run_job(load_jobs([tmp_path / "job.yaml"])[0], retrain=True)
    assert "file of held-out rows" in told.error.message


@pytest.mark.filterwarnings("ignore")  # of people with several rows
def test_the_papers_decoder_and_a_table_without_numbers(folder):
    for metadata, given in (
        ({"continuous": ["age"], "categorical": ["ward"]}, {"decoder": "independent"}),
        ({"categorical": ["ward"]}, {"privacy": "none"}),
    ):
        names = [name for names in metadata.values() for name in names]
        synth = TVAESynthesizer(
            folder, metadata | {"ignore": [n for n in visits(4) if n not in names]}, **QUICK, **given
        )
        assert len(synth.fit().sample(5)) == 5


def test_rare_categories_are_told_of_the_sample_and_the_dealing_as_it_begins(folder, capsys):
    for i in range(3):
        rare = np.where(np.arange(2_000) % 500 == 0, "R", "x")
        write_table(visits(2_000, i)[["age", "ward"]].assign(rare=rare), folder / f"{i}.parquet")
    metadata = {"categorical": ["ward", "rare"], "continuous": ["age"]}
    synth = TVAESynthesizer(folder, metadata, privacy="none", **QUICK | {"verbose": True})
    with pytest.warns(
        CloverWarning, match=r"fewer than 5 people in a sample of 1,000 rows, and so not learnt: .*'rare'"
    ):
        synth.fit()
    assert "training: dealing 6,000 rows into files" in capsys.readouterr().err


@pytest.mark.parametrize("moment", ["before", "while"])
def test_files_that_change_after_the_sample_are_told(folder, moment):
    _, beyond = read_dataset(folder, np.random.default_rng(0))
    frames = beyond.frames()
    if moment == "while":
        next(frames)
    os.utime(folder / "0.parquet", ns=(1, 1))
    with pytest.raises(TableFileError, match="has changed since"):
        list(frames)


def test_its_sample_is_in_no_pickle_and_it_is_asked_for_no_path_after(folder):
    held = pickle.dumps(TVAESynthesizer(folder, METADATA, privacy="none", **QUICK))
    assert len(held) < 20_000
    synth = pickle.loads(held).fit(folder)
    assert synth.n_rows == 6_000
    for ask in (synth.report, synth.told_apart, lambda real: synth.balance("ward", df=real)):
        with pytest.raises(DataError, match="must be a pandas DataFrame"):
            ask(folder)


@needs_sdv
def test_sdv_is_refused_before_it_reads_all(folder):
    with pytest.raises(ConfigError, match="in memory"):
        TVAESynthesizer(folder, METADATA, backend="sdv", epochs=1).fit()


def test_categories_of_a_folder_are_those_of_all_its_files(tmp_path):
    one, other = (pd.DataFrame({"c": list(letters), 7: [1, 2]}) for letters in ("ab", "yz"))
    write_table(one.astype({"c": "category"}), tmp_path / "a.parquet")
    write_table(other.astype({"c": "category"}), tmp_path / "b.parquet")
    df, _ = read_dataset(tmp_path, np.random.default_rng(0))
    assert isinstance(df["c"].dtype, pd.CategoricalDtype)
    assert df["c"].tolist() == list("abyz")
    assert df[7].tolist() == [1, 2, 1, 2]
    write_table(other, tmp_path / "c.parquet")
    df, _ = read_dataset(tmp_path, np.random.default_rng(0))
    assert df["c"].tolist() == list("abyzyz")
    other.rename(columns={7: "7"}).to_parquet(tmp_path / "0.parquet")
    df, _ = read_dataset(tmp_path, np.random.default_rng(0))
    assert df["c"].tolist() == list("yzabyzyz")


def test_columns_of_one_name_and_folders_that_contradict_their_files_are_named(tmp_path):
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["x", "x"])
    pq.write_table(twice, tmp_path / "t.parquet")
    for path in (tmp_path, tmp_path / "t.parquet"):
        with pytest.raises(DuplicateColumnsError):
            read_dataset(path, np.random.default_rng(0))
    (tmp_path / "year=2020").mkdir()
    pq.write_table(pa.table({"year": ["x"]}), tmp_path / "year=2020" / "t.parquet")
    (tmp_path / "t.parquet").unlink()
    with pytest.raises(TableFileError, match="year has incompatible types"):
        read_dataset(tmp_path, np.random.default_rng(0))
