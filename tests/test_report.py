"""The report page, in a real browser where there is one."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from invdn.data.pairs import Pair
from invdn.evaluate import Method, evaluate
from invdn.report import html_report, new_figure, svg


@pytest.fixture(scope="module")
def page_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)

    def blur(image: np.ndarray, strength: float) -> np.ndarray:
        shifted = (np.roll(image, i, axis=(0, 1)).astype(np.float32) for i in range(3))
        return np.asarray(sum(shifted) / 3).round().astype(np.uint8)

    pairs = []
    for number, sigma in enumerate((4, 20, 40)):
        clean = np.tile(np.linspace(40, 210, 80).astype(np.uint8)[None, :, None], (64, 1, 3))
        noisy = np.clip(clean + rng.normal(0, sigma, clean.shape), 0, 255).round()
        pairs.append(Pair(f"<{number}>", noisy.astype(np.uint8), clean))
    evaluation = evaluate(pairs, [Method("blur", blur, (1.0,))], title="A & B", examples=1)
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(html_report(evaluation), encoding="utf-8")
    return path


def test_needs_no_other_file(page_path: Path) -> None:
    text = page_path.read_text(encoding="utf-8")
    assert "<h1>A &amp; B</h1>" in text
    assert "&lt;2&gt;" in text
    assert "<2>" not in text
    for outside in ('src="http', "src='http", "<link", "@import", "url(http"):
        assert outside not in text


def test_names_that_matplotlib_would_interpret() -> None:
    image = np.random.default_rng(0).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    pairs = [Pair("$\\frac$", image, image[::-1]), Pair("a$b", image, image[::-1])]
    methods = [Method(name, lambda x, _: x // 2, (1.0,)) for name in ("_mine", "$\\sqrt$")]
    text = html_report(evaluate(pairs, methods))
    for name in ("$\\frac$", "a$b", "_mine", "$\\sqrt$"):
        assert len(re.findall(rf"<text [^>]*>\u200b?{re.escape(name)}</text>", text)) >= 1, name
    assert "\u200b_mine</text>" in text  # in the legend too


def test_the_callers_figures_and_window_system_stay() -> None:
    import matplotlib as mpl
    import matplotlib.pyplot as plt

    before = mpl.get_backend()
    figure, _ = new_figure()
    svg(figure)
    assert mpl.get_backend() == before
    assert plt.get_fignums() == []


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no chromium: a system package, apt install chromium")
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


def test_in_a_browser(page_path: Path, browser: Any) -> None:
    page = browser.new_page()
    problems: list[str] = []
    page.on("console", lambda m: problems.append(m.text) if m.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(request.url))
    page.goto(page_path.as_uri())

    assert page.locator("tbody tr td").nth(0).inner_text() == "blur"
    assert page.locator(".plot svg").count() == 2
    loaded = "images => images.every(image => image.complete && image.naturalWidth === 80)"
    assert page.locator("img").evaluate_all(loaded)

    # Drag the first slider from its middle to a quarter: the noisy picture covers that much.
    slider = page.locator(".wipe input").first
    slider.scroll_into_view_if_needed()
    box = slider.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + box["height"] / 2)
    page.mouse.up()
    covered = page.locator(".wipe").first.evaluate(
        "e => getComputedStyle(e).getPropertyValue('--x')"
    )
    assert 20 < float(covered.rstrip("%")) < 30
    edge = page.locator(".wipe .edge").first.bounding_box()
    assert abs(edge["x"] - box["x"] - box["width"] / 4) < 0.05 * box["width"]
    assert problems == []
    # No sideways scrolling on a phone.
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
