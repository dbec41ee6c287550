"""The examples for clusters: each is what its system reads, and what it runs are commands that there are."""

from __future__ import annotations

import importlib.util
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml

from ensemble.cli.order import SENT
from ensemble.cli.train import train

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples" / "cluster"


def load(name: str) -> Any:
    return yaml.safe_load((EXAMPLES / name).read_text())


def options_of(command: str) -> dict[str, Any]:
    """The options of an ``ensemble`` command, parsed as it would."""
    program, name, *words = shlex.split(command)
    assert (program, name) == ("ensemble", "train")
    return train.make_context(name, words).params


def test_the_cluster_file_is_what_ray_up_reads() -> None:
    """By the schema that Ray itself checks it with."""
    ray = importlib.util.find_spec("ray")
    assert ray is not None
    assert ray.origin is not None
    schema = Path(ray.origin).parent / "autoscaler" / "ray-schema.json"
    cluster = load("ray-cluster.yaml")
    jsonschema.validate(cluster, json.loads(schema.read_text()))
    for commands in (cluster["head_start_ray_commands"], cluster["worker_start_ray_commands"]):
        for command in commands:
            assert subprocess.run(["bash", "-n", "-c", command], check=False).returncode == 0
        assert "RAY_AUTH_MODE=token" in commands[-1]
        assert " --autoscaling-config" in commands[-1] or " --address=" in commands[-1]


def test_the_manifest_is_a_rayjob() -> None:
    """By the names and types of KubeRay's published API reference."""
    job = load("rayjob.yaml")
    jsonschema.validate(job, json.loads((ROOT / "tests" / "kuberay_v1.json").read_text()))
    asked = options_of(job["spec"]["entrypoint"])
    assert asked["address"] == "auto"
    assert asked["storage"].startswith("s3://")
    assert asked["run"].is_absolute()
    assert yaml.safe_load(job["spec"]["runtimeEnvYAML"])["env_vars"]
    assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token"}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("spec", "entrypoint"), ["ensemble"]),
        (("spec", "rayClusterSpec", "headGroupSpec", "rayStartParams"), {"num-cpus": 0}),
        (("spec", "rayClusterSpec", "workerGroupSpecs", 0, "replicas"), "4"),
        (("spec", "shutdownAfterJobFinish"), True),
    ],
)
def test_a_wrong_manifest_is_told(path: tuple[Any, ...], value: Any) -> None:
    """The check above can fail: a list for a text, a number that Kubernetes wants quoted, a misspelt field."""
    job = load("rayjob.yaml")
    place = job
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(job, json.loads((ROOT / "tests" / "kuberay_v1.json").read_text()))


@pytest.fixture
def slurm(tmp_path: Path) -> dict[str, str]:
    """Slurm and the programs that it starts, played: each notes how it was called."""
    played = {
        "scontrol": 'if [ "$1" = show ]; then printf "n1\\nn2\\nn3\\n"; else echo "scontrol $*" >> "$CALLS"; fi',
        "srun": 'while [ "${1#--}" != "$1" ]; do shift; done; exec "$@"',
        "ray": 'echo "ray $* token=${#RAY_AUTH_TOKEN}" >> "$CALLS"; exec sleep 60',
        "ensemble": 'echo "ensemble $*" >> "$CALLS"; trap "exit 143" TERM; '
        'while [ "$(grep -c ^ray "$CALLS")" -lt 3 ]; do sleep 0.02; done; '
        'if [ -n "${WAITS:-}" ]; then echo > "$WAITS"; while :; do sleep 0.05; done; fi; exit "${ENDS:-0}"',
    }
    for name, script in played.items():
        (tmp_path / name).write_text(f"#!/bin/bash\n{script}\n")
        (tmp_path / name).chmod(0o755)
    return {
        "PATH": f"{tmp_path}:{Path(sys.executable).parent}:{os.environ['PATH']}",
        "CALLS": str(tmp_path / "calls"),
        "HOME": str(tmp_path),
        "SLURM_JOB_ID": "7",
        "SLURM_JOB_NODELIST": "n[1-3]",
        "SLURM_CPUS_PER_TASK": "8",
        "RAY_HEAD_SECONDS": "0",
    }


def test_the_slurm_script(slurm: dict[str, str], tmp_path: Path) -> None:
    """A head, a worker a node, the run; its exit code is the job's; the token is on no command line."""
    command = ["bash", str(EXAMPLES / "train.slurm"), "--members", "3"]
    done = subprocess.run(command, env=slurm | {"ENDS": "3"}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 3, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    (trained,) = (call for call in calls if call.startswith("ensemble"))
    asked = options_of(trained)
    assert (asked["members"], asked["address"]) == ("3", "n1:6379")
    assert asked["run"] == tmp_path / "ensemble-runs" / "7"
    started = sorted(call for call in calls if call.startswith("ray"))
    assert [call.split()[2] for call in started] == ["--address=n1:6379", "--address=n1:6379", "--head"]
    assert all(call.endswith("token=64") for call in started)


def test_the_slurm_script_goes_on_where_it_was_ended(slurm: dict[str, str], tmp_path: Path) -> None:
    waits = tmp_path / "waits"
    command = ["bash", str(EXAMPLES / "train.slurm")]
    job = subprocess.Popen(command, env=slurm | {"WAITS": str(waits)}, stderr=subprocess.DEVNULL)
    while not waits.exists():
        assert job.poll() is None
    job.terminate()
    assert job.wait(30) == 143
    assert "scontrol requeue 7" in (tmp_path / "calls").read_text()
    run = tmp_path / "ensemble-runs" / "7"
    run.mkdir(parents=True)
    (run / "config.json").write_text("{}")
    subprocess.run(command, env=slurm, check=True, timeout=60)
    resumed = f"ensemble resume {run} --address n1:6379"
    assert resumed in (tmp_path / "calls").read_text().splitlines()


def test_the_writers_throughput_is_measured(tmp_path: Path) -> None:
    script = [sys.executable, str(EXAMPLES / "writer_throughput.py"), "--directory", str(tmp_path)]
    done = subprocess.run(
        [*script, "--seconds", "0.01", "--repeats", "1"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("commits/s") == 4
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("page", [EXAMPLES / "README.md", ROOT / "docs" / "cluster.md"])
def test_commands_of_the_pages_are_commands(page: Path) -> None:
    """Every ``ensemble`` line in a block is parsed by the command that it names."""
    lines = [
        line.partition("  #")[0] for line in page.read_text().splitlines() if line.startswith("ensemble ")
    ]
    assert lines
    for line in lines:
        check_command(shlex.split(line)[1:], cut=line.rstrip().endswith("…"))


def check_command(words: list[str], *, cut: bool) -> None:
    from ensemble.cli.main import cli

    name, *rest = words
    command = cli.get_command(click.Context(cli), name)
    assert command is not None, name
    params = command.make_context(name, [] if cut and "--" not in rest and name != "submit" else rest).params
    if name == "submit" and params["command"]:
        inner = list(params["command"])
        assert inner[0] in SENT
        check_command([word for word in inner if word != "…"], cut=cut)
