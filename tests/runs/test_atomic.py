"""Committing files: whole or not at all, and damage is always seen."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.errors import DiskError, RunError
from ensemble.runs import atomic


def test_a_commit_writes_syncs_renames_and_syncs_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Take out any of the two fsyncs or the rename and this fails."""
    calls: list[str] = []
    for name in ("write", "fsync", "replace"):
        real = getattr(os, name)

        def traced(*args: object, _real: object = real, _name: str = name) -> object:
            calls.append(_name)
            return _real(*args)  # type: ignore[operator]

        monkeypatch.setattr(os, name, traced)
    atomic.commit(tmp_path / "file", b"content")
    assert calls == ["write", "fsync", "replace", "fsync"]
    assert (tmp_path / "file").read_bytes() == b"content"


def test_what_a_manifest_names_is_durable_before_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One sync for each directory however many files lie in it. Seen to fail without the syncs and with them last."""
    names = [tmp_path / "a" / "one", tmp_path / "a" / "two", tmp_path / "b" / "three"]
    for path in names:
        atomic.write(path, b"content")
    calls: list[str] = []
    for place, name in ((atomic, "sync_directory"), (os, "replace")):
        real = getattr(place, name)

        def traced(*paths: Any, _real: Any = real) -> None:
            calls.append(Path(paths[-1]).name)
            _real(*paths)

        monkeypatch.setattr(place, name, traced)
    atomic.commit_json(tmp_path / "m" / "manifest.json", {}, names=names)
    assert calls[:2] == ["a", "b"]
    assert calls[-2:] == ["manifest.json", "m"]


def test_json_has_a_line_for_every_key_and_for_every_object_of_a_list(tmp_path: Path) -> None:
    content = {
        "name": "räuber",
        "plain": [1, 2],
        "none": [],
        "members": [{"a": 1.5}, {"a": None}],
        "of": {"b": {}},
    }
    atomic.commit_json(tmp_path / "j", content)
    lines = (tmp_path / "j").read_text().splitlines()
    assert lines[3:8] == ['  "none": [],', '  "members": [', '    {"a":1.5},', '    {"a":null}', "  ],"]
    assert list(atomic.read_json(tmp_path / "j").items()) == list(content.items())
    with pytest.raises(ValueError, match="JSON compliant"):
        atomic.commit_json(tmp_path / "j", {"members": [{"a": float("nan")}]})


@pytest.mark.parametrize("fails", ["write", "fsync", "replace"])
def test_a_refusing_disk_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    path = tmp_path / "file"
    atomic.commit(path, b"before")

    def refuse(*args: object) -> object:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, fails, refuse)
    with pytest.raises(DiskError, match="No space left on device"):
        atomic.commit(path, b"after")
    assert path.read_bytes() == b"before"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_directories_are_made_on_the_way(tmp_path: Path) -> None:
    atomic.commit(tmp_path / "a" / "b" / "file", b"x")
    assert (tmp_path / "a" / "b" / "file").exists()


def test_equal_arrays_make_equal_files_whatever_their_order(tmp_path: Path) -> None:
    a, b, c = np.arange(6.0).reshape(2, 3), np.arange(3), np.array(7)
    one = atomic.write_tensors(tmp_path / "one", {"a": a, "b": b, "c": c})
    two = atomic.write_tensors(tmp_path / "two", {"c": c, "b": b, "a": np.asfortranarray(a)})
    assert one == two
    read = atomic.read_tensors(tmp_path / "one", one)
    np.testing.assert_array_equal(read["a"], a)
    assert read["c"].shape == (), "a scalar stays one"


@given(position=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_a_flipped_bit_is_always_seen(
    tmp_path_factory: pytest.TempPathFactory, position: int, bit: int
) -> None:
    directory = tmp_path_factory.mktemp("flip")
    digest = atomic.write_tensors(directory / "t", {"a": np.arange(50.0)})
    atomic.commit_json(directory / "j", {"key": [1, 2.5, "three"], "more": None})
    for name in ("t", "j"):
        content = bytearray((directory / name).read_bytes())
        content[position % len(content)] ^= 1 << bit
        (directory / name).write_bytes(content)
    with pytest.raises(RunError, match="damaged"):
        atomic.read_tensors(directory / "t", digest)
    try:
        content = atomic.read_json(directory / "j")
    except RunError:
        return
    assert content == {"key": [1, 2.5, "three"], "more": None}  # white space was hit


@pytest.mark.parametrize("keep", [0, 1, 0.5, -1])
def test_a_truncated_file_is_seen(tmp_path: Path, keep: float) -> None:
    digest = atomic.write_tensors(tmp_path / "t", {"a": np.arange(50.0)})
    content = (tmp_path / "t").read_bytes()
    cut = content[: int(len(content) * keep) if 0 < keep < 1 else int(keep)]
    (tmp_path / "t").write_bytes(cut)
    with pytest.raises(RunError, match=f"damaged: {len(cut)} bytes"):
        atomic.read_tensors(tmp_path / "t", digest)


def test_a_pickle_by_another_name_is_refused(tmp_path: Path) -> None:
    import pickle

    digest = atomic.commit(tmp_path / "weights.safetensors", pickle.dumps({"a": 1}))
    with pytest.raises(RunError, match="is no safetensors file"):
        atomic.read_tensors(tmp_path / "weights.safetensors", digest)


def test_json_without_its_digest_is_refused(tmp_path: Path) -> None:
    (tmp_path / "j").write_text(json.dumps({"key": 1}))
    with pytest.raises(RunError, match="SHA-256"):
        atomic.read_json(tmp_path / "j")


def test_json_nested_beyond_reason_is_refused(tmp_path: Path) -> None:
    (tmp_path / "j").write_text("[" * 200_000)
    with pytest.raises(RunError, match="not JSON"):
        atomic.read_json(tmp_path / "j")


def test_a_file_that_one_call_does_not_read_is_read_by_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As files beyond 2 GB are. Seen to fail with a single ``os.read``."""
    content = bytes(range(100))
    digest = atomic.commit(tmp_path / "file", content)
    real = os.read
    monkeypatch.setattr(os, "read", lambda descriptor, size: real(descriptor, min(size, 7)))
    assert atomic.read_verified(tmp_path / "file", digest) == content


def test_a_file_that_is_cut_while_it_is_read_is_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the end of the file in mind it would be read for ever."""
    digest = atomic.commit(tmp_path / "file", bytes(100))
    monkeypatch.setattr(os, "read", lambda descriptor, size: b"")
    with pytest.raises(RunError, match="SHA-256"):
        atomic.read_verified(tmp_path / "file", digest)


def test_json_of_what_is_no_unicode_is_written_as_its_escape(tmp_path: Path) -> None:
    """Seen to fail with pydantic's encoder alone: a failure could not be recorded, and the run ended there."""
    atomic.commit_json(tmp_path / "j", {"evidence": "bad\udcff"})
    assert json.loads((tmp_path / "j").read_text())["evidence"] == "bad\udcff"
