"""The page beside the report: written with it, and written again without the data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ensemble.errors import RunError
from ensemble.runs.publishing import LARGEST_SIDE, publish, row_images, saved_images, shown_rows
from ensemble.runs.reporting import make_report
from tests.runs.finished import finished_run
from tests.scenarios import blobs, images


def test_the_page_is_the_same_with_the_data_and_without(tmp_path: Path) -> None:
    data = images()
    store = finished_run(tmp_path / "run", data)
    report = make_report(store)
    publish(store, report, data)
    first = store.report_html.read_bytes()
    assert first.count(b'<img src="data:image/png') >= len(shown_rows(report))
    found = saved_images(store)
    assert sorted(found) == shown_rows(report)
    row = shown_rows(report)[0]
    pixels = data.x[data.test[row], 0].astype(float)
    np.testing.assert_allclose(np.corrcoef(found[row][:, :, 0].ravel(), pixels.ravel())[0, 1], 1, atol=1e-3)
    publish(store, report)
    assert store.report_html.read_bytes() == first
    assert store.report() == report


def test_rows_that_are_no_images_leave_no_file(tmp_path: Path) -> None:
    data = blobs()
    store = finished_run(tmp_path / "run", data)
    publish(store, make_report(store), data)
    assert saved_images(store) == {}
    assert not store.row_images.exists()
    assert "test row" in store.report_html.read_text(encoding="utf-8")


@pytest.mark.parametrize("ending", [".json", ".safetensors"])
def test_damaged_images_are_refused(tmp_path: Path, ending: str) -> None:
    data = images()
    store = finished_run(tmp_path / "run", data)
    publish(store, make_report(store), data)
    path = store.row_images.with_suffix(ending)
    path.write_bytes(path.read_bytes()[:-2] + b"xx")
    with pytest.raises(RunError, match="damaged"):
        saved_images(store)


def test_dim_bytes_are_brightened_and_standardized_floats_are_bytes_again() -> None:
    spec = images().spec
    dim = np.arange(17, dtype=np.uint8).reshape(1, 1, 1, 17)
    shown = row_images(dim, spec)
    assert shown is not None
    assert (shown.min(), shown.max(), shown.dtype) == (0, 255, np.uint8)
    again = row_images((dim - spec.mean[0]) / spec.std[0], spec)
    np.testing.assert_array_equal(again, shown)
    each = spec.model_copy(
        update={"shape": (1, 1, 17), "standardize": "features", "mean": (3.0,) * 17, "std": (2.0,) * 17}
    )
    np.testing.assert_array_equal(row_images((dim - 3.0) / 2.0, each), shown)


def test_channels_of_a_colour_image_come_last_and_large_images_shrink() -> None:
    spec = images().spec.model_copy(update={"shape": (3, 600, 300)})
    shown = row_images(np.full((2, 3, 600, 300), 255, np.uint8), spec)
    assert shown is not None
    assert shown.shape == (2, 200, 100, 3)
    assert max(shown.shape[1:3]) <= LARGEST_SIDE
    assert row_images(np.zeros((1, 2, 4, 4), np.uint8), spec.model_copy(update={"shape": (2, 4, 4)})) is None


def test_a_black_image_stays_black() -> None:
    shown = row_images(np.zeros((1, 1, 4, 4), np.uint8), images().spec)
    assert shown is not None
    assert shown.max() == 0


def test_a_run_of_one_test_row(tmp_path: Path) -> None:
    data = images()
    data = replace(data, test=data.test[:1])
    store = finished_run(tmp_path / "run", data)
    publish(store, make_report(store), data)
    assert "1 test row can tell only coarse differences" in store.report_html.read_text(encoding="utf-8")
