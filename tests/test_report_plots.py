"""The charts for notebooks: SVG that any reader can parse, that loads nothing, and that shows no more than the page."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import refuses
from sklearn.datasets import load_iris

from clover_tvae import TVAESynthesizer
from clover_tvae.errors import ColumnsMismatchError, ConfigError, TableFileError, TooFewRowsError
from clover_tvae.report import Chart, build_report, plot_history, plot_latent, plot_marginals, plot_pairs
from clover_tvae.report.svg import CLASSES, HOLDOUT, REAL, SYNTHETIC

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '</title><script>alert("1")</script>&\u202e\x00'


@pytest.fixture(scope="module")
def tables() -> tuple[pd.DataFrame, pd.DataFrame]:
    iris = load_iris(as_frame=True).frame.rename(columns={"target": "species"})
    iris["species"] = np.array(["setosa", "versi$color$", "virginica"])[iris["species"]]
    iris["id like"] = [f"person-{i}" for i in range(len(iris))]
    return iris, iris.sample(120, replace=True, random_state=0).reset_index(drop=True)


def parsed(chart: Chart) -> ElementTree.Element:
    return ElementTree.fromstring(chart._repr_svg_())


def texts(chart: Chart) -> list[str]:
    return [element.text or "" for element in parsed(chart).iter(f"{SVG}text")]


def captions(chart: Chart) -> list[str]:
    return [element.text or "" for element in parsed(chart).iter(f"{SVG}text") if element.get("font-weight")]


def charts_of(tables: tuple[pd.DataFrame, pd.DataFrame]) -> list[Chart]:
    rows = np.random.default_rng(0).normal(size=(300, 3))
    labels = [HOSTILE, "b"] * 150
    return [
        plot_history([{"epoch": 1, "loss": 3.0, "kl": 1.0}, {"epoch": 2, "loss": 2.0, "kl": 1.5}]),
        plot_marginals(*tables),
        plot_marginals(*(table.rename(columns={"species": HOSTILE}) for table in tables)),
        plot_pairs(*tables),
        plot_pairs(*(table.rename(columns={"species": HOSTILE}) for table in tables)),
        plot_latent(rows, rows, labels),
    ]


# ---------------------------------------------------------------- one picture, one file


def test_every_chart_is_valid_named_and_loads_nothing(tables) -> None:
    for chart in charts_of(tables):
        root = parsed(chart)
        assert root.tag == f"{SVG}svg"
        assert root[0].tag == f"{SVG}title"
        assert root[0].text == root.get("aria-label") == chart.title
        width, height = float(root.get("width")), float(root.get("height"))
        assert root.get("viewBox") == f"0 0 {root.get('width')} {root.get('height')}"
        assert width > 300
        assert height > 100
        for element in root.iter():
            assert element.tag in {
                SVG + tag for tag in ("svg", "title", "desc", "g", "path", "rect", "circle", "image", "text")
            }
            assert not any(name.startswith("on") or name == "style" for name in element.attrib)
            for name, value in element.attrib.items():
                assert name.endswith("href") <= value.startswith("data:image/png;base64,")
                assert "url(" not in value
                assert not re.search(r"\b(nan|inf)\b", value)


def test_every_panel_tells_a_screen_reader_how_to_read_it(tables) -> None:
    inner = list(parsed(plot_marginals(*tables)).iter(f"{SVG}svg"))[1:]
    assert inner
    assert all(element[0].tag == f"{SVG}title" and element[1].tag == f"{SVG}desc" for element in inner)


def test_a_chart_is_saved_whole_as_svg_or_as_a_page(tables, tmp_path: Path) -> None:
    chart = plot_pairs(*tables)
    chart.save(tmp_path / "pairs.svg")
    assert (tmp_path / "pairs.svg").read_text(encoding="utf-8") == chart._repr_svg_()
    chart.save(str(tmp_path / "pairs.HTML"))
    page = (tmp_path / "pairs.HTML").read_text(encoding="utf-8")
    assert "default-src 'none'" in page
    assert f"<title>{chart.title}</title>" in page
    assert page.count("<svg") == 4
    for name in ("pairs.png", "pairs", ".svg"):
        with pytest.raises(ConfigError):
            chart.save(tmp_path / name)
    with pytest.raises(TableFileError):
        chart.save(tmp_path / "no folder" / "pairs.svg")
    assert {path.name for path in tmp_path.iterdir()} == {"pairs.svg", "pairs.HTML"}


def test_a_chart_is_the_same_bytes_twice(tables) -> None:
    for first, second in zip(charts_of(tables), charts_of(tables), strict=True):
        assert first._repr_svg_() == second._repr_svg_()


def test_page_and_notebook_draw_the_same_chart(tables) -> None:
    """What the page shows of a column, mark by mark, is what the plot shows, and nothing else."""
    page = build_report(*tables, figures=()).html()
    inner = list(parsed(plot_marginals(*tables)).iter(f"{SVG}svg"))[1:]
    assert len(inner) == len(re.findall(r"share of each value|histogram of real", page)) // 2
    for element in inner:
        for mark in element.iter(f"{SVG}path"):
            assert f'd="{mark.get("d")}"' in page


# ---------------------------------------------------------------- learning curves


@pytest.mark.long
def test_history_has_both_curves() -> None:
    history = pd.DataFrame({"epoch": [1, 2], "loss": [3.0, 2.0], "validation_loss": [np.nan, 2.5], "kl": [1.0, 1.5]})
    shown = texts(plot_history(history))
    for name in ("training", "validation", "KL"):
        assert shown.count(name) == 1
    assert shown.count("epoch") == 2


@pytest.mark.parametrize("history", [None, [], pd.DataFrame({"epoch": [], "loss": []}), [{"epoch": 1}]])
def test_a_history_without_a_loss_is_refused(history) -> None:
    with refuses(TooFewRowsError, "history"):
        plot_history(history)


# ---------------------------------------------------------------- marginals


@pytest.mark.long
@pytest.mark.parametrize("history", [object(), 3, "losses"])
def test_what_is_no_history_is_refused_with_what_to_hand_on(history) -> None:
    with pytest.raises(ConfigError, match=r"synth\.history"):
        plot_history(history)


def test_a_synthesizer_in_the_place_of_its_history_is_refused() -> None:
    table = pd.DataFrame({"x": np.arange(40.0)})
    synth = TVAESynthesizer(table, {"continuous": ["x"]}, epochs=1, verbose=False)
    for _ in range(2):
        with refuses(ConfigError, "history"):
            plot_history(synth)
        synth.fit(table)


def test_marginals_of_all_columns_worst_first(tables) -> None:
    real, synthetic = tables
    titles = captions(plot_marginals(real, synthetic))
    errors = [float(title.split("error ")[1].strip("<%")) for title in titles]
    assert len(titles) == real.shape[1]
    assert errors == sorted(errors, reverse=True)


def test_marginals_name_no_rare_value(tables) -> None:
    shown = "\n".join(texts(plot_marginals(*tables, columns=["id like", "species"])))
    assert "person-" not in plot_marginals(*tables)._repr_svg_()
    assert "setosa" in shown
    assert "versi$color$" in shown


def test_columns_are_drawn_in_the_order_asked_for(tables) -> None:
    names = ["species", "petal width (cm)"]
    assert [title.split(":")[0] for title in captions(plot_marginals(*tables, columns=names))] == names


def test_unknown_columns_are_named_with_the_nearest(tables) -> None:
    with pytest.raises(ColumnsMismatchError, match=r"'specis'.*did you mean 'species'"):
        plot_marginals(*tables, columns=["specis"])


def test_numbers_that_repeat_and_too_few_rows() -> None:
    rng = np.random.default_rng(0)
    zero_inflated = pd.DataFrame({"gain": np.where(rng.random(400) < 0.8, 0.0, rng.lognormal(8, 1, 400))})
    chart = plot_marginals(zero_inflated, zero_inflated)
    assert "exactly 0" in texts(chart)
    assert len(list(parsed(chart).iter(f"{SVG}svg"))) == 3  # the bars of the repeated value, and the histogram
    few = pd.DataFrame({"gain": np.arange(8.0)})
    assert "too few rows to draw" in texts(plot_marginals(few, few))


# ---------------------------------------------------------------- pairs


@pytest.mark.long
def test_pairs_show_three_maps(tables) -> None:
    chart = plot_pairs(*tables)
    assert captions(chart) == ["Real", "Synthetic", "Trend error (darkest: 30% and more)"]
    assert texts(chart).count("species") == 6
    wide = pd.DataFrame(np.random.default_rng(0).normal(size=(60, 45)))
    assert texts(plot_pairs(wide, wide)) == captions(chart)  # no room for the names of 45 columns


def test_one_column_has_no_pair() -> None:
    frame = pd.DataFrame({"x": np.arange(60.0)})
    assert "fewer than two columns: there are no pairs" in texts(plot_pairs(frame, frame))


# ---------------------------------------------------------------- latent space


def test_latent_space_is_a_density() -> None:
    rng = np.random.default_rng(0)
    real, synthetic = rng.normal(size=(500, 5)), rng.normal(size=(400, 5))
    real[0] = 90.0
    labels = {"real": rng.choice(["a", "b"], 500), "synthetic": rng.choice(["a", "b", "c"], 400)}
    chart = plot_latent(real, synthetic, labels)
    assert set(texts(chart)) == {"a", "b", "other or missing", "Real", "Synthetic"}
    for panel in list(parsed(chart).iter(f"{SVG}svg"))[1:]:
        n_hexagons = sum(path.get("d", "").count("M") for path in panel.iter(f"{SVG}path"))
        assert 0 < n_hexagons < 100
        assert panel.find(f"{SVG}circle") is None


def test_latent_space_without_labels_and_with_those_of_the_real_rows_alone() -> None:
    rng = np.random.default_rng(0)
    real = pd.DataFrame(rng.normal(size=(300, 2)))
    assert texts(plot_latent(real, real)) == ["Real", "Synthetic"]
    assert set(texts(plot_latent(real, real, rng.choice(["x", "y"], 300)))) == {"x", "y", "Real", "Synthetic"}


def test_latent_space_refuses_wrong_labels_and_few_rows() -> None:
    rows = np.random.default_rng(0).normal(size=(100, 3))
    with pytest.raises(ColumnsMismatchError, match="must be 100 labels, found 2"):
        plot_latent(rows, rows, ["a", "b"])
    with refuses(TooFewRowsError, "latent_real"):
        plot_latent(rows[:5], rows)
    with pytest.raises(TooFewRowsError):
        plot_latent(np.ones((100, 3)), rows)


@pytest.mark.long
def test_a_rare_label_is_not_named() -> None:
    rows = np.random.default_rng(0).normal(size=(300, 2))
    labels = ["common"] * 297 + ["canary"] * 3
    assert "canary" not in plot_latent(rows, rows, labels)._repr_svg_()


# ---------------------------------------------------------------- colours


def test_colours_differ_for_colour_blind_eyes() -> None:
    """Okabe and Ito's colours differ in lightness too, not by hue alone."""

    def lightness(colour: str) -> float:
        red, green, blue = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue

    assert len({REAL, SYNTHETIC, HOLDOUT}) == 3
    assert len(set(CLASSES)) == len(CLASSES)
    assert abs(lightness(REAL) - lightness(SYNTHETIC)) > 0.02
