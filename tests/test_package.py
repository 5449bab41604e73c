"""The package as a whole: its public names and documentation, what an import costs, and the pinned versions.

Floors, style, types and calls that nobody may make are checked by the steps of ``.ci/run`` before pytest.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import clover_tvae

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "clover_tvae"
MODULES = sorted(path.relative_to(ROOT) for path in PACKAGE.rglob("*.py"))
HEAVY = {"torch", "pandas", "numpy", "sdv", "sklearn", "scipy", "sdmetrics", "matplotlib", "plotly", "opacus", "ray"}
HEAVY |= {"joblib", "sympy"}  # sympy comes with torch's compiler, torch._dynamo


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


class TestPublicNames:
    def test_the_package_offers_two_classes_and_a_version(self) -> None:
        assert clover_tvae.__all__ == ["Metadata", "TVAESynthesizer", "__version__"]
        assert dir(clover_tvae) == clover_tvae.__all__

    def test_the_version_is_that_of_the_project(self) -> None:
        from importlib.metadata import version

        assert clover_tvae.__version__ == version("clover-tvae")

    def test_citation_and_changelog_know_the_version(self) -> None:
        assert f"\nversion: {clover_tvae.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
        assert f"\n## [{clover_tvae.__version__}] - 20" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")

    def test_an_unknown_name_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="TVAESynthesiser"):
            _ = clover_tvae.TVAESynthesiser

    def test_every_public_name_is_there_and_documented(self) -> None:
        faults = []
        for path in MODULES:
            name = ".".join(path.with_suffix("").parts).removesuffix(".__init__")
            module = importlib.import_module(name)
            faults += [f"{name} has no docstring"] * (not module.__doc__)
            own = {key for key, found in vars(module).items() if getattr(found, "__module__", None) == name}
            for public in sorted({*getattr(module, "__all__", ()), *(key for key in own if not key.startswith("_"))}):
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

    @pytest.mark.long
    def test_help_pulls_in_no_engine(self) -> None:
        code = (
            "import sys, io, contextlib\n"
            "sys.argv = ['clover-tvae', '--help']\n"
            "from clover_tvae.cli import main\n"
            "with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):\n"
            "    main()\n"
        )
        assert heavy_after(code) & {"torch", "sdv", "sklearn", "pandas", "matplotlib", "ray"} == set()

    @pytest.mark.long
    @pytest.mark.parametrize(
        "code",
        ["from clover_tvae.synthesizer import Synthesizer", "import clover_tvae.jobs", "import clover_tvae.report"],
    )
    def test_the_synthesizer_jobs_and_the_report_pull_in_no_engine(self, code: str) -> None:
        assert heavy_after(code) == {"numpy", "pandas"}

    @pytest.mark.long
    @pytest.mark.parametrize("decoder", ["autoregressive", "independent"])
    def test_a_generator_is_learnt_and_opened_without_the_compiler_and_the_report(
        self, decoder: str, tmp_path: Path
    ) -> None:
        code = (
            "import pandas as pd; from clover_tvae.synthesizer import Synthesizer\n"
            "df = pd.DataFrame({'age': [*range(50)] * 2, 'sex': ['F', 'M', None, 'M'] * 25})\n"
            "metadata = {'continuous': ['age'], 'categorical': ['sex']}\n"
            f"options = dict(random_state=1, epochs=1, verbose=False, decoder={decoder!r})\n"
            f"Synthesizer(df, metadata, **options).fit().save({str(tmp_path / 'a.pkl')!r})\n"
            f"Synthesizer.load({str(tmp_path / 'a.pkl')!r}).sample(5)\n"
        )
        assert heavy_after(code) - {"scipy"} == {"numpy", "pandas", "torch"}

    @pytest.mark.long
    def test_what_users_import_brings_the_base_of_scikit_learn_and_no_engine(self) -> None:
        heavy = heavy_after("from clover_tvae import TVAESynthesizer")
        assert heavy == {"numpy", "pandas", "sklearn", "scipy", "joblib"}

    @pytest.mark.long
    def test_checking_job_files_pulls_in_no_engine(self) -> None:
        code = (
            "import sys, io, contextlib\n"
            "sys.argv = ['clover-tvae', 'validate', 'there is no such file.yaml']\n"
            "from clover_tvae.cli import main\n"
            "with contextlib.redirect_stderr(io.StringIO()) as told, contextlib.suppress(SystemExit):\n"
            "    main()\n"
            "assert 'there is no such file.yaml' in told.getvalue()\n"
        )
        assert heavy_after(code) & {"torch", "sdv", "sklearn", "matplotlib", "ray"} == set()


class TestPinnedVersions:
    def test_everything_is_pinned_exactly(self) -> None:
        lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        pins = [line for line in lines if line and not line.startswith("#")]
        assert all(line.count("==") == 1 and "@" not in line and "/" not in line and "+" not in line for line in pins)
        assert "torch==2.13.0" in pins
        names = {line.partition("==")[0].lower() for line in pins}
        assert {"sdv", "pandas", "numpy", "pytest", "ruff", "mypy", "import-linter"} <= names
        assert not [name for name in names if name.startswith("nvidia")]
