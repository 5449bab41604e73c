"""Object stores: jobs and commands read and write them as they do files; what a store refuses is told, without a credential."""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from conftest import CREDENTIALS, make_people
from pyarrow import fs
from typer.testing import CliRunner, Result

from clover_tvae.cli import app
from clover_tvae.errors import ConfigError, TableFileError
from clover_tvae.files import COPIES
from clover_tvae.tables import dataset, write_table
from clover_tvae.tables.places import Copies, Store, allowed_url

pytestmark = [pytest.mark.long, pytest.mark.usefixtures("few_rounds")]
ROOT = Path(__file__).parents[1]
LEARN = {"epochs": 1, "decoder": "independent", "random_state": 3, "privacy": "none"}
FIT = ["--epochs", 1, "--decoder", "independent", "--seed", 3, "--privacy", "none", "-q"]


@pytest.fixture(scope="module", autouse=True)
def few_objects() -> Iterator[None]:
    """What was there before needs no look when :func:`cli` collects: of all that the tests import it takes a third of a second."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def place(
    tmp_path: Path, bucket: tuple[str, str], monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> str:
    """A folder of the bucket for this test alone; copies lie under the test's own folder, as do its files."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{bucket[0]}")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    monkeypatch.chdir(tmp_path)
    return f"s3://rows/{request.node.name.partition('[')[0]}"


def cli(*arguments: object) -> Result:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    shown = done.output + "".join(path.read_text("utf-8", "replace") for path in Path().rglob("*.json"))
    assert not any(secret in shown for secret in (*CREDENTIALS.values(), "hidden") if secret != "true")
    assert COPIES not in shown
    done.exc_info = done.exception = None  # they hold what a process lets go at its end
    gc.collect()
    return done


def copies() -> list[Path]:
    return [*Path(tempfile.gettempdir()).iterdir()]


def put(url: str, df: pd.DataFrame) -> None:
    name = url.rpartition("/")[2]
    write_table(df, name)
    Store(url).put(Path(name))
    Path(name).unlink()


def job(place: str, **keys: object) -> dict[str, object]:
    return {
        "name": "people",
        "data": f"{place}/in/people.csv",
        "metadata": "infer",
        "synthesizer": LEARN,
        "generator_filepath": f"{place}/out/people.pkl",
        "sample": [{"rows": 20, "output": f"{place}/out/people.parquet", "seed": 1}],
    } | keys


def write_job(**keys: object) -> None:
    Path("jobs.yaml").write_text(json.dumps({"version": 1, "jobs": [keys]}))


# -- jobs -------------------------------------------------------------------------------------------------------------


def test_a_job_reads_and_writes_a_store_as_it_does_files(place: str) -> None:
    people = make_people(300)
    put(f"{place}/in/people.csv", people)
    write_table(people, "people.csv")
    sample = [{"rows": 20, "output": "people.parquet", "seed": 1}]
    write_job(**job(place, data="people.csv", generator_filepath="people.pkl", sample=sample))
    assert cli("run", "jobs.yaml").exit_code == 0
    write_job(**job(place))
    run = ["run", "jobs.yaml", "--allow-url", place, "--summary", "summary.json"]
    done = cli(*run)
    assert done.exit_code == 0, done.output
    assert f"generator {place}/out/people.pkl" in done.stdout
    files = ["people.pkl", "people.parquet"]
    assert Store(f"{place}/out").names() == {*files}
    for name in files:
        Store(f"{place}/out/{name}").fetch(Path("fetched"))
        assert Path("fetched").read_bytes() == Path(name).read_bytes()
    assert copies() == []

    def said(*options: str) -> str:
        again = cli(*run, *options)
        assert again.exit_code == 0, again.output
        return again.stdout

    assert "up to date" in said()
    Store(f"{place}/out").remove("people.parquet")
    assert "sampling without training" in said()
    put(f"{place}/in/people.csv", people[:240])
    assert "changed since the last training: data" in said("--dry-run")
    assert "changed since the last training: data" in said()
    assert "up to date" in said()
    assert copies() == []
    # What somebody else wrote in its place is not overwritten.
    Path("other").write_text("of somebody else")
    Store(f"{place}/out/people.parquet").put(Path("other"))
    refused = cli(*run)
    assert refused.exit_code == 2
    assert f"{place}/out/people.parquet: the file was changed after this job wrote it" in refused.stderr


@pytest.mark.slow
def test_held_out_rows_and_pages_may_lie_in_a_store(place: str) -> None:
    for name, rows in (("people", slice(0, 80)), ("held", slice(80, 120))):
        put(f"{place}/in/{name}.csv", make_people(120)[["age", "sex", "income"]][rows])
    pages = {"dossier": f"{place}/out/dossier.html"}
    write_job(**job(place, holdout=f"{place}/in/held.csv", **pages))
    run = ["run", "jobs.yaml", "--allow-url", place]
    done = cli(*run)
    assert done.exit_code == 0, done.output
    assert Store(f"{place}/out").names() == {"people.pkl", "people.parquet", "dossier.html", "dossier.json"}
    assert "up to date" in cli(*run).stdout
    put(f"{place}/in/held.csv", make_people(110)[["age", "sex", "income"]][80:])
    assert "measure" in cli(*run, "--dry-run").stdout
    Store(f"{place}/out").remove("dossier.json")
    assert "measure" in cli(*run, "--dry-run").stdout


def test_rows_beyond_a_limit_are_taken_out_of_the_store(place: str) -> None:
    put(f"{place}/in/people.csv", make_people(120)[["age", "sex", "income"]])
    for most, code, rows in ((100, 0, {"people.parquet"}), (0.001, 6, set())):
        write_job(**job(place, limits={"fidelity.shape": {"max": most}}))
        assert cli("run", "jobs.yaml", "--allow-url", place).exit_code == code
        assert Store(f"{place}/out").names() == {"people.pkl", *rows}


def test_jobs_stay_under_what_the_user_allows(place: str) -> None:
    write_job(**job(place))
    for allowed in ([], ["--allow-url", f"{place}/in"], ["--allow-url", f"{place}/i"], ["--allow-url", "s3://"]):
        for command in ("run", "validate"):
            refused = cli(command, "jobs.yaml", *allowed)
            assert refused.exit_code == 2
            known = f"allowed are {allowed[1]}" if allowed else "none is allowed"
            assert f"is a URL, not a path in the folder ('{place}/" in refused.stderr
            assert f"--allow-url lets jobs use those under a place, and {known}\n" in refused.stderr
    assert Store(place).kind() is None
    for url in (
        f"{place}/in/../../other/x.csv",
        f"{place}/in/%2e%2e/x.csv",
        f"{place}/in/x.csv?endpoint_override=elsewhere:80",
        f"{place}/in/x.csv#y",
        f"{place}inside/x.csv",
        "s3://hidden:hidden@rows/x.csv",
    ):
        with pytest.raises(ConfigError, match=r"is a URL, not a path in the folder \('s3:") as refused_url:
            allowed_url(url, [f"{place}?region=hidden"])
        assert not {"hidden", "elsewhere"} & {*re.split(r"\W", str(refused_url.value))}
    for allowed, told in (
        (f"{place}?secret_key=hidden", "must hold no credentials"),
        (f"{place}?endpoint_override=someone:hidden@127.0.0.1:1", "must hold no credentials"),
        (f"{place}?endpoint_override=someone:hidden%40127.0.0.1:1", "must hold no credentials"),
        ("s3://someone:hidden@rows", "must hold no credentials"),
        ("s3://[rows", "cannot be read"),
        ("s3://rows/\n", "no control characters"),
        ("rows/", "--allow-url: must be the URL of a folder"),
    ):
        refused = cli("validate", "jobs.yaml", "--allow-url", allowed)
        assert (refused.exit_code, told in refused.stderr) == (2, True), refused.output


def test_other_spellings_of_a_url_do_not_hide_that_a_job_would_overwrite_what_it_reads(place: str) -> None:
    for spelt in (f"{place}/in/%70eople.csv", f"{place}//in/people.csv"):
        write_job(**job(place, sample=[{"rows": 3, "output": spelt}]))
        refused = cli("validate", "jobs.yaml", "--allow-url", place)
        assert "output: the file is the data of job 'people'; it would be overwritten" in refused.stderr


def test_what_was_meant_for_a_url_shows_no_password() -> None:
    fit = ["fit", "s3a://someone:hid/den@rows/x.csv", "-m", "infer", "-o", "s3a://someone:hid/den@rows/x.pkl"]
    done = CliRunner().invoke(app, fit)
    assert (done.exit_code, "den" in done.output) == (2, False), done.output


def test_a_file_whose_name_begins_with_a_dot_is_read_where_it_is_named(place: str) -> None:
    for name in (".people.csv", "people.csv"):
        put(f"{place}/{name}", make_people(5))
    Store(f"{place}/.people.csv").fetch(Path("named.csv"))
    assert Path("named.csv").stat().st_size
    Store(place).fetch(Path("folder"))  # of a folder it is left out, as everywhere
    assert [file.name for file in Path("folder").iterdir()] == ["people.csv"]


def test_errors_of_this_machine_are_not_told_as_the_stores(place: str) -> None:
    put(f"{place}/people.csv", make_people(5))
    with pytest.raises(TableFileError, match="its copy on this machine: "):
        Store(f"{place}/people.csv").fetch(Path("x" * 300))
    Store(f"S3{place[2:]}/people.csv").fetch(Path("copy.csv"))  # the scheme knows no case
    assert Path("copy.csv").stat().st_size


def test_a_place_may_say_where_the_store_is(
    place: str, bucket: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    write_table(make_people(100), "people.csv")
    Store(f"{place}/in/people.csv{bucket[1]}").put(Path("people.csv"))
    write_job(**job(place))
    done = cli("run", "jobs.yaml", "--allow-url", f"{place}{bucket[1]}")
    assert done.exit_code == 0, done.output
    assert Store(f"{place}/out{bucket[1]}").names() == {"people.pkl", "people.parquet"}


def test_metadata_and_limits_may_lie_in_a_store_and_names_may_hold_blanks(place: str) -> None:
    put(f"{place}/in/the people ü.csv", make_people(100))
    Path("m.json").write_text(json.dumps({"columns": [{"name": "age", "type": "continuous"}]}))
    Store(f"{place}/in/m.json").put(Path("m.json"))
    write_job(**job(place, data=f"{place}/in/the people ü.csv", metadata=f"{place}/in/m.json"))
    told = cli("validate", "jobs.yaml", "--allow-url", place)
    assert told.exit_code == 2
    assert "m.json" in told.stderr
    Path("l.yaml").write_text("privacy.nothing: {max: 1}")
    Store(f"{place}/in/l.yaml").put(Path("l.yaml"))
    write_job(**job(place, data=f"{place}/in/the people ü.csv", limits=f"{place}/in/l.yaml"))
    assert "l.yaml" in cli("validate", "jobs.yaml", "--allow-url", place).stderr
    write_job(**job(place, data=f"{place}/in/the people ü.csv"))
    assert cli("validate", "jobs.yaml", "--allow-url", place).exit_code == 0


def test_a_broken_file_of_a_store_is_told_by_its_url_before_any_job_starts(place: str) -> None:
    Path("broken.csv").write_bytes(b'a,b\n1,2\n"3,4\n')
    Store(f"{place}/in/people.csv").put(Path("broken.csv"))
    write_job(**job(place))
    refused = cli("run", "jobs.yaml", "--allow-url", place)
    assert refused.exit_code == 2
    assert f"jobs.yaml:1:44: data: {place}/in/people.csv" in refused.stderr
    write_job(**job(place, data=f"{place}/in/none.csv"))
    refused = cli("run", "jobs.yaml", "--allow-url", place)
    assert f"data: {place}/in/none.csv: the file does not exist" in refused.stderr
    assert copies() == []


# -- fit --------------------------------------------------------------------------------------------------------------


def test_fit_learns_a_table_of_a_store_and_writes_the_generator_there(place: str) -> None:
    people = make_people(200)
    put(f"{place}/people.csv", people)
    write_table(people, "people.csv")
    assert cli("fit", "people.csv", "-m", "infer", "-o", "here.pkl", *FIT).exit_code == 0
    fit = ["fit", f"{place}/people.csv", "-m", "infer", "-o", f"{place}/there.pkl", *FIT]
    done = cli(*fit)
    assert done.exit_code == 0, done.output
    assert f"generator {place}/there.pkl" in done.stdout
    Store(f"{place}/there.pkl").fetch(Path("there.pkl"))
    assert Path("there.pkl").read_bytes() == Path("here.pkl").read_bytes()
    assert "the file exists; --force overwrites it" in cli(*fit).stderr
    assert cli(*fit, "--force").exit_code == 0
    lacking = cli("fit", f"{place}/no.csv", *fit[2:], "--force")
    assert (lacking.exit_code, f"{place}/no.csv: the file does not exist" in lacking.stderr) == (2, True)


def test_fit_learns_a_folder_of_parquet_larger_than_memory(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dataset, "MOST_ROWS", 1_000)
    monkeypatch.setattr(dataset, "SAMPLE_ROWS", 400)
    Path("visits").mkdir()
    for index in range(3):
        name = f"{index}.parquet"
        write_table(make_people(600, seed=index), f"visits/{name}")
        Store(f"{place}/visits/year=200{index}/{name}").put(Path("visits", name))
        Path(f"visits/year=200{index}").mkdir()
        Path("visits", name).rename(f"visits/year=200{index}/{name}")
    assert cli("fit", "visits/", "-m", "infer", "-o", "here.pkl", *FIT).exit_code == 0
    done = cli("fit", f"{place}/visits/", "-m", "infer", "-o", "there.pkl", *FIT)
    assert done.exit_code == 0, done.output
    assert Path("there.pkl").read_bytes() == Path("here.pkl").read_bytes()
    write_job(**job(place, data=f"{place}/visits", generator_filepath="folder.pkl", sample=[]))
    run = ["run", "jobs.yaml", "--allow-url", place]
    assert cli(*run).exit_code == 0
    assert "up to date" in cli(*run).stdout


# -- the other commands ----------------------------------------------------------------------------------------------

#: Of each command: what it is called with, and which files it writes; one whose name begins with ~ tells times.
COMMANDS = {
    "impute": ("IN/people.pkl IN/people.csv --seed 1 -o OUT/filled.csv", "filled.csv"),
    "inspect": ("IN/people.pkl --card OUT/card.md", "card.md card.json"),
    "metadata": ("infer IN/people.csv -o OUT/people.json", "people.json"),
    "compare": (
        "IN/people.csv --holdout IN/held.csv -m IN/people.json --epochs 1 --backends independent -o OUT/page.html --json OUT/all.json",
        "~page.html ~all.json",
    ),
    "evaluate": (
        "--real IN/people.csv --synthetic IN/rows.csv --holdout IN/held.csv -m IN/people.json --generator IN/people.pkl "
        "--limits IN/limits.yaml --about IN/about.yaml -o OUT/page.html --json OUT/figures.json",
        "figures.json ~page.html",
    ),
    "run": ("jobs.yaml --summary OUT/summary.json", "~summary.json"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_does_with_urls_what_it_does_with_files(
    place: str, bucket: tuple[str, str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")  # each URL says where its store is
    place, where = f"{place}/{command}", bucket[1]
    people = make_people(160)[["age", "sex", "bmi"]]  # bmi has gaps
    for folder in ("in", "out"):
        Path(folder).mkdir()
    for name, rows in (("people", people[:100]), ("held", people[100:130]), ("rows", people[130:])):
        write_table(rows, f"in/{name}.csv")
    Path("in/limits.yaml").write_text("fidelity.shape_heldout: {max: 0}")
    Path("in/about.yaml").write_text("purpose: teaching")
    write_job(**job(".", data="in/people.csv", generator_filepath="in/people.pkl", sample=[]))
    assert cli("run", "jobs.yaml").exit_code == 0
    assert cli("metadata", "infer", "in/people.csv", "-o", "in/people.json", "-q").exit_code == 0
    for file in Path("in").iterdir():
        if file.is_file():
            Store(f"{place}/in/{file.name}{where}").put(file)
    said, files = COMMANDS[command]
    names = [name.lstrip("~") for name in files.split()]

    def called(source: str, target: str) -> Result:
        words = said.split()
        filled = [word.replace("IN", source).replace("OUT", target) for word in words]
        return cli(command, *(word + where if "://" in word else word for word in filled))

    expected = called("in", "out")
    assert expected.exit_code == (6 if command == "evaluate" else 0), expected.output
    done = called(f"{place}/in", f"{place}/out")
    assert done.exit_code == expected.exit_code, done.output
    assert all(f"{place}/out/{name}" in done.stdout for name in names if name in expected.stdout)
    assert Store(f"{place}/out{where}").names() == {*names} == {path.name for path in Path("out").iterdir()}
    for name in files.split():
        url = f"{place}/out/{name.lstrip('~')}{where}"
        assert COPIES.encode() not in (sent := Store(url).read(""))
        assert name.startswith("~") or sent == Path("out", name).read_bytes()
    assert copies() == []
    again = called(f"{place}/in", f"{place}/out")
    if command == "run":  # an earlier summary is written over, and nothing else
        assert again.exit_code == 0
        Store(f"{place}/out/summary.json{where}").put(Path("in/people.json"))
        again = called(f"{place}/in", f"{place}/out")
    assert (again.exit_code, again.stderr.count("\n"), "the file exists" in again.stderr) == (2, 1, True), again.output
    if command != "run":
        lacking = called(f"{place}/none", f"{place}/none")
        assert (lacking.exit_code, f"error: {place}/none/people" in lacking.stderr) == (2, True), lacking.output
        assert {line[:7] for line in lacking.stderr.splitlines()} == {"error: "}
        assert not Store(f"{place}/none{where}").names()
    assert copies() == []


def test_sample_fetches_each_file_once(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    people = make_people(60)[["age", "sex"]]
    put(f"{place}/people.csv", people)
    put(f"{place}/given.csv", people[["sex"]])
    generator, fetch, fetched = f"{place}/people.pkl", Store.fetch, list[str]()
    assert cli("fit", f"{place}/people.csv", "-m", "infer", "-o", generator, *FIT).exit_code == 0

    def counted(self: Store, target: Path) -> None:
        fetched.append(self.called)
        fetch(self, target)

    monkeypatch.setattr(Store, "fetch", counted)
    for output in ("here.csv", f"{place}/rows"):
        done = cli("sample", generator, "--given", f"{place}/given.csv", "-o", output, "--seed", 1, "-q")
        assert done.exit_code == 0, done.output
        assert fetched == [generator, f"{place}/given.csv"]
        assert copies() == []
        fetched.clear()
    assert pd.read_csv("here.csv")["sex"].tolist() == people["sex"].tolist()


# -- copies -----------------------------------------------------------------------------------------------------------


def test_copies_are_private_and_end_also_after_a_kill(place: str) -> None:
    put(f"{place}/people.csv", make_people(50))
    code = f"""
import os, signal, tempfile
tempfile.tempdir = {tempfile.gettempdir()!r}
from clover_tvae.tables.places import Copies
copies = Copies()
copies.here({f"{place}/people.csv"!r})
print("here", flush=True)
input()
os.kill(os.getpid(), signal.SIGKILL)
"""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "here\n"
        (theirs,) = copies()
        assert theirs.stat().st_mode & 0o777 == 0o700
        assert {file.stat().st_mode & 0o777 for file in theirs.rglob("*.csv")} == {0o600}
        ours = Copies()
        ours.here(f"{place}/people.csv")
        assert len(copies()) == 2  # those of a process that lives stay
        ours.close()
        process.communicate("\n")
    assert copies() == [theirs]
    another = Copies()
    another.here(f"{place}/people.csv")
    assert theirs not in copies()
    del another
    assert copies() == []


def test_a_copy_stays_under_its_folder(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bucket may hold any name."""
    found = [fs.FileInfo("rows/a", fs.FileType.Directory), fs.FileInfo("rows/a/../../b", fs.FileType.File)]

    class Listed:
        def get_file_info(self, asked: object) -> object:
            return found[0] if isinstance(asked, str) else found

    monkeypatch.setattr(Store, "_system", lambda self: (Listed(), "rows/a"))
    with pytest.raises(Exception, match="could leave the folder"):
        Store("s3://rows/a").fetch(Path("target"))


# -- what a store refuses ---------------------------------------------------------------------------------------------


@pytest.fixture
def users(place: str, bucket: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """The server asks who is there from now on; what this returns makes the test a user of some rights."""
    boto3 = pytest.importorskip("boto3")
    put(f"{place}/in/people.csv", make_people(100))
    iam = boto3.client("iam", endpoint_url=f"http://{bucket[0]}", region_name="us-east-1")
    rights = {"reader": ["s3:GetObject", "s3:ListBucket"], "writer": ["s3:PutObject"], "owner": ["s3:*"]}
    keys = {"wrong": ("AKIDEXAMPLE", "secret-4711")}
    for user, actions in rights.items():
        iam.create_user(UserName=user)
        allowed = {"Effect": "Allow", "Action": actions, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName=user, PolicyName="rights", PolicyDocument=document)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        keys[user] = key["AccessKeyId"], key["SecretAccessKey"]
    headers = {"Content-Type": "text/plain"}
    ask = urllib.request.Request(f"http://{bucket[0]}/moto-api/reset-auth", b"0", headers, method="POST")
    urllib.request.urlopen(ask).close()

    def become(user: str) -> None:
        for name, value in zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), keys[user], strict=True):
            monkeypatch.setenv(name, value)

    return become


def test_missing_rights_are_told_before_the_training_and_by_one_line(place: str, users: Callable[[str], None]) -> None:
    write_job(**job(place))
    run = ["run", "jobs.yaml", "--allow-url", place]
    fit = ["fit", f"{place}/in/people.csv", "-m", "infer", "-o", f"{place}/out/fit.pkl", *FIT]

    def refused(words: list[object]) -> str:
        done = cli(*words)
        assert done.exit_code == 2, done.output
        assert "learnt" not in done.output
        lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert 1 <= len(lines) == len(done.stderr.splitlines()) <= 3, done.stderr  # a line a key
        assert copies() == []
        return done.stderr

    users("reader")
    assert f"{place}/out: the store refuses: its credentials may not do this" in refused(run)  # type: ignore[arg-type]
    for words in (fit, ["metadata", "infer", f"{place}/in/people.csv", "-o", f"{place}/out/people.json"]):
        assert f"{place}/out: the store refuses: its credentials may not do this" in refused(words)
    users("writer")
    assert f"{place}/in/people.csv: the store refuses: its credentials are wrong, or may not" in refused(
        [*fit, "--force"]
    )
    assert "the store refuses: its credentials are wrong, or may not do this" in refused(run)  # type: ignore[arg-type]
    users("wrong")
    assert "the store refuses: its credentials are wrong" in refused(run)  # type: ignore[arg-type]
    assert "the store refuses: its credentials are wrong" in refused(fit)
    users("owner")
    assert Store(f"{place}/out").names() == {".clover-tvae-may-write"}  # the writer may remove nothing
    no_bucket = job(place, generator_filepath="s3://none/people.pkl")
    write_job(**no_bucket)
    assert "s3://none: the store refuses: there is no such bucket" in refused([*run, "--allow-url", "s3://none"])
    write_job(**job(place))
    assert cli(*run).exit_code == 0
    assert cli(*fit).exit_code == 0


def test_a_store_that_does_not_answer_is_told(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    write_job(**job(place))
    for words in (["run", "jobs.yaml", "--allow-url", place], ["fit", f"{place}/x.csv", "-m", "infer", "-o", "x.pkl"]):
        done = cli(*words)
        assert done.exit_code == 2
        assert f"{place}" in done.stderr
        assert ": nobody answers at 127.0.0.1:1\n" in done.stderr
    for url, host in (
        (f"{place}/x?endpoint_override=minio:9000", "minio:9000"),
        ("abfs://rows@clinic.dfs.core.windows.net/x", "clinic.dfs.core.windows.net"),
        ("gs://rows/x", "storage.googleapis.com"),
    ):
        assert Store(url).host == host
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://someone:hidden@store:1/x")
    assert Store(place).host == "store:1"
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    assert Store(place).host == "s3.amazonaws.com"


@pytest.mark.parametrize(
    ("url", "kind", "path"),
    [
        ("gs://clinic/visits/may.csv", "gcs", "clinic/visits/may.csv"),
        ("abfs://visits@clinic.dfs.core.windows.net/may.csv", "abfs", "visits/may.csv"),
        ("abfss://visits@clinic.dfs.core.windows.net/may.csv", "abfs", "visits/may.csv"),
        ("s3://clinic/visits/may.csv?region=eu-west-1", "s3", "clinic/visits/may.csv"),
    ],
)
def test_urls_reach_the_file_system_of_their_store(url: str, kind: str, path: str) -> None:
    with Store(url)._opened() as (store, found):
        assert (store.type_name, found) == (kind, path)


# -- paths ------------------------------------------------------------------------------------------------------------


def test_a_tilde_that_the_shell_left_is_the_home_of_the_user(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(Path.cwd()))
    monkeypatch.setenv("USERPROFILE", str(Path.cwd()))
    write_table(make_people(50), "people.csv")
    assert cli("fit", "~/people.csv", "-m", "infer", "--output=~/people.pkl", *FIT).exit_code == 0
    assert cli("sample", "~/people.pkl", "-n", 3, "--output=~/rows.csv", "-q").exit_code == 0
    assert Path("rows.csv").is_file()
    assert not Path("~").exists()
