"""How weights come: revisions, offline caches, patterns, deadlines. Sources stand with each rule."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatch

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.subject import Subject

WEIGHT_ENDINGS = (".safetensors", ".bin", ".pt", ".pth", ".gguf")


def offline_revision(subject: Subject) -> Iterator[Verdict]:
    """Refuse names that the cache does not hold: offline nothing else resolves (oumi-ai/oumi#2523)."""
    download = subject.place.download
    said = download.revision or subject.serving.arguments.get("revision")
    cached, sought = download.cached_revision, said or "main"
    if download.offline and download.cached is False:
        yield refuse(
            "offline-empty-cache",
            "environment.HF_HUB_OFFLINE",
            "nothing may be downloaded and the cache is empty",
            "fill the cache first, or leave out HF_HUB_OFFLINE",
        )
    if download.offline and cached and cached != sought:
        yield refuse(
            "offline-revision",
            "--revision",
            f"the cache was filled at {cached} and offline '{sought}' is looked up, which it does not hold",
            "give the loader the revision that the downloader was given",
        )


def storage_uri(subject: Subject) -> Iterator[Verdict]:
    """Compare addresses of object storage with their grammar (facts: ome 1.4)."""
    uri = subject.place.download.uri or ""
    scheme, found, rest = uri.partition("://")
    wrong = not found or scheme != scheme.lower() or not rest.strip("/")
    if scheme == "oci" and re.match(r"n/", rest):
        wrong = not re.fullmatch(r"n/[^/]+/b/[^/]+/o/.+", rest)
    if uri and wrong and not uri.startswith("/"):
        yield refuse(
            "storage-uri",
            "model.storageUri",
            f"'{uri}' is no address of weights",
            "write for example oci://n/<namespace>/b/<bucket>/o/<prefix>, hf://<org>/<model> or pvc://<claim>/<path>",
        )


def kept_files(subject: Subject) -> Iterator[Verdict]:
    """Demand weights among the files that the patterns leave (kubeflow/trainer#3909)."""
    download, weights = subject.place.download, subject.place.weights
    if not weights.files or not (download.ignore or download.allow):
        return
    kept = [
        name
        for name in weights.files
        if not any(fnmatch(name, pattern) for pattern in download.ignore)
        and (not download.allow or any(fnmatch(name, pattern) for pattern in download.allow))
    ]
    if not any(name.endswith(WEIGHT_ENDINGS) for name in kept):
        yield refuse(
            "patterns-drop-weights",
            "download.ignorePatterns",
            f"of {', '.join(weights.files)} the patterns leave {', '.join(kept) or 'nothing'}: no weights",
            "leave out the pattern that drops them, or convert the weights to safetensors first",
        )


def unbounded_download(subject: Subject) -> Iterator[Verdict]:
    """Warn of a download without bound: a stalled one never ends (kserve/kserve#5611)."""
    if subject.place.download.deadline_seconds == 0:
        yield warn(
            "download-without-deadline",
            "download.timeout",
            "nothing bounds the download: when it stalls, the pod stays in Init for hours",
            "set a deadline for a download that does not move, and retries",
        )


RULES = (offline_revision, storage_uri, kept_files, unbounded_download)
