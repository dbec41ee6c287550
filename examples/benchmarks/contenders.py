"""Who takes part, and how each is run: a command in a process of its own, and where it leaves its outcome."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, Protocol

from examples.benchmarks import ours
from examples.benchmarks.cases import Case
from examples.benchmarks.outcome import Outcome

Kind = Literal["train", "start", "predict"]


class Job(Protocol):
    """A contender that is Python: does a case's work on the rows in a file, in so many processes at once."""

    def __call__(self, case: Case, path: Path, jobs: int) -> Outcome: ...


@dataclass(frozen=True)
class Contender:
    """Attributes:
    role: ``bound`` is what others are measured against, ``peer`` what a user would pick instead of us.
    cases: The kinds of case in which it takes part.
    function: A ``Job`` as ``module:function`` of this package; for ``ensemble train`` itself, nothing.
    parallel: Whether the job is given all cores, or 1.
    options: Of ``ensemble train``.
    needs: Packages without which it is left out.
    """

    role: Literal["bound", "ours", "peer"]
    says: str
    cases: tuple[Kind, ...] = ("train",)
    function: str | None = None
    parallel: bool = True
    options: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()

    def missing(self) -> list[str]:
        """Packages that are not installed."""
        return [package for package in self.needs if find_spec(package) is None]

    def command(self, case: Case, rows: Path, out: Path, *, jobs: int) -> list[str]:
        """What is run."""
        if self.function is None:
            return ours.command(case, rows, out, "--workers", str(jobs), *self.options)
        said = json.dumps(asdict(case))
        count = str(jobs if self.parallel else 1)
        return [
            sys.executable,
            "-m",
            "examples.benchmarks.contenders",
            self.function,
            said,
            str(rows),
            count,
            str(out),
        ]

    def outcome(self, out: Path) -> Outcome:
        """What it left."""
        return ours.outcome(out) if self.function is None else Outcome.read(out)


FLOAT32 = ("--precision", "float32")
CONTENDERS: Mapping[str, Contender] = {
    "import-torch": Contender("bound", "import torch alone", ("start",), "starts:import_torch"),
    "ray-and-torch": Contender(
        "bound", "Ray started, torch imported in its workers", ("start",), "starts:ray_and_torch"
    ),
    "bound": Contender(
        "bound",
        "plain processes, one thread each, a plain loop over tensors",
        ("train", "start"),
        "bound:run",
    ),
    "ours": Contender(
        "ours",
        "ensemble train --precision float32",
        ("train", "start"),
        options=(*FLOAT32, "--stack", "auto"),
    ),
    "ours-unstacked": Contender(
        "ours", "the same with --stack 1", ("train", "start"), options=(*FLOAT32, "--stack", "1")
    ),
    "ours-auto": Contender(
        "ours", "the same with --precision auto, the default", options=("--stack", "auto")
    ),
    "torchensemble": Contender(
        "peer",
        "VotingClassifier, n_jobs 1",
        ("train",),
        "torchensemble_:run",
        False,
        needs=("torchensemble",),
    ),
    "torchensemble-jobs": Contender(
        "peer",
        "VotingClassifier, n_jobs as many as cores",
        function="torchensemble_:run",
        needs=("torchensemble",),
    ),
    "bagging": Contender(
        "peer", "BaggingClassifier over skorch, n_jobs 1", ("train",), "skorch_:run", False, needs=("skorch",)
    ),
    "bagging-jobs": Contender(
        "peer",
        "BaggingClassifier over skorch, n_jobs as many as cores",
        function="skorch_:run",
        needs=("skorch",),
    ),
    "tune": Contender(
        "peer", "Ray Tune, one CPU a trial", ("train", "start"), "tune:run", needs=("tensorboardX", "pandas")
    ),
    "loop": Contender("bound", "each network after the other", ("predict",), "predict:loop", False),
    "ours-predict": Contender(
        "ours", "load_networks(run).predict(rows)", ("predict",), "predict:ours", False
    ),
}


def main(function: str, case: str, rows: str, jobs: str, out: str) -> None:
    """In the contender's own process: do the case's work and leave the outcome."""
    module, _, name = function.partition(":")
    job: Job = getattr(import_module(f"examples.benchmarks.{module}"), name)
    job(Case(**json.loads(case)), Path(rows), int(jobs)).write(Path(out))


if __name__ == "__main__":  # joblib's and Ray's processes import this module
    main(*sys.argv[1:])
