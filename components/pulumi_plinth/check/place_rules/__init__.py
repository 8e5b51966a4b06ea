"""Rules about the place of a server, one file per topic. PLACE_RULES holds all of them in the order of the report."""

from __future__ import annotations

from pulumi_plinth.check.core import Rule
from pulumi_plinth.check.place_rules import (
    access,
    disk,
    download,
    groups,
    memory,
    metrics,
    names,
    network,
    oci_images,
    oci_pool,
    oci_shapes,
    oci_storage,
    probes,
    resources,
    runtimes,
    scheduling,
    security,
    volumes,
)

TOPICS = (
    resources, memory, scheduling, groups, names, network, volumes, disk, download, access, security, probes, metrics,
    runtimes, oci_shapes, oci_images, oci_pool, oci_storage,
)  # fmt: skip

PLACE_RULES: tuple[Rule, ...] = tuple(rule for topic in TOPICS for rule in topic.RULES)
