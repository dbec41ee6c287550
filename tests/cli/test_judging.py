"""``report``, ``evaluate`` and ``compare``: pages, Markdown, new data beside the run's own, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from ensemble.cli.main import cli

ROWS = 150


def rows(seed: int, *, spread: float = 0.6, classes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(0).normal(scale=3, size=(3, 4))
    y = np.arange(ROWS) % classes
    return (centres[y % 3] + rng.normal(scale=spread, size=(ROWS, 4))).astype(np.float32), y


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("runs")
    x, y = rows(1)
    np.savez(place / "rows.npz", x=x, y=y)
    quick = ["--members", "2", "--epochs", "2", "--hidden", "8", "--pool", "serial", "--quiet"]
    result = call("train", "--data", place / "rows.npz", *quick, "--run", place / "run")
    assert result.exit_code == 0, result.output
    assert "report.html" in result.output
    return place / "run"


def call(*words: object) -> Result:
    return CliRunner().invoke(cli, [str(word) for word in words])


def test_training_leaves_a_page(run: Path) -> None:
    assert "What do more networks buy?" in (run / "report.html").read_text(encoding="utf-8")


def test_report_writes_the_page_again(run: Path) -> None:
    before = (run / "report.html").read_bytes()
    (run / "report.html").unlink()
    assert call("report", run).exit_code == 0
    assert (run / "report.html").read_bytes() == before


def test_report_prints_markdown(run: Path) -> None:
    result = call("report", run, "--markdown")
    assert result.output.startswith("### ")
    assert "| **average** |" in result.output
    assert "Run directory" not in result.output
    refused = call("report", run, "--markdown", "--json")
    assert refused.exit_code == 2
    assert "one of them" in refused.output


def test_report_as_json_is_the_document_of_the_directory(run: Path) -> None:
    document = json.loads(call("report", run, "--json").output)
    written = json.loads((run / "report.json").read_text(encoding="utf-8"))
    assert document["figures"] == written["figures"]
    assert document["training"][0]["epoch"] == [1, 2]


def test_new_rows_stand_beside_the_runs_own(run: Path, tmp_path: Path) -> None:
    x, y = rows(2, spread=4.0)
    np.savez(tmp_path / "noisy.npz", x=x, y=y)
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    result = call("evaluate", run, "--data", tmp_path / "noisy.npz", "--json")
    shift = json.loads(result.stdout)["shift"]
    assert (shift["own"]["rows"], shift["new"]["rows"]) == (30, ROWS)
    assert shift["difference"]["accuracy"]["value"] == pytest.approx(
        shift["new"]["accuracy"] - shift["own"]["accuracy"]
    )
    told = call("evaluate", run, "--data", tmp_path / "noisy.npz", "--html", tmp_path / "page.html")
    assert "Against the run's own 30 test rows" in told.output
    assert "Does it hold on these rows?" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_the_runs_own_rows_as_a_page_elsewhere(run: Path, tmp_path: Path) -> None:
    assert call("evaluate", run, "--html", tmp_path / "own.html").exit_code == 0
    assert "<svg" in (tmp_path / "own.html").read_text(encoding="utf-8")
    refused = call("evaluate", run, "--html", tmp_path / "nowhere" / "own.html")
    assert refused.exit_code == 2
    assert "there is no directory" in refused.output


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        (lambda x, y: {"x": x}, "y"),
        (lambda x, y: {"x": x[:, :3], "y": y}, "shape"),
        (lambda x, y: {"x": x, "y": y + 5}, "class"),
        (lambda x, y: {"x": x[:0], "y": y[:0]}, "row"),
    ],
    ids=["unlabelled", "another shape", "unknown classes", "no rows"],
)
def test_rows_that_cannot_be_judged_are_refused(run: Path, tmp_path: Path, arrays, said: str) -> None:
    np.savez(tmp_path / "bad.npz", **arrays(*rows(3)))
    result = call("evaluate", run, "--data", tmp_path / "bad.npz")
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize("kept", [slice(0, 1), slice(0, ROWS, 3)], ids=["one row", "one class alone"])
def test_few_rows_are_judged_and_it_is_said(run: Path, tmp_path: Path, kept: slice) -> None:
    x, y = rows(4)
    np.savez(tmp_path / "few.npz", x=x[kept], y=y[kept])
    result = call("evaluate", run, "--data", tmp_path / "few.npz", "--html", tmp_path / "few.html")
    assert result.exit_code == 0, result.output
    assert "Classes without test rows" in result.output
    assert "can tell only coarse differences" in result.output


def test_runs_side_by_side(run: Path, tmp_path: Path) -> None:
    result = call("compare", run, run, "--html", tmp_path / "page.html")
    assert result.exit_code == 0, result.output
    assert "cannot tell A and B apart" in result.output
    assert "2 runs side by side" in (tmp_path / "page.html").read_text(encoding="utf-8")
    assert len(json.loads(call("compare", run, run, "--json").stdout)["tests"]) == 1
    assert call("compare", run).exit_code == 2
    assert call("compare", run, tmp_path / "none").exit_code == 2
