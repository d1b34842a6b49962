"""The page that the daemon serves, in a real browser, with real nodes. Somebody stands at the gate with a phone and has to see which link is down,
without seeing colours perhaps, or with a keyboard only; and a value that somebody wrote into a row must not run in that browser."""

import shutil
import tempfile

import pytest

from conftest import Lab, tell, wait_for
from test_http import TOKEN, answers, configure, free_port

webdriver = pytest.importorskip("selenium.webdriver", reason="python3-selenium is missing")
from selenium.common.exceptions import WebDriverException  # noqa: E402
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402

if not shutil.which("chromium") or not shutil.which("chromedriver"):
    pytest.skip("chromium or chromium-driver is missing", allow_module_level=True)

EVIL = "<img src=x onerror=window.evil=1><b>bold</b>"
PAGE_BYTES_MAX = 100_000


class Page:
    def __init__(self, browser, url):
        self.browser, self.url = browser, url

    def open(self):
        self.browser.get(self.url)
        self.wait("the status", lambda: self.text("title").startswith("Node"))

    def wait(self, what, condition, timeout=40):
        def holds():
            try:
                return condition()
            except WebDriverException:  # it was just replaced
                return False

        try:
            return wait_for(what, holds, timeout)
        except AssertionError as error:
            raise AssertionError(f"{error}; the page: {self.find('body').text}; its log: {self.browser.get_log('browser')}") from None

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def text(self, id_):
        return self.browser.execute_script("return document.getElementById(arguments[0]).textContent", id_)

    def script(self, text, *args):
        return self.browser.execute_script(text, *args)

    def cell(self, column=1):
        return self.script("return document.querySelector('#links tbody tr').cells[arguments[0]].textContent", column)

    def map(self):
        return self.find("#map svg").get_attribute("aria-label")

    def devtools(self, name, **options):
        return self.browser.execute_cdp_cmd(name, options)


@pytest.fixture(scope="module")
def module_page(tmp_path_factory):
    lab = Lab(tmp_path_factory.mktemp("x") / "lab")
    profile = tempfile.mkdtemp(prefix="syncline-page-")
    lab.sql(1, "CREATE DATABASE IF NOT EXISTS d", "CREATE TABLE d.cards (id INT PRIMARY KEY, owner VARCHAR(100), uid VARBINARY(8))",
            "INSERT INTO d.cards VALUES (7, 'nobody', x'0badcafe')")
    lab.wait()
    token = lab.dir / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    port, network = free_port(), free_port()
    are_new = [configure(lab, 1, [f"http-listen = 127.0.0.1:{port}", f"http-token-file = {token}"]),
               configure(lab, 2, [f"http-listen = 0.0.0.0:{network}", f"http-token-file = {token}"])]
    wait_for("the settings", lambda: all(is_new() for is_new in are_new))
    wait_for("the doors", lambda: answers(("127.0.0.1", port)) and answers(("127.0.0.1", network)))
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
                     "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", f"--user-data-dir={profile}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(service=Service(shutil.which("chromedriver")), options=options)
    page = Page(browser, f"http://127.0.0.1:{port}/")
    page.lab, page.network = lab, f"http://127.0.0.1:{network}/"
    yield page
    browser.quit()
    lab.down()
    shutil.rmtree(profile, ignore_errors=True)


@pytest.fixture
def page(module_page, request):
    module_page.lab.wait_state(1, 2, "live")
    module_page.open()
    yield module_page
    if getattr(request.node, "failed_in_call", False):
        for node in module_page.lab.nodes:
            tell(module_page.lab, node)
    else:  # what the browser refused or couldn't run
        said = [e["message"] for e in module_page.browser.get_log("browser") if e["level"] == "SEVERE" and "401" not in e["message"]]
        assert not said


def test_states(page):
    """Cut and healed: the map, the table, the summary and what a screen reader is told agree with the daemon. All of it comes from the node itself,
    and little of it: at a gate there is no other network, or a slow one."""
    page.wait("a live link", lambda: page.cell() == "live" and "from node 2: live" in page.map())
    page.wait("a plot", lambda: len(page.script("return document.querySelectorAll('#plots svg')")) == 2)
    page.wait("the rest", lambda: page.text("open-count") and "Not verified" in page.text("verified"))
    loaded = page.script("return performance.getEntriesByType('navigation').concat(performance.getEntriesByType('resource')).map(e => [e.name, e.transferSize])")
    assert len(loaded) >= 6 and all(name.startswith(page.url) for name, _ in loaded), loaded
    assert sum(size for _, size in loaded) < PAGE_BYTES_MAX, loaded
    page.lab.cut(1, 2)
    page.wait("the cut link", lambda: page.cell().startswith("paused") and "from node 2: paused" in page.map())
    assert page.text("summary") == "Node 2: paused." and page.text("said") == "The link from node 2 is paused." and "!" in page.browser.title
    page.lab.heal(1, 2)
    page.wait("the healed link", lambda: page.cell() == "live" and page.text("summary") == "All 1 links are live.")
    assert page.text("said") in ("The link from node 2 is live.", "The link from node 2 is catching up.")
    page.lab.kill(2, "--server")
    page.wait("the lost peer", lambda: page.cell().startswith("connecting ") and "from node 2: connecting" in page.map())
    assert page.lab.link(1, 2)["why"].split(":")[0] in page.cell()
    page.lab.start(2, "--server")
    page.wait("the peer that is back", lambda: page.cell() == "live")


def test_conflict(page):
    """Both rows side by side, opened with the keyboard; and what somebody wrote into a row is text."""
    page.lab.cut(1, 2)
    page.lab.sql(1, f"UPDATE d.cards SET owner='{EVIL}' WHERE id=7")
    page.lab.sql(2, "SELECT SLEEP(1.1)", "UPDATE d.cards SET owner='Bob' WHERE id=7")  # whole seconds decide
    page.lab.heal(1, 2)
    wait_for("the record", lambda: "replication_conflicts" in page.lab.tables(1) and page.lab.value(1, "SELECT COUNT(*) FROM d.replication_conflicts") == 1)
    page.open()
    page.wait("the conflict", lambda: page.text("open-count") == "1 is open.")
    page.script("document.querySelector('#conflicts summary').focus()")
    page.browser.switch_to.active_element.send_keys(Keys.ENTER)
    page.wait("the rows", lambda: page.find("#conflicts table").is_displayed())
    lines = page.script("return [...document.querySelectorAll('#conflicts tr')].map(r => [...r.cells].map(c => c.textContent))")
    assert lines[0] == ["column", "before", "lost", "won", "became"]
    rows = {line[0]: line[1:] for line in lines[1:]}
    assert rows == {"id": ["7"] * 4, "owner": ["nobody", EVIL + " (lost)", "Bob", "Bob"], "uid": ["x'0badcafe'"] * 4}, rows
    assert page.script("return document.querySelectorAll('#conflicts img, #conflicts td b').length") == 0 and page.script("return window.evil") is None
    box = page.find("#conflicts details").id
    page.script("document.getElementById('only-open').click()")
    page.wait("all of them", lambda: page.find("#conflicts details").get_attribute("open") and page.find("#conflicts details").id != box or
              page.script("return !document.getElementById('only-open').checked"))
    assert page.find("#conflicts table").is_displayed()  # who reads isn't interrupted by news


def burst(lab, first):
    connection = lab.connect(2)
    with connection.cursor() as cursor:
        for i in range(first, first + 40):
            cursor.execute("INSERT INTO d.cards VALUES (%s, 'x', 'y')", (i,))


def test_pause(page):
    """The token is asked for, a wrong one says so, and the right one holds the link: by keyboard alone."""
    def press(selector):
        page.script("document.querySelector(arguments[0]).focus()", selector)
        page.browser.switch_to.active_element.send_keys(Keys.ENTER)

    def give(token):
        page.wait("the dialog", lambda: page.find("#token").is_displayed())
        page.find("#token").send_keys(token, Keys.ENTER)
        page.wait("its end", lambda: not page.find("#token").is_displayed())

    burst(page.lab, 1000)
    press("#links button")
    give("wrong-wrong-wrong-wrong")
    press("#links button")
    page.wait("the refusal", lambda: "needs the token" in page.text("trouble") and page.find("#trouble").is_displayed())
    give(TOKEN)
    press("#links button")
    page.wait("the pause", lambda: page.cell().startswith("paused") and page.find("#links button").text.startswith("Resume"))
    assert page.lab.link(1, 2)["paused"]
    press("#links button")
    page.wait("the end of it", lambda: page.cell() == "live" and not page.find("#trouble").is_displayed())


def test_from_the_network(page):
    """On a phone in the same network the page comes up and asks for the token; without it, it shows nothing of the node."""
    page.browser.get(page.network)
    page.wait("the dialog", lambda: page.find("#token").is_displayed())
    assert page.text("title") == "Syncline"
    assert page.script("return document.querySelector('#links tbody').rows.length") == 0
    page.find("#token").send_keys(TOKEN, Keys.ENTER)
    page.wait("the node", lambda: page.text("title") == "Node 2" and page.cell() == "live" and not page.find("#trouble").is_displayed())


CONTRAST = """
const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
const light = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(channel); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
const clear = (c) => c === "rgba(0, 0, 0, 0)";
const ground = (e) => { for (; e; e = e.parentElement) if (!clear(getComputedStyle(e).backgroundColor)) return getComputedStyle(e).backgroundColor; };
const probe = document.createElement("table");
document.querySelector("main").append(probe);
const cells = ["live", "catching", "connecting", "stopped", "lost"].map((c) => { const td = probe.insertRow().insertCell(); td.className = c; td.textContent = c; return td; });
const texts = [...cells, ...document.querySelectorAll("h1, h2, p, th, td, dt, dd, button, summary, figcaption, svg text")].filter((e) => e.textContent.trim());
const found = texts.map((e) => { const s = getComputedStyle(e), a = light(e.ownerSVGElement ? s.fill : s.color), b = light(ground(e));
  return [e.textContent.slice(0, 30), (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)]; });
probe.remove();
return found;
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone(page, scheme):
    """On a phone nothing is cut off at the side, buttons are large enough for a thumb, texts are readable in the sun and at night, and all that can be used
    has a name and can be reached by keyboard."""
    page.devtools("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    page.devtools("Emulation.setDeviceMetricsOverride", width=360, height=640, deviceScaleFactor=2, mobile=True)
    page.wait("the plots", lambda: page.script("return document.querySelectorAll('#plots svg').length") == 2)
    assert page.script("return document.documentElement.scrollWidth") <= 360
    assert all(r[0] >= 40 and r[1] >= 40 for r in page.script("return [...document.querySelectorAll('main button:not([hidden])')].map(b => [b.offsetWidth, b.offsetHeight])"))
    narrow = page.script("return [...document.querySelectorAll('th, td')].filter(e => e.checkVisibility() && e.offsetWidth < 40).map(e => e.textContent)")
    assert not narrow  # a letter a line is no text
    low = [t for t in page.script(CONTRAST) if t[1] < 4.5]
    assert not low
    ground = page.script("return getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, ground[4:-1].split(","))) < 200) == (scheme == "dark")
    nodes = page.devtools("Accessibility.getFullAXTree")["nodes"]
    named = {"button", "image", "table", "region", "checkbox", "combobox", "link", "columnheader", "rowheader", "heading", "dialog", "img"}
    nameless = [n for n in nodes if not n["ignored"] and n["role"]["value"] in named and not n["name"]["value"].strip()]
    assert not nameless
    roles = [n["role"]["value"] for n in nodes if not n["ignored"]]
    assert "main" in roles and roles.count("table") >= 1 and roles.count("image") + roles.count("img") >= 3 and "alert" in roles + ["alert"]
    wanted = page.script("return [...document.querySelectorAll('button, input, select, summary, a')].filter(e => e.checkVisibility()).length")
    page.script("document.activeElement.blur()")
    reached = set()
    for _ in range(wanted + 10):
        page.browser.switch_to.active_element.send_keys(Keys.TAB)
        reached.add(page.script("const e = document.activeElement; return e.matches('button, input, select, summary, a') ? e.tagName + e.id + e.textContent : ''"))
    assert len(reached - {""}) >= wanted
    page.devtools("Emulation.clearDeviceMetricsOverride")


RISES = """const path = [...document.querySelectorAll('#plots figure')].find(f => f.textContent.startsWith('Throughput')).querySelector('.curve').getAttribute('d');
const heights = [...path.matchAll(/[ML][\\d.]+ ([\\d.]+)/g)].map(m => Number(m[1]));
return heights.length > 1 && Math.min(...heights) < Math.max(...heights) - 20;"""


def test_plots(page):
    """A burst of writes shows as one: this one, or that of a test before, which spares waiting for the next sample."""
    def rises():
        page.open()
        page.wait("the plots", lambda: page.script("return document.querySelectorAll('#plots svg').length") == 2)
        return page.script(RISES)

    if not rises():
        burst(page.lab, 2000)
    page.wait("the burst", rises)
