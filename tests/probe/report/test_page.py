"""The page in a real Chromium: what a reader clicks and types, and that it asks the network for nothing."""

import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from probe.report.cli import main
from store.records import write_record
from store.root import open_root

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
    "--disable-background-networking", "--disable-component-update", "--window-size=1280,900",
)  # fmt: skip
NASTY = "<script>document.title='taken'</script>"
ROWS = 60


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    chromium, driver = shutil.which("chromium") or shutil.which("chromium-browser"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("chromium and chromedriver are not installed: apt-get install chromium chromium-driver")
    from selenium import webdriver
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    options = Options()
    options.binary_location = chromium
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=Service(driver))
    yield started
    started.quit()


@pytest.fixture(scope="module")
def page(tmp_path_factory, probed, fewshot) -> str:
    """The address of a page with `ROWS` single networks, one concatenation of an evil name, few-shot results."""
    root = open_root(tmp_path_factory.mktemp("store"))
    for k in range(ROWS):
        write_record(root, probed(f"net{k}", 0.3 + k / 200, dataset=("toy", "other")[k % 2]))
    write_record(root, probed(f"net1,{NASTY}", 0.9, dataset="other", per_class={NASTY: 0.5, "y": 0.4}))
    write_record(root, fewshot({"net1": 0.2, "net2": 0.3}))
    root.put(f"records/probe/broken{NASTY.replace('/', '')}.json", NASTY.encode())
    file = tmp_path_factory.mktemp("page") / "report.html"
    assert main(["--store", root.url, "--html", str(file)]) == 0
    return f"file://{file}"


@pytest.fixture
def shown(browser, page) -> Any:
    """The browser with the page open; afterwards nothing was complained of and nothing asked for but the file."""
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    for kind in ("browser", "performance"):
        browser.get_log(kind)
    browser.get(page)
    yield browser
    assert [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")] == []
    asked = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = {m["params"]["request"]["url"] for m in asked if m["method"] == "Network.requestWillBeSent"}
    assert {url for url in urls if not url.startswith("data:")} <= {page}


def column(shown: Any, nth: int) -> list[str]:
    cells = shown.find_elements("css selector", f"#table tbody tr.row > :nth-child({nth})")
    return [cell.text for cell in cells]


def header(shown: Any, title: str) -> Any:
    (button,) = [b for b in shown.find_elements("css selector", "#table thead button") if b.text == title]
    return button


def wait_for(shown: Any, text: str) -> None:
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(shown, 5).until(lambda b: b.find_element("id", "count").text == text)


def test_sorting_filtering_and_pages(shown) -> None:
    values = [float(text.split()[0]) for text in column(shown, 3)]
    assert len(values) == 25
    assert values == sorted(values, reverse=True), "the best stand first"
    header(shown, "Accuracy, %").click()
    values = [float(text.split()[0]) for text in column(shown, 3)]
    assert values == sorted(values)
    assert header(shown, "Accuracy, %").find_element("xpath", "..").get_attribute("aria-sort") == "ascending"
    header(shown, "Features").click()
    assert column(shown, 2)[:3] == ["net0", "net1", "net1"], "numbers in names sort as numbers"
    assert shown.find_element("css selector", "#pager span").text == "page 1 of 3"
    shown.find_element("css selector", "#pager button:last-child").click()
    assert shown.find_element("css selector", "#pager span").text == "page 2 of 3"
    field = shown.find_element("id", "filter")
    field.send_keys("net1 5-way")
    wait_for(shown, "2 of 65 results")
    assert set(column(shown, 2)) == {"net1"}
    field.clear()
    field.send_keys("nothing like it")
    wait_for(shown, "0 of 65 results")
    assert column(shown, 2) == []


def test_choosing_a_dataset(shown) -> None:
    from selenium.webdriver.support.select import Select

    (select,) = [
        label.find_element("tag name", "select")
        for label in shown.find_elements("css selector", "#filters label")
        if label.text.startswith("Dataset")
    ]
    Select(select).select_by_visible_text("other")
    wait_for(shown, "31 of 65 results")


def test_by_keyboard_alone(shown) -> None:
    from selenium.webdriver import ActionChains, Keys

    def press(*keys: str) -> Any:
        for key in keys:
            ActionChains(shown).send_keys(key).perform()
        return shown.switch_to.active_element

    assert press("/").get_attribute("id") == "filter"
    press(*"net7")
    wait_for(shown, "1 of 65 results")
    press(Keys.ESCAPE)
    wait_for(shown, "65 results")
    shown.execute_script("document.querySelector('#table thead button').focus()")
    assert press(Keys.ENTER).text == "Features", "the focus stays on the head that was pressed"
    assert column(shown, 2)[0] == "net0"
    shown.execute_script("document.querySelector('#table .open').focus()")
    assert press(Keys.SPACE).get_attribute("aria-expanded") == "true"
    assert len(shown.find_elements("css selector", ".detail")) == 1
    press(Keys.ENTER)
    assert shown.find_elements("css selector", ".detail") == []


def test_provenance(shown) -> None:
    shown.find_element("css selector", ".open").click()
    detail = shown.find_element("css selector", ".detail").text
    for text in ("python -m probe --features", "test  net1  " + b"testnet1".hex(), "torch 2.6", "ab" * 32):
        assert text.replace("  ", " ") in detail
    assert "weight decay 0.1" in detail


def test_names_stay_text(shown) -> None:
    shown.find_element("css selector", ".open").click()
    assert shown.title.startswith("Motherlode")
    assert NASTY in shown.find_element("css selector", "#results").text
    assert NASTY in shown.find_element("css selector", "#answer h1").text
    assert NASTY in shown.find_element("css selector", "#figures").text
    assert len(shown.find_elements("tag name", "script")) == 2


def test_the_policy_stops_what_is_put_in(shown) -> None:
    evil = "<p id=evil onclick='document.title=1'>x</p>"
    shown.execute_script("document.body.insertAdjacentHTML('afterbegin', arguments[0])", evil)
    shown.execute_script("document.getElementById('evil').click()")
    assert shown.title.startswith("Motherlode")
    (blocked,) = shown.get_log("browser")
    assert "Content Security Policy" in blocked["message"]


def test_dark_and_light(shown) -> None:
    def background() -> str:
        return shown.execute_script("return getComputedStyle(document.body).backgroundColor")

    light = background()
    button = shown.find_element("id", "theme")
    button.click()
    dark = background()
    assert sum(map(int, dark[4:-1].split(", "))) < 120 < sum(map(int, light[4:-1].split(", ")))
    assert button.get_attribute("aria-pressed") == "true"
    shown.refresh()
    assert background() == dark, "the choice is remembered"
    shown.find_element("id", "theme").click()
    shown.execute_script("localStorage.clear()")
    media = {"features": [{"name": "prefers-color-scheme", "value": "dark"}]}
    shown.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    shown.refresh()
    assert background() == dark, "the system's choice is the first"
    colour = "return getComputedStyle(document.querySelector('figure svg text')).fill"
    assert sum(map(int, shown.execute_script(colour)[4:-1].split(", "))) > 400, "figures are in the theme too"


def test_on_a_phone(shown) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    shown.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    shown.refresh()
    assert shown.execute_script("return document.documentElement.scrollWidth") == 390, (
        "nothing is wider than the screen"
    )
    heads = [b.text for b in shown.find_elements("css selector", "#table thead button") if b.is_displayed()]
    assert heads[:2] == ["Features", "Accuracy, %"]
    assert "NLL" not in heads


def test_every_control_has_a_name(shown) -> None:
    nameless = shown.execute_script(
        "return [...document.querySelectorAll('button, input, select, a, [role=region], svg[role=img]')]"
        ".filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label') || (e.labels && e.labels.length)))"
        ".map((e) => e.outerHTML)"
    )
    assert nameless == []
    ids = shown.execute_script("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
