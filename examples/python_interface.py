"""Train a small ensemble from Python, look at what it is worth, and predict new rows with uncertainty.

python examples/python_interface.py [RUN_DIRECTORY]
"""

from __future__ import annotations

import sys
from pathlib import Path

from ensemble import RunStore, load_networks, load_rows, make_config, train


def main(run: Path) -> None:
    config = make_config({"data": "wine", "members": 3, "epochs": 30, "hidden": (32,), "batch_size": 32})
    report = train(config, run=run, say=print)

    single = report["single"]["accuracy"]["mean"]
    average = report["combined"]["average"]["accuracy"]
    print(f"accuracy on the test rows: {single:.3f} for a single network, {average:.3f} for their average")

    store = RunStore.open(run)
    networks = load_networks(store, "average")
    rows = load_rows("wine", store.spec, labelled=False)
    for table in networks.predict(rows.x[:5]):
        for row, confidence, epistemic in zip(table.row, table.confidence, table.epistemic, strict=True):
            print(f"row {row}: confidence {confidence:.2f}, epistemic uncertainty {epistemic:.3f} nats")


if __name__ == "__main__":  # Ray's workers import this module
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/python-interface"))
