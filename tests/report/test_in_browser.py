"""The page in a browser: it loads, works with and without scripts, and can be used by everyone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select, WebDriverWait

from experiments.report import page, page_data
from experiments.report.live import LiveRuns
from experiments.report.serve import Report, serving
from tests.analysis.synthetic_runs import spec
from tests.report.browser import chromium, complaints, faults, needs_browser, requests
from tests.report.made_up import EVIL, begin, train, whole

pytestmark = needs_browser

TITLE = "Cerebro-DS, reproduced: smoke scale"


def written(root: Path) -> Path:
    artifacts = whole(root)
    data = page_data.gather("smoke", artifacts, {f"waits-{EVIL}": EVIL})
    artifacts.page.write_text(page.render(data, artifacts), encoding="utf-8")
    return artifacts.page


@pytest.fixture
def driver(tmp_path: Path) -> Iterator[Any]:
    """A browser that shows a page from its file."""
    with chromium(tmp_path / "profile") as browser:
        browser.get(written(tmp_path / "artifacts").as_uri())
        yield browser


def shown(driver: Any, selector: str) -> list[Any]:
    return [each for each in driver.find_elements(By.CSS_SELECTOR, selector) if each.is_displayed()]


def unfold(driver: Any) -> None:
    driver.execute_script("document.querySelectorAll('details').forEach(e => { e.open = true; })")


def test_it_loads_from_a_file_without_complaint_or_request(driver: Any) -> None:
    assert complaints(driver) == []
    assert requests(driver) == [driver.current_url]
    assert driver.title == TITLE  # what runs and claims say did not run
    sizes = driver.execute_script(
        "return [...document.images].map(e => [e.complete, e.naturalWidth, e.clientWidth])"
    )
    assert sizes
    assert all(complete and natural > 0 and drawn > 0 for complete, natural, drawn in sizes)


def test_claims_are_sifted_by_outcome_and_words(driver: Any) -> None:
    assert len(shown(driver, ".claim")) == 3
    shown(driver, "input[value=contradicted]")[0].click()
    assert [each.get_attribute("id") for each in shown(driver, ".claim")] == ["claim-1", "claim-3"]
    shown(driver, "input[name=words]")[0].send_keys("WORDS of 1")
    assert [each.get_attribute("id") for each in shown(driver, ".claim")] == ["claim-1"]
    assert shown(driver, "#shown")[0].text == "1 of 3 claims shown"


def test_values_appear_on_hover_and_series_are_switched(driver: Any) -> None:
    unfold(driver)
    assert [each.get_attribute("data-series") for each in shown(driver, ".series")] == ["ours_s"]
    Select(shown(driver, ".charts select")[0]).select_by_value("ours_share")
    assert [each.get_attribute("data-series") for each in shown(driver, ".series")] == [
        "ours_share"
    ]
    bar = shown(driver, ".series li")[0]
    ActionChains(driver).scroll_to_element(bar).move_to_element(bar).perform()
    assert shown(driver, "#tip")[0].text == "CTQ · train: 0.75, paper 0.71"


def test_gantt_charts_tell_and_zoom(driver: Any) -> None:
    svg = shown(driver, ".gantt svg")[0]
    box = svg.find_element(By.TAG_NAME, "rect")
    driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", svg)
    ActionChains(driver).move_to_element(box).perform()
    assert (
        "train, model 0, partition 0, epoch 1; 0.000 s to 1.000 s" in shown(driver, "#tip")[0].text
    )

    def view() -> list[float]:
        return [float(each) for each in str(svg.get_dom_attribute("viewBox")).split()]

    assert view()[:3:2] == [0, 1000]
    button = shown(driver, "[data-do=in]")[0]
    button.click()
    assert view()[:3:2] == [250, 500]
    button.send_keys(Keys.ARROW_RIGHT)
    assert view()[:3:2] == [375, 500]
    ActionChains(driver).drag_and_drop_by_offset(svg, 100, 0).perform()
    assert view()[0] < 375
    button.send_keys(Keys.HOME)
    assert view()[:3:2] == [0, 1000]


def test_the_colours_can_be_chosen(driver: Any) -> None:
    def background() -> str:
        return str(driver.execute_script("return getComputedStyle(document.body).backgroundColor"))

    button = shown(driver, "#theme")[0]
    light = background()
    button.click()
    assert background() == light
    button.click()
    assert background() != light
    assert button.text == "Colours: dark"


def test_the_keyboard_skips_to_the_content(driver: Any) -> None:
    ActionChains(driver).send_keys(Keys.TAB, Keys.ENTER).perform()
    assert driver.switch_to.active_element.get_attribute("id") == "main"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("scripts", [False, True])
def test_axe_finds_no_serious_fault(tmp_path: Path, dark: bool, scripts: bool) -> None:
    path = written(tmp_path / "artifacts")
    if not scripts:
        text = path.read_text(encoding="utf-8")
        bare = re.sub(r"<script>.*?</script>\s*</body>", "</body>", text, flags=re.DOTALL)
        assert bare != text
        path.write_text(bare, encoding="utf-8")
    with chromium(tmp_path / "profile", dark=dark) as driver:
        driver.get(path.as_uri())
        unfold(driver)
        assert len(shown(driver, ".claim")) == 3
        assert len(shown(driver, ".series")) == (1 if scripts else 2)
        assert bool(shown(driver, ".needs-js")) == scripts
        assert faults(driver) == []


@pytest.mark.parametrize("width", [390, 1280])
def test_no_width_has_to_be_scrolled_sideways(tmp_path: Path, width: int) -> None:
    with chromium(tmp_path / "profile") as driver:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        driver.get(written(tmp_path / "artifacts").as_uri())
        unfold(driver)
        wider = driver.execute_script(
            "const root = document.documentElement;"
            "return [...document.querySelectorAll('body *')]"
            ".filter(e => !e.closest('.scroll, pre, .skip'))"
            ".filter(e => e.getBoundingClientRect().right > root.clientWidth + 1)"
            ".map(e => e.outerHTML.slice(0, 200))"
        )
        assert wider == []


def test_the_live_page_follows_a_journal(tmp_path: Path) -> None:
    artifacts = whole(tmp_path / "artifacts")
    report = Report("smoke", artifacts, LiveRuns(artifacts, lambda _: 16))
    with (
        serving(0, report) as address,
        chromium(tmp_path / "profile") as driver,
        begin(artifacts.runs / "search-ctq", spec(experiment="search")) as journal,
    ):
        driver.get(address)
        wait = WebDriverWait(driver, 60)

        def units() -> list[str]:
            rows = driver.find_elements(By.CSS_SELECTOR, "#live-workers tbody tr td.number")
            return [row.text for row in rows]

        wait.until(lambda _: units() == ["0", "0"])
        train(journal, 1, 0, 0)
        wait.until(lambda _: units() == ["0", "1"])
        assert EVIL in driver.find_element(By.CSS_SELECTOR, "#live-log pre").text
        assert faults(driver) == []
        assert driver.title == TITLE
        assert complaints(driver) == []
        assert {each.rpartition("/")[0] + "/" for each in requests(driver)} == {address}
