"""The test cluster for a person: `python -m cluster tools | up | kubectl | down`; the Makefile has a target for each.
`guard` is for the tests: it ends the cluster when its standard input ends.

Variables: NODES and FAKE (how many real and how many fake nodes), CLUSTER (the folder), CLUSTER_TOOLS (the cache).
"""

import os
import sys
import time
from pathlib import Path

from cluster import fakes
from cluster.build import CONTROL, FAKE, NODE, build
from cluster.cluster import Cluster
from cluster.control import MAX_NODES
from cluster.errors import ClusterError, MissingError

FOLDER = Path(os.environ.get("CLUSTER") or Path(__file__).parents[2] / ".plinth" / "cluster")


def main(arguments):
    """Do what the one argument says; return the exit code."""
    commands = {"tools": tools, "up": up, "kubectl": kubectl, "down": down, "guard": guard}
    if len(arguments) != 1 or arguments[0] not in commands:
        say(f"usage: python -m cluster {'|'.join(commands)}")
        return 2
    try:
        return commands[arguments[0]](Cluster(FOLDER))
    except ClusterError as error:
        say(f"cluster: {error}")
        return 1


def say(line):
    """Tell the person; standard output is for what programs read."""
    print(line, file=sys.stderr, flush=True)


def tools(_cluster):
    """Build everything, and say where it is."""
    for part in (*CONTROL, *FAKE, *NODE):
        print(build(part, say))
    return 0


def up(cluster):
    """Bring up what NODES and FAKE ask for, and say how to use it."""
    nodes, fake = (int(os.environ.get(name) or 0) for name in ("NODES", "FAKE"))
    if nodes and os.getuid():
        raise MissingError("real nodes need root: they are made of namespaces; without NODES it goes without")
    if not 0 <= nodes <= MAX_NODES:
        raise ClusterError(f"NODES={nodes}: at most {MAX_NODES}")
    if cluster.is_up():
        say(f"a cluster is up in {cluster.folder} already; `make cluster-down` ends it")
        return kubectl(cluster)
    for part in (*CONTROL, *(FAKE if fake else ()), *(NODE if nodes else ())):
        build(part, say)
    try:
        _start(cluster, nodes, fake)
    except BaseException:  # also Ctrl-C: half a cluster is none
        cluster.down()
        raise
    return kubectl(cluster)


def _start(cluster, nodes, fake):
    started = time.monotonic()
    cluster.up()
    say(f"control plane: ready after {time.monotonic() - started:.1f} s")
    if fake:
        fakes.add(cluster, [fakes.gpu_node(f"gpu-{index}") for index in range(fake)])
        say(f"{fake} fake nodes: ready after {time.monotonic() - started:.1f} s")
    if nodes:
        cluster.nodes(nodes)
        say(f"{nodes} real nodes: ready after {time.monotonic() - started:.1f} s")


def kubectl(cluster):
    """Print the words that run kubectl."""
    if not cluster.is_up():
        raise ClusterError(f"no cluster is up in {cluster.folder}; `make cluster-up` starts one")
    print(f"{cluster.folder / 'kubectl'} --kubeconfig={cluster.kubeconfig}")
    return 0


def down(cluster):
    """End it; nothing remains."""
    cluster.down()
    say(f"nothing is left of {cluster.folder}")
    return 0


def guard(cluster):
    """End it when standard input ends: that of a test run, however it ended."""
    sys.stdin.read()
    return down(cluster)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
