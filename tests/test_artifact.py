"""The generator file: one content, one file, and no attack gets through."""

from __future__ import annotations

import contextlib
import copyreg
import io
import json
import math
import os
import pickle
import re
import subprocess
import sys
import tracemalloc
import types
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from conftest import refuses
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_wine

sys.path.insert(0, str(Path(__file__).parent))

from attacks import pickles

from clover_tvae.artifact import (
    GENERATOR,
    container,
    dump_artifact,
    pack_tensors,
    parse_artifact,
    plain,
    read_artifact,
    unpack_tensors,
    write_artifact,
)
from clover_tvae.errors import (
    ArtifactError,
    ConfigError,
    CorruptArtifactError,
    NewerArtifactError,
    UnsafeArtifactError,
    UnsupportedArtifactError,
)

DRIVER = Path(__file__).parent / "attacks" / "save_driver.py"


def small() -> dict:
    return {
        "writer": {"clover_tvae": "0.1.0"},
        "metadata": {"continuous": ["age", "größe 🙂", "\udcff"], "categorical": []},
        "transforms": {"knots": [1.5, -0.0, math.inf, 5e-324], "counts": [0, -1, 255, 256, 65536, -(2**31), 2**128]},
        "model": {"embedding_dim": 128, "flags": [True, False, None]},
        "weights": b"\x00\xff" * 3,
        "training": {"history": [{"epoch": 1, "loss": 3.25}]},
        "privacy": None,
    }


def wine() -> dict:
    """Content of the size and the kind that a small generator has."""
    table = load_wine(as_frame=True).frame
    tensors = {name: table[name].to_numpy(np.float32) for name in table.columns}
    return {
        **small(),
        "metadata": {"continuous": list(table.columns), "categorical": ["target"]},
        "transforms": {name: sorted(table[name].unique().tolist()) for name in table.columns},
        "weights": pack_tensors(tensors),
    }


def signed(content: dict) -> bytes:
    """Return a file of any plain content, with the right digest."""
    return pickles.signed(bytes(plain.encode({**content, "sha256": "0" * 64})))


def filled(**changes: object) -> dict:
    return {"format": GENERATOR, "format_version": 2, **small(), **changes}


def run_python(code: str, *arguments: str, flags: tuple[str, ...] = (), **environment: str) -> str:
    result = subprocess.run(
        [sys.executable, *flags, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), **environment},
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result.stdout


# --- One content, one file -------------------------------------------------------------------------------------------


def test_content_comes_back_as_it_was_saved(tmp_path):
    content = wine()
    digest = write_artifact(tmp_path / "wine.pkl", content)
    loaded = read_artifact(tmp_path / "wine.pkl", expected_sha256=digest)
    assert {key: loaded[key] for key in content} == content
    assert loaded["format"] == GENERATOR
    assert loaded["format_version"] == 2
    assert loaded["sha256"] == digest
    assert math.copysign(1, small()["transforms"]["knots"][1]) == -1


def test_the_file_is_a_pickle_that_any_python_opens():
    data = dump_artifact(wine())
    assert pickle.loads(data) == parse_artifact(data)


def test_save_load_save_gives_the_same_bytes(tmp_path):
    write_artifact(tmp_path / "one.pkl", wine())
    write_artifact(tmp_path / "two.pkl", read_artifact(tmp_path / "one.pkl"))
    assert (tmp_path / "one.pkl").read_bytes() == (tmp_path / "two.pkl").read_bytes()


def test_bytes_depend_on_values_not_on_objects():
    shared = "".join(["a", "ge"])
    once = {**small(), "training": {"a": [shared, shared], "b": [1000, 1000]}}
    apart = {**small(), "training": {"a": ["".join(["ag", "e"]), "age"], "b": [int("1000"), 10**3]}}
    assert dump_artifact(once) == dump_artifact(apart)


@pytest.mark.long
@pytest.mark.parametrize("flags", [(), ("-O",), ("-W", "error")])
def test_another_process_reads_it_and_writes_the_same_bytes(tmp_path, flags):
    path = tmp_path / "wine.pkl"
    digest = write_artifact(path, wine())
    code = (
        "import sys; from clover_tvae.artifact import *\n"
        "content = read_artifact(sys.argv[1], expected_sha256=sys.argv[2])\n"
        "print(write_artifact(sys.argv[1] + '2', content))\n"
        "open(sys.argv[1] + '3', 'wb').write(open(sys.argv[1], 'rb').read()[:-1])\n"
        "try: read_artifact(sys.argv[1] + '3')\n"
        "except CorruptArtifactError: print('refused')\n"
    ).replace("import *\n", "import *; from clover_tvae.errors import CorruptArtifactError\n")
    for seed in ("1", "2"):
        assert run_python(code, str(path), digest, flags=flags, PYTHONHASHSEED=seed).split() == [digest, "refused"]
        assert path.with_suffix(".pkl2").read_bytes() == path.read_bytes()


def test_the_writer_is_filled_in_where_it_is_missing():
    content = {key: value for key, value in small().items() if key != "writer"}
    writer = parse_artifact(dump_artifact(content))["writer"]
    assert {"python", "numpy", "torch", "safetensors"} <= writer.keys()


values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**200), 2**200) | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


@pytest.mark.long
@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.text(), values, max_size=5))
def test_any_plain_data_comes_back(part):
    data = dump_artifact({**small(), "training": part})
    assert parse_artifact(data)["training"] == part == pickle.loads(data)["training"]
    assert dump_artifact(parse_artifact(data)) == data


@pytest.mark.long
@pytest.mark.parametrize("n", [0, 255, 256, 70_000])
def test_lengths_at_the_edges(n):
    part = {"text": "x" * n, "blob": b"x" * n, "list": [None] * n, "dict": {str(i): i for i in range(n)}}
    assert parse_artifact(dump_artifact({**small(), "training": part}))["training"] == part


def test_nan_is_kept():
    assert math.isnan(parse_artifact(dump_artifact({**small(), "model": {"x": math.nan}}))["model"]["x"])


class Text(str):
    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (np.float64(1), "numpy.float64"),
        (np.int64(1), "numpy.int64"),
        (np.str_("x"), "numpy.str_"),
        (np.zeros(2), "numpy.ndarray"),
        ((1, 2), "builtins.tuple"),
        ({1}, "builtins.set"),
        (bytearray(b"x"), "builtins.bytearray"),
        (Text("x"), "Text"),
        (1j, "builtins.complex"),
        (len, "builtin_function_or_method"),
    ],
)
def test_other_types_are_refused_with_their_path(value, found):
    with pytest.raises(TypeError) as caught:
        dump_artifact({**small(), "model": {"layers": [0, {"size": value}]}})
    assert "content['model']['layers'][1]['size']" in str(caught.value)
    assert found in str(caught.value)


@pytest.mark.long
def test_what_could_not_be_read_is_not_written():
    deep: list = []
    for _ in range(70):
        deep = [deep]
    endless: list = []
    endless.append(endless)
    place = r"^content\['model'\]\['x'\]"
    for value in (deep, endless, 2 ** (8 * 255), [None] * 2_000_001):
        with pytest.raises(ValueError, match=place):
            dump_artifact({**small(), "model": {"x": value}})
    with pytest.raises(TypeError, match=place):
        dump_artifact({**small(), "model": {"x": {1: 2}}})


def test_wrong_parts_are_refused_when_saving():
    without = {key: value for key, value in small().items() if key != "weights"}
    for place, content in {
        "weights": without,
        "extra": {**small(), "extra": 1},
        "format": {**small(), "format": "clover-tvae-checkpoint"},
    }.items():
        with pytest.raises(ValueError, match=f" {place}: "):
            dump_artifact(content)


# --- Attacks ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def extension_codes():
    """A reader's own registry: a pickle may name what is in it by number, without find_class being asked."""
    copyreg.add_extension("os", "system", 1)
    pickle.loads(b"\x80\x02\x82\x01.")
    yield
    copyreg.remove_extension("os", "system", 1)
    copyreg.clear_extension_cache()


@pytest.mark.long
def test_every_attack_is_refused(tmp_path, extension_codes):
    marker = tmp_path / "marker"
    attacks = pickles.all_files(marker)
    assert len(attacks) > 150
    with pytest.raises(CorruptArtifactError):
        parse_artifact(pickle.dumps("ü", 0))  # Python itself imports a codec for the texts of protocol 0
    path, modules = tmp_path / "attack.pkl", set(sys.modules)
    for name, data in attacks.items():
        path.write_bytes(data)
        for read in (lambda data=data: parse_artifact(data), lambda: read_artifact(path, max_bytes=2**22)):
            with pytest.raises(ArtifactError) as caught:
                pytest.fail(f"{name} was read: {read()!r}")
            assert str(marker) not in str(caught.value)
            assert str(caught.value).isprintable()
    assert not marker.exists()
    assert set(sys.modules) == modules


@pytest.mark.long
def test_attacks_that_run_code_are_called_unsafe(tmp_path, extension_codes):
    marker = tmp_path / "marker"
    fragments = pickles.code_fragments(marker) | pickles.handover_fragments()
    files = {f"bare-{name}": pickles.bare(fragment) for name, fragment in fragments.items()}
    files |= {f"disguised-{name}": pickles.disguised(fragment) for name, fragment in fragments.items()}
    files |= pickles.whole_pickles(marker)
    del files["no-stop"]  # by its bytes a text file; refused as such
    for name, data in files.items():
        with pytest.raises(UnsafeArtifactError):
            pytest.fail(f"{name} was read: {parse_artifact(data)!r}")


@pytest.mark.long
def test_the_attacks_work_on_pickle_itself(tmp_path):
    """Or the tests above would show nothing. In another process: it is this that generator files must not do."""
    code = (
        "import sys, pickle, pathlib\n"
        "sys.path.insert(0, sys.argv[2])\n"
        "from attacks import pickles\n"
        "marker = pathlib.Path(sys.argv[1])\n"
        "bare = {name: pickles.bare(data) for name, data in pickles.code_fragments(marker).items()}\n"
        "for name, data in (bare | pickles.whole_pickles(marker)).items():\n"
        "    try: pickle.loads(data)\n"
        "    except Exception: pass\n"
        "    if not marker.exists(): print(name)\n"
        "    marker.unlink(missing_ok=True)\n"
    )
    assert run_python(code, str(tmp_path / "marker"), str(Path(__file__).parent)).split() == []


def test_the_decoder_alone_stops_code(tmp_path, monkeypatch):
    """Without header and digest before it, and without an unpickler: there is none to ask."""
    marker = tmp_path / "marker"
    monkeypatch.setattr(pickle, "Unpickler", None)
    monkeypatch.setattr(pickle, "loads", None)
    for fragment in (pickles.code_fragments(marker) | pickles.handover_fragments()).values():
        with pytest.raises(UnsafeArtifactError):
            plain.decode(pickles.bare(fragment), "the file")
    assert not marker.exists()


@pytest.mark.long
def test_bombs_take_no_memory():
    """In another process, whose memory may not grow by more than 400 MB, and does not by more than 60."""
    code = (
        "import resource, sys\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from attacks import pickles\n"
        "from clover_tvae.artifact import parse_artifact\n"
        "from clover_tvae.errors import ArtifactError\n"
        "bombs = pickles.bomb_fragments() | {'many-values': b'](' + b'}' * 2_000_000 + b'e'}\n"
        "pages = int(open('/proc/self/statm').read().split()[0])\n"
        "limit = pages * resource.getpagesize() + 400 * 2**20\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, limit))\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for name, bomb in bombs.items():\n"
        "    for data in (pickles.bare(bomb), pickles.disguised(bomb)):\n"
        "        try: parse_artifact(data); print(name, 'was read')\n"
        "        except ArtifactError as error:\n"
        "            if 'more memory' in str(error): print(name, error)\n"
        "grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024\n"
        "if grown > 60: print(f'grew by {grown:.0f} MB')\n"
    )
    assert run_python(code, str(Path(__file__).parent)) == ""


@pytest.mark.long
def test_too_many_values_are_refused():
    with pytest.raises(CorruptArtifactError, match="900,000"):
        parse_artifact(pickles.disguised(b"](" + b"}" * 2_000_000 + b"e"))


# --- Accidents -------------------------------------------------------------------------------------------------------


def test_truncated_at_every_byte():
    data = dump_artifact(small())
    for n in range(len(data)):
        with pytest.raises(CorruptArtifactError):
            parse_artifact(data[:n])


@pytest.mark.long
def test_every_flipped_bit_is_found():
    data = dump_artifact(small())
    for n in range(8 * len(data)):
        changed = bytearray(data)
        changed[n // 8] ^= 1 << n % 8
        with pytest.raises(ArtifactError):
            parse_artifact(bytes(changed))


def test_appended_bytes_are_found():
    data = dump_artifact(small())
    for tail in (b"\x00", b".", b"N.", data, b"x" * 1000):
        with pytest.raises(CorruptArtifactError, match=f" {len(tail):,} bytes"):
            parse_artifact(data + tail)


@pytest.mark.long
@settings(deadline=None, max_examples=300)
@given(st.binary(max_size=200))
def test_any_bytes_raise_only_our_errors(data):
    with pytest.raises(ArtifactError):
        parse_artifact(data)


@pytest.mark.long
@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from([bytes([code]) for code in b"(]}euNK.GX\x88\x8a\x8c\x00\x01k"]), max_size=30))
def test_any_opcodes_in_a_signed_file_raise_only_our_errors(codes):
    data = pickles.disguised(b"".join(codes))
    try:
        content = parse_artifact(data)
    except ArtifactError:
        return
    assert dump_artifact(content) == data


def test_changed_content_and_wrong_digest(tmp_path):
    data = dump_artifact(wine())
    with pytest.raises(CorruptArtifactError, match="sha256"):
        parse_artifact(data.replace(b"alcohol", b"alcohoL", 1))
    path = tmp_path / "wine.pkl"
    digest = write_artifact(path, wine())
    assert read_artifact(path, expected_sha256=f" {digest.upper()}\n")["sha256"] == digest
    # Someone who signs anew gets past the digest inside, not past the one that was kept.
    path.write_bytes(signed({**filled(), "privacy": {"epsilon": 1.0}}))
    assert read_artifact(path)["privacy"] == {"epsilon": 1.0}
    with pytest.raises(CorruptArtifactError, match=digest):
        read_artifact(path, expected_sha256=digest)
    with refuses(ConfigError, "expected_sha256"):
        read_artifact(path, expected_sha256="abc")


# --- Other versions, kinds and formats -------------------------------------------------------------------------------


def test_a_later_version_is_refused_by_name():
    for version in (3, 255, 256, 70_000):
        later = filled(format_version=version, writer={"clover_tvae": "9.8.7", "python": "4.0"})
        data = signed({**later, "unheard_of": 1})
        with pytest.raises(NewerArtifactError, match=rf" {version}, .* 9\.8\.7"):
            parse_artifact(data)
        # A later form need not keep today's rules.
        with pytest.raises(NewerArtifactError):
            parse_artifact(data[:-100] + b"\x95whatever")
    with pytest.raises(NewerArtifactError):
        parse_artifact(signed(filled(format_version=3, writer={})))


@pytest.mark.parametrize("version", [0, -1, "1", True, 1.0, None, [1], 2**40])
def test_no_version_of_ours(version):
    with pytest.raises(CorruptArtifactError):
        parse_artifact(signed(filled(format_version=version)))


def test_another_format_of_ours_is_refused():
    with pytest.raises(CorruptArtifactError, match="'clover-tvae-thing'"):
        parse_artifact(signed(filled(format="clover-tvae-thing")))
    with pytest.raises(CorruptArtifactError):
        parse_artifact(signed(filled(format="other")))


def test_older_versions_are_lifted_step_by_step(monkeypatch):
    assert container._upgrade({"format_version": 2}, "f") == {"format_version": 2}
    steps = {1: lambda c: {**c, "b": c["a"] + 1}, 2: lambda c: {**c, "c": c["b"] + 1}}
    monkeypatch.setattr(container, "FORMAT_VERSION", 3)
    monkeypatch.setattr(container, "_UPGRADES", steps)
    content = {"format_version": 1, "a": 1}
    assert container._upgrade(content, "f") == {"format_version": 3, "a": 1, "b": 2, "c": 3}
    del steps[1]
    with pytest.raises(UnsupportedArtifactError, match="version 1,"):
        container._upgrade(content, "f")


def test_a_file_of_version_1_gets_what_it_did_not_keep():
    lifted = parse_artifact(signed(filled(format_version=1)))
    assert lifted["format_version"] == 2
    assert lifted["training"] == {**small()["training"], "decode": "sample"}
    assert parse_artifact(dump_artifact(lifted))["training"] == lifted["training"]
    with pytest.raises(CorruptArtifactError):
        parse_artifact(signed(filled(format_version=1, training=None)))


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({"unknown": 1}, "unknown: "),
        ({"\x1b[31m" + "x" * 500: 1}, r"\\x1b"),
        ({"weights": "text"}, "weights: "),
        ({"metadata": []}, "metadata: "),
        ({"privacy": 0}, "privacy: "),
        ({"writer": {"clover_tvae": 1}}, "writer.clover_tvae: "),
        ({"training": None, "model": 3}, "model: .*; training: "),
    ],
)
def test_the_container_is_strict(changes, places):
    with pytest.raises(CorruptArtifactError, match=places) as caught:
        parse_artifact(signed(filled(**changes)))
    assert len(str(caught.value)) < 400


def test_missing_parts_are_named():
    content = filled()
    del content["model"], content["weights"]
    with pytest.raises(CorruptArtifactError, match=r"model: .*; weights: "):
        parse_artifact(signed(content))


def sdv_pickle(module: str, protocol: int) -> bytes:
    """A pickle as SDV's ``save`` writes it: of a class of that module."""
    parts = module.split(".")
    fakes = {".".join(parts[: n + 1]): types.ModuleType(parts[n]) for n in range(len(parts))}
    fake = fakes[module]
    fake.TVAE = type("TVAE", (), {"__module__": module, "__qualname__": "TVAE"})
    synthesizer = fake.TVAE()
    synthesizer.epochs = 300
    hidden = {name: sys.modules[name] for name in fakes if name in sys.modules}
    sys.modules.update(fakes)
    try:
        return pickle.dumps(synthesizer, protocol)
    finally:
        for name in fakes:
            del sys.modules[name]
        sys.modules.update(hidden)


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("module", "by"),
    [
        ("ctgan.synthesizers.tvae", "SDV or CTGAN"),
        ("sdv.single_table.ctgan", "SDV or CTGAN"),
        ("generators.tvae", "Clover"),
        ("sklearn.linear_model", "scikit-learn"),
    ],
)
def test_a_pickle_of_a_known_program_says_why_and_what_to_do(module, by, protocol):
    with pytest.raises(UnsafeArtifactError) as caught:
        parse_artifact(sdv_pickle(module, protocol), name="model.pkl")
    message = str(caught.value)
    assert f"model.pkl is a pickle written by {by}" in message
    assert f"{module}.TVAE" in message or protocol < 2
    assert "opening it can run code" in message
    assert "fit it again with TVAESynthesizer" in message
    assert "trust_pickle=True" in message


def in_memory(write) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def foreign_files() -> dict[str, bytes]:
    frame = load_wine(as_frame=True).frame

    def torch_file(file):
        with zipfile.ZipFile(file, "w") as archive:
            archive.writestr("archive/data.pkl", sdv_pickle("ctgan.synthesizers.tvae", 2))

    csv = frame.to_csv(index=False).encode()
    return {
        "a torch file (a zip": in_memory(torch_file),
        "a zip archive": in_memory(lambda file: np.savez(file, x=np.zeros(3))),
        "a Parquet table": in_memory(frame.to_parquet),
        "a bare safetensors file": safetensors.numpy.save({"x": np.zeros(3)}),
        "a text file": csv,
        "is a text file": b"country,age\nFR,31\nDE,52\n",
        "text file": ("größe;name\n" * 2000).encode(),
    }


def test_other_formats_are_named(tmp_path):
    for words, data in foreign_files().items():
        path = tmp_path / "generator.pkl"
        path.write_bytes(data)
        with pytest.raises(UnsupportedArtifactError) as caught:
            pytest.fail(f"{words} was read: {read_artifact(path)!r}")
        assert words in str(caught.value)
        assert "Expected a generator file" in str(caught.value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x05",
        pickle.dumps({"format": GENERATOR}, 5),
        pickle.dumps([1, 2]),
        b"N.",
        np.random.default_rng(0).bytes(1000),
        "größe".encode("latin-1"),
    ],
    ids=["empty", "two bytes", "plain dict", "plain list", "none", "noise", "latin-1"],
)
def test_files_that_are_nothing(data):
    with pytest.raises(CorruptArtifactError):
        parse_artifact(data)


def test_a_large_foreign_pickle_is_judged_by_its_start(tmp_path):
    path = tmp_path / "large.pkl"
    path.write_bytes(pickle.dumps([bytes(2**21), pickles._Calls(os.system, "true")], 5))
    with pytest.raises(UnsafeArtifactError):
        read_artifact(path)
    with path.open("wb") as file:  # 3 GiB of nothing, which must not be read
        file.write(b"\x01")
        file.truncate(3 * 2**30)
    tracemalloc.start()
    with pytest.raises(CorruptArtifactError):
        read_artifact(path)
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


# --- What lies at the path -------------------------------------------------------------------------------------------


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.pkl")
    for path in (tmp_path / "pipe.pkl", tmp_path, Path("/dev/null")):
        with pytest.raises(UnsupportedArtifactError, match=re.escape(str(path))):
            read_artifact(path)
    write_artifact(tmp_path / "real.pkl", small())
    (tmp_path / "link.pkl").symlink_to("real.pkl")
    assert read_artifact(tmp_path / "link.pkl") == read_artifact(tmp_path / "real.pkl")


def test_paths_that_cannot_be_read(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    for path in (tmp_path / "none.pkl", tmp_path / "loop", tmp_path / "none" / "x", tmp_path / ("x" * 300), "a\0b"):
        with pytest.raises(ArtifactError) as caught:
            read_artifact(path)
        assert isinstance(caught.value, OSError)
        assert ascii(str(path))[1:-1][-60:] in ascii(str(caught.value))


def test_the_size_cap_is_checked_before_reading(tmp_path):
    path = tmp_path / "a.pkl"
    write_artifact(path, wine())
    n_bytes = path.stat().st_size
    assert read_artifact(path, max_bytes=n_bytes)
    with pytest.raises(CorruptArtifactError, match=f"{n_bytes:,} .* {n_bytes - 1:,} "):
        read_artifact(path, max_bytes=n_bytes - 1)
    with path.open("ab") as file:
        file.truncate(5 * 2**30)
    with pytest.raises(CorruptArtifactError, match="4,294,967,296"):
        read_artifact(path)


def test_a_file_of_unknown_size_is_refused():
    if not Path("/proc/self/status").exists():
        pytest.skip("needs Linux's /proc")
    with pytest.raises(CorruptArtifactError):
        read_artifact("/proc/self/status")


# --- Saving ----------------------------------------------------------------------------------------------------------


def drive(*arguments: object) -> dict:
    result = subprocess.run(
        [sys.executable, "-W", "error", str(DRIVER), *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )
    assert result.returncode == 0, result.stderr[-3000:]
    return json.loads(result.stdout)


def test_the_file_is_private_and_alone(tmp_path):
    write_artifact(tmp_path / "a.pkl", small())
    write_artifact(tmp_path / "a.pkl", wine())
    assert os.listdir(tmp_path) == ["a.pkl"]
    assert (tmp_path / "a.pkl").stat().st_mode & 0o777 == 0o600


@pytest.mark.long
@pytest.mark.parametrize("n_runs", [10, pytest.param(200, marks=pytest.mark.slow)])
def test_killed_at_each_step_of_saving(tmp_path, n_runs):
    """SIGKILL before and after each system call, and in between: the file is the old one or the new one, whole."""
    found = drive("kill", tmp_path, n_runs)
    assert found["broken"] == []
    assert found["old"] >= 1
    assert found["new"] >= 1
    assert found["old"] + found["new"] == found["runs"] >= n_runs


@pytest.mark.long
def test_interrupted_at_each_step_of_saving(tmp_path):
    """Ctrl-C: as above, and nothing is left beside the file."""
    found = drive("interrupt", tmp_path, 40)
    assert found["broken"] == []
    assert found["left"] == []
    assert found["old"] >= 1


@pytest.mark.long
def test_a_full_disk_leaves_the_old_file(tmp_path):
    found = drive("full", tmp_path, 1)
    assert found["error"] == "ArtifactError"
    assert "cannot be written" in found["message"]
    assert found["files"] == ["generator.pkl"]
    assert found["same"]


@pytest.mark.long
def test_a_folder_without_the_right_to_write(tmp_path):
    found = drive("readonly", tmp_path, 1)
    assert found["error"] == "ArtifactError"
    assert "Permission denied" in found["message"]
    assert found["files"] == ["generator.pkl"]
    assert found["same"]


@pytest.mark.long
def test_two_writers_leave_one_whole_file(tmp_path):
    found = drive("two", tmp_path, 25)
    assert found["broken"] == []
    assert found["files"] == ["generator.pkl"]
    assert found["reads"] > 5


def test_places_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_bytes(b"x")
    (tmp_path / "folder").mkdir()
    for path in (
        tmp_path / "file" / "a.pkl",
        tmp_path / "none" / "a.pkl",
        tmp_path / "folder",
        tmp_path / "a\0b",
        "/dev/null",
    ):
        with pytest.raises(ArtifactError):
            write_artifact(path, small())
    assert sorted(os.listdir(tmp_path)) == ["file", "folder"]


def test_content_that_is_not_plain_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.pkl"
    write_artifact(path, small())
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_artifact(path, {**small(), "model": {"x": (1,)}})
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.pkl"]


# --- Arrays ----------------------------------------------------------------------------------------------------------


def tensors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "encoder.0.weight": rng.normal(size=(4, 3)).astype(np.float32),
        "bias": rng.normal(size=3),
        "count": np.array(7),
        "flags": np.array([True, False]),
        "empty": np.zeros((0, 5), np.float32),
        "state": rng.integers(0, 255, 10, dtype=np.uint8),
    }


def shapes(arrays: dict[str, np.ndarray]) -> dict:
    return {name: (array.shape, array.dtype) for name, array in arrays.items()}


def test_arrays_come_back_writable():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = unpack_tensors(pack_tensors(tensors()), shapes(tensors()))
    assert list(found) == list(tensors())
    for name, array in tensors().items():
        np.testing.assert_array_equal(found[name], array, strict=True)
        assert found[name].flags.writeable


def test_order_and_memory_layout_do_not_matter():
    arrays = tensors()
    turned = dict(reversed(arrays.items()))
    turned["encoder.0.weight"] = np.asfortranarray(turned["encoder.0.weight"])
    turned["bias"] = np.repeat(turned["bias"], 2)[::2]
    assert pack_tensors(turned) == pack_tensors(arrays)


def test_big_endian_arrays_keep_their_values():
    blob = pack_tensors({"x": np.array([1.0, 2.0], ">f4")})
    np.testing.assert_array_equal(unpack_tensors(blob, {"x": ((2,), "float32")})["x"], [1, 2])


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite(value):
    bad = np.array([1, value], np.float32)
    with pytest.raises(ValueError, match="tensor 'sigma'"):
        pack_tensors({"sigma": bad})
    blob = safetensors.numpy.save({"sigma": bad})
    with pytest.raises(CorruptArtifactError, match="tensor 'sigma'"):
        unpack_tensors(blob, {"sigma": ((2,), "float32")})


def test_every_tensor_that_does_not_fit_is_named():
    expected = shapes(tensors())
    expected["bias"] = ((4,), "float64")
    expected["count"] = ((), "float32")
    expected["missing"] = ((1,), "float32")
    del expected["state"]
    with pytest.raises(CorruptArtifactError) as caught:
        unpack_tensors(pack_tensors(tensors()), expected)
    for words in (
        "tensor 'missing' is missing",
        "tensor 'state' is not part of this model",
        "tensor 'bias': must be float64 (4,), found float64 (3,)",
        "tensor 'count': must be float32 (), found int64 ()",
    ):
        assert words in str(caught.value)
    many = {f"t{i}": ((1,), "float32") for i in range(50)}
    with pytest.raises(CorruptArtifactError, match=" 46 "):
        unpack_tensors(pack_tensors(tensors()), many)


def blob_of(header: object, body: bytes) -> bytes:
    raw = header.encode() if isinstance(header, str) else json.dumps(header).encode()
    return len(raw).to_bytes(8, "little") + raw + body


ONE = '"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"\xff" * 8,
        (2**62).to_bytes(8, "little") + b"{}",
        blob_of("{" + ONE + "," + ONE + "}", bytes(4)),
        blob_of("{" + ONE + "}", bytes(5)),
        blob_of("{" + ONE + "}", bytes(3)),
        blob_of("{" + ONE.replace("[1]", "[4611686018427387904]") + "}", bytes(4)),
        blob_of("{" + ONE.replace("[1]", "[-1]") + "}", bytes(4)),
        blob_of("{" + ONE.replace("F32", "BF16").replace("[1]", "[2]") + "}", bytes(4)),
        blob_of("{" + ONE.replace("F32", "os.system") + "}", bytes(4)),
        blob_of("{" + ONE.replace("[0,4]", "[4,0]") + "}", bytes(4)),
        blob_of("[" * 100_000, b""),
        blob_of("{" + ONE, bytes(4)),
        dump_artifact(small()),
    ],
)
def test_damaged_blobs_raise_only_our_errors(blob):
    with pytest.raises(CorruptArtifactError):
        unpack_tensors(blob, {"x": ((1,), "float32")})


def test_a_blob_cut_at_every_byte():
    blob = pack_tensors({"x": np.ones(3, np.float32)})
    for n in range(len(blob)):
        with pytest.raises(CorruptArtifactError):
            unpack_tensors(blob[:n], {"x": ((3,), "float32")})


# --- The page that tells the format ----------------------------------------------------------------------------------


def test_the_reader_of_the_page_reads_what_we_write():
    """Whoever follows the page reads every file: also lengths at the edges, and odd numbers and texts."""
    page = (Path(__file__).parents[1] / "docs" / "generator_file.md").read_text()
    reader: dict = {}
    exec(page.split("```python\n")[1].split("```")[0], reader)
    numbers = [0, 255, 256, 65535, 65536, -1, -(2**31), 2**31 - 1, 2**31, -(2**31) - 1, 2**63, -(2**63), 2**200]
    texts = ["", "x" * 255, "x" * 256, "größe 🙂", "\udcff"]
    edges = {
        "numbers": numbers,
        "texts": texts,
        "blobs": [b"", b"x" * 256],
        "empty": [[], {}],
        "deep": [[[{"a": [1.5]}]]],
    }
    for content in (small(), wine(), {**small(), "training": edges}):
        data = dump_artifact(content)
        assert reader["read"](data) == parse_artifact(data)
    with pytest.raises(ValueError, match="damaged"):
        reader["read"](data[:-1])
    facts = (plain._MAX_VALUES, plain._MAX_DEPTH, plain.MOST_OF_ONE_HASH, container.FORMAT_VERSION)
    for fact, words in zip(
        facts, ("most {:,} values", "most {}\ndeep", "most {} are equal", "version {}."), strict=True
    ):
        assert words.format(fact) in page


@settings(max_examples=300)
@given(st.binary(min_size=1, max_size=3), st.integers(0, 10**6))
def test_whatever_is_read_is_what_would_be_written(piece, place):
    """A changed file, its digest mended, is refused, or it is the one file of its content: no second form is read."""
    data = dump_artifact(small())
    place %= len(data) - 80
    changed = pickles.signed(data[:place] + piece + data[place + len(piece) :])
    with contextlib.suppress(ArtifactError):
        assert dump_artifact(parse_artifact(changed)) == changed
