"""`plinth plan --explain`: one field of a planned deployment, the reasons and formulas behind it. Decides nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pulumi_plinth.errors import PlinthError, nearest
from pulumi_plinth.planner import StackPlan

ALL = ("*",)
CACHE = ("kv cache",)
BILL = ("memory", "memory: weights", "memory: kv cache", "memory: engine", "memory: total")
PARSERS = ("tools", "reasoning")
SUBJECTS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "name": ((), ()),
    "target": ((), ()),
    "environment": ((), ()),
    "model": (("card", "weights", "lifecycle", "chat template", "architecture", "quantization", *PARSERS), ()),
    "gpus": (("shape", "layout", "experts", "concurrency"), ()),
    "nodes": (("shape", "layout", "network"), ()),
    "replicas": (("price", "concurrency"), ()),
    "parallel": (("layout", "experts", "network", "concurrency"), ()),
    "memory": ((*BILL, "batch", "caution"), ALL),
    "memory_bytes": (BILL, ALL),
    "offered_bytes": (("shape", "memory", "memory: total"), ()),
    "kv_tokens": (("memory", "cache", "context"), CACHE),
    "kv_bytes_per_token": (("cache", "memory: kv cache"), CACHE),
    "max_model_len": (("context", "memory", "cache", "caution"), CACHE),
    "disk_gib": (("disk", "weights"), ()),
    "startup_seconds": (("start", "startup limit"), ()),
    "price": (("shape", "region", "price", "storage", "concurrency"), ()),
    "alternatives": (("shape",), ()),
    "reasons": (ALL, ()),
    "shape": (("shape", "card", "region"), ()),
    "region": (("region",), ()),
    "pool": (("shape",), ()),
    "concurrency": (("concurrency", "cache", "batch"), CACHE),
    "host_memory_bytes": (("host memory",), ()),
    "shared_memory_bytes": (("host memory",), ()),
    "rdma": (("network", "layout"), ()),
    "arguments": (("layout", "experts", "memory", "batch", "context", "runtime", "engine", "check"), ()),
    "endpoint": (("api",), ()),
    "management": (("management",), ()),
    "launch": (ALL, ()),
    "launchDigest": (("weights", "engine", "runtime"), ()),
}
"""For each key of a deployment's JSON: subjects of the reasons behind it, and parts of the memory bill."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """A value and what led to it: (subject, text) of the reasons, (part, formula) of the bill."""

    deployment: str
    field: str
    value: Any
    reasons: tuple[tuple[str, str], ...]
    formulas: tuple[tuple[str, str], ...]

    def lines(self) -> Iterator[str]:
        """Write it for people."""
        short = not isinstance(self.value, (dict, list, tuple))
        value = json.dumps(self.value) if short else json.dumps(self.value, indent=2).replace("\n", "\n  ")
        yield f"{self.deployment}.{self.field} = {value}"
        for subject, text in (*self.reasons, *self.formulas):
            yield f"  {subject:<22} {text}"
        if not self.reasons and not self.formulas:
            yield "  as written in the stack file, or the default that `plinth schema --markdown` names"


def explain(plan: StackPlan, asked: str) -> tuple[Explanation, ...]:
    """Explain FIELD of every deployment that has it, or NAME.FIELD. Raises PlinthError with the nearest names."""
    name, _, field = asked.rpartition(".")
    said = plan.to_json()["deployments"]
    names = [item["name"] for item in said]
    if name and name not in names:
        hint = nearest(name, names) or f"there are: {', '.join(names) or 'none'}"
        raise PlinthError(f"'{asked}': there is no deployment '{name}'; {hint}")
    if field not in SUBJECTS:
        hint = nearest(field, SUBJECTS) or f"known are: {', '.join(sorted(SUBJECTS))}"
        raise PlinthError(f"'{asked}': a plan has no field '{field}'; {hint}")
    chosen = [item for item in said if field in item and name in ("", item["name"])]
    if not chosen:
        raise PlinthError(f"'{asked}': no deployment meant here has the field '{field}'; see `plinth plan --json`")
    return tuple(_explained(item, field) for item in chosen)


def _explained(said: Mapping[str, Any], field: str) -> Explanation:
    subjects, parts = SUBJECTS[field]
    reasons = [
        (item["subject"], item["text"]) for item in said["reasons"] if subjects == ALL or item["subject"] in subjects
    ]
    formulas = [
        (f"memory: {item['part']}", f"{item['bytes']:,} B: {item['formula']}")
        for item in said["memory"]
        if parts == ALL or item["part"] in parts
    ]
    return Explanation(said["name"], field, said[field], tuple(reasons), tuple(formulas))
