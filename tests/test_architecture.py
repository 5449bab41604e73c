"""The house as it was drawn: floors, public names, what an import costs, and what may be called where."""

from __future__ import annotations

import ast
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import clover_tvae

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "clover_tvae"
MODULES = sorted(path.relative_to(ROOT) for path in PACKAGE.rglob("*.py"))
HEAVY = {"torch", "pandas", "numpy", "sdv", "sklearn", "scipy", "sdmetrics", "matplotlib", "plotly", "opacus", "ray"}


def run_python(code: str) -> str:
    """Run ``code`` in a fresh interpreter that finds this checkout, and return what it prints."""
    path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path}
    # A coverage hook in the child would import things that the package itself does not.
    environment = {name: value for name, value in environment.items() if not name.startswith("COV_CORE")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=1200)
    assert done.returncode == 0, done.stderr
    return done.stdout


def heavy_after(code: str) -> set[str]:
    """Return the heavy packages that ``code`` pulls in."""
    printed = run_python(f"{code}\nimport sys, json\nprint(json.dumps(sorted(sys.modules)), file=sys.__stdout__)")
    return {name.partition(".")[0] for name in json.loads(printed.splitlines()[-1])} & HEAVY


class TestFloors:
    def test_every_import_goes_to_a_lower_floor(self) -> None:
        linter = Path(sys.executable).parent / "lint-imports"
        done = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=1200)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "0 broken" in done.stdout


class TestPublicNames:
    def test_the_package_offers_two_classes_and_a_version(self) -> None:
        assert clover_tvae.__all__ == ["Metadata", "TVAESynthesizer", "__version__"]
        assert dir(clover_tvae) == clover_tvae.__all__

    def test_the_version_is_that_of_the_project(self) -> None:
        from importlib.metadata import version

        assert clover_tvae.__version__ == version("clover-tvae")

    def test_an_unknown_name_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="TVAESynthesiser"):
            _ = clover_tvae.TVAESynthesiser

    def test_every_public_name_is_there_and_documented(self) -> None:
        faults = []
        for path in MODULES:
            name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
            module = importlib.import_module(name)
            faults += [f"{name} has no docstring"] * (not module.__doc__)
            for public in getattr(module, "__all__", ()):
                found = getattr(module, public)
                ours = callable(found) and str(getattr(found, "__module__", "")).startswith("clover_tvae")
                faults += [f"{name}.{public} has no docstring"] * (ours and not found.__doc__)
        assert faults == []

    def test_clover_s_class_is_where_it_is_looked_for(self) -> None:
        from clover_tvae.clover import TVAEGenerator

        assert TVAEGenerator.name == "TVAE"


class TestCostOfAnImport:
    def test_importing_the_package_pulls_in_nothing_heavy(self) -> None:
        assert heavy_after("import clover_tvae") == set()

    def test_help_pulls_in_no_engine(self) -> None:
        code = (
            "import sys, io, contextlib\n"
            "sys.argv = ['clover-tvae', '--help']\n"
            "from clover_tvae.cli import main\n"
            "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
            "    main()\n"
        )
        assert heavy_after(code) & {"torch", "sdv", "sklearn", "pandas", "matplotlib", "ray"} == set()

    def test_the_native_engine_works_without_sdv_and_its_family(self) -> None:
        printed = run_python(
            "import sys\n"
            "for name in ('sdv', 'ctgan', 'rdt', 'copulas'):\n"
            "    sys.modules[name] = None\n"  # an import of any of them is now an ImportError
            "import pandas as pd\n"
            "from clover_tvae import TVAESynthesizer\n"
            "df = pd.DataFrame({'age': range(60), 'sex': ['F', 'M'] * 30})\n"
            "synth = TVAESynthesizer(df, {'continuous': ['age'], 'categorical': ['sex']}, random_state=1, epochs=1,"
            " verbose=False).fit()\n"
            "print(len(synth.sample(5)))\n"
        )
        assert printed.split() == ["5"]


def tree_of(path: Path) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"), filename=str(path))


def dotted(node: ast.expr) -> str:
    """Return ``np.random.seed`` for that expression, or an empty string for anything but dotted names."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def calls(path: Path) -> Iterator[tuple[str, int]]:
    """Yield the dotted name of everything that a module calls, aliases of its imports resolved, and the line."""
    tree = tree_of(path)
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            aliases |= {alias.asname: alias.name for alias in node.names if alias.asname}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            aliases |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and (name := dotted(node.func)):
            first, dot, rest = name.partition(".")
            yield aliases.get(first, first) + dot + rest, node.lineno


# What is called -> the only modules that may call it.
BANNED = {
    "print": {"cli.py"},
    "eval": set(),
    "exec": set(),
    "pickle.load": set(),
    "pickle.loads": set(),
    "cloudpickle.load": set(),
    "cloudpickle.loads": {"backends/sdv.py"},  # behind trust_pickle=True
    "joblib.load": set(),
    "torch.load": set(),
    "yaml.load": set(),
    "yaml.unsafe_load": set(),
    "yaml.full_load": set(),
    "pandas.read_pickle": set(),
    "os.system": set(),
    "random.seed": {"backends/isolation.py"},  # SDV draws from the global generators, which are put back
    "numpy.random.seed": {"backends/isolation.py", "evaluation/risks.py"},  # anonymeter does the same
    "torch.manual_seed": {"backends/isolation.py"},
    "torch.cuda.manual_seed_all": set(),
}


class TestBannedCalls:
    def test_nothing_prints_runs_code_from_files_or_seeds_global_generators(self) -> None:
        found = []
        for path in MODULES:
            where = path.relative_to("clover_tvae").as_posix()
            where = "cli.py" if where.startswith("cli/") else where
            found += [
                f"{path}:{line} calls {name}"
                for name, line in calls(path)
                if name in BANNED and where not in BANNED[name]
            ]
        assert found == []

    def test_the_scan_sees_calls_behind_aliases(self, tmp_path: Path) -> None:
        module = tmp_path / "module.py"
        code = "import numpy as np\nfrom pickle import load as read\nnp.random.seed(1)\nread(2)\nprint(3)\n"
        module.write_text(code, encoding="utf-8")
        assert [name for name, _ in calls(module)] == ["numpy.random.seed", "pickle.load", "print"]

    def test_no_module_starts_logging_of_its_own(self) -> None:
        banned = {"logging.basicConfig", "logging.FileHandler", "logging.StreamHandler"}
        found = [f"{path}:{line}" for path in MODULES for name, line in calls(path) if name in banned]
        assert found == []


class TestScaffolding:
    def test_constraints_pin_everything_exactly(self) -> None:
        lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        pins = [line for line in lines if line and not line.startswith("#")]
        assert all(line.count("==") == 1 and "@" not in line and "/" not in line and "+" not in line for line in pins)
        assert "torch==2.13.0" in pins
        names = {line.partition("==")[0].lower() for line in pins}
        assert {"sdv", "pandas", "numpy", "pytest", "ruff", "mypy", "import-linter"} <= names
        assert not [name for name in names if name.startswith("nvidia")]

    def test_the_ci_script_is_valid_bash_and_may_be_run(self) -> None:
        script = ROOT / ".ci" / "run"
        assert os.access(script, os.X_OK)
        subprocess.run(["bash", "-n", script], check=True, timeout=30)
