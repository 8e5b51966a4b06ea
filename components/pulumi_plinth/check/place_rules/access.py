"""Secrets, identities and policies on the way to weights and images. Sources stand with each rule."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse
from pulumi_plinth.check.subject import Subject


def gated_model(subject: Subject) -> Iterator[Verdict]:
    """Demand a token for gated models: the hub answers 401 or 403 without (facts: kaito, behaviour 15)."""
    access = subject.place.access
    if access.gated and access.token is False:
        yield refuse(
            "gated-without-token",
            "model.token",
            "the model is gated and no token is given",
            "name a secret with a token of an account that accepted the model's terms",
        )


def secret_place(subject: Subject) -> Iterator[Verdict]:
    """Demand the secret where the pod is: pods read secrets of their own namespace only (Kubernetes: secrets)."""
    access = subject.place.access
    there, here = access.secret_namespace, access.pod_namespace
    if there and here and there != here:
        yield refuse(
            "secret-namespace",
            "model.token",
            f"the secret is in namespace {there} and the pod in {here}",
            f"make the secret in {here}",
        )
    if access.secret_key and access.read_key and access.secret_key != access.read_key:
        yield refuse(
            "secret-key",
            "model.token",
            f"the secret holds the key '{access.secret_key}' and '{access.read_key}' is read",
            f"name the key '{access.read_key}' in the secret",
        )


def private_image(subject: Subject) -> Iterator[Verdict]:
    """Demand a pull secret for private registries (Kubernetes: pull an image from a private registry)."""
    access = subject.place.access
    if access.private_image and access.pull_secret is False:
        yield refuse(
            "image-pull-secret",
            "pod.imagePullSecrets",
            "the image lies in a private registry and the pod names no pull secret",
            "name a secret of type dockerconfigjson in the pod's namespace",
        )


def identity(subject: Subject) -> Iterator[Verdict]:
    """Demand what an identity needs: a policy for each, a dynamic group for instances (facts: pulumi-oci 5)."""
    access = subject.place.access
    how = access.identity or ""
    if not re.search("workload|instance|resource|principal|dynamic", how, re.IGNORECASE):
        return
    if access.policy is False:
        yield refuse(
            "identity-without-policy",
            "policies",
            f"'{how}' is used and no policy allows it to read the bucket: the answer is 404",
            "add a policy that allows it to read objects of the bucket",
        )
    if access.dynamic_group is False and "workload" not in how.lower():
        yield refuse(
            "identity-without-group",
            "dynamicGroups",
            f"'{how}' is used and no dynamic group holds the instances",
            "make a dynamic group that matches the nodes, and a policy for it",
        )


def home_region(subject: Subject) -> Iterator[Verdict]:
    """Demand the home region for policies and dynamic groups: they are made there only (facts: pulumi-oci 5)."""
    access = subject.place.access
    made = re.search(r"polic|dynamic.?group|identity|\biam\b", access.created or "", re.IGNORECASE)
    if made and access.in_home_region is False:
        yield refuse(
            "iam-outside-home",
            "provider.region",
            f"{access.created} is made outside the tenancy's home region, where the service refuses it",
            "pass a provider for the home region",
        )


RULES = (gated_model, secret_place, private_image, identity, home_region)
