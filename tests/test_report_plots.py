"""The charts for notebooks: matplotlib figures that keep no global state and show no more than the page."""

from __future__ import annotations

import io
import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from sklearn.datasets import load_iris

from clover_tvae.errors import ColumnsMismatchError, TooFewRowsError
from clover_tvae.report import plot_history, plot_latent, plot_marginals, plot_pairs
from clover_tvae.report.palette import CLASSES, HOLDOUT, REAL, SYNTHETIC


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    iris = load_iris(as_frame=True).frame.rename(columns={"target": "species"})
    iris["species"] = np.array(["setosa", "versi$color$", "virginica"])[iris["species"]]
    iris["id like"] = [f"person-{i}" for i in range(len(iris))]
    return iris, iris.sample(120, replace=True, random_state=0).reset_index(drop=True)


def texts(figure: Figure) -> str:
    from matplotlib.text import Text

    return "\n".join(text.get_text() for text in figure.findobj(Text))


def drawn(figure: Figure) -> bytes:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=50)
    return file.getvalue()


def test_history_has_both_curves() -> None:
    history = pd.DataFrame({"epoch": [1, 2], "loss": [3.0, 2.0], "validation_loss": [np.nan, 2.5], "kl": [1.0, 1.5]})
    figure = plot_history(history)
    assert [len(axes.lines) for axes in figure.axes] == [2, 1]
    assert drawn(figure).startswith(b"\x89PNG")


@pytest.mark.parametrize("history", [None, [], pd.DataFrame({"epoch": [], "loss": []}), [{"epoch": 1}]])
def test_a_history_without_a_loss_is_refused(history) -> None:
    with pytest.raises(TooFewRowsError, match="fit first"):
        plot_history(history)


def test_marginals_of_all_columns_worst_first(tables) -> None:
    real, synthetic = tables
    figure = plot_marginals(real, synthetic)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    errors = [float(title.partition("\n")[0].split("error ")[1].strip("<%")) for title in titles]
    assert len(titles) == real.shape[1]
    assert errors == sorted(errors, reverse=True)
    assert drawn(figure)


def test_titles_of_marginals_with_spikes_stay_within_the_figure() -> None:
    rng = np.random.default_rng(0)
    amounts = np.where(rng.random(900) < 0.6, rng.choice([0.0, 123456.78, 9999999.5], 900), rng.gamma(2, 1e6, 900))
    real = pd.DataFrame({f"a column with quite a long name {i}": amounts + i for i in range(3)})
    figure = plot_marginals(real, real.sample(frac=1, random_state=1))
    figure.canvas.draw()
    edges = figure.bbox
    for axes in figure.axes:
        extent = axes.title.get_window_extent()
        assert "exactly" in axes.get_title()
        assert edges.x0 <= extent.x0
        assert extent.x1 <= edges.x1


def test_marginals_name_no_rare_value(tables) -> None:
    shown = texts(plot_marginals(*tables, columns=["id like", "species"]))
    assert "person-" not in shown
    assert "setosa" in shown
    assert r"versi\$color\$" in shown


def test_unknown_columns_are_named_with_the_nearest(tables) -> None:
    with pytest.raises(ColumnsMismatchError, match=r"'specis'.*did you mean 'species'"):
        plot_marginals(*tables, columns=["specis"])


def test_numbers_that_repeat_and_too_few_rows() -> None:
    rng = np.random.default_rng(0)
    zero_inflated = pd.DataFrame({"gain": np.where(rng.random(400) < 0.8, 0.0, rng.lognormal(8, 1, 400))})
    assert "exactly 0" in texts(plot_marginals(zero_inflated, zero_inflated))
    few = pd.DataFrame({"gain": np.arange(12.0)})
    assert "too few rows to draw" in texts(plot_marginals(few, few))


def test_pairs_show_three_maps(tables) -> None:
    figure = plot_pairs(*tables)
    assert [axes.get_title() for axes in figure.axes] == ["real", "synthetic", "difference (darkest: 0.3 and more)"]
    assert drawn(figure)
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 45)))
    assert not plot_pairs(wide, wide).axes[0].get_xticks().size


def test_latent_space_is_a_density(tables) -> None:
    rng = np.random.default_rng(0)
    real, synthetic = rng.normal(size=(500, 5)), rng.normal(size=(400, 5))
    real[0] = 90.0
    labels = {"real": rng.choice(["a", "b"], 500), "synthetic": rng.choice(["a", "b", "c"], 400)}
    figure = plot_latent(real, synthetic, labels)
    offsets = [axes.collections[0].get_offsets() for axes in figure.axes]
    assert all(0 < len(points) < 100 for points in offsets)
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {"a", "b", "other or missing"}
    assert drawn(figure)


def test_latent_space_without_labels_and_with_those_of_the_real_rows_alone() -> None:
    rng = np.random.default_rng(0)
    real = pd.DataFrame(rng.normal(size=(300, 2)))
    assert not plot_latent(real, real).legends
    assert plot_latent(real, real, rng.choice(["x", "y"], 300)).legends


def test_latent_space_refuses_wrong_labels_and_few_rows() -> None:
    rows = np.random.default_rng(0).normal(size=(100, 3))
    with pytest.raises(ColumnsMismatchError, match="expected 100 labels, found 2"):
        plot_latent(rows, rows, ["a", "b"])
    with pytest.raises(TooFewRowsError, match="at least 20 rows"):
        plot_latent(rows[:5], rows)
    with pytest.raises(TooFewRowsError):
        plot_latent(np.ones((100, 3)), rows)


def test_a_rare_label_is_not_named() -> None:
    rows = np.random.default_rng(0).normal(size=(300, 2))
    labels = ["common"] * 297 + ["canary"] * 3
    assert "canary" not in texts(plot_latent(rows, rows, labels))


def test_a_notebook_shows_the_figure_by_itself(tables) -> None:
    assert plot_pairs(*tables)._repr_png_().startswith(b"\x89PNG")


def test_pyplot_is_never_imported(tables) -> None:
    import subprocess

    code = (
        "import sys, pandas as pd, numpy as np\n"
        "from clover_tvae.report import plot_pairs, plot_history, plot_marginals\n"
        "df = pd.DataFrame({'x': np.arange(60.), 'y': ['a', 'b'] * 30})\n"
        "plot_pairs(df, df); plot_marginals(df, df); plot_history([{'loss': 1.0}])\n"
        "assert 'matplotlib.pyplot' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_colours_differ_for_colour_blind_eyes() -> None:
    """Okabe and Ito's colours differ in lightness too, not by hue alone."""

    def lightness(colour: str) -> float:
        red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    assert len({REAL, SYNTHETIC, HOLDOUT}) == 3
    assert len(set(CLASSES)) == len(CLASSES)
    assert abs(lightness(REAL) - lightness(SYNTHETIC)) > 0.02
