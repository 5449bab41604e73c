"""Every page as a browser shows it: Chromium opens report, comparison and dossier, wide and narrow, light and dark.

Skipped where there is no Chromium (Debian's package ``chromium``) or no playwright, which drives it.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from clover_tvae.evaluation import measure
from clover_tvae.report import build_comparison, build_dossier, build_report
from clover_tvae.workflows import builtin_table

playwright = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium")]

QUIET = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()
PAGES = ["report", "without", "wide", "comparison", "dossier", "notebook"]
FOCUSABLE = "a[href], summary, input, [tabindex='0']"

# The lowest contrast of any text with what lies behind it (WCAG 2.2, 1.4.3), and the text.
LOWEST_CONTRAST = """() => {
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const light = rgb => rgb.slice(0, 3).map(c => c / 255).map(c => c <= .04045 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4)
    .reduce((sum, c, at) => sum + c * [.2126, .7152, .0722][at], 0);
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const found = numbers(getComputedStyle(at).backgroundColor);
      if (found.length < 4 || found[3] === 1) return found;
    }
    return matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255];
  };
  let worst = [21, ""];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some(node => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility() || ["SCRIPT", "STYLE", "title", "desc"].includes(element.tagName)) continue;
    const style = getComputedStyle(element), ink = element.tagName === "text" ? style.fill : style.color;
    const pair = [light(numbers(ink)), light(behind(element))].sort((a, b) => b - a);
    const contrast = (pair[0] + .05) / (pair[1] + .05);
    if (contrast < worst[0]) worst = [contrast, `${element.tagName}.${element.className}: ${element.textContent.trim().slice(0, 40)}`];
  }
  return worst;
}"""


def _blurred(real: pd.DataFrame, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    rows = real.sample(len(real), replace=True, random_state=seed).reset_index(drop=True)
    numbers = rows.select_dtypes("number")
    noise = 0.3 * numbers.std().to_numpy() * rng.normal(size=numbers.shape)
    return rows.assign(**(numbers + noise).round(4))


def _wide() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    numbers = {f"laboratory value {at:03d}": rng.normal(size=300).round(2) for at in range(150)}
    return pd.DataFrame(numbers | {f"code_without_any_space_{at}": rng.choice(list("abc"), 300) for at in range(50)})


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    table = builtin_table("sklearn.breast_cancer").iloc[:, -12:]
    metadata = {
        "continuous": list(table.columns[:-1]),
        "categorical": ["diagnosis"],
        "variable_to_predict": "diagnosis",
    }
    real, fresh = table.iloc[:380], table.iloc[380:].reset_index(drop=True)
    synthetic, wide = _blurred(real, 1), _wide()
    figures = measure(real, synthetic, fresh, metadata)
    history = pd.DataFrame({"epoch": [1, 2, 3], "loss": [9.0, 5.0, 4.0], "validation_loss": [8.0, 6.0, 5.0]})
    report = build_report(real, synthetic, fresh, metadata, figures=figures, history=history, card={"rows": 380})
    results = [
        {"name": name, "figures": figures, "history": history, "fit_seconds": 8.0, "sigmas": {"mean area": [0.1 * at]}}
        for at, name in enumerate(("autoregressive", "independent", "a_name_without_any_space"), 1)
    ]
    for name, page in {
        "report": report.html(),
        "without": build_report(real, synthetic).html(),
        "wide": build_report(wide, _blurred(wide, 2), figures=()).html(),
        "comparison": build_comparison(results, facts={"rows": 380}),
        "dossier": build_dossier(
            real, synthetic, fresh, metadata, figures=figures, about={"purpose": "to teach"}
        ).html(),
        "notebook": f'<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Notebook</title>{report._repr_html_()}</html>',
    }.items():
        (folder / f"{name}.html").write_text(page, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=QUIET)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser: Any, folder: Path, name: str, width: int, scheme: str) -> Iterator[tuple[Any, list[str]]]:
    """A page, and what it said or asked for that it should not."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page, heard, address = context.new_page(), list[str](), (folder / f"{name}.html").as_uri()
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    inside = (address, "data:", "about:srcdoc")
    page.on("request", lambda request: None if request.url.startswith(inside) else heard.append(request.url))
    page.goto(address)
    yield page, heard
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_asks_for_nothing_fits_and_can_be_read(opened: tuple[Any, list[str]], name: str) -> None:
    page, heard = opened
    assert heard == []
    for frame in page.frames[1:] if name == "notebook" else page.frames:
        frame.evaluate("document.querySelectorAll('details').forEach(item => { item.open = true; })")
        assert frame.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        contrast, text = frame.evaluate(LOWEST_CONTRAST)
        assert contrast >= 4.5, text
    assert heard == []


@pytest.mark.parametrize("scheme", ["light"])
@pytest.mark.parametrize("width", [1280])
@pytest.mark.parametrize("name", [name for name in PAGES if name != "notebook"])
def test_tab_reaches_everything_and_shows_where_it_is(opened: tuple[Any, list[str]]) -> None:
    page, _ = opened
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"
    if page.locator("details:not([open]) > summary").count():
        page.locator("details:not([open]) > summary").first.focus()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.parentElement.open")
    page.evaluate("document.querySelectorAll('details').forEach(item => { item.open = true; })")
    wanted = page.evaluate(f"[...document.querySelectorAll(`{FOCUSABLE}`)].filter(one => one.checkVisibility()).length")
    page.evaluate("document.activeElement.blur(); getSelection().removeAllRanges(); window.reached = new Set()")
    for _ in range(wanted + 2):
        page.keyboard.press("Tab")
        page.evaluate("window.reached.add(document.activeElement)")
        shown = "document.activeElement === document.body || getComputedStyle(document.activeElement).outlineStyle != 'none'"
        assert page.evaluate(shown)
    missed = f"[...document.querySelectorAll(`{FOCUSABLE}`)].filter(one => one.checkVisibility() && !window.reached.has(one)).map(one => one.outerHTML.slice(0, 80))"
    assert page.evaluate(missed) == []


@pytest.mark.parametrize("scheme", ["light"])
@pytest.mark.parametrize("width", [1280])
@pytest.mark.parametrize("name", [name for name in PAGES if name != "notebook"])
def test_a_screen_reader_finds_landmarks_headings_and_headers(opened: tuple[Any, list[str]]) -> None:
    page, _ = opened
    levels = page.evaluate("[...document.querySelectorAll('h1, h2, h3, h4')].map(one => Number(one.tagName[1]))")
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    for unnamed in (
        "th:not([scope])",
        "svg[role=img]:not([aria-label])",
        "[role=region]:not([aria-label])",
        "nav:not([aria-label])",
    ):
        assert page.locator(unnamed).count() == 0, unnamed
    assert page.locator("main").count() == page.locator("header").count() == page.locator("footer").count() == 1
    ids = page.evaluate("[...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("scheme", ["dark"])
@pytest.mark.parametrize("width", [1280])
@pytest.mark.parametrize("name", ["report", "comparison", "dossier"])
def test_on_paper_a_page_is_light_and_shows_what_the_screen_folds_away(opened: tuple[Any, list[str]]) -> None:
    page, _ = opened
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    folded = "[...document.querySelectorAll('details:not([open]):not(.aside) > :not(summary)')]"
    assert page.evaluate(f"{folded}.every(one => one.getBoundingClientRect().height > 0)")
    assert page.pdf(format="A4").startswith(b"%PDF")


@pytest.mark.parametrize("scheme", ["light"])
@pytest.mark.parametrize("width", [1280])
@pytest.mark.parametrize("name", ["notebook"])
def test_a_notebook_shows_the_page_in_a_frame_whose_links_work(opened: tuple[Any, list[str]]) -> None:
    page, heard = opened
    frame = page.frames[1]
    frame.locator("nav.contents a", has_text="Privacy").click()
    page.wait_for_timeout(200)
    top = frame.evaluate("document.querySelector('#privacy').getBoundingClientRect().top")
    assert -5 <= top < 720
    assert heard == []
