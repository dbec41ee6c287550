"""The copy in a storage: cut off after any single upload, it is a run that is resumed to the same bits."""

from __future__ import annotations

import shutil
import threading
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ensemble.errors import DiskError, RunError, UsageError
from ensemble.runs import claim, mirror
from ensemble.runs.claim import CLAIM, Claim, Identity, read_claim
from ensemble.runs.fetching import fetch, glance
from ensemble.runs.mirror import Mirror, ahead, check_storage, in_order, look, mirrored
from ensemble.runs.storage import Storage
from ensemble.runs.store import RunStore
from ensemble.training.events import Checkpoint, Finished, Predictor, Started
from tests.runs.simulation import PLANS, PRINT, digests, fake_training, make_store, undisturbed

PLAN = PLANS[0]


@pytest.fixture
def address() -> str:
    """An empty storage, as an object store is: no rename, no directories."""
    return f"memory://{uuid.uuid4().hex}/run"


class Recorded(Storage):
    """Notes what is put and removed, in order."""

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.calls: list[tuple[str, bytes | None]] = []

    def write(self, name: str, content: bytes) -> None:
        super().write(name, content)
        self.calls.append((name, content))

    def remove(self, name: str) -> None:
        super().remove(name)
        self.calls.append((name, None))


def train(store: RunStore, look_on: Callable[[], None] = lambda: None) -> None:
    """Go on with one member from where the directory has it to its end, writing as the coordinator does."""
    record = store.member(PLAN.index)
    if record is not None:
        store.check_digests(record)
        store.forget_attempts(PLAN)
        return
    checkpoints = store.checkpoints(PLAN)
    store.begin_member(PLAN)
    found = checkpoints.last()
    files = dict(found.files) if found else {}
    for event in fake_training((PLAN,), found.state if found else None):
        match event:
            case Started():
                store.log("started", member=PLAN.index)
            case Checkpoint(state=state):
                checkpoints.save(state, [PRINT], files)
            case Predictor():
                files |= store.save_predictor(event)
            case Finished():
                store.commit_member(PLAN, event, files, attempts=1, fingerprints=[PRINT])
        look_on()


def recorded(root: Path, address: str) -> tuple[list[tuple[str, bytes | None]], list[tuple[int, int]]]:
    """The uploads of a run, looked at after every third message; and (uploads, step of the newest checkpoint) where a
    look was over."""
    store, storage = make_store(root), Recorded(address)
    copier = Mirror(root, storage, run=Identity.of(store.record), say=print)
    kept: list[tuple[int, int]] = []
    seen = 0

    def look_on() -> None:
        nonlocal seen
        seen += 1
        if seen % 3 == 0:
            copier.copy()
            found = store.checkpoints(PLAN).last()
            kept.append((len(storage.calls), found.state.step if found else 0))

    copier.copy()
    train(store, look_on)
    copier.copy(going=False)
    return storage.calls, kept


def state_after(calls: list[tuple[str, bytes | None]]) -> dict[str, bytes]:
    there: dict[str, bytes] = {}
    for name, content in calls:
        if content is None:
            there.pop(name, None)
        else:
            there[name] = content
    return there


def test_cut_off_after_any_upload_it_resumes_to_the_same_end(fast_directory: Path, address: str) -> None:
    """Seen to fail with manifests put before the files that they name, and with files removed before theirs."""
    calls, kept = recorded(fast_directory / "run", address)
    complete = next(n for n, (name, _) in enumerate(calls, 1) if name == "config.json")
    assert len(calls) > 40
    assert any(content is None for _, content in calls), "no checkpoint was ever removed: too few looks"
    for length in range(len(calls) + 1):
        cut = Storage(f"memory://{uuid.uuid4().hex}/cut")
        for name, content in state_after(calls[:length]).items():
            cut.write(name, content)
        root = fast_directory / "elsewhere"
        shutil.rmtree(root, ignore_errors=True)
        if length < complete:
            with pytest.raises(RunError, match="there is no run at"):
                fetch(cut.address, root)
            continue
        fetch(cut.address, root)
        check(root, least=max((step for uploads, step in kept if uploads <= length), default=0))
        train(RunStore.open(root))
        assert digests(root) == undisturbed((PLAN,))


def check(root: Path, *, least: int) -> None:
    """Every manifest that is there verifies; nothing that a finished look had put there is lost."""
    store = RunStore.open(root)
    record = store.member(PLAN.index)
    if record is not None:
        store.check_digests(record)
        return
    for manifest in root.glob("members/*/checkpoint-*.json"):
        assert manifest.with_suffix(".safetensors").exists(), "a manifest was there without what it names"
    found = store.checkpoints(PLAN).last()
    assert (found.state.step if found else 0) >= least
    assert not list(root.rglob("*.damaged"))


@given(st.permutations(["targets.safetensors", "data.json", "config.json", "events.jsonl", "report.json"]))
def test_the_order_of_uploads(names: list[str]) -> None:
    """A run directory is complete with config.json, a member with member.json, all with report.json."""
    files = [
        *names,
        "members/000/weights.safetensors",
        "members/000/snapshots/00.safetensors",
        "members/000/checkpoint-000000003.safetensors",
        "members/000/checkpoint-000000003.json",
        "members/000/member.json",
        "combined/averaged.json",
        "combined/averaged.safetensors",
    ]
    ordered = in_order(files)
    at = {name: ordered.index(name) for name in files}
    assert ordered[:3] == ["targets.safetensors", "data.json", "config.json"]
    assert ordered[-1] == "report.json"
    for arrays, manifest in [
        ("members/000/weights.safetensors", "members/000/member.json"),
        ("members/000/snapshots/00.safetensors", "members/000/checkpoint-000000003.json"),
        ("members/000/checkpoint-000000003.safetensors", "members/000/checkpoint-000000003.json"),
        ("combined/averaged.safetensors", "combined/averaged.json"),
    ]:
        assert at[arrays] < at[manifest]


def test_what_belongs_to_this_machine_stays_here(tmp_path: Path, address: str) -> None:
    store = make_store(tmp_path / "run")
    with store.hold():
        train(store)
    for name in ("x.json.writing", "members/000/old.safetensors.damaged", "members/001.damaged/weights"):
        path = store.root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    assert (store.root / "lock").exists()
    names = set(look(store.root))
    assert "members/000/member.json" in names
    assert not {name for name in names if "damaged" in name or "writing" in name or name == "lock"}


def test_a_run_is_kept_and_taken_up_elsewhere(tmp_path: Path, address: str) -> None:
    store, said = make_store(tmp_path / "run"), list[str]()
    with mirrored(store, address, say=said.append):
        train(store)
    assert said[-1] == f"{address} is up to date"
    assert glance(address, tmp_path / "glance") is None, "nobody writes there any more"
    assert not list((tmp_path / "glance").rglob("*.safetensors"))
    fetch(address, tmp_path / "elsewhere")
    assert digests(tmp_path / "elsewhere") == digests(store.root)
    assert {path.name for path in (tmp_path / "elsewhere").iterdir()} == {
        path.name for path in store.root.iterdir() if path.name != "lock"
    }


def test_what_is_there_is_not_sent_again(tmp_path: Path, address: str) -> None:
    store = make_store(tmp_path / "run")
    with mirrored(store, address, say=print):
        train(store)
    again = Recorded(address)
    Mirror(store.root, again, run=Identity.of(store.record), say=print).copy()
    assert not {name for name, _ in again.calls if name.startswith("members/")}


def test_a_path_is_a_storage_and_resumed_in_its_place(tmp_path: Path) -> None:
    store, place = make_store(tmp_path / "run"), tmp_path / "shared" / "run"
    with mirrored(store, str(place), say=print):
        train(store)
    assert digests(place) == digests(store.root)
    said: list[str] = []
    with mirrored(RunStore.open(place), str(place), say=said.append):
        pass
    assert not said, "a run would be copied onto itself"


class Failing(Storage):
    """Refuses a number of times."""

    left = 0

    def write(self, name: str, content: bytes) -> None:
        if Failing.left > 0:
            Failing.left -= 1
            raise DiskError(f"storage {self.address!r} cannot be used: OSError: no route")
        super().write(name, content)


def test_a_storage_that_fails_for_a_while_is_tried_again(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "Storage", Failing)
    monkeypatch.setattr(mirror, "LAST_TRIES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(Failing, "left", 2)
    store, said = make_store(tmp_path / "run"), list[str]()
    with mirrored(store, address, say=said.append):
        train(store)
    assert sum("the run goes on, and the storage is tried again" in line for line in said) == 1
    assert any("works again" in line for line in said)
    fetch(address, tmp_path / "elsewhere")
    assert digests(tmp_path / "elsewhere") == digests(store.root)


def test_a_storage_that_stays_broken_does_not_lose_the_run(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen to fail when the end of `mirrored` does not ask whether the storage is up to date."""
    monkeypatch.setattr(mirror, "Storage", Failing)
    monkeypatch.setattr(mirror, "LAST_TRIES", (0.0, 0.0))
    monkeypatch.setattr(Failing, "left", 10**6)
    store = make_store(tmp_path / "run")
    with (
        pytest.raises(DiskError, match=r"is behind: .*no route.* whole run lies in .*run' on this machine"),
        mirrored(store, address, say=print),
    ):
        train(store)
    assert store.member(PLAN.index) is not None


def test_what_stopped_the_run_is_what_is_told(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "Storage", Failing)
    monkeypatch.setattr(mirror, "LAST_TRIES", (0.0,))
    monkeypatch.setattr(Failing, "left", 10**6)
    said: list[str] = []
    with (
        pytest.raises(KeyboardInterrupt),
        mirrored(make_store(tmp_path / "run"), address, say=said.append),
    ):
        raise KeyboardInterrupt
    assert "is behind" in said[-1]


def test_a_hanging_storage_holds_up_a_stopped_run_for_a_bounded_time(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()

    class Hanging(Storage):
        def write(self, name: str, content: bytes) -> None:
            let_go.wait(60)
            raise DiskError("too late")

    monkeypatch.setattr(mirror, "Storage", Hanging)
    monkeypatch.setattr(mirror, "WHEN_STOPPED", 0.2)
    monkeypatch.setattr(mirror, "LAST_TRIES", ())
    said: list[str] = []
    with (
        pytest.raises(KeyboardInterrupt),
        mirrored(make_store(tmp_path / "run"), address, say=said.append),
    ):
        raise KeyboardInterrupt
    let_go.set()
    assert "there was no time to bring it up to date" in said[-1]


def test_the_place_of_another_run_is_refused(tmp_path: Path, address: str) -> None:
    """Seen to fail, and to remove the other run's members, without the claim."""
    first = make_store(tmp_path / "first")
    with mirrored(first, address, say=print):
        train(first)
    there = Storage(address).sizes()
    with (
        pytest.raises(RunError, match="holds run 'first'"),
        mirrored(make_store(tmp_path / "second"), address, say=print),
    ):
        pass
    with pytest.raises(RunError, match=r"holds run 'first'.*name an empty place with --storage"):
        check_storage(address, tmp_path / "third")
    assert Storage(address).sizes() == there


def test_a_place_with_other_things_in_it_is_refused(tmp_path: Path, address: str) -> None:
    Storage(address).write("photos/cat.jpg", b"meow")
    with pytest.raises(RunError, match="holds something else; name an empty place"):
        check_storage(address, tmp_path / "run")
    with (
        pytest.raises(RunError, match="holds something else"),
        mirrored(make_store(tmp_path / "run"), address, say=print),
    ):
        pass
    assert Storage(address).sizes() == {"photos/cat.jpg": 4}


def test_a_second_writer_is_refused_while_the_first_is_heard(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = make_store(tmp_path / "run")
    with mirrored(store, address, say=print):
        pass
    theirs = Claim.now(Identity.of(store.record), going=True).model_copy(update={"host": "far", "pid": 7})
    Storage(address).write(CLAIM, theirs.sealed())
    with (
        pytest.raises(RunError, match="held by process 7 on far, heard 0 s ago"),
        mirrored(store, address, say=print),
    ):
        pass
    with pytest.raises(RunError, match="held by process 7 on far"):
        fetch(address, tmp_path / "elsewhere")
    assert glance(address, tmp_path / "glance") == "process 7 on far, heard 0 s ago"
    monkeypatch.setattr(claim, "BELIEVED", -1.0)  # it has not been heard for too long
    fetch(address, tmp_path / "elsewhere")


def test_a_claim_that_was_cut_short_is_none(tmp_path: Path, address: str) -> None:
    store, storage = make_store(tmp_path / "run"), Storage(address)
    sealed = Claim.now(Identity.of(store.record), going=True).sealed()
    for content in (
        b"",
        sealed[: len(sealed) // 2],
        b"[]",
        b"[" * 100_000,
        sealed.replace(b"true", b"false"),
    ):
        storage.write(CLAIM, content)
        assert read_claim(storage, storage.sizes()) is None


def test_a_directory_that_was_left_behind_does_not_take_the_storage_back(
    tmp_path: Path, address: str
) -> None:
    """Seen to fail, and to remove the finished member from the storage, without the look at what is ahead."""
    store = make_store(tmp_path / "run")
    with mirrored(store, address, say=print):
        pass
    fetch(address, tmp_path / "elsewhere")
    elsewhere = RunStore.open(tmp_path / "elsewhere")
    with mirrored(elsewhere, address, say=print):
        train(elsewhere)
    with (
        pytest.raises(RunError, match=r"is ahead of run directory .* members/000/member.json is there"),
        mirrored(store, address, say=print),
    ):
        pass
    assert "members/000/member.json" in Storage(address).sizes()


def test_ahead() -> None:
    checkpoint = "members/000/checkpoint-{:09d}.json".format
    assert ahead({checkpoint(9)}, {checkpoint(8)}) == [checkpoint(9)]
    assert ahead({checkpoint(9)}, {checkpoint(9), checkpoint(10)}) == []
    assert ahead({checkpoint(9)}, {"members/000/member.json"}) == [], "done here, and not told there yet"
    stack = "stacks/000-001/checkpoint-{:09d}.json".format
    assert ahead({stack(9)}, {stack(8)}) == [stack(9)]
    assert ahead({stack(9)}, {"members/000/member.json"}) == [stack(9)]
    assert ahead({stack(9)}, {"members/000/member.json", "members/001/member.json"}) == []
    assert ahead({"elsewhere/checkpoint-000000009.json"}, set()) == []


def test_names_that_no_run_gives_are_never_read(tmp_path: Path, address: str) -> None:
    """Seen to fail, writing beside the run directory, without the pattern of names in `Storage.sizes`."""
    store = make_store(tmp_path / "run")
    with mirrored(store, address, say=print):
        pass
    storage = Storage(address)
    root = storage._root
    for name in ("../evil", "members/../../evil", ".hidden", "members/000/-option", "a/b/c/d/e/f"):
        storage._files.store[f"{root}/{name}"] = storage._files.store[f"{root}/config.json"]
    (tmp_path / "deep").mkdir()
    fetch(address, tmp_path / "deep" / "elsewhere")
    assert not list(tmp_path.rglob("evil"))
    assert {path.name for path in (tmp_path / "deep" / "elsewhere").rglob("*")} == {
        path.name for path in store.root.rglob("*") if path.name != "lock"
    }


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("nosuch://x/y", "cannot be used: Protocol not known"),
        ("relative/place", "give PROTOCOL://…, or an absolute path"),
        ("ftp://me:s3cret@host/x", "holds a secret"),
    ],
)
def test_what_is_no_storage_is_refused(tmp_path: Path, wrong: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        check_storage(wrong, tmp_path / "run")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("place", ["run", "run/inside", "."])
def test_a_storage_inside_the_run_or_around_it_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(UsageError, match="lie in one another"):
        check_storage(str((tmp_path / place).resolve()), tmp_path / "run")


def test_a_storage_that_does_not_answer_is_refused_within_a_bound(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    monkeypatch.setattr(Storage, "sizes", lambda self: let_go.wait(60) and {})
    monkeypatch.setattr("ensemble.runs.storage.ANSWER_WITHIN", 0.1)
    with pytest.raises(UsageError, match=r"did not answer within 0.1 s"):
        check_storage(address, tmp_path / "run")
    let_go.set()


def test_nothing_at_an_address(tmp_path: Path, address: str) -> None:
    with pytest.raises(RunError, match=r"there is no run at .*: found nothing"):
        fetch(address, tmp_path / "run")
    assert not (tmp_path / "run").exists()
