"""Headless Chromium for tests; they are skipped with one line where it is not installed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from experiments.cli.machine import BROWSER, apt_line

_CHROMIUM, _DRIVER = shutil.which("chromium"), shutil.which("chromedriver")

needs_browser = pytest.mark.skipif(
    not (_CHROMIUM and _DRIVER),
    reason=f"no Chromium to look at the page with: {apt_line(BROWSER)}",
)

_ARGUMENTS = (
    "--headless=new",
    "--no-sandbox",  # root has no other way; the pages are our own
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)


@contextmanager
def chromium(profile: Path, *, width: int = 1280, dark: bool = False) -> Iterator[Any]:
    """A driver whose browser has ended when the block does.

    Parameters
    ----------
    profile : a folder of its own.
    dark : whether the system's colours are.
    """
    options = webdriver.ChromeOptions()
    options.binary_location = _CHROMIUM or ""
    for argument in (*_ARGUMENTS, f"--user-data-dir={profile}", f"--window-size={width},900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = Service(_DRIVER)
    driver = webdriver.Chrome(options=options, service=service)
    try:
        media = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
        driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})
        yield driver
    finally:
        driver.quit()
        service.stop()


def complaints(driver: Any) -> list[str]:
    """What the browser's console has said since the last call."""
    return [entry["message"] for entry in driver.get_log("browser")]


def requests(driver: Any) -> list[str]:
    """Addresses that the page asked for since the last call.

    Data in the page is none, and what Chromium shows before the page is its own.
    """
    events = [json.loads(entry["message"])["message"] for entry in driver.get_log("performance")]
    asked = [
        str(event["params"]["request"]["url"])
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    return [address for address in asked if not address.startswith(("data:", "chrome://"))]


def faults(driver: Any) -> list[str]:
    """Serious and critical violations that axe-core finds on the page as it is."""
    driver.execute_script(files("axe_core_python").joinpath("axe.min.js").read_text("utf-8"))
    found = driver.execute_async_script(
        "axe.run(document, {resultTypes: ['violations']})"
        ".then(arguments[0], error => arguments[0]({violations: [{id: String(error), "
        "impact: 'critical', nodes: []}]}))"
    )
    return [
        f"{each['id']}: {[node['html'][:200] for node in each['nodes'][:3]]}"
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
    ]
