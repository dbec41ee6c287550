"""The configuration of a run: frozen, validated, and the only place where a default is written.

One spelling everywhere: the option ``--clip-norm`` is the TOML key ``clip-norm`` (or ``clip_norm``), the field
``TrainConfig.clip_norm`` and the JSON key ``clip_norm``. Options of the command line are made from these fields,
their help from the descriptions, so neither can drift from the other.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ensemble.errors import UsageError
from ensemble.functions import is_function_path

Task = Literal["classification", "regression"]
NETS = ("auto", "mlp", "lenet", "convnet", "resnet")
LOSSES = ("auto", "cross_entropy", "gaussian", "mse")


def _name_or_function(names: tuple[str, ...]) -> BeforeValidator:
    def check(value: Any) -> Any:
        if value in names or (isinstance(value, str) and is_function_path(value)):
            return value
        nearest = difflib.get_close_matches(str(value), names, n=1)
        hint = f"; did you mean {nearest[0]!r}?" if nearest else ""
        raise ValueError(f"{value!r} is neither one of {', '.join(names)} nor MODULE:FUNCTION{hint}")

    return BeforeValidator(check)


def _split_widths(value: Any) -> Any:
    if isinstance(value, int):
        return [value]
    return [part for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _private_if_local(value: Any) -> Any:
    """``local`` is no address: a word for a resume of what was begun on a cluster, which would go on there."""
    return None if value == "local" else value


def _named_amounts(value: Any) -> Any:
    """``NAME=AMOUNT,…`` as a mapping."""
    if not isinstance(value, str):
        return value
    pairs = [part.partition("=") for part in value.split(",") if part.strip()]
    if any(not (name.strip() and equals) for name, equals, _ in pairs):
        raise ValueError("give NAME=AMOUNT, several with commas between them")
    return {name.strip(): amount.strip() for name, _, amount in pairs}


def _fraction_or_source(value: Any) -> Any:
    """``--test`` takes a fraction or a data source; a string that reads as a number is the number."""
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    return value


Positive = Annotated[int, Field(ge=1)]
Above0 = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


class DataConfig(Section):
    """What is learned from."""

    data: str = Field("digits", description="Data source: a bundled name, a path, or MODULE:FUNCTION.")
    target: str | None = Field(None, description="Target column of a CSV or Parquet file.")
    task: Literal["auto", "classification", "regression"] = Field("auto", description="What is predicted.")
    test: Annotated[float | str | None, BeforeValidator(_fraction_or_source)] = Field(
        None,
        description="Test rows: a source, or a fraction to split off.  [default: the source's own, or 0.2]",
    )
    valid: float = Field(
        0.1, ge=0, lt=1, description="Fraction of the training rows held out for validation."
    )
    standardize: Literal["auto", "none", "features", "pixels"] = Field(
        "auto", description="Scale inputs by training rows: each feature, each pixel channel, or not."
    )
    data_dir: str | None = Field(None, description="Where the files of a named data set lie.")


class NetConfig(Section):
    """One network."""

    net: Annotated[str, _name_or_function(NETS)] = Field(
        "auto", description="auto, mlp, lenet, convnet, resnet, or MODULE:FUNCTION that returns an nn.Module."
    )
    hidden: Annotated[tuple[Positive, ...] | None, BeforeValidator(_split_widths)] = Field(
        None,
        description="Widths of the hidden layers (mlp) or channels of the stages (convnet, resnet): 256,256.",
    )
    init: Literal["he", "xavier", "orthogonal", "gaussian"] = Field(
        "he", description="Initialization of weights."
    )
    bias_init: float = Field(0.0, allow_inf_nan=False, description="Initial value of biases.")
    batch_norm: Literal["none", "before", "after"] = Field(
        "before", description="Batch norm before or after the nonlinearity, or none."
    )
    dropout: float | None = Field(
        None, ge=0, lt=1, description="Probability of dropping a unit.  [default: chosen with the net]"
    )
    heads: Positive = Field(1, description="Heads on one shared trunk, each its own predictor.")


class TrainConfig(Section):
    """How one network is trained."""

    epochs: Positive = Field(20, description="Passes over the training rows.")
    batch_size: Annotated[int, Field(ge=2)] = Field(128, description="Rows in a step.")
    optimizer: Literal["sgd", "adam", "adamw"] = Field("adam", description="Optimizer.")
    lr: Above0 | None = Field(
        None,
        description="Peak learning rate.  [default: sgd 0.05, adam and adamw 0.001, or 0.003 for convnet and resnet]",
    )
    momentum: float | None = Field(None, ge=0, lt=1, description="Momentum of sgd.  [default: 0.9]")
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        None, description="Weight decay.  [default: sgd 0.0005, adam 0, adamw 0.01]"
    )
    schedule: Literal["constant", "linear", "cosine", "cyclic", "onecycle"] = Field(
        "cosine", description="Learning rate over the run."
    )
    snapshots: int = Field(
        0, ge=0, description="Snapshots of each member along its run, each its own predictor."
    )
    swa: float = Field(
        0.0,
        ge=0,
        lt=1,
        description="Average the weights over this last share of the epochs: one more predictor.",
    )
    clip_norm: Above0 | None = Field(
        None, description="Clip the gradient's norm over all parameters to this."
    )
    clip_value: Above0 | None = Field(None, description="Clip each element of the gradient to this.")
    early_stop: Positive | None = Field(
        None,
        description="Stop after so many epochs without a better validation loss; restores the best weights.",
    )
    precision: Literal["auto", "float32", "bfloat16"] = Field("auto", description="Arithmetic of a step.")
    augment: Literal["none", "flip", "shift", "flip,shift"] = Field(
        "none", description="Flip training images left to right, shift them by up to an eighth, at random."
    )
    loss: Annotated[str, _name_or_function(LOSSES)] = Field(
        "auto", description="auto, cross_entropy, gaussian, mse, or MODULE:FUNCTION(outputs, targets)."
    )


class EnsembleConfig(Section):
    """How members differ and are combined."""

    members: Positive = Field(5, description="Networks in the ensemble.")
    resample: Literal["none", "bootstrap", "disjoint"] = Field(
        "none", description="Training rows of a member: all, drawn with replacement, or its own part."
    )
    dropout_samples: int = Field(0, ge=0, description="Stochastic passes at evaluation and prediction.")
    combine: Literal["average", "vote", "parameters", "greedy"] = Field(
        "average", description="What predict uses; the report evaluates all."
    )
    match: bool = Field(False, description="Align members before their parameters are averaged.")
    soup: bool = Field(
        False, description="Also average parameters greedily: keep a member only if validation gets no worse."
    )
    seed: int = Field(0, ge=0, description="Every random number of the run follows from it.")


class ExecutionConfig(Section):
    """Where and how members are trained. Nothing here but ``cpus_per_member`` and ``stack`` changes a result."""

    pool: Literal["ray", "serial"] = Field("ray", description="Ray actors, or this process alone.")
    address: Annotated[str | None, BeforeValidator(_private_if_local)] = Field(
        None, description="Ray cluster to join: auto or HOST:PORT; local for a private one.  [default: local]"
    )
    insecure: bool = Field(False, description="Join a cluster beyond this machine that asks for no token.")
    workers: Positive | None = Field(None, description="Members trained at once.  [default: as many as fit]")
    cpus_per_member: Above0 = Field(1, description="CPUs, and so torch threads, of a member.")
    gpus_per_member: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = Field(
        None, description="GPUs of a member, a fraction to share one.  [default: one where there are any]"
    )
    resources: Annotated[dict[str, Above0], BeforeValidator(_named_amounts)] = Field(
        {}, description="Custom resources of a member, as the cluster's nodes name them.  [default: none]"
    )
    cpu_nodes: bool = Field(
        False, description="Where members take GPUs, train others on the nodes that have none."
    )
    stack: Annotated[Literal["auto"] | Positive, Field(union_mode="left_to_right")] = Field(
        "auto", description="Members trained together in one process."
    )
    retries: int = Field(2, ge=0, description="Further attempts at a member that failed.")
    min_members: Positive | None = Field(
        None, description="Fewest members that make a result; with fewer the exit code is 4.  [default: 1]"
    )
    checkpoint_every: Above0 = Field(60, description="Seconds between checkpoints.")
    storage: str | None = Field(
        None, description="Where the run is kept too: an address of an object store (s3://…), or a path."
    )
    silence: Above0 = Field(
        60,
        description="Seconds, or 20 times the longest pause so far, after which a silent worker is replaced.",
    )


SECTIONS: dict[str, type[Section]] = {
    "data": DataConfig,
    "net": NetConfig,
    "train": TrainConfig,
    "ensemble": EnsembleConfig,
    "execution": ExecutionConfig,
}
FIELDS: dict[str, str] = {field: name for name, section in SECTIONS.items() for field in section.model_fields}
"""Every field's section: names are unique, so options and TOML keys need no prefix."""


class RunConfig(Section):
    """Everything a run was asked for."""

    data: DataConfig = DataConfig()
    net: NetConfig = NetConfig()
    train: TrainConfig = TrainConfig()
    ensemble: EnsembleConfig = EnsembleConfig()
    execution: ExecutionConfig = ExecutionConfig()

    @model_validator(mode="after")
    def _combinations(self) -> Self:
        data, net, train, ens, run = self.data, self.net, self.train, self.ensemble, self.execution
        refused = [
            (
                train.early_stop is not None and data.valid == 0,
                "early-stop needs validation rows, but valid is 0",
            ),
            (
                train.schedule == "cyclic" and train.snapshots == 0,
                "schedule cyclic needs snapshots: the number of cycles",
            ),
            (
                train.schedule == "cyclic" and train.early_stop is not None,
                "early-stop does not go with schedule cyclic",
            ),
            (train.snapshots > 0 and train.early_stop is not None, "early-stop does not go with snapshots"),
            (train.swa > 0 and train.early_stop is not None, "early-stop does not go with swa"),
            (
                train.momentum is not None and train.optimizer != "sgd",
                f"momentum is of sgd, but optimizer is {train.optimizer}",
            ),
            (
                run.gpus_per_member is not None and run.pool == "serial",
                "gpus-per-member needs pool ray, but pool is serial",
            ),
            (run.address is not None and run.pool == "serial", "address needs pool ray, but pool is serial"),
            (
                bool(run.resources) and run.address is None,
                "resources are those of a cluster's nodes: give its --address",
            ),
            (run.cpu_nodes and run.address is None, "cpu-nodes are those of a cluster: give its --address"),
            (
                run.min_members is not None and run.min_members > ens.members,
                f"min-members is {run.min_members}, but members is {ens.members}",
            ),
            (
                ens.combine == "greedy" and data.valid == 0,
                "combine greedy selects on validation rows, but valid is 0",
            ),
            (ens.match and net.heads > 1, "match does not go with heads"),
            (ens.soup and data.valid == 0, "soup selects on validation rows, but valid is 0"),
            (
                isinstance(data.test, float) and not 0 < data.test < 1,
                f"test is {data.test}, but a fraction lies between 0 and 1",
            ),
        ]
        for wrong, message in refused:
            if wrong:
                raise ValueError(message)
        return self

    def flat(self) -> dict[str, Any]:
        """All fields by their one name, without sections, as plain JSON values."""
        sections = self.model_dump(mode="json")
        return {field: value for section in sections.values() for field, value in section.items()}


def make_config(values: Mapping[str, Any], *, names: Mapping[str, str] | None = None) -> RunConfig:
    """A configuration from flat names; what is absent takes its default.

    ``names`` says how a field was written where it came from (``--clip-norm``), for messages.

    Raises:
        UsageError: an unknown name (with the nearest valid one) or a value that is refused.
    """
    sections: dict[str, dict[str, Any]] = {name: {} for name in SECTIONS}
    for key, value in values.items():
        field = key.replace("-", "_")
        if field not in FIELDS:
            raise UsageError(f"unknown configuration key {key!r}{nearest_name(field)}")
        sections[FIELDS[field]][field] = value
    try:
        return RunConfig.model_validate(sections)
    except ValidationError as error:
        raise UsageError("; ".join(_describe(problem, names or {}) for problem in error.errors())) from None


def read_toml(path: Path) -> dict[str, Any]:
    """The values of a TOML file, by flat names.

    Raises:
        UsageError: the file is missing, is not TOML, or holds an unknown key.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read configuration {str(path)!r}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{str(path)!r} is not TOML: {error}") from None
    unknown = [key for key in values if key.replace("-", "_") not in FIELDS]
    if unknown:
        raise UsageError(f"unknown key {unknown[0]!r} in {str(path)!r}{nearest_name(unknown[0])}")
    return {key.replace("-", "_"): value for key, value in values.items()}


def nearest_name(name: str, names: Iterable[str] = FIELDS) -> str:
    """``; did you mean 'clip-norm'?``, or nothing where no name is near."""
    near = difflib.get_close_matches(name.replace("-", "_"), list(names), n=1)
    return f"; did you mean {near[0].replace('_', '-')!r}?" if near else ""


def choices(field: str) -> tuple[str, ...]:
    """The values a field admits where they are a closed list, else nothing."""
    annotation = SECTIONS[FIELDS[field]].model_fields[field].annotation
    values = get_args(annotation)
    return values if values and all(isinstance(value, str) for value in values) else ()


def _describe(problem: Mapping[str, Any], names: Mapping[str, str]) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    location = [str(part) for part in problem["loc"]]
    if len(location) < 2:
        return message
    name = names.get(location[1], location[1].replace("_", "-"))
    value = problem["input"]
    near = difflib.get_close_matches(str(value), choices(location[1]), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"{name} is {value!r}: {message[0].lower()}{message[1:]}{hint}"
