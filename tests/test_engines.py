"""Engines and shards: the same rows and files from one process, several, job arrays and a Ray cluster; what is wrong is told."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import CREDENTIALS, PEOPLE, make_people, refuses, until
from joblib import cpu_count
from typer.testing import CliRunner, Result

from clover_tvae import TVAESynthesizer
from clover_tvae.cli import app
from clover_tvae.errors import CloverError, ConfigError, TrainingError, WorkerLostError
from clover_tvae.files import file_digest
from clover_tvae.jobs import load_jobs, run_jobs
from clover_tvae.tables import parts_of, write_table
from clover_tvae.tables.parts import manifest_text
from clover_tvae.tables.places import Store
from clover_tvae.workflows.engines import Local, Ray, Resources, Task, make_engine
from clover_tvae.workflows.shards import Parts, Wanted, sample_shard

ray = pytest.importorskip("ray")
ROOT = Path(__file__).parents[1]
DRAW = ["--rows", 17_000, "--rows-per-part", 1_500, "--seed", 4, "-q"]
ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT), "RAY_USAGE_STATS_ENABLED": "0"}
# Ray warns of itself, and leaves sockets and files to the end of the program.
pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::Warning:ray")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", **CREDENTIALS}
    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 * 10**6,
        logging_level="ERROR",
        log_to_driver=False,
        runtime_env={"env_vars": {"PYTHONPATH": str(ROOT)}},
    )
    yield
    ray.shutdown()
    for name in CREDENTIALS:
        os.environ.pop(name)


@pytest.fixture(scope="module")
def generators(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """One generator of a plain table with identifiers, and one whose rows keep a sum and an order."""
    folder, df = tmp_path_factory.mktemp("generators"), make_people()
    later = df["start"] + pd.to_timedelta(np.random.default_rng(1).integers(0, 60, len(df)), unit="D")
    kept = df.assign(total=df["income"] + df["bonus"], end=later, key=[f"{i:032x}" for i in range(len(df))])
    described = PEOPLE | {
        "continuous": [*PEOPLE["continuous"], "total"],
        "datetime": ["start", "end"],
        "id": [*PEOPLE["id"], {"name": "key", "regenerate": "uuid"}],
    }
    made = {}
    for name, table, metadata in (("plain", df, PEOPLE), ("kept", kept, described)):
        synth = TVAESynthesizer(table, metadata, random_state=1, epochs=1, verbose=False, privacy="none").fit()
        assert len(synth.metadata.relations or ()) == (2 if name == "kept" else 0)
        synth.save(made.setdefault(name, folder / f"{name}.pkl"))
    return made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def cli(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def command(*arguments: object, **options: object) -> subprocess.Popen[str]:
    words = [sys.executable, "-m", "clover_tvae", *map(str, arguments)]
    return subprocess.Popen(
        words, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options
    )  # type: ignore[call-overload]


def digests(folder: str | Path) -> str:
    """The manifest: the digest and the number of rows of each part."""
    assert parts_of(folder)
    return (Path(folder) / "_parts.json").read_text()


# -- rows -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["plain", "kept"])
def test_any_rows_of_a_seed_are_drawn_without_those_before_them(generators: dict[str, Path], kind: str) -> None:
    synth = TVAESynthesizer.load(generators[kind])
    whole = synth.sample(17_000, random_state=7)
    for first, n in ((0, 3), (1_020, 9), (16_380, 10), (16_384, 1), (16_990, 10), (500, 0)):
        pd.testing.assert_frame_equal(sample_shard(synth, first, n, 7), whole.iloc[first : first + n])
    far = sample_shard(synth, 9 * 10**9, 2, 7)  # all those before would take days
    assert far["number"].tolist() == ["P9000000001", "P9000000002"]
    if kind == "kept":
        assert whole["key"].is_unique
        np.testing.assert_allclose(far["total"], far["income"] + far["bonus"])


def test_conditions_and_partial_rows_are_drawn_in_shards_too(generators: dict[str, Path]) -> None:
    rng = np.random.default_rng(0)
    partial = pd.DataFrame({"sex": rng.choice(["F", "M"], 16_500), "age": rng.integers(20, 80, 16_500).astype(float)})
    partial.loc[::3, "age"] = np.nan
    for kind in ("plain", "kept"):
        synth = TVAESynthesizer.load(generators[kind])
        for conditions in ({"sex": "F", "age": (">=", 60)}, partial)[: 2 if kind == "plain" else 1]:
            n_rows = None if conditions is partial else 16_500
            whole = synth.sample(n_rows, conditions, random_state=7)
            for first, n in ((0, 3), (16_380, 10)):
                shard = sample_shard(synth, first, n, 7, conditions=conditions)
                pd.testing.assert_frame_equal(shard, whole.iloc[first : first + n])


def test_an_error_in_later_partial_rows_says_where_they_begin(generators: dict[str, Path]) -> None:
    partial = pd.DataFrame({"sex": ["F"] * 16_400 + ["unseen"]})
    with pytest.raises(Exception, match=r"after the first 16,384, which count from 1 here: .*data row 17"):
        TVAESynthesizer.load(generators["plain"]).sample(conditions=partial, random_state=1)


@pytest.mark.parametrize("kind", ["plain", "kept"])
def test_one_process_several_shards_and_ray_write_the_same_files(
    folder: Path, generators: dict[str, Path], cluster: None, kind: str
) -> None:
    draw = ["sample", generators[kind], *DRAW, "--format", "parquet"]
    draw += ["--where", "age>=40"] if kind == "plain" else []
    assert cli(*draw, "-o", "one").exit_code == 0
    assert cli(*draw, "-o", "two", "--jobs", 2).exit_code == 0
    for index in (2, 0, 1):
        done = cli(*draw, "-o", "shards", "--shard-index", index, "--num-shards", 3)
        assert done.exit_code == 0, done.output
        assert Path("shards/_parts.json").exists() == (index == 1)
    assert cli(*draw, "-o", "ray", "--engine", "ray").exit_code == 0
    assert digests("one") == digests("two") == digests("shards") == digests("ray")
    counts = [part["rows"] for part in json.loads(digests("one"))["parts"]]
    assert counts == [1_500] * 11 + [500] == [len(pd.read_parquet(part)) for part in parts_of("one")]
    assert not list(Path().glob("*/.clover*"))
    again = cli(*draw[:-1], "40" if kind == "plain" else draw[-1], "-o", "ray", "--engine", "ray")
    assert again.exit_code == 2  # the folder holds parts already


def test_partial_rows_of_a_file_are_completed_alike_everywhere(
    folder: Path, generators: dict[str, Path], cluster: None
) -> None:
    partial = make_people(700, seed=3)[["sex", "age", "start"]].astype({"age": "Int64"})
    partial.loc[::2, "age"] = pd.NA
    write_table(partial, "partial.csv")
    draw = ["sample", generators["kept"], "--given", "partial.csv", "--seed", 2, "--rows-per-part", 300, "-q"]
    assert cli(*draw, "-o", "one").exit_code == 0
    assert cli(*draw, "-o", "ray", "--engine", "ray").exit_code == 0
    assert digests("one") == digests("ray")
    drawn = pd.concat([pd.read_csv(part) for part in parts_of("one")], ignore_index=True)
    assert (drawn["sex"] == partial["sex"]).all()
    assert drawn["age"].notna().all()
    assert (drawn["age"][1::2] == partial["age"][1::2]).all()
    assert "or be left out, found 3" in cli(*draw, "-n", 3, "-o", "no").stderr
    assert "--where" in cli(*draw, "-w", "sex=F", "-o", "no").stderr


def test_what_travels_holds_neither_generator_nor_rows(generators: dict[str, Path]) -> None:
    wanted = Wanted(str(generators["plain"]), None, 10, 1, where=("age>=40",))
    assert len(pd.concat(wanted.frames())) == 10
    sent = pickle.dumps(Parts(wanted, ".csv", 5))
    assert len(sent) < 1_000 < generators["plain"].stat().st_size
    assert pickle.loads(sent).wanted == wanted
    job = json.dumps({"version": 1, "jobs": [iris_job("a")]})
    (generators["plain"].parent / "a.yaml").write_text(job)
    (read,) = load_jobs([generators["plain"].parent / "a.yaml"], tables="always")
    assert read.table is not None
    assert len(pickle.dumps(read)) < 10_000


def test_rows_of_ray_data_are_those_of_one_process(generators: dict[str, Path], cluster: None) -> None:
    """The lines in the documentation."""
    (code,) = re.findall("```python\n(import ray\n.*?)```", (ROOT / "docs/ray.md").read_text(), re.DOTALL)
    names = {"__name__": "__main__", "generator": str(generators["plain"]), "n_rows": 66_000}
    exec(code, names)
    drawn = names["rows"].to_pandas().sort_values("number", ignore_index=True)  # type: ignore[attr-defined]
    whole = TVAESynthesizer.load(generators["plain"]).sample(66_000, random_state=7)
    pd.testing.assert_frame_equal(drawn.astype(whole.dtypes.to_dict()), whole)


# -- object stores ----------------------------------------------------------------------------------------------------


def test_an_object_store_holds_the_same_files(
    folder: Path, generators: dict[str, Path], cluster: None, bucket: tuple[str, str]
) -> None:
    options, draw = bucket[1], [*DRAW, "--where", "age>=40"]
    with Store(f"s3://rows/generators{options}").written("plain.pkl") as file:
        file.write_bytes(generators["plain"].read_bytes())
    assert cli("sample", generators["plain"], *draw, "-o", "one").exit_code == 0
    remote = ["sample", f"s3://rows/generators/plain.pkl{options}", *draw, "-o"]
    for name, how in (("ray", ["--engine", "ray"]), ("alone", [])):
        done = cli(*remote, f"s3://rows/{name}{options}", *how)
        assert done.exit_code == 0, done.output
        assert f"s3://rows/{name} (12 parts)" in done.stdout
        assert Store(f"s3://rows/{name}{options}").read("_parts.json").decode() == digests("one")
    store = Store(f"s3://rows/alone{options}")
    assert store.digest("part-00003.csv") == json.loads(digests("one"))["parts"][3]["sha256"]
    assert "--force replaces them" in cli(*remote, store.url).stderr
    assert cli(*remote, store.url, "--resume").exit_code == 0  # up to date
    # A run that ended early: what is there stays, the rest is drawn.
    with store.written("_parts.json") as file:
        file.write_text(manifest_text(None, json.loads(digests("one"))["name"]))
    store.remove("part-00003.csv")
    assert cli(*remote, store.url, "--resume").exit_code == 0
    assert store.read("_parts.json").decode() == digests("one")
    for index in (1, 0):
        done = cli(*remote, f"s3://rows/shards{options}", "--shard-index", index, "--num-shards", 2)
        assert done.exit_code == 0, done.output
    assert Store(f"s3://rows/shards{options}").read("_parts.json").decode() == digests("one")
    refused = cli("sample", *remote[1:2], *draw[:-1], "age>=50", "-o", store.url, "--num-shards", 2, "--shard-index", 0)
    assert "--force replaces them" in refused.stderr


def test_jobs_read_and_write_a_store_on_ray_as_here(folder: Path, cluster: None, bucket: tuple[str, str]) -> None:
    write_table(make_people(100), "people.csv")
    Store(f"s3://rows/jobs/people.csv{bucket[1]}").put(Path("people.csv"))
    for where in ("here/", "s3://rows/jobs/"):
        output = {"rows": 20, "output": f"{where}rows.csv", "seed": 1}
        data = "people.csv" if where == "here/" else f"{where}people.csv"
        job = iris_job("a", data=data, generator_filepath=f"{where}a.pkl", sample=output)
        Path("jobs.yaml").write_text(json.dumps({"version": 1, "jobs": [job]}))
        run = ["run", "jobs.yaml", "--engine", "ray", "--allow-url", f"s3://rows/jobs{bucket[1]}"]
        done = cli(*run)
        assert done.exit_code == 0, done.output
        assert "up to date" in cli(*run).stdout
    for name in ("a.pkl", "rows.csv"):
        assert Store(f"s3://rows/jobs/{name}{bucket[1]}").digest() == file_digest(Path("here", name))


def test_what_a_store_refuses_is_told_without_a_credential(
    folder: Path, generators: dict[str, Path], cluster: None, bucket: tuple[str, str]
) -> None:
    address, options = bucket

    def told(place: str, generator: object = generators["plain"]) -> str:
        result = cli("sample", generator, *DRAW, "-o", place)
        assert result.exit_code == 2
        assert not any(secret in result.output for secret in ("4711", "AKID", "hidden"))
        return result.stderr

    assert "s3://none/rows: the store refuses: there is no such bucket" in told(f"s3://none/rows{options}")
    assert "the file does not exist" in told(f"s3://rows/new{options}", f"s3://rows/none.pkl{options}")
    assert "new: nobody answers at 127.0.0.1:1\n" in told("s3://rows/new?endpoint_override=127.0.0.1:1&scheme=http")
    for url in ("s3://hidden:hidden@rows/new", "s3://rows/new?secret_key=hidden", "gs://hidden@rows/new"):
        assert "must hold no credentials" in told(url)
    ask = {"data": b"0", "headers": {"Content-Type": "text/plain"}, "method": "POST"}
    urllib.request.urlopen(urllib.request.Request(f"http://{address}/moto-api/reset-auth", **ask)).close()  # type: ignore[arg-type]
    assert "its credentials are wrong" in told(f"s3://rows/new{options}")


# -- jobs -------------------------------------------------------------------------------------------------------------


def iris_job(name: str, **keys: object) -> dict[str, object]:
    return {
        "name": name,
        "data": {"dataset": "sklearn.iris"},
        "metadata": "infer",
        "synthesizer": {"epochs": 1, "decoder": "independent", "random_state": 3},
        "generator_filepath": f"{name}.pkl",
        "sample": {"rows": 20, "output": f"{name}.csv", "seed": len(name)},
    } | keys


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix in (".pkl", ".csv")}


def ran_alike(folder: Path, n_jobs: int) -> None:
    """Check that jobs leave the same files here and on Ray, where one without its data fails alone."""
    jobs = [iris_job(f"job{'s' * i}", resources={"cpus": 1}) for i in range(n_jobs)]
    for name in ("here", "ray"):
        (folder / name).mkdir()
    (folder / "here/jobs.yaml").write_text(json.dumps({"version": 1, "jobs": jobs}))
    lost = iris_job("lost", data="gone.csv")
    (folder / "ray/jobs.yaml").write_text(json.dumps({"version": 1, "jobs": [lost, *jobs]}))
    assert all(result.status == "done" for result in run_jobs(load_jobs([folder / "here/jobs.yaml"]), workers=2))
    summary = folder / "summary.json"
    done = cli("run", folder / "ray/jobs.yaml", "--engine", "ray", "--summary", summary)
    assert done.exit_code == 2, done.output
    assert "the file does not exist" in done.stderr
    counts = json.loads(summary.read_text())["counts"]
    assert counts == {"done": n_jobs, "up to date": 0, "failed": 1, "skipped": 0}
    assert files(folder / "ray") == files(folder / "here")
    assert len(files(folder / "here")) == 2 * n_jobs


def test_jobs_leave_the_same_files_on_ray_and_one_without_its_data_fails_alone(folder: Path, cluster: None) -> None:
    ran_alike(folder, 2)


@pytest.mark.slow
def test_twenty_jobs_leave_the_same_files_on_ray(folder: Path, cluster: None) -> None:
    ran_alike(folder, 20)


def test_without_ray_a_job_whose_data_is_missing_is_told_before_any_starts(folder: Path) -> None:
    Path("jobs.yaml").write_text(json.dumps({"version": 1, "jobs": [iris_job("a", data="gone.csv"), iris_job("b")]}))
    assert cli("run", "jobs.yaml").exit_code == 2
    assert not Path("b.csv").exists()
    Path("jobs.yaml").write_text(json.dumps({"version": 1, "jobs": [iris_job("a", resources={"cpu": 1, "gpus": -1})]}))
    told = cli("run", "jobs.yaml").stderr
    assert "did you mean 'cpus'" in told
    assert "gpus: must be greater than or equal to 0" in told


# -- engines ----------------------------------------------------------------------------------------------------------


def test_workers_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    def threads(workers: int) -> set[str]:
        tasks = [Task(i, "a", ("OMP_NUM_THREADS",)) for i in range(4)]
        return {value for _, value in Local(workers).each(os.getenv, tasks)}

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert threads(2) == {str(max(1, cpu_count() // 2))}
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert threads(3) == {"3"}


def test_a_worker_that_is_lost_is_told_and_errors_pass_through(cluster: None) -> None:
    lost = dict(Local(2).each(os._exit, [Task(0, "a", (1,)), Task(1, "b", (1,))]))
    assert {type(value) for value in lost.values()} == {WorkerLostError}

    def ends(how: str) -> str:
        if how == "killed":
            os.kill(os.getpid(), 9)
        if how == "refused":
            raise ConfigError("is wrong", "here")
        return how

    tasks = [Task(0, "a", ("killed",)), Task(1, "b", ("well",), Resources(cpus=0.5, memory=0.1))]
    found = dict(Ray().each(ends, tasks))
    assert found[1] == "well"
    assert isinstance(found[0], WorkerLostError)
    with refuses(ConfigError, "here"):
        list(Ray(n_workers=1).each(ends, [Task(0, "a", ("refused",))]))


def test_a_task_whose_worker_was_killed_is_tried_again_by_ray(folder: Path, cluster: None) -> None:
    def killed_once(mark: str) -> int:
        if not os.path.exists(mark):
            Path(mark).touch()
            os.kill(os.getpid(), 9)
        return os.getpid()

    ((_, value),) = Ray().each(killed_once, [Task(0, "a", (str(folder / "mark"),))])
    assert isinstance(value, int)


def killed_or_told(marks: str, index: int) -> int:
    """Task 1 kills its process each time, task 4 once, a moment after it and the one beside it have begun."""
    mark = Path(marks, str(index))
    is_first = not mark.exists()
    mark.touch()
    if index == 1 or (index == 4 and is_first):
        time.sleep(0.2)
        os.kill(os.getpid(), signal.SIGKILL)
    return index


def test_when_a_process_here_is_killed_the_rest_goes_on(folder: Path) -> None:
    tasks = [Task(i, f"{i}", (str(folder), i)) for i in range(8)]
    found = dict(Local(2).each(killed_or_told, tasks))
    assert isinstance(found.pop(1), WorkerLostError)
    assert found == {i: i for i in range(8) if i != 1}


class Unsent(Exception):
    """An error that pickle cannot build anew: it is made of two things, and keeps one text."""

    def __init__(self, column: str, cell: str) -> None:
        super().__init__(f"{column}: {cell}")


def told_or_unsent(index: int) -> int:
    if index == 1:
        raise Unsent("name", "a cell")
    return index


def test_an_error_that_cannot_be_sent_from_a_process_is_not_told_as_a_killed_one() -> None:
    with pytest.raises(
        CloverError, match=r"^Unsent in a worker, an error of clover_tvae; without --jobs, --debug"
    ) as told:
        list(Local(2).each(told_or_unsent, [Task(i, f"{i}", (i,)) for i in range(4)]))
    assert type(told.value) is CloverError
    with pytest.raises(ValueError, match=r"^invalid literal for int"):  # all others come as they are
        list(Local(2).each(int, [Task(0, "a", ("a",)), Task(1, "b", ("1",))]))


class Killer:
    """A ``tell`` that kills the process of a job at its first line."""

    def __call__(self, text: str) -> None:
        if text.startswith("killed: "):
            os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("keep_going", [True, False])
def test_a_job_whose_process_is_killed_fails_alone(folder: Path, keep_going: bool) -> None:
    jobs = [iris_job(name) for name in ("killed", "a", "b", "c", "d")]
    Path("jobs.yaml").write_text(json.dumps({"version": 1, "jobs": jobs}))
    results = run_jobs(load_jobs(["jobs.yaml"]), workers=2, keep_going=keep_going, tell=Killer())
    states = {result.name: result.status for result in results}
    assert states.pop("killed") == "failed"
    # It ran beside the killed one, and is tried again: where it had written everything before, it is found up to date.
    assert states["a"] in ("done", "up to date")
    assert states["d"] == ("done" if keep_going else "skipped")
    assert not list(Path(".clover-tvae").glob("*.lock"))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--engine", "dask"], "--engine: must be local or ray, found 'dask'"),
        (["--address", "auto"], "--address: belongs to --engine ray"),
        (["--num-shards", 3], "--shard-index and --num-shards belong together"),
        (["--num-shards", 3, "--shard-index", 3], "--shard-index: must be below --num-shards, 3"),
        (["--num-shards", 3, "--shard-index", 0], "--num-shards: needs --seed"),
        (["--jobs", 2, "-o", "rows.csv"], "--output: must be a folder"),
    ],
)
def test_options_that_do_not_fit_are_told(
    folder: Path, generators: dict[str, Path], options: list[object], told: str
) -> None:
    result = cli("sample", generators["plain"], "-n", 3, "-o", "rows", *options)
    assert (result.exit_code, told in result.stderr) == (2, True), result.stderr
    assert not Path("rows").exists()


def test_a_cluster_that_is_not_there_is_told_in_one_line(folder: Path, generators: dict[str, Path]) -> None:
    def failed(*options: str) -> str:
        process = command("sample", generators["plain"], "-n", 3, "-o", folder / "rows", "--engine", "ray", *options)
        _, errors = process.communicate(timeout=100)
        assert process.returncode == 2
        lines = [line for line in errors.splitlines() if not line.startswith("seed ")]
        assert len(lines) == 1, errors
        assert not (folder / "rows").exists() or not list((folder / "rows").glob("*"))
        return lines[0]

    assert "nobody answers at 127.0.0.1:1 (Connection refused)" in failed("--address", "127.0.0.1:1")
    assert "--address: must be host:port" in failed("--address", "somewhere")
    code = "import sys; sys.modules['ray'] = None; from clover_tvae.cli import main; sys.argv[0] = 'x'; main()"
    words = [sys.executable, "-c", code, "run", "jobs.yaml", "--engine", "ray"]
    lacking = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, cwd=folder)
    assert (lacking.returncode, "pip install '.[ray]'" in lacking.stderr) == (2, True), lacking.stderr


def test_more_than_this_machine_has_is_refused(folder: Path) -> None:
    Path("jobs.yaml").write_text(json.dumps({"version": 1, "jobs": [iris_job("a", resources={"cpus": 10_000})]}))
    process = command("run", "jobs.yaml", "--engine", "ray", cwd=folder)
    _, errors = process.communicate(timeout=100)
    assert (process.returncode, "must fit into this machine" in errors) == (2, True), errors


def test_names_of_engines() -> None:
    assert make_engine("local", address=None, n_workers=None, shows_output=False) == Local(1)
    assert make_engine("ray", address=None, n_workers=None, shows_output=False).n_workers is None


# -- one model on several workers ---------------------------------------------------------------------------------------


def fit_people(folder: Path, name: str, *options: object) -> list[object]:
    """The words that learn a table of two columns, which is written if it is not there."""
    if not (folder / "people.csv").exists():
        rng = np.random.default_rng(0)
        df = pd.DataFrame({"age": rng.integers(18, 90, 9000), "sex": rng.choice(["F", "M"], 9000)})
        df.to_csv(folder / "people.csv", index=False)
        (folder / "people.json").write_text(json.dumps({"continuous": ["age"], "categorical": ["sex"]}))
    seeded = ["--random-state", 1, "--privacy", "none", "--epochs", 2]
    return ["fit", "people.csv", "--metadata", "people.json", "-o", name, *seeded, *options]


def test_workers_of_ray_write_the_generator_of_one_process(folder: Path, cluster: None) -> None:
    whole = cli(*fit_people(folder, "one.pkl"))
    ray_of_two = cli(*fit_people(folder, "two.pkl", "--engine", "ray", "--workers", 2))
    assert ray_of_two.exit_code == 0, ray_of_two.output
    assert ray_of_two.stdout.splitlines()[1] == whole.stdout.splitlines()[1]
    assert Path("one.pkl").read_bytes() == Path("two.pkl").read_bytes()
    assert "privacy   it learnt the table itself" in ray_of_two.stderr


def test_what_a_worker_raises_is_raised_at_once_without_the_text_of_others(folder: Path, cluster: None) -> None:
    def fails(how: str) -> None:
        with Path(how).open("a") as file:
            file.write("tried\n")
        raise ConfigError("is wrong", "here") if how.endswith("ours") else ValueError("a cell")

    with refuses(ConfigError, "here"):
        Ray(n_workers=1).together(fails, str(folder / "ours"))
    with pytest.raises(TrainingError, match=r"^ValueError in a worker, an error of clover_tvae"):
        Ray(n_workers=1).together(fails, str(folder / "others"))
    assert (folder / "ours").read_text() == (folder / "others").read_text() == "tried\n"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--workers", 2], "--workers: belongs to --engine ray"),
        (["--address", "auto"], "--address: belongs to --engine ray"),
        (["--engine", "dask"], "--engine: must be local or ray, found 'dask'"),
        (["--engine", "ray", "--backend", "sdv"], "--backend: must be native where several workers"),
        (["--engine", "ray", "--resume"], "resume: needs a checkpoint"),
    ],
)
def test_options_of_workers_that_do_not_fit_are_told(folder: Path, options: list[object], told: str) -> None:
    result = cli(*fit_people(folder, "one.pkl", *options))
    assert (result.exit_code, told in result.stderr) == (2, True), result.stderr


# -- kills ------------------------------------------------------------------------------------------------------------


def children(parent: int, named: str) -> list[int]:
    """The processes below ``parent`` whose command line begins with a name."""
    found, level = [], [parent]
    while level:
        level = [
            int(pid)
            for one in level
            for task in Path(f"/proc/{one}/task").glob("*/children")
            for pid in task.read_text().split()
        ]
        found += [pid for pid in level if Path(f"/proc/{pid}/cmdline").read_text().startswith(named)]
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")
def test_a_ray_run_survives_its_workers_and_goes_on_after_its_own_end(
    folder: Path, generators: dict[str, Path]
) -> None:
    draw = [
        "sample",
        generators["kept"],
        "-n",
        600_000,
        "--rows-per-part",
        10_000,
        "--seed",
        4,
        "--format",
        "parquet",
        "--resume",
    ]
    assert cli(*draw, "-o", "whole", "--jobs", 2).exit_code == 0

    def n_waiting(name: str) -> int:
        return len(list(Path(name).glob(".clover*/part-*")))

    for name, victim in (("worker", "ray::rows"), ("driver", None)):
        process = command(*draw, "-o", folder / name, "--engine", "ray", "--jobs", 2)
        until(lambda name=name: n_waiting(name) >= 10)
        if victim is None:
            process.send_signal(signal.SIGKILL)
            process.communicate(timeout=300)
            assert not Path(name, "_parts.json").exists()
            process = command(*draw, "-o", folder / name, "--engine", "ray", "--jobs", 2)
        else:
            os.kill(children(process.pid, victim)[0], signal.SIGKILL)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 0, errors
        assert digests(name) == digests("whole")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")
def test_workers_that_train_together_go_on_after_an_end_and_after_a_kill(folder: Path) -> None:
    assert cli(*fit_people(folder, "whole.pkl", "--epochs", 80)).exit_code == 0
    words = fit_people(
        folder, "ended.pkl", "--epochs", 80, "--engine", "ray", "--workers", 2, "--checkpoint", "fit.ckpt"
    )
    process = command(*words, cwd=folder)
    until(lambda: Path("fit.ckpt").exists() and Path("fit.ckpt").stat().st_size > 100_000)  # a network stands in it
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=100)
    assert (process.returncode, "fit.ckpt is kept" in errors) == (143, True), errors
    kept = Path("fit.ckpt").stat().st_mtime_ns
    process = command(*words, "--resume", cwd=folder)
    until(lambda: Path("fit.ckpt").stat().st_mtime_ns > kept)
    os.kill(children(process.pid, "ray::RayTrainWorker")[-1], signal.SIGKILL)
    _, errors = process.communicate(timeout=500)
    assert process.returncode == 0, errors
    assert Path("ended.pkl").read_bytes() == Path("whole.pkl").read_bytes()
    assert not Path("fit.ckpt").exists()


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")
def test_a_job_whose_ray_worker_is_killed_goes_on_from_its_checkpoint_to_the_same_files(folder: Path) -> None:
    learn = {"epochs": 400, "random_state": 3, "privacy": "none"}
    long = iris_job("long", data={"dataset": "sklearn.breast_cancer"}, synthesizer=learn)
    jobs = [job | {"checkpoint": True} for job in (long, iris_job("a"), iris_job("b"))]
    for name in ("here", "ray"):
        (folder / name).mkdir()
        (folder / name / "jobs.yaml").write_text(json.dumps({"version": 1, "jobs": jobs}))
    process = command("run", folder / "ray/jobs.yaml", "--engine", "ray", "--summary", folder / "summary.json")
    until((folder / "ray/.clover-tvae/jobs.yaml.long.checkpoint").exists)
    os.kill(children(process.pid, "ray::long")[0], signal.SIGKILL)
    _, errors = process.communicate(timeout=400)
    assert process.returncode == 0, errors
    assert "long: going on from the checkpoint" in errors
    counts = json.loads((folder / "summary.json").read_text())["counts"]
    assert counts == {"done": 3, "up to date": 0, "failed": 0, "skipped": 0}
    assert cli("run", folder / "here/jobs.yaml", "--jobs", 2).exit_code == 0
    assert files(folder / "ray") == files(folder / "here")
    assert len(files(folder / "ray")) == 6
    assert not list(folder.glob("*/.clover-tvae/*.checkpoint"))


def test_sigterm_while_ray_connects_ends_the_command_as_ever() -> None:
    class Connecting:
        def is_initialized(self) -> bool:
            return False

        def init(self, **options: object) -> None:
            signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))  # as Ray does
            signal.raise_signal(signal.SIGTERM)

        def shutdown(self) -> None:
            ended.append("shut down")

    ended: list[str] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: ended.append("ended as ever"))
    try:
        with pytest.raises(SystemExit), Ray("local")._connected(Connecting()):
            pass
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended == ["shut down", "ended as ever"]
