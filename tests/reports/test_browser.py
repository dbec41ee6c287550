"""The page in a real browser: no error on its console, nothing wider than the window."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from ensemble.reports.html import render_comparison, render_html
from tests.reports.examples import full_report, regression_report
from tests.reports.test_html import comparison

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")

PROBE = """<!doctype html><body style="margin:0"><script>
addEventListener("load", () => {
  const said = [];
  for (const frame of document.querySelectorAll("iframe")) {
    const root = frame.contentDocument.documentElement;
    said.push(frame.width + ":" + root.scrollWidth + ":" + frame.contentDocument.querySelectorAll("svg").length);
  }
  document.body.dataset.said = said.join(" ");
});
</script>FRAMES</body>"""
WIDTHS = (1280, 390)


def look(page: str, directory: Path, *, dark: bool = False) -> list[tuple[int, int, int]]:
    """Window width, width of the content, and number of pictures, at each width; fails on any console message."""
    (directory / "page.html").write_text(page, encoding="utf-8")
    frames = "".join(f'<iframe src="page.html" width="{width}" height="900"></iframe>' for width in WIDTHS)
    probe = directory / "probe.html"
    probe.write_text(PROBE.replace("FRAMES", frames), encoding="utf-8")
    assert BROWSER is not None
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files"]
    flags += ["--enable-logging=stderr", "--v=0", f"--user-data-dir={directory / 'profile'}"]
    flags += ["--blink-settings=preferredColorScheme=0"] * dark
    done = subprocess.run(
        [BROWSER, *flags, "--virtual-time-budget=4000", "--dump-dom", probe.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    messages = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    assert messages == []
    said = re.search(r'data-said="([^"]*)"', done.stdout)
    assert said is not None, done.stderr[-2000:]
    return [tuple(map(int, one.split(":"))) for one in said[1].split()]  # type: ignore[misc]


def test_nothing_is_wider_than_the_window_and_the_console_is_silent(tmp_path: Path) -> None:
    document = full_report()
    document["data"]["classes"] = ["a" * 300, "Ankle boot and much more", "日本語のクラス", "<script>"]
    document["data"]["source"] = "/somewhere/" + "deep/" * 40 + "rows.csv"
    row = document["figures"]["rows"]["uncertain"][0]["row"]
    page = render_html(document, {row: np.zeros((28, 28, 1), np.uint8)})
    for width, content, pictures in look(page, tmp_path):
        assert content <= width
        assert pictures >= 8


def test_numbers_in_the_dark(tmp_path: Path) -> None:
    for width, content, pictures in look(render_html(regression_report()), tmp_path, dark=True):
        assert content <= width
        assert pictures >= 7


def test_a_comparison(tmp_path: Path) -> None:
    for width, content, _ in look(render_comparison(comparison()), tmp_path):
        assert content <= width


def test_the_check_sees_what_it_looks_for(tmp_path: Path) -> None:
    wide = '<body style="margin:0"><div style="width:3000px">x</div></body>'
    assert all(content > width for width, content, _ in look(wide, tmp_path))
    with pytest.raises(AssertionError, match="CONSOLE"):
        look("<script>console.error('no')</script>", tmp_path)
