"""Stacks with GPUs for tests: one document, its variations, and what is said of them."""

import copy

DOCUMENT = {
    "models": {"qwen": {"preset": {"name": "qwen3-8b"}}},
    "deployments": {"chat": {"model": "qwen", "target": "kubernetes", "maxModelLen": 8192}},
}


def changed(deployment=None, **parts):
    """The document with other fields of the deployment, and other parts."""
    document = copy.deepcopy(DOCUMENT) | copy.deepcopy(parts)
    document["deployments"]["chat"] |= deployment or {}
    return document


def said(plan, name="chat"):
    """What JSON says of one deployment."""
    return next(item for item in plan.to_json()["deployments"] if item["name"] == name)


def reason(plan, subject):
    """The text of the first reason about a subject."""
    return next(item["text"] for item in said(plan)["reasons"] if item["subject"] == subject)
