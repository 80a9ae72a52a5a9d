# SPDX-License-Identifier: BSD-3-Clause
"""Pages in a real browser: no overflow on a phone and on a desk, the gain on the first screen, values on hover."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from harness.regression.trend import follow
from harness.report import trend_page, write_comparison, write_files, write_report
from harness.store import find_run
from harness.tests.fixtures import synthetic, synthetic_nic, synthetic_open, synthetic_own
from harness.tests.regression.test_trend import history

CHROMIUM = shutil.which("chromium")
DESK, PHONE = (1400, 900), (400, 800)
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars")
MANY = ("epoll", "uring", "nginx", "minimal", "lwip")
# each page tells its sizes to the one that frames it, and what its first chart says under a pointer
MEASURE = """<script>addEventListener("load", () => {
  const page = document.documentElement, chart = document.querySelector("svg.chart");
  const told = {width: page.clientWidth, needs: page.scrollWidth, charts: {}, value: ""};
  for (const one of document.querySelectorAll("svg.chart")) {
    const box = one.getBoundingClientRect();
    told.charts[one.getAttribute("aria-label")] = [box.left, box.top, box.right, box.bottom];
  }
  const box = chart.querySelector(".tip").getBoundingClientRect();
  chart.dispatchEvent(new PointerEvent("pointermove", {clientX: box.left + 1, clientY: box.top + 1}));
  told.value = document.querySelector(".value").hidden ? "" : document.querySelector(".value").textContent;
  document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
  told.unfolded = page.scrollWidth;
  parent.postMessage(JSON.stringify(told), "*");
});</script>"""
FRAMES = """<body>%s<script>
const found = {}, frames = [...document.querySelectorAll("iframe")];
addEventListener("message", (event) => {
  found[frames.find((frame) => frame.contentWindow === event.source).id] = JSON.parse(event.data);
  if (Object.keys(found).length === frames.length) {
    const told = document.createElement("pre");
    told.id = "told";
    told.textContent = JSON.stringify(found);
    document.body.append(told);
  }
});
</script></body>"""


def written(root: Path) -> dict[str, Path]:
    """A page of each kind."""
    made = {
        "tap": Path(shutil.copytree(find_run("reference"), root / "tap")),
        "shm": synthetic.write(root / "shm", own_clients=("lwip",)),
        "many": synthetic.write(root / "many", contenders=MANY, connections=(1, 2, 4, 8, 16, 32, 64, 128), rounds=3),
        "open": synthetic_open.write(root / "open"), "nic": synthetic_nic.write(root / "nic"),
        "ablate": synthetic_own.climb(root / "ablate"), "scale": synthetic_own.scale(root / "scale")}
    for name, run in made.items():
        write_report(run, root / "out" / name)
    write_comparison([made["tap"], made["many"]], root / "out" / "compare")
    write_files(root / "out" / "trend", trend_page(follow(history(6, 3, 0.08))))
    return {path.parent.name: path for path in (root / "out").glob("*/*.html")}


def asked(root: Path) -> dict[str, dict[str, Any]]:
    """Return what the browser says of frames.html; on a machine with much to do it may be cut off before it has."""
    for budget in (20_000, 200_000, 2_000_000):
        # virtual time: all pages are loaded when it is over
        done = subprocess.run([CHROMIUM or "", *FLAGS, f"--user-data-dir={root / 'profile'}",
                               f"--virtual-time-budget={budget}", "--dump-dom", (root / "frames.html").as_uri()],
                              capture_output=True, text=True, timeout=120, check=True)
        told = re.search(r'<pre id="told">(.*?)</pre>', done.stdout, re.DOTALL)
        if told:
            found: dict[str, dict[str, Any]] = json.loads(html.unescape(told[1]))
            return found
    raise AssertionError(done.stderr[-2000:])


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """By page and width what a browser says of it."""
    if CHROMIUM is None:
        pytest.skip("there is no chromium: apt-get install chromium")
    root = tmp_path_factory.mktemp("pages")
    found: dict[str, dict[str, Any]] = {}
    for name, page in written(root).items():
        page.write_text(page.read_text().replace("</body>", MEASURE + "</body>"))
        (root / "frames.html").write_text(FRAMES % "".join(
            f'<iframe id="{name}-{width}" src="{page.as_uri()}" width="{width}" height="{height}" style="border: 0">'
            "</iframe>" for width, height in (DESK, PHONE)))
        found |= asked(root)
    return found


def test_no_page_is_wider_than_a_phone_or_a_desk(seen: dict[str, dict[str, Any]]) -> None:
    assert len(seen) == 2 * 9
    for name, told in seen.items():
        assert told["width"] == int(name.rpartition("-")[2])
        assert max(told["needs"], told["unfolded"]) <= told["width"], name


def test_the_first_screen_of_a_desk_has_the_charts_that_are_read_first(seen: dict[str, dict[str, Any]]) -> None:
    width, height = DESK
    for name, charts in {"tap": ("gain", "throughput"), "shm": ("gain", "throughput"), "scale": ("gain",),
                         "many": ("gain", "throughput"), "nic": ("gain",), "open": ("offered",)}.items():
        for chart in charts:
            left, top, right, bottom = seen[f"{name}-{width}"]["charts"][chart]
            assert 0 <= left < right <= width and 0 <= top < bottom <= height, (name, chart)


def test_a_pointer_on_a_value_shows_it(seen: dict[str, dict[str, Any]]) -> None:
    assert re.fullmatch(r"over epoll, 1: [\d.]+( \[[\d.]+, [\d.]+\])?", seen["tap-1400"]["value"])
    assert all(re.search(r": .*\d", told["value"]) for told in seen.values())
