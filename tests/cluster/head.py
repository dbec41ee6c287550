"""A cluster of two nodes on this machine, in a process of its own: `python -m tests.cluster.head DIRECTORY`.

Prints the head's address; ``drop`` on standard input loses the second node, ``end`` or the end of input all of it.
"""

from __future__ import annotations

import ctypes
import logging
import signal
import sys

from ray.cluster_utils import Cluster


def main(directory: str) -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # not to outlive the tests
    logging.disable(logging.CRITICAL)
    options = {"num_cpus": 1, "include_dashboard": False, "temp_dir": directory, "no_monitor": True}
    # A lost node is noticed after tens of seconds by default.
    quick = {
        "health_check_initial_delay_ms": 0,
        "health_check_period_ms": 1000,
        "health_check_failure_threshold": 4,
    }
    cluster = Cluster(initialize_head=True, head_node_args={**options, "_system_config": quick})
    try:
        second = cluster.add_node(num_cpus=1, temp_dir=directory)
        print(cluster.address, flush=True)
        for line in sys.stdin:
            if line.strip() == "drop":
                cluster.remove_node(second, allow_graceful=False)
                print("dropped", flush=True)
            else:
                break
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
