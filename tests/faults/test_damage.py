"""Files of a run that were damaged or tampered with: seen, set aside, made again on resume; refused everywhere else."""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ensemble.cli.main import cli
from ensemble.errors import RunError
from ensemble.launch import resume, train
from ensemble.runs import atomic
from ensemble.runs.records import CheckpointRecord, MemberRecord
from ensemble.runs.reporting import make_report
from ensemble.runs.status import run_status
from ensemble.runs.store import RunStore
from tests.faults.broken_os import BrokenOs
from tests.runs.simulation import (
    PLANS,
    Ledger,
    check_end,
    make_store,
    run_session,
)
from tests.test_launch import StopError, interrupt, quick

OPTIONS: dict[str, Any] = {"checkpoint_every": 1e-9, "resample": "bootstrap"}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("pristine") / "run"
    train(quick(**OPTIONS), run=run)
    return run


@pytest.fixture
def finished(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "run"))


@pytest.fixture
def interrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    with monkeypatch.context() as patch:
        interrupt(patch, after=5)
        with pytest.raises(StopError):
            train(quick(**OPTIONS), run=tmp_path / "run")
    return tmp_path / "run"


def contents(run: Path) -> dict[str, bytes]:
    return {str(p.relative_to(run)): p.read_bytes() for p in sorted(run.rglob("*")) if p.is_file()}


def made(run: Path) -> dict[str, bytes]:
    """What must come out the same: everything but times."""
    return {name: content for name, content in contents(run).items() if name.endswith(".safetensors")}


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "emptied": lambda content: b"",
    "one byte": lambda content: content[:1],
    "half": lambda content: content[: len(content) // 2],
    "one byte short": lambda content: content[:-1],
    "a bit": lambda content: (
        content[: len(content) // 2]
        + bytes([content[len(content) // 2] ^ 1])
        + content[len(content) // 2 + 1 :]
    ),
}
MEMBER_FILES = ("weights.safetensors", "predictions.safetensors", "history.jsonl", "member.json")


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
@pytest.mark.parametrize("name", MEMBER_FILES)
def test_a_damaged_member_is_set_aside_and_trained_again(
    finished: Path, pristine: Path, name: str, damage: Callable[[bytes], bytes]
) -> None:
    """Seen to fail when a resume does not check the digests (``is_sound`` in the coordinator), and when ``atomic``
    computes but does not compare them. Without ``check_sizes`` the digests find all of it, only later. What was
    combined of the member goes with it, since it may be trained again on other hardware; seen to fail when it stays."""
    path = finished / "members" / "001" / name
    path.write_bytes(damage(path.read_bytes().rstrip(b"\n") if name == "member.json" else path.read_bytes()))
    spoilt = path.read_bytes()
    resume(finished)
    again = {n: c for n, c in made(finished).items() if ".damaged" not in n}
    assert again == made(pristine)
    assert (finished / "members" / "001.damaged" / name).read_bytes() == spoilt
    assert (finished / "combined" / "averaged.json.damaged").exists()
    events = {event["event"]: event for event in RunStore.open(finished).events()}
    assert events["member_damaged"]["member"] == 1
    assert name in events["member_damaged"]["evidence"]


@pytest.mark.parametrize("name", ["report.json", "targets.safetensors", "combined/averaged.json"])
def test_what_can_be_made_again_is_made_again(finished: Path, pristine: Path, name: str) -> None:
    """Seen to fail without ``restore_targets``, and without ``set_damaged_averages_aside``, in ``recover``."""
    (finished / name).write_bytes(b"spoilt")
    if name.startswith("combined"):
        (finished / "report.json").unlink()
    resume(finished)
    assert {n: c for n, c in made(finished).items() if ".damaged" not in n} == made(pristine)
    make_report(RunStore.open(finished))


@pytest.mark.parametrize("name", ["config.json", "data.json"])
def test_what_says_what_the_run_is_cannot_be_guessed(finished: Path, name: str) -> None:
    """Seen to fail when the SHA-256 that a JSON file carries is not compared with its content."""
    (finished / name).write_bytes((finished / name).read_bytes().replace(b"1", b"2", 1))
    before = contents(finished)
    with pytest.raises(RunError, match=f"{name}.*damaged"):
        resume(finished)
    assert contents(finished) == before


@pytest.mark.parametrize(
    ("name", "readers"),
    [
        ("weights.safetensors", ("evaluate --data iris", "predict")),
        ("predictions.safetensors", ("evaluate", "report")),
        ("member.json", ("evaluate", "evaluate --data iris", "predict", "report")),
    ],
)
def test_who_only_reads_refuses_damage_and_changes_nothing(
    finished: Path, name: str, readers: tuple[str, ...]
) -> None:
    path = finished / "members" / "000" / name
    path.write_bytes(path.read_bytes()[:-2])  # the last byte of a JSON file is a line's end
    before = contents(finished)
    out = finished.parent / "out.csv"
    for reader in readers:
        command, *more = reader.split()
        more += ["--data", "iris", "--out", str(out)] if command == "predict" else []
        done = CliRunner().invoke(cli, [command, str(finished), *more])
        assert done.exit_code == 2, done.output
        assert name in done.output
    assert contents(finished) == before
    assert not out.exists()


def test_status_tells_of_damage(finished: Path) -> None:
    (finished / "members" / "000" / "member.json").write_bytes(b"{}")
    (finished / "members" / "001" / "failure.json").write_bytes(b"\xff")
    with (finished / "events.jsonl").open("ab") as diary:
        diary.write(b'{"time": 1, "event": "started", "member": 0}\n{"time": "x"}\n[]\n\xff\n')
    status = run_status(RunStore.open(finished))
    assert [member.state for member in status.members] == ["damaged", "damaged"]
    assert status.state == "interrupted"
    assert CliRunner().invoke(cli, ["status", str(finished)]).exit_code == 0


def test_a_resume_under_other_hardware_is_marked_and_refused_when_strict(interrupted: Path) -> None:
    """Seen to fail when a new attempt forgets the fingerprints that its checkpoint remembers."""
    for manifest in interrupted.glob("members/000/checkpoint-*.json"):
        content = atomic.read_json(manifest)
        now = content["fingerprints"][0]
        content["fingerprints"] = [{**now, "torch": "1.0"}, now]  # begun elsewhere, gone on here
        atomic.commit_json(manifest, content)
    copy = shutil.copytree(interrupted, interrupted.parent / "copy")
    report = resume(interrupted)
    assert [member["mixed"] for member in report["members"]] == [True, False]
    for manifest in copy.glob("members/000/checkpoint-*.json"):
        content = atomic.read_json(manifest)
        content["fingerprints"] = [{**content["fingerprints"][0], "threads": 7}]
        atomic.commit_json(manifest, content)
    with pytest.raises(RunError, match=r"threads was 7, is 1; torch was '1\.0', is .*Leave out --strict"):
        resume(copy, strict=True)


def test_a_changed_configuration_is_refused_with_the_differences(interrupted: Path) -> None:
    """Seen to fail without ``_refuse_other_plan`` in ``recover``."""
    config = atomic.read_json(interrupted / "config.json")
    config["config"]["train"]["lr"] = 0.5
    atomic.commit_json(interrupted / "config.json", config)
    before = contents(interrupted)
    with pytest.raises(RunError, match=r"another configuration: train\.lr was 0\.001, is 0\.5\. Put config"):
        resume(interrupted)
    assert {n: c for n, c in contents(interrupted).items() if n != "events.jsonl"} == {
        n: c for n, c in before.items() if n != "events.jsonl"
    }


def test_what_a_crash_left_is_swept_away(interrupted: Path) -> None:
    """Seen to fail without ``store.sweep()`` in ``recover``."""
    (interrupted / "members" / "000" / "checkpoint-000000999.json.writing").write_bytes(b"half")
    (interrupted / "config.json.writing").write_bytes(b"half")
    with (interrupted / "events.jsonl").open("ab") as diary:
        diary.write(b'{"time": 1, "event": "cut sh')
    resume(interrupted)
    assert not list(interrupted.rglob(f"*{atomic.TEMPORARY}"))
    assert [event["event"] for event in RunStore.open(interrupted).events()].count("session") == 2


# ── hostile directories: everything that is said is consistent with itself ──────────────────────────────────────────


def reseal_member(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    path = run / "members" / "000" / "member.json"
    content = atomic.read_json(path)
    change(content)
    atomic.commit_json(path, content)


def replace_tensors(run: Path, name: str, tensors: atomic.Tensors) -> None:
    """Put other arrays in a file's place, with a manifest that vouches for them."""
    digest = atomic.write_tensors(run / "members" / "000" / name, tensors)
    reseal_member(run, lambda content: content["files"].update({name: asdict(digest)}))


@pytest.mark.parametrize(
    "name", ["../../../secret", "/etc/passwd", "a/b/c", "..", ".hidden", "a\\..\\b\n", "x" * 65, "-rf", ""]
)
def test_names_that_lead_out_of_the_member_are_refused(finished: Path, name: str) -> None:
    """Seen to fail when a manifest may give its files any names."""
    reseal_member(finished, lambda content: content["files"].update({name: {"size": 0, "sha256": "0" * 64}}))
    with pytest.raises(RunError, match=r"does not read as MemberRecord: files"):
        RunStore.open(finished).member(0)


def test_links_are_not_followed(finished: Path, pristine: Path) -> None:
    """Seen to fail without ``refuse_link``, for directories; for files, when both ``check_size`` and ``read`` follow
    them: each of the two guards alone is enough."""
    weights = finished / "members" / "000" / "weights.safetensors"
    weights.unlink()
    weights.symlink_to(pristine / "members" / "000" / "weights.safetensors")
    store = RunStore.open(finished)
    record = store.member(0)
    assert record is not None
    with pytest.raises(RunError, match="symbolic link"):
        store.weights(record)
    shutil.rmtree(finished / "members" / "001")
    (finished / "members" / "001").symlink_to(pristine / "members" / "001")
    with pytest.raises(RunError, match="symbolic link"):
        store.member(1)
    shutil.rmtree(finished / "members")
    (finished / "members").symlink_to(pristine / "members")
    with pytest.raises(RunError, match="symbolic link"):
        RunStore.open(finished)


def test_a_pipe_is_not_waited_for(finished: Path) -> None:
    """Seen to fail when ``read`` takes whatever can be opened for a file."""
    path = finished / "members" / "000" / "member.json"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RunError, match="no file of a run"):
        RunStore.open(finished).member(0)


HUGE = (1 << 62).to_bytes(8, "little") + b"{}"


@pytest.mark.parametrize("content", [HUGE, b"\x80\x04K\x01.", b"PK\x03\x04" + bytes(64), b""])
def test_what_is_no_safetensors_file_is_refused_though_its_manifest_vouches_for_it(
    finished: Path, content: bytes
) -> None:
    digest = atomic.commit(finished / "members" / "000" / "weights.safetensors", content)
    reseal_member(finished, lambda record: record["files"].update({"weights.safetensors": asdict(digest)}))
    store = RunStore.open(finished)
    record = store.member(0)
    assert record is not None
    with pytest.raises(RunError, match="is no safetensors file"):
        store.weights(record)


FALSE_PREDICTIONS: dict[str, Callable[[atomic.Tensors], atomic.Tensors]] = {
    "none": lambda said: {},
    "a row less": lambda said: said | {"test": said["test"][:-1]},
    "a class less": lambda said: said | {"test": said["test"][:, :-1]},
    "without those out of bag": lambda said: {part: said[part] for part in ("valid", "test")},
    "a part more": lambda said: said | {"more": said["test"]},
    "integers": lambda said: said | {"test": said["test"].astype(np.int64)},
    "not finite": lambda said: said | {"test": np.full_like(said["test"], np.nan)},
}


@pytest.mark.parametrize("change", FALSE_PREDICTIONS.values(), ids=FALSE_PREDICTIONS)
def test_predictions_that_are_not_this_runs_are_refused(
    finished: Path, change: Callable[[atomic.Tensors], atomic.Tensors]
) -> None:
    """Seen to fail when parts and shapes are not compared, when infinities may be, and when types may be any."""
    store = RunStore.open(finished)
    record = store.member(0)
    assert record is not None
    replace_tensors(finished, "predictions.safetensors", change(store.predictions(record)))
    record = store.member(0)
    assert record is not None
    with pytest.raises(RunError, match=r"predictions\.safetensors' is damaged"):
        store.predictions(record)


@pytest.mark.parametrize("change", ["missing", "more", "shape", "dtype", "infinite"])
def test_weights_that_are_not_this_networks_are_refused(finished: Path, change: str) -> None:
    """Seen to fail for infinite ones when ``check_weights`` does not look; the others are for ``load_weights``."""
    store = RunStore.open(finished)
    record = store.member(0)
    assert record is not None
    weights = dict(store.weights(record))
    name = next(name for name in weights if weights[name].ndim == 2)
    if change == "missing":
        del weights[name]
    elif change == "more":
        weights["more"] = np.ones(1, np.float32)
    elif change == "shape":
        weights[name] = weights[name].T.copy()
    elif change == "dtype":
        weights[name] = weights[name].astype(np.float64)
    else:
        weights[name] = np.full_like(weights[name], np.inf)
    replace_tensors(finished, "weights.safetensors", weights)
    done = CliRunner().invoke(
        cli, ["predict", str(finished), "--data", "iris", "--out", str(finished.parent / "o.csv")]
    )
    assert done.exit_code == 2, done.output


# ── anything at all ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a finished member, one with checkpoints, and one that has not begun."""
    root = tmp_path_factory.mktemp("stopped") / "run"
    make_store(root)
    patch = pytest.MonkeyPatch()
    for crash_at in range(230, 500, 10):
        shutil.rmtree(root)
        make_store(root)
        chance = random.Random(crash_at)
        ledger = Ledger(budget=0)
        broken = BrokenOs(crash_at=crash_at)
        with patch.context() as inner:
            inner.setattr("tests.runs.simulation.BrokenOs", lambda broken=broken, **options: broken)
            run_session(root, chance, ledger, patch)
        if list(root.glob("members/*/member.json")) and list(root.glob("members/*/checkpoint-*.json")):
            return root
    raise AssertionError("no such moment was found")


@st.composite
def mutations(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    kind = draw(st.sampled_from(["flip", "cut", "insert", "replace", "swap"]))
    at, more = draw(st.integers(0, 10**6)), draw(st.binary(min_size=1, max_size=40))

    def mutate(content: bytes) -> bytes:
        where = at % (len(content) + 1)
        if kind == "flip" and content:
            spot = at % len(content)
            return content[:spot] + bytes([content[spot] ^ (more[0] or 1)]) + content[spot + 1 :]
        if kind == "cut":
            return content[:where]
        if kind == "insert":
            return content[:where] + more + content[where:]
        return more if kind == "replace" else content[where:] + content[:where]

    return mutate


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 10**6), mutate=mutations())
def test_any_change_of_any_file_is_an_error_of_ours_or_no_change_at_all(
    stopped: Path, fast_directory: Path, which: int, mutate: Callable[[bytes], bytes]
) -> None:
    """Readers: what they return is what was written, or they raise ``RunError``."""
    root = fast_directory / "run"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(stopped, root)
    path = sorted(p for p in root.rglob("*") if p.is_file())[
        which % len(list(filter(Path.is_file, root.rglob("*"))))
    ]
    path.write_bytes(mutate(path.read_bytes()))
    for mine, theirs in zip(read_all(root), read_all(stopped), strict=False):
        assert isinstance(mine, RunError) or mine == theirs


def read_all(root: Path) -> Iterator[Any]:
    """Everything that a run directory tells, thing by thing; damage as the error that it was told by."""
    try:
        store = RunStore.open(root)
    except RunError as error:
        yield error
        return
    yield from (store.record, store.spec)
    readers: list[Callable[[], Any]] = [lambda: raw(store.targets())]
    for plan in PLANS:
        readers += [
            lambda index=plan.index: store.member(index),
            lambda index=plan.index: member_content(store, index),
            lambda index=plan.index: store.begun(index),
        ]
    for read in readers:
        try:
            yield read()
        except RunError as error:
            yield error
    run_status(store)
    for plan in PLANS:
        found = store.checkpoints(plan).last()
        if found is not None:
            path = store.member_directory(plan.index) / f"checkpoint-{found.state.step:09d}.json"
            record = CheckpointRecord.model_validate(atomic.read_json(path))
            assert record.values == found.state.values


def member_content(store: RunStore, index: int) -> Any:
    record: MemberRecord | None = store.member(index)
    if record is None:
        return None
    return raw(store.weights(record)), raw(store.predictions(record)), store.history(record)


def raw(tensors: atomic.Tensors) -> dict[str, tuple[Any, ...]]:
    return {name: (value.dtype, value.shape, value.tobytes()) for name, value in tensors.items()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(which=st.integers(0, 10**6), mutate=mutations())
def test_after_any_change_a_resume_ends_the_same_or_is_refused(
    stopped: Path, fast_directory: Path, which: int, mutate: Callable[[bytes], bytes]
) -> None:
    root = fast_directory / "run"
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(stopped, root)
    files = sorted(p for p in root.rglob("*") if p.is_file() and p.name != "lock")
    path = files[which % len(files)]
    path.write_bytes(mutate(path.read_bytes()))
    ledger = Ledger(budget=0, damaged=True)
    patch = pytest.MonkeyPatch()
    try:
        assert run_session(root, random.Random(which), ledger, patch)
    except RunError:
        assert path.name in ("config.json", "data.json"), path
        return
    finally:
        patch.undo()
    check_end(root, ledger)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.one_of(
        st.binary(max_size=200),
        st.sampled_from(
            [b'{"a": NaN}', b'{"a": 1e999}', b'{"a": ' + b"9" * 5000 + b"}", b'"\\ud800"', b"null"]
        ),
    )
)
def test_arbitrary_bytes_are_no_json_of_ours(fast_directory: Path, content: bytes) -> None:
    """Seen to fail with ``content_digest`` outside the ``try`` of ``read_json``: NaN raised a ValueError there."""
    (fast_directory / "file").write_bytes(content)
    with pytest.raises(RunError):
        atomic.read_json(fast_directory / "file")
