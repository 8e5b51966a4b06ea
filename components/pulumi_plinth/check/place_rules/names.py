"""Names and labels: what controllers append to them, and what Kubernetes allows. Sources stand with each rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse
from pulumi_plinth.check.subject import Subject

LABEL_LIMIT = 63
"""Longest label value and DNS label (RFC 1123; Kubernetes: object names and labels)."""

REVISION_LENGTH = 11
"""'-' and a StatefulSet's revision hash of up to 10 characters (kubernetes/kubernetes#64023): names up to 52."""

LABEL_VALUE = re.compile(r"([A-Za-z0-9]([\w.-]*[A-Za-z0-9])?)?", re.ASCII)
SERVICE_NAME = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
OBJECT_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
SERVICE_MAKERS = frozenset({"service", "statefulset", "inferenceservice", "leaderworkerset", "workspace", "rayservice"})
"""Kinds by whose name a Service is made, which must be an RFC 1035 label."""


def label_lengths(subject: Subject) -> Iterator[Verdict]:
    """Refuse names whose label or host is too long, though they are legal themselves
    (kserve#4807, odh-dashboard#3062, kaito#2259).
    """
    for label in subject.place.labels:
        if label.length is not None and label.length > label.limit:
            yield refuse(
                "label-too-long",
                "metadata.name",
                f"{label.what} is {label.length:g} characters long, above {label.limit:g}",
                f"shorten the names it is made of by {label.length - label.limit:g}",
            )


def made_names(subject: Subject) -> Iterator[Verdict]:
    """Measure what controllers make of a name: revision labels, hosts, labels with the namespace."""
    workload = subject.place.workload
    kind, name, namespace = (workload.kind or "").lower(), workload.name or "", workload.namespace or "default"
    made = {
        "statefulset": ("the label controller-revision-hash, name-hash,", len(name) + REVISION_LENGTH),
        "leaderworkerset": ("the label controller-revision-hash, name-hash,", len(name) + REVISION_LENGTH),
        "cronjob": ("the name of its jobs, name-time,", len(name) + REVISION_LENGTH),
        "inferenceservice": ("the host label name-predictor-namespace", len(f"{name}-predictor-{namespace}")),
        "workspace": ("the label namespace-name", len(f"{namespace}-{name}")),
    }
    what, length = made.get(kind, ("the name", 0))
    if name and length > LABEL_LIMIT:
        yield refuse(
            "label-too-long",
            "metadata.name",
            f"{what} is {length} characters long, above {LABEL_LIMIT}",
            f"shorten the name '{name}' by {length - LABEL_LIMIT}",
        )


def object_names(subject: Subject) -> Iterator[Verdict]:
    """Demand RFC 1123 names: small letters, digits, '-' and '.' (Kubernetes: object names)."""
    name, kind = subject.place.workload.name, (subject.place.workload.kind or "").lower()
    if name and kind and kind not in SERVICE_MAKERS and not OBJECT_NAME.fullmatch(name):
        yield refuse(
            "object-name",
            "metadata.name",
            f"'{name}' is no name for an object: small letters, digits, '-' and '.', at most 253",
            f"write '{re.sub(r'[^a-z0-9.]+', '-', name.lower()).strip('-.')}'",
        )


def service_names(subject: Subject) -> Iterator[Verdict]:
    """Demand RFC 1035 labels for Services: small letters, digits, '-', a letter first, no dots
    (Kubernetes: object names).
    """
    workload, traffic = subject.place.workload, subject.place.traffic
    name = traffic.service_name
    if name is None and (workload.kind or "").lower() in SERVICE_MAKERS:
        name = workload.name
    if name and (not SERVICE_NAME.fullmatch(name) or len(name) > LABEL_LIMIT):
        right = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:LABEL_LIMIT]
        right = right if right[:1].isalpha() else f"m-{right}"
        yield refuse(
            "service-name",
            "metadata.name",
            f"'{name}' is no name for a Service: small letters, digits and '-', a letter first, at most {LABEL_LIMIT}",
            f"write '{right}'",
        )


def label_values(subject: Subject) -> Iterator[Verdict]:
    """Compare label values by bytes and demand letters, digits, '-', '_' and '.' (skypilot-org/skypilot#2652)."""
    for label in subject.place.labels:
        value = label.value
        if value is None:
            continue
        if len(value) > LABEL_LIMIT or not LABEL_VALUE.fullmatch(value):
            yield refuse(
                "label-value",
                "metadata.labels",
                f"'{value}' is no label value: letters, digits, '-', '_' and '.', at most {LABEL_LIMIT}",
                f"write '{re.sub(r'[^A-Za-z0-9._-]+', '-', value).strip('-._')[:LABEL_LIMIT]}'",
            )
        elif label.sought and label.sought != value:
            same = label.sought.lower() == value.lower()
            yield refuse(
                "label-value-differs",
                "pod.nodeSelector",
                f"'{label.sought}' is looked for and the {label.what} is '{value}'"
                f"{'; label values compare by bytes, also in case' if same else ''}",
                f"write '{value}'" if value else f"set it to '{label.sought}'",
            )


RULES = (label_lengths, made_names, object_names, service_names, label_values)
