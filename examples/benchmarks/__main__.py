"""``python -m examples.benchmarks``: every contender through every case, in turns; README.md says what is compared."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

import click

from ensemble.errors import EnsembleError
from examples.benchmarks import machine, ours, predict, processes, rows
from examples.benchmarks.cases import FULL, QUICK, Case
from examples.benchmarks.contenders import CONTENDERS, Contender
from examples.benchmarks.drawing import draw
from examples.benchmarks.report import Series, table

ROOT = Path(__file__).parents[2]
ONCE = 60.0
"""Seconds: who takes longer than that in the first round has no further ones."""
TIMEOUT = 1200.0

T = TypeVar("T")


@click.command()
@click.option(
    "--cases", metavar="NAME,…", help=f"Of {', '.join(case.name for case in FULL)}.  [default: all]"
)
@click.option("--contenders", metavar="NAME,…", help=f"Of {', '.join(CONTENDERS)}.  [default: all]")
@click.option("--repeat", type=click.IntRange(min=1), default=3, show_default=True, help="Rounds.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("runs/benchmarks"), show_default=True)
@click.option("--quick", is_flag=True, help="Tiny cases on digits, to see that everything runs.")
def main(cases: str | None, contenders: str | None, repeat: int, out: Path, quick: bool) -> None:
    """Measure, print a table a case, and write results.json and benchmarks.svg."""
    # So that whatever was started is ended on the way out.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    chosen = _chosen(cases, {case.name: case for case in (QUICK if quick else FULL)}, "case")
    taking_part = _chosen(contenders, CONTENDERS, "contender")
    document: dict[str, Any] = {
        "command": shlex.join(["python", "-m", "examples.benchmarks", *sys.argv[1:]]),
        "machine": machine.describe(),
    }
    say(
        f"{machine.cores()} cores, {document['machine']['processor']}, load {document['machine']['load']:.2f}"
    )
    out.mkdir(parents=True, exist_ok=True)
    results: list[tuple[Case, Mapping[str, Series]]] = []
    for case in chosen.values():
        found = _case(
            case, {name: c for name, c in taking_part.items() if case.kind in c.cases}, repeat=repeat
        )
        results.append((case, found))
        click.echo(f"{table(case, found)}\n")
        # After each case, so that a stop in between loses nothing.
        document["cases"] = {
            case.name: {"case": asdict(case), "contenders": {name: asdict(s) for name, s in found.items()}}
            for case, found in results
        }
        (out / "results.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if any(series.rounds for _, found in results for series in found.values()):
        draw(results, out / "benchmarks.svg")
    say(f"figures: {out}")
    if any(series.failed for _, found in results for series in found.values()):
        raise click.ClickException("a contender failed; the evidence stands above and in results.json")


def say(line: str) -> None:
    """On standard error: standard output has the tables."""
    click.echo(line, err=True)


def _case(case: Case, contenders: Mapping[str, Contender], *, repeat: int) -> Mapping[str, Series]:
    found = {name: Series(contender.role) for name, contender in contenders.items()}
    with tempfile.TemporaryDirectory(prefix="benchmark-") as directory:
        path = Path(directory) / "rows.npz"
        unprepared = _prepare(case, path)
        for name, contender in contenders.items():
            missing = contender.missing()
            found[name].skipped = unprepared or (f"not installed: {', '.join(missing)}" if missing else None)
        for number in range(repeat):
            for name, contender in contenders.items():
                series = found[name]
                if (
                    series.skipped
                    or series.failed
                    or (series.rounds and series.rounds[0]["whole_seconds"] > ONCE)
                ):
                    continue
                begun = time.monotonic()
                _round(case, contender, path, Path(directory) / f"{name}-{number}", series)
                took = time.monotonic() - begun
                say(
                    f"{case.name} {number + 1}/{repeat} {name}: {'FAILED' if series.failed else f'{took:.1f} s'}"
                )
    return found


def _prepare(case: Case, path: Path) -> str | None:
    """Rows and, for predictions, trained members; or why the case cannot be run here."""
    try:
        rows.write(case, path)
    except EnsembleError as error:
        return str(error)
    if case.kind == "predict":
        command = ours.command(case, path, predict.run_of(path))
        ran = processes.run(command, directory=ROOT, timeout=TIMEOUT)
        if ran.code != 0:
            return f"its members could not be trained: {ran.output}"
    return None


def _round(case: Case, contender: Contender, path: Path, out: Path, series: Series) -> None:
    """Run a contender once; what it did, or how it failed, goes into the series."""
    command = contender.command(case, path, out, jobs=machine.cores())
    ran = processes.run(command, directory=ROOT, timeout=TIMEOUT)
    if ran.code != 0:
        ended = f"stopped after {TIMEOUT:g} s" if ran.code is None else f"exit code {ran.code}"
        series.failed = f"{ended}: {' | '.join(ran.output.strip().splitlines()[-5:])}"
        return
    outcome = contender.outcome(out)
    measures = {"whole_seconds": ran.seconds, **outcome.measures}
    if outcome.begun is not None and outcome.ended is not None:
        measures["start_seconds"] = outcome.begun - ran.begun
        measures["training_seconds"] = outcome.ended - outcome.begun
    if ran.private_mb is not None:
        measures["private_mb"] = ran.private_mb
    series.rounds.append(measures)
    if ran.left_behind:
        series.notes.append(f"left processes behind, which were ended {processes.PATIENCE:g} s later")


def _chosen(asked: str | None, all_of: Mapping[str, T], what: str) -> dict[str, T]:
    """Those that are named, in the order of the whole."""
    if asked is None:
        return dict(all_of)
    names = asked.split(",")
    unknown = [name for name in names if name not in all_of]
    if unknown:
        raise click.BadParameter(f"unknown {what} {unknown[0]!r}; there are {', '.join(all_of)}")
    return {name: one for name, one in all_of.items() if name in names}


if __name__ == "__main__":  # nothing here is imported by the contenders' own processes
    main()
