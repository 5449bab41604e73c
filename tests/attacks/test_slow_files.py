"""Opens small files that once took minutes or gigabytes, the digest recomputed where there is one.

Numbers that share a hash, as keys, categories, names or in an order; a sparse file of 3 GB; thousands of JSON keys. Run by
itself, ``python tests/attacks/test_slow_files.py FOLDER`` prints seconds and megabytes of each.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import resource
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from attacks import pickles
from clover_tvae import Metadata, TVAESynthesizer
from clover_tvae.artifact import parse_artifact, plain, read_artifact
from clover_tvae.errors import ArtifactError, CloverError, CorruptArtifactError

ONE_HASH = [(2**61 - 1) * i for i in range(1, 40_001)]
#: Once 25 to over 120 seconds. Processor time: a loaded machine takes up to three times the second that is promised.
MOST_SECONDS, MOST_MEGABYTES = 3, 64


def learnt(folder: Path) -> dict[str, Any]:
    table = pd.DataFrame({"age": np.arange(100) % 40, "sex": ["F", "M"] * 50, "code": [1, 2] * 50})
    metadata = {"continuous": ["age"], "categorical": ["sex", "code"]}
    synth = TVAESynthesizer(table, metadata, random_state=1, epochs=1, decoder="independent", verbose=False)
    synth.fit().save(folder / "sound.pkl")
    TVAESynthesizer.load(folder / "sound.pkl")  # what is imported late is no memory of an attack
    return read_artifact(folder / "sound.pkl")


def one_slot(n: int) -> list[int]:
    """Return numbers of 64 bits that all fall into one slot of pandas' tables, which fold them to 32 bits."""
    found = []
    for high in range(1, n + 1):
        low = 0
        for bit in range(32):
            low |= ((high >> bit & 1) ^ (low >> bit - 11 & 1 if bit >= 11 else 0)) << bit
        found.append(high << 33 | low)
    return found


def files(folder: Path) -> Iterator[tuple[str, Path, Callable[[Path], object]]]:
    """Yield the name of each attack, its file, and what opens it; the file is there until the next one is asked for.

    Texts come first: what opens them finds no memory that an attack before left free.
    """
    content = learnt(folder)
    path = folder / "attack.json"
    many_keys = ",".join(f'"k{i}":{{}}' for i in range(100_000))
    for name, text in {
        "json, one key twice": f'{{"categorical":{{{many_keys},"k7":{{}}}}}}',
        "json, unknown keys": f"{{{many_keys}}}",
        "json, names": json.dumps({"categorical": ONE_HASH}),
        "json, order": json.dumps({"ordinal": [{"name": "a", "order": ONE_HASH}]}),
    }.items():
        path.write_text(text)
        yield name, path, Metadata.load
    from clover_tvae.jobs import load_jobs

    path = folder / "attack.yaml"
    path.write_text(f"version: 1\njobs:\n  - {{name: a, metadata: {{categorical: {ONE_HASH}}}}}\n")
    yield "yaml, names", path, lambda file: load_jobs([file])
    path = folder / "attack.pkl"

    def changed(change: Callable[[dict[str, Any]], object]) -> bytes:
        made = pickle.loads(pickle.dumps(content))
        change(made)
        return pickles.signed(bytes(plain.encode({**made, "sha256": "0" * 64})))

    def categories(values: list[int], **cells: str) -> bytes:
        def change(made: dict[str, Any]) -> None:
            column = made["transforms"]["columns"][2]["column"]
            column |= {"cells": column["cells"] | cells, "categories": {"types": "int", "values": values}}

        return changed(change)

    def many(made: dict[str, Any]) -> None:
        (shape,) = (part for part in made["transforms"]["columns"] if part["column"]["name"][1] == "sex")
        made["transforms"]["columns"] = [
            {**shape, "column": {**shape["column"], "name": ["str", f"c{i}"]}} for i in range(10_000)
        ]
        made["transforms"]["order"] = [["str", f"c{i}"] for i in range(10_000)]
        made["transforms"]["copies"] = [[] for _ in range(10_000)]

    keys = b"".join(plain.encode(number)[2:-1] + b"N" for number in ONE_HASH)  # type: ignore[arg-type]
    ordinal = [{"name": "sex", "order": ONE_HASH}]
    for name, data in {
        "keys": pickles.disguised(b"}(" + keys + b"u"),
        "categories": categories(ONE_HASH, family="object", name="int"),
        "categories of pandas": categories(one_slot(60_000)),
        "order": changed(lambda made: made["metadata"].update(ordinal=ordinal)),
        "names": changed(lambda made: made["transforms"].update(order=[["int", number] for number in ONE_HASH])),
        "problems": changed(lambda made: made["metadata"].update({f"continuos{i}": 1 for i in range(40_000)})),
        "columns": changed(many),
        "a category for every number": categories([*range(400_000)]),
        "values": pickles.disguised(b"](" + b"}" * 899_000 + b"e"),
    }.items():
        path.write_bytes(data)
        yield name, path, TVAESynthesizer.load
    data = (folder / "sound.pkl").read_bytes()
    start = data.index(b"\x8c\x07weights") + len(b"\x8c\x07weights")
    end = data.index(content["weights"]) + len(content["weights"])
    for name, first, last in (
        ("sparse, first bytes", data[:20], b""),
        ("sparse, header", data[:300], b""),
        ("sparse, both ends", data[:start] + b"B" + struct.pack("<I", 3 * 2**30), data[end:]),
    ):
        with path.open("wb") as file:
            file.write(first)
            file.truncate(len(first) + 3 * 2**30)
            file.seek(0, os.SEEK_END)
            file.write(last)
        yield name, path, TVAESynthesizer.load


def measured(open_: Callable[[Path], object], path: Path) -> dict[str, Any]:
    """Open a file in a process of its own; return the error, seconds and megabytes."""
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        limit = 60 + math.ceil(time.process_time())
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        error: str | None = None
        try:
            open_(path)
        except BaseException as raised:
            error = "ours" if isinstance(raised, CloverError) else type(raised).__name__
        seconds = time.process_time() - started
        megabytes = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        told = {"error": error, "seconds": round(seconds, 2), "megabytes": round(megabytes)}
        os.write(write_end, json.dumps(told).encode())
        os._exit(0)
    os.close(write_end)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return {"error": signal.Signals(os.WTERMSIG(status)).name, "seconds": 60, "megabytes": 0}
    return json.loads(os.read(read_end, 1000))


@pytest.mark.slow
def test_no_file_takes_long_or_much_memory(tmp_path):
    """A hang is killed by the limit on processor time: SIGXCPU or SIGKILL in the place of our error."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(
        [sys.executable, __file__, str(tmp_path)], capture_output=True, text=True, check=False, env=environment
    )
    assert run.returncode == 0, run.stderr[-2000:]
    found = json.loads(run.stdout)
    assert len(found) == 17
    assert {name: told for name, told in found.items() if told["error"] != "ours"} == {}
    assert {name: told for name, told in found.items() if told["megabytes"] > MOST_MEGABYTES} == {}
    found.pop("sparse, both ends")  # three gigabytes, of which the digest is taken
    assert {name: told for name, told in found.items() if told["seconds"] > MOST_SECONDS} == {}


def test_an_expected_digest_is_checked_before_anything_is_read(tmp_path):
    """A file that would run code in ``pickle.loads`` is told to be another one: nobody came to its content."""
    marker = tmp_path / "marker"
    for fragment in pickles.code_fragments(marker).values():
        (tmp_path / "attack.pkl").write_bytes(pickles.disguised(fragment))
        for read in (
            lambda **expected: read_artifact(tmp_path / "attack.pkl", **expected),
            lambda **expected: parse_artifact((tmp_path / "attack.pkl").read_bytes(), **expected),
            lambda **expected: TVAESynthesizer.load(tmp_path / "attack.pkl", trust_pickle=True, **expected),
        ):
            with pytest.raises(CorruptArtifactError, match="not the file that was expected"):
                read(expected_sha256="0" * 64)
            with pytest.raises(ArtifactError, match="code"):
                read()
    assert not marker.exists()


@pytest.mark.long
def test_a_large_file_is_read_as_a_small_one(tmp_path):
    """Beyond 32 MiB the digest is checked before the file is held: sound, cut, changed, or not the one expected."""
    parts: dict[str, Any] = {name: {} for name in ("writer", "metadata", "transforms", "model", "training")}
    data = plain.encode(
        {
            "format": "clover-tvae-generator",
            "format_version": 2,
            **parts,
            "weights": bytes(2**25),
            "privacy": None,
            "sha256": "0" * 64,
        }
    )
    sound = pickles.signed(bytes(data))
    path = tmp_path / "large.pkl"
    path.write_bytes(sound)
    content = read_artifact(path)
    assert content == read_artifact(path, expected_sha256=content["sha256"]) == parse_artifact(sound)
    with pytest.raises(CorruptArtifactError, match="expected"):
        read_artifact(path, expected_sha256="0" * 64)
    for wrong, words in (
        (sound[:-1], "truncated"),
        (sound[:-9] + sound[-8:], "truncated"),
        (b"N" + sound, "damaged"),
        (sound.replace(b"\0\0\0", b"\0\1\0", 1), "changed"),
        (sound + sound[-76:], "changed"),
    ):
        path.write_bytes(wrong)
        with pytest.raises(CorruptArtifactError, match=words):
            read_artifact(path)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    told = {}
    for attack, file, open_file in files(place):
        told[attack] = measured(open_file, file)
        print(f"{attack:24}", told[attack], file=sys.stderr)
    print(json.dumps(told))
