"""What runs tomorrow is what ran today: no image and no model that changes under its name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from plinth_rules.resource import Resource, Rule, each, objects, pod_of, texts

MOVING_TAGS = frozenset({"latest", "main", "master", "nightly", "edge", "stable"})
MOVING_REVISIONS = frozenset({"main", "master", "latest", "HEAD"})
_HUB = re.compile(r"\bhf://(?P<model>[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)?)(?:@(?P<revision>[A-Za-z0-9_.+/-]+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def _images(resource: Resource, config: Mapping[str, Any]) -> Iterator[str]:
    pod = pod_of(resource)
    if pod is None:
        return
    for kind in ("containers", "initContainers"):
        for container in objects(pod.get(kind)):
            image = container.get("image")
            if isinstance(image, str) and (wrong := _image_fault(image, config)):
                yield f"{resource.name}: container {container.get('name')} has the image {image}, {wrong}"


def _image_fault(image: str, config: Mapping[str, Any]) -> str:
    name, _, digest = image.partition("@")
    tag = name.rpartition("/")[2].partition(":")[2]
    if digest:
        return ""
    if config.get("requireDigest"):
        return "which has no digest; write image@sha256:…"
    if not tag:
        return "which means latest; write a version, or image@sha256:…"
    return f"whose tag {tag} moves; write a version, or image@sha256:…" if tag in MOVING_TAGS else ""


def _revisions(resource: Resource, config: Mapping[str, Any]) -> Iterator[str]:
    if not resource.type.startswith(("kubernetes:", "plinth:")):
        return
    seen = {(found["model"], found["revision"]) for text in texts(resource.props) for found in _HUB.finditer(text)}
    for model, revision in sorted(seen, key=str):
        if revision is None or revision in MOVING_REVISIONS:
            yield f"{resource.name}: hf://{model} changes when its owner pushes; write hf://{model}@ and a commit"
        elif config.get("requireCommit") and not _COMMIT.fullmatch(revision):
            yield f"{resource.name}: hf://{model}@{revision} is a name that can move; write the commit, 40 hex digits"


IMAGES = Rule(
    "images-are-pinned",
    "Containers run an image of a version, never latest.",
    each(_images),
    {"requireDigest": {"type": "boolean", "default": False, "description": "Refuse images without a digest."}},
)
REVISIONS = Rule(
    "models-are-pinned",
    "Models of a hub are named with a revision that does not move.",
    each(_revisions),
    {"requireCommit": {"type": "boolean", "default": False, "description": "Take nothing but commits."}},
)
