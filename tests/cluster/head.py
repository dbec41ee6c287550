"""A cluster of several nodes on this machine, in a process of its own: `python -m tests.cluster.head DIRECTORY`.

It prints the head's address, and does what each line of standard input says, in JSON: ``{"add": {"num_cpus": 1}}``
prints the new node's id, ``{"drop": ID}`` loses that node without a word to anybody. At the end of input all is ended.
"""

from __future__ import annotations

import ctypes
import json
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
    head = {"object_store_memory": 80 * 2**20, "_system_config": quick}
    cluster = Cluster(initialize_head=True, head_node_args={**options, **head})
    nodes = {}
    try:
        print(cluster.address, flush=True)
        for line in sys.stdin:
            ((command, about),) = json.loads(line).items()
            if command == "add":
                node = cluster.add_node(temp_dir=directory, object_store_memory=80 * 2**20, **about)
                nodes[node.node_id] = node
                print(node.node_id, flush=True)
            else:
                cluster.remove_node(nodes.pop(about), allow_graceful=False)
                print("dropped", flush=True)
    finally:
        cluster.shutdown()


if __name__ == "__main__":
    main(sys.argv[1])
