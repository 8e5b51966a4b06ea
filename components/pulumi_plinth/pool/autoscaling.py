"""What the cluster autoscaler must be told of a pool, so that it can begin at zero nodes. Pure.

Of a node that does not exist it knows what the pool's free-form tags say (kubernetes/autoscaler,
oci/nodepools/node_template_tags.go); such tags may not have dots in their keys, so each value names what it is about.
"""

from __future__ import annotations

import re

from pulumi_plinth.pool.plan import PoolPlan

PREFIX = "cluster-autoscaler/node-template"
TAG_KEY_LENGTH = 100
"""Longest key of a free-form tag (OCI: tagging)."""


def template_tags(plan: PoolPlan) -> dict[str, str]:
    """Return the tags of an autoscaled pool: labels, taints, GPUs and disk of a node; none for other pools."""
    if plan.spec.autoscale is None:
        return {}
    rows = [("label", key, f"{key}={value}") for key, value in plan.labels.items()]
    rows += [("taint", taint.partition("=")[0], taint) for taint in plan.taints]
    rows.append(("resources", plan.gpu_resource, f"{plan.gpu_resource}={plan.shape.gpus}"))
    rows.append(("resources", "ephemeral-storage", f"ephemeral-storage={plan.pods_gib}Gi"))
    return {f"{PREFIX}/{kind}/{_word(key)}": value for kind, key, value in sorted(rows)}


def _word(key: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", key)[-(TAG_KEY_LENGTH - len(PREFIX) - len("/resources/")) :]
