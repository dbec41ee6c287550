"""Disks that refuse: at every call of the writer, for every reason."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ensemble.errors import DiskError, RunError
from ensemble.launch import resume, train
from ensemble.runs import atomic
from ensemble.runs.store import RunStore
from tests.faults.broken_os import BrokenOs, Crash
from tests.faults.processes import ROOT
from tests.runs.simulation import PLANS, digests, make_store, train_alone, undisturbed
from tests.test_launch import quick


def go_on(root: Path, disk: Any, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(atomic, "os", disk)
    train_alone(RunStore.open(root))


ALONE = undisturbed(PLANS[:1])


@pytest.mark.parametrize("fault", ["ENOSPC", "EIO", "EDQUOT", "crash"])
def test_a_fault_at_any_call_loses_nothing(
    fast_directory: Path, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    at = 0
    while True:
        at += 1 if fault == "EIO" else 3
        said, left = "", list[Path]()
        root = fast_directory / f"run-{at}"
        make_store(root)
        disk = (
            BrokenOs(crash_at=at) if fault == "crash" else BrokenOs(fail_at=at, error=getattr(errno, fault))
        )
        with monkeypatch.context() as patch:
            try:
                go_on(root, disk, patch)
                break
            except Crash:
                pass
            except DiskError as refused:
                said = str(refused)
                left = list(root.rglob(f"*{atomic.TEMPORARY}"))
        with monkeypatch.context() as patch:
            go_on(root, BrokenOs(), patch)
        assert fault == "crash" or os.strerror(getattr(errno, fault)) in said
        assert fault == "crash" or "everything committed before is intact" in said
        assert not left, "a refused write left its temporary file"
        assert digests(root) == ALONE, f"after {fault} at call {at}"
        assert not list(root.rglob(f"*{atomic.TEMPORARY}"))
    assert at > 100


def test_a_failed_sync_is_never_tried_again(fast_directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After one the kernel may have dropped the pages, and a second fsync would say that all is well."""
    disk = BrokenOs(fail_at=3, error=errno.EIO)  # open, write, fsync
    monkeypatch.setattr(atomic, "os", disk)
    with pytest.raises(DiskError, match="Input/output error"):
        atomic.commit(fast_directory / "file", b"content")
    assert disk.calls == 4  # the fourth removes the temporary file
    assert not (fast_directory / "file").exists()


def test_a_limit_on_file_sizes_stops_the_run_and_nothing_is_lost(tmp_path: Path) -> None:
    """RLIMIT_FSIZE fells a write halfway: the real thing, no stand-in."""
    options: dict[str, Any] = {"hidden": (64, 64), "checkpoint_every": 1e-9}
    train(quick(**options), run=tmp_path / "whole")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
        with pytest.raises(DiskError, match=r"cannot write .*File too large; everything committed"):
            train(quick(**options), run=tmp_path / "cut")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list((tmp_path / "cut").rglob(f"*{atomic.TEMPORARY}"))
    resume(tmp_path / "cut")
    assert digests_of_weights(tmp_path / "cut") == digests_of_weights(tmp_path / "whole")


MAY_MOUNT = ("unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt")


def may_mount() -> bool:
    return (
        shutil.which("unshare") is not None and not subprocess.run(MAY_MOUNT, capture_output=True).returncode
    )


@pytest.mark.skipif(not may_mount(), reason="no tmpfs can be mounted here, in a namespace of its own either")
def test_a_full_disk_stops_the_run_and_nothing_is_lost(tmp_path: Path) -> None:
    """A real one, of 200 kB."""
    command = ["unshare", "-rm", sys.executable, "-m", "tests.faults.small_disk", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "No space left on device; everything committed before is intact. Make room" in done.stdout


def digests_of_weights(run: Path) -> dict[str, str]:
    return {name: digest for name, digest in digests(run).items() if name.endswith(".safetensors")}


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("a" * 65, "at most 64 letters"),
        ("two words", "at most 64 letters"),
        ("..", "at most 64 letters"),
        ("d/" * 2030 + "run", "too long"),
        ("n" * 300 + "/run", "too long|File name too long"),
        ("file/run", "is no directory|Not a directory"),
        ("link", "exists already"),
        ("\0", "at most 64 letters"),
    ],
)
def test_a_place_that_will_not_do_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, message: str
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    monkeypatch.setattr(
        "ensemble.launch.open_pool", lambda *args, **options: pytest.fail("a pool was opened")
    )
    with pytest.raises(RunError, match=message):
        train(quick(), run=tmp_path / path)


def test_a_place_that_cannot_be_written_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A read-only mount: ``access`` says no, to root as well."""
    monkeypatch.setattr(
        "ensemble.launch.open_pool", lambda *args, **options: pytest.fail("a pool was opened")
    )
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(RunError, match="cannot be written to"):
            train(quick(), run=tmp_path / "run")
    make_store(tmp_path / "run")
    real = os.open

    def refuse(path: Any, flags: int, mode: int = 0o777) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(RunError, match="cannot be written to: Read-only file system; nothing was started"):
        resume(tmp_path / "run")
