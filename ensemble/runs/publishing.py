"""The report as files: ``report.json``, and beside it the page that people read."""

from __future__ import annotations

from typing import Any

import numpy as np
from pydantic import ValidationError

from ensemble.data.dataset import Array, Dataset, DataSpec
from ensemble.errors import RunError
from ensemble.runs import atomic
from ensemble.runs.records import ImagesRecord
from ensemble.runs.store import RunStore

LARGEST_SIDE = 256
"""Larger images are shown at every second, third … pixel: the page stays small."""


def publish(store: RunStore, report: dict[str, Any], data: Dataset | None = None) -> None:
    """Commit the report, and where the rows are at hand the images of those that it shows.

    Args:
        store: A run directory whose lock the caller holds.
        report: From `ensemble.runs.reporting.make_report`.
        data: The run's rows. Without them the images kept when it was trained are used.
    """
    from ensemble.reports.html import render_html

    if data is not None:
        rows = shown_rows(report)
        images = row_images(data.x[data.test[rows]], data.spec)
        if images is not None:
            _save_images(store, rows, images)
    store.save_report(report)
    atomic.commit(store.report_html, render_html(report, saved_images(store)).encode())


def saved_images(store: RunStore) -> dict[int, Array]:
    """Images ``(height, width, 1|3)`` by the number of their test row; none where rows are no images.

    Raises:
        RunError: they are damaged.
    """
    manifest = store.row_images.with_suffix(".json")
    if not manifest.exists():
        return {}
    try:
        record = ImagesRecord.model_validate(atomic.read_json(manifest))
    except ValidationError as error:
        raise RunError(
            f"{str(manifest)!r} does not read as ImagesRecord: {error.errors()[0]['msg']}"
        ) from None
    tensors = atomic.read_tensors(store.row_images, record.file)
    return dict(zip(record.rows, tensors["images"], strict=True))


def _save_images(store: RunStore, rows: list[int], images: Array) -> None:
    written = atomic.write_tensors(store.row_images, {"images": images})
    record = ImagesRecord(rows=tuple(rows), file=written)
    manifest = store.row_images.with_suffix(".json")
    atomic.commit_json(manifest, record.model_dump(mode="json"), names=(store.row_images,))


def shown_rows(report: dict[str, Any]) -> list[int]:
    """Numbers, among the test rows, of the rows that the report shows one by one; sorted."""
    shown = (report.get("figures") or {}).get("rows") or {}
    return sorted({row["row"] for rows in shown.values() for row in rows})


def row_images(x: Array, spec: DataSpec) -> Array | None:
    """Bytes ``(rows, height, width, 1|3)`` to look at; None where rows are no images of one or three channels.

    The brightest value becomes white: handwritten digits of 0 to 16 would else be black on black.

    Args:
        x: ``(rows, *spec.shape)`` as ``Dataset.x`` holds them: bytes as read, or floats standardized, whose range
            is not known any more: their least value becomes black.
        spec: Of the run.
    """
    if len(spec.shape) != 3 or spec.shape[0] not in (1, 3) or not len(x):
        return None
    if x.dtype == np.uint8:
        values, low = x.astype(np.float64), 0.0
    else:
        per_channel = spec.standardize == "pixels" or len(spec.mean) == 1
        shape = (-1, 1, 1) if per_channel else spec.shape
        mean, std = (np.asarray(each, dtype=np.float64).reshape(shape) for each in (spec.mean, spec.std))
        values = x * std + mean
        low = float(values.min())
    span = float(values.max()) - low
    step = -(-max(spec.shape[1:]) // LARGEST_SIDE)
    scaled = (values[:, :, ::step, ::step] - low) * (255 / span if span > 0 else 0)
    bytes_: Array = np.ascontiguousarray(np.moveaxis(np.rint(scaled).astype(np.uint8), 1, -1))
    return bytes_
