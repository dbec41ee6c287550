"""Where a run is put together: data, pool, store and coordinator. The command and the estimators both call this."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from cluster import import_engine, open_pool
from ensemble.config import ExecutionConfig, RunConfig, Task, make_config
from ensemble.errors import ClusterLostError, RunError, UsageError
from ensemble.functions import function_digest, is_function_path
from ensemble.runs.place import check_place, new_directory_for
from ensemble.runs.signals import Interrupted, signals_raise

if TYPE_CHECKING:
    from ensemble.data.dataset import Dataset
    from ensemble.runs.pool import Message, Pool
    from ensemble.runs.store import RunStore


Observer = Callable[["Message"], None]
Watch = Callable[[RunConfig, Task, frozenset[int]], AbstractContextManager[Observer]]
"""Given the resolved configuration, the task and the members that are done already, opens a display; what it yields is
called with every message."""

T = TypeVar("T")


def _unwatched(config: RunConfig, task: Task, finished: frozenset[int]) -> AbstractContextManager[Observer]:
    """Nobody looks on."""
    return nullcontext(lambda message: None)


def train(
    config: RunConfig,
    *,
    run: Path,
    watch: Watch = _unwatched,
    say: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train, combine and evaluate an ensemble; the run directory holds everything afterwards.

    Workers start while the data loads: both take seconds and neither needs the other. Nothing is written before the
    data, the network and the options have been found to fit one another.

    Args:
        config: What to do, as asked for.
        run: A directory that does not exist yet.
        watch: Given the resolved configuration and task, opens a display; what it yields is called with every
            message of the pool.
        say: Called with sentences about what was decided: the task, imputed cells, the network.

    Returns:
        The report, as in ``report.json``.

    Raises:
        UsageError: the data, the network or the options do not fit one another.
        RunError: the run directory exists already, or cannot be made there; or its storage is not empty.
        TooFewMembersError: fewer members finished than ``min_members``.
        ClusterLostError, DiskError, Interrupted: it stopped in between; `resume` goes on.
    """
    check_place(run)
    if config.execution.storage is not None:
        from ensemble.runs.mirror import check_storage  # what it imports else waits until Ray starts

        check_storage(config.execution.storage, run)
    members = config.ensemble.members
    load, check = lambda: _load(config), lambda data: _check(config, data)
    with _loaded(config.execution, members, load, check) as (pool, (resolved, data, parameters)):
        for note in data.spec.notes:
            say(note)
        # Here, since they bring torch: by now it has been imported beside the start of the pool.
        from ensemble.training.precision import resolve_precision
        from ensemble.training.stacking import resolve_stack

        resolved, why = resolve_stack(resolved, data.spec, at_once=pool.describe()["at_once"])
        resolved = resolve_precision(resolved)
        say(_summary(resolved, data, parameters))
        say(f"{_together(resolved)}: {why}")
        store = _create(run, resolved, data, parameters)
        with store.hold(), _kept(store, resolved.execution, say):
            return _run(store, data, pool, resolved.execution, watch)


def resume(
    run: Path,
    *,
    watch: Watch = _unwatched,
    say: Callable[[str], None] = lambda line: None,
    options: Mapping[str, Any] | None = None,
    strict: bool = False,
) -> dict[str, Any]:
    """Finish an interrupted run: members that are done stay as they are, the others go on from their checkpoints.

    What is damaged is set aside, and trained or made again.

    Args:
        run: A run directory.
        watch, say: As for `train`.
        strict: Refuse to go on under other hardware, threads or versions than before.
        options: Options given again: MODULE:FUNCTION of ``net``, ``data`` and ``loss`` where the run was made with
            them, ``data_dir``, and anything of the execution section, which may differ from time to time.

    Returns:
        The report; that of a finished run is returned as it was written.

    Raises:
        RunError: the directory is damaged, held by another process, or its data are no longer what they were.
        UsageError: code of the user's own that was not named again or has changed.
    """
    from ensemble.runs.recovery import is_intact
    from ensemble.runs.status import run_status
    from ensemble.runs.store import RunStore

    store = RunStore.open(run)
    given = dict(options or {})
    _check_functions(store, given)
    if run_status(store).state == "done" and is_intact(store):
        say("this run is finished: nothing to do")
        with _kept(store, _execution(store.record.config, given), say):
            return store.report()
    return _go_on(store, given, watch=watch, say=say, strict=strict)


def grow(
    run: Path,
    *,
    add: int,
    watch: Watch = _unwatched,
    say: Callable[[str], None] = lambda line: None,
    options: Mapping[str, Any] | None = None,
    strict: bool = False,
) -> dict[str, Any]:
    """Add members to a run; those that are there stay bit for bit what they are.

    The run is larger once its data have been found to be what they were; before that, nothing is changed.

    Raises:
        UsageError: the run's members hold disjoint parts of the rows, which more members would change.
        RunError, UsageError: as for `resume`.
    """
    from ensemble.runs.store import RunStore

    store = RunStore.open(run)
    given = dict(options or {})
    _check_functions(store, given)
    members = store.record.config.ensemble.members + add
    if store.record.config.ensemble.resample == "disjoint":
        raise UsageError(
            "grow does not go with resample disjoint: more members would change everybody's part of the rows; "
            f"train a new run with --members {members}"
        )
    say(f"growing to {members} members")
    return _go_on(store, given, watch=watch, say=say, strict=strict, members=members)


def _check_functions(store: RunStore, given: Mapping[str, Any]) -> None:
    from ensemble.runs.functions import check_function

    for option in ("net", "data", "loss"):
        check_function(store, option, given.get(option))


def _go_on(
    store: RunStore,
    given: Mapping[str, Any],
    *,
    watch: Watch,
    say: Callable[[str], None],
    strict: bool,
    members: int | None = None,
) -> dict[str, Any]:
    """Take a run up again, with more members where ``members`` says so."""
    execution = _execution(store.record.config, given)
    count = members or store.record.config.ensemble.members
    load, check = lambda: _load_again(store, given.get("data_dir")), lambda data: data
    with store.hold(), _kept(store, execution, say), _loaded(execution, count, load, check) as (pool, data):
        if members is not None:
            store.grow(members)
        return _run(store, data, pool, execution, watch, strict=strict)


def _kept(
    store: RunStore, execution: ExecutionConfig, say: Callable[[str], None]
) -> AbstractContextManager[None]:
    """Keeps the run's storage up to date, where it has one."""
    from ensemble.runs.mirror import mirrored

    return mirrored(store, execution.storage, say=say)


def fetched(address: str, *, into: Path | None, say: Callable[[str], None]) -> Path:
    """A run directory made from the storage at ``address``: ``into``, or a new name under ``runs/``.

    Raises:
        RunError: no run is there, somebody writes there, or the directory cannot be made.
        UsageError, DiskError: the storage cannot be used.
    """
    from ensemble.runs.fetching import fetch

    root = into or new_directory_for(address)
    say(f"fetching {address} into {str(root)!r}")
    fetch(address, root)
    return root


@contextmanager
def _loaded(
    execution: ExecutionConfig, members: int, load: Callable[[], Dataset], check: Callable[[Dataset], T]
) -> Iterator[tuple[Pool, T]]:
    """A pool, and what ``check`` makes of what ``load`` returns: workers start meanwhile, as neither needs the other.

    ``check`` brings torch, whose import and Ray's would only take turns, while Ray's start waits most of its time: so
    it comes after Ray's. The pool starts here on the main thread, because Ray's processes die with the thread that made
    them. Nobody waits for the other thread when the run is told to stop.
    """
    imported = threading.Event()

    def work() -> T:
        data = load()
        imported.wait()
        return check(data)

    with signals_raise():
        loading = _in_background(work)
        try:
            import_engine(execution)
        finally:
            imported.set()
        if loading.done():  # most data that are refused are refused by now, and nothing was started
            loading.result()
        pool = open_pool(execution, members=members)
        try:
            yield pool, loading.result()
        finally:
            pool.close()


def _in_background(work: Callable[[], T]) -> Future[T]:
    future: Future[T] = Future()

    def do() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=do, name="data", daemon=True).start()
    return future


def _run(
    store: RunStore,
    data: Dataset,
    pool: Pool,
    execution: ExecutionConfig,
    watch: Watch,
    *,
    strict: bool = False,
) -> dict[str, Any]:
    from ensemble.runs.coordinator import run_ensemble

    config = store.record.config
    finished = frozenset(store.with_manifest(range(config.ensemble.members)))
    try:
        with signals_raise(), watch(config, data.spec.task, finished) as observe:
            store.log("session", pool=pool.describe())
            return run_ensemble(store, data, pool, observe, execution, strict=strict)
    except (ClusterLostError, Interrupted) as stopped:
        elsewhere = f", or elsewhere `ensemble resume {execution.storage}`" if execution.storage else ""
        stopped.args = (
            f"{stopped}; everything committed is safe, go on with `ensemble resume {store.root}`{elsewhere}",
        )
        raise


def _execution(made_with: RunConfig, given: Mapping[str, Any]) -> ExecutionConfig:
    """The run's own, with what was given again; threads stay as they were, since they decide the bits."""
    fixed = {"cpus_per_member", "stack"}
    again = {
        key: value
        for key, value in given.items()
        if key in ExecutionConfig.model_fields and value is not None
    }
    if fixed & again.keys():
        name = min(fixed & again.keys()).replace("_", "-")
        raise UsageError(
            f"--{name} decides the bits of a member, so a resumed run keeps the one it was made with"
        )
    return make_config(made_with.flat() | again).execution


def _load_again(store: RunStore, data_dir: str | None) -> Dataset:
    """The run's data, if they are still what they were."""
    from ensemble.data.load import load_dataset

    config = store.record.config
    asked = config.data if data_dir is None else config.data.model_copy(update={"data_dir": data_dir})
    data = load_dataset(asked, seed=config.ensemble.seed)
    if data.spec.sha256 != store.spec.sha256:
        raise RunError(
            f"the data of {asked.data!r} have changed since this run was made: SHA-256 {data.spec.sha256}, and "
            f"the run's is {store.spec.sha256}; put the old data back, or train a new run"
        )
    return data


def _load(config: RunConfig) -> Dataset:
    from ensemble.data.load import load_dataset

    return load_dataset(config.data, seed=config.ensemble.seed)


def _check(config: RunConfig, data: Dataset) -> tuple[RunConfig, Dataset, int]:
    """Try the network and the options on the data: what can be refused and was not yet is refused here."""
    from ensemble.members.plan import plan_members, resolve
    from ensemble.members.resampling import training_rows
    from ensemble.training.augmentation import check_augmentation
    from ensemble.training.losses import loss_function
    from ensemble.training.networks import permutations_of_plan, try_network
    from ensemble.training.rows import batch_bounds
    from ensemble.training.schedules import snapshot_steps

    resolved = resolve(config, data.spec)
    plans = plan_members(resolved, data.spec)
    loss_function(resolved.train.loss)
    check_augmentation(resolved.train, data.spec)
    rows = min(len(training_rows(plan, data.train)) for plan in (plans[0], plans[-1]))
    steps = resolved.train.epochs * len(batch_bounds(rows, resolved.train.batch_size))
    snapshot_steps(resolved.train, steps)
    if resolved.ensemble.match:
        permutations_of_plan(plans[0])
    _check_validation(resolved, len(data.valid))
    return resolved, data, try_network(plans[0])


def _check_validation(config: RunConfig, rows: int) -> None:
    """Half of the validation rows select and half calibrate: what selects needs at least one of two.

    Raises:
        UsageError: fewer than two, and something selects.
    """
    selecting = {
        "soup": config.ensemble.soup,
        "combine greedy": config.ensemble.combine == "greedy",
        "early-stop": config.train.early_stop is not None,
    }
    asked = [name for name, wanted in selecting.items() if wanted]
    if asked and rows < 2:
        raise UsageError(f"{asked[0]} selects on validation rows, but there are {rows}; raise --valid")


def _create(run: Path, config: RunConfig, data: Dataset, parameters: int) -> RunStore:
    from ensemble.runs.store import RunStore
    from ensemble.training.fingerprint import versions

    named = (config.data.data, config.net.net, config.train.loss)
    return RunStore.create(
        run,
        data,
        config=config,
        functions={name: function_digest(name) for name in named if is_function_path(name)},
        parameters=parameters,
        versions=versions(),
    )


def _together(config: RunConfig) -> str:
    size = config.execution.stack
    return "members are trained one by one" if size == 1 else f"up to {size} members are trained as one"


def _summary(config: RunConfig, data: Dataset, parameters: int) -> str:
    ens, train = config.ensemble, config.train
    rows = f"{len(data.train):,} training, {len(data.valid):,} validation, {len(data.test):,} test rows"
    return (
        f"{ens.members} × {config.net.net} ({parameters:,} parameters) on {config.data.data}: {rows}; "
        f"{train.epochs} epochs of {train.optimizer} at {train.lr:g}, {train.schedule}, "
        f"{train.precision}"
    )
