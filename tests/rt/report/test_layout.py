"""The report in a real Chromium: on a phone, a laptop and paper nothing overlaps, nothing is cut."""

from __future__ import annotations

import base64
import io
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from eegvlm_rt.cohort import Status
from eegvlm_rt.night import Night
from tests.rt.cohort.nights import page_of, receipt_of

from .nights import night_of_hours

LAYOUT = Path(__file__).with_name("layout.js").read_text(encoding="utf-8")
BROKEN_WORDS = """
  const found = {words: 0, broken: []};
  const cells = document.querySelectorAll('.checks th, .checks td');
  for (const cell of cells) {
    for (const text of cell.childNodes) {
      for (const word of text.data.matchAll(/[^\\s-]+/g)) {
        const range = document.createRange();
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        found.words += 1;
        if (range.getClientRects().length > 1) found.broken.push(word[0]);
      }
    }
  }
  return found;
"""
FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def program(name: str) -> str:
    """Path of a program; without it a test is skipped, in CI it fails: .ci/run installs it."""
    path = shutil.which(name)
    if path is None:
        message = f"{name} is missing: make browser installs it"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    options = Options()
    options.binary_location = program("chromium")
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(program("chromedriver")))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A night of 8 h with a gap."""
    return night_of_hours(8, gap=(300, 420)).report(tmp_path_factory.mktemp("report") / "night.html")


@pytest.fixture(scope="module")
def short() -> Night:
    """Five minutes."""
    return night_of_hours(5 / 60)


def show(browser: webdriver.Chrome, path: Path, width: int, *, scripts: bool = True) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": not scripts})
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(path.as_uri())


def check_layout(browser: webdriver.Chrome, width: int) -> None:
    found: dict[str, Any] = browser.execute_script(LAYOUT)
    assert found["texts"] > 150
    assert found["wrong"] == {"outside": [], "overlap": [], "cut": [], "contrast": []}
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width


def test_nothing_overlaps_is_cut_or_pale_at_any_width(
    browser: webdriver.Chrome, report: Path, short: Night, tmp_path: Path
) -> None:
    for width in (320, 375, 768, 1920):
        show(browser, report, width)
        check_layout(browser, width)
    page = short.report(tmp_path / "short.html")
    for width in (320, 1280):
        show(browser, page, width)
        check_layout(browser, width)


def test_no_word_of_a_claim_is_broken_on_a_phone(browser: webdriver.Chrome, report: Path) -> None:
    show(browser, report, 320)
    broken = browser.execute_script(BROKEN_WORDS)
    assert broken["words"] > 100
    assert broken["broken"] == []


def test_the_report_of_a_cohort_is_laid_out_as_well(browser: webdriver.Chrome, tmp_path: Path) -> None:
    receipts = [receipt_of(i) for i in range(20)]
    receipts += [receipt_of(20, sleep_min=3.0, scored_min=9.0, flag_flat_epochs=7)]
    receipts += [receipt_of(21, status=Status.FAILED)]
    page = tmp_path / "group.html"
    page.write_text(page_of(receipts), encoding="utf-8")
    for width in (320, 1280):
        show(browser, page, width)
        check_layout(browser, width)


def test_panels_are_drawn_above_each_other_zoomed_by_keyboard_and_printed(
    browser: webdriver.Chrome, report: Path, tmp_path: Path
) -> None:
    show(browser, report, 1280)
    check_layout(browser, 1280)
    for selector, ink in (("svg.night", 0.1), ("svg.eeg", 0.02)):
        for element in browser.find_elements(By.CSS_SELECTOR, selector)[:4]:
            picture = Image.open(io.BytesIO(element.screenshot_as_png)).convert("RGB")
            pixels = np.asarray(picture).reshape(-1, 3)
            assert picture.width > 250
            assert picture.height > 80
            assert (np.abs(pixels.astype(int) - 255).max(axis=1) > 20).mean() > ink
    places = {
        (round(e.rect["x"], 1), round(e.rect["width"], 1))
        for e in browser.find_elements(By.CSS_SELECTOR, ".panel, .times")
    }
    assert len(places) == 1
    epochs = float(browser.find_element(By.CSS_SELECTOR, ".panels").get_attribute("data-epochs") or 0)
    browser.find_element(By.CSS_SELECTOR, "[data-zoom=in]").send_keys(Keys.ENTER)
    assert views(browser) == {f"{epochs / 4:g} 0 {epochs / 2:g} 100"}
    assert browser.execute_script(LAYOUT)["wrong"]["outside"] == []
    browser.find_element(By.CSS_SELECTOR, "[data-zoom=all]").send_keys(Keys.SPACE)
    assert views(browser) == {f"0 0 {epochs:g} 100"}
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": True, "preferCSSPageSize": True})
    path = tmp_path / "printed.pdf"
    path.write_bytes(base64.b64decode(printed["data"]))
    check_paper(path, report, tmp_path)


def views(browser: webdriver.Chrome) -> set[str | None]:
    return {e.get_dom_attribute("viewBox") for e in browser.find_elements(By.CSS_SELECTOR, "svg.night")}


def test_without_scripts_only_the_zoom_is_missing(browser: webdriver.Chrome, report: Path) -> None:
    show(browser, report, 1280, scripts=False)
    assert not browser.find_element(By.CSS_SELECTOR, ".zoom").is_displayed()
    assert browser.find_element(By.CSS_SELECTOR, "svg.night").is_displayed()
    assert browser.find_elements(By.CSS_SELECTOR, ".tick")[0].is_displayed()


def test_the_pdf_that_needs_no_browser_holds_the_whole_page(tmp_path: Path) -> None:
    night = night_of_hours(1, gap=(50, 60))
    report = night.report(tmp_path / "night.html", epochs=3)
    check_paper(night.report(tmp_path / "night.pdf", epochs=3), report, tmp_path)


def check_paper(path: Path, report: Path, folder: Path) -> None:
    """All text is there, on pages of A4 whose margins are white."""
    command = [program("pdftotext"), "-layout", str(path), "-"]
    text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    cards = report.read_text(encoding="utf-8").count("<article")
    for shown in ("Not a medical device", "Sleep onset latency", "Transitions", "amplitude", "not assessed"):
        assert shown in text
    assert text.count("Measured:") == cards
    subprocess.run([program("pdftoppm"), "-r", "50", "-png", str(path), str(folder / "page")], check=True)
    pages = sorted(folder.glob("page*.png"))
    assert 2 <= len(pages) <= 14
    for page in pages:
        pixels = np.asarray(Image.open(page).convert("L"))
        assert pixels.shape[0] / pixels.shape[1] == pytest.approx(297 / 210, rel=0.01)
        margin = 15
        for edge in (pixels[:margin], pixels[-margin:], pixels[:, :margin], pixels[:, -margin:]):
            assert (edge > 250).all()
    assert max(np.asarray(Image.open(page).convert("RGB")).std() for page in pages) > 20
