"""Train, combine and honestly evaluate ensembles of PyTorch networks, on a laptop or a Ray cluster.

    from pathlib import Path
    from ensemble import make_config, train

    report = train(make_config({"data": "digits", "members": 5}), run=Path("runs/mine"))
    print(report["combined"]["average"]["accuracy"])

Everything public is here; it is imported when it is first used, so that ``import ensemble`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_PUBLIC = {
    "EnsembleError": "ensemble.errors",
    "Networks": "ensemble.runs.prediction",
    "RunConfig": "ensemble.config",
    "RunStore": "ensemble.runs.store",
    "UsageError": "ensemble.errors",
    "grow": "ensemble.launch",
    "load_networks": "ensemble.runs.prediction",
    "load_rows": "ensemble.data.load",
    "make_config": "ensemble.config",
    "read_toml": "ensemble.config",
    "resume": "ensemble.launch",
    "train": "ensemble.launch",
}

__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'ensemble' has no attribute {name!r}; it has {', '.join(_PUBLIC)}")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return __all__
