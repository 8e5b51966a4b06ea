"""Rules about the model's files: which format an engine reads, alone or over several GPUs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.serving_rules import values
from pulumi_plinth.check.serving_rules.releases import (
    BITSANDBYTES_SHARDS_REFUSED,
    GGUF_COLON_UNKNOWN,
    GGUF_IN_TREE,
    GGUF_SHARDS_REFUSED,
    GGUF_SHARDS_WRONG,
    GGUF_UNREAD,
    release,
)
from pulumi_plinth.check.subject import Subject

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")
COLON = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+):(?P<quantization>[\w.-]+)")
FOREIGN = ("pth", "mlx", "onnx", "exl2", "exl3", "tensorrt", "coreml")
"""Formats of other engines, and of a maker's own code."""

NEEDS = {
    "safetensors": ("safetensors",), "fastsafetensors": ("safetensors",), "runai_streamer": ("safetensors",),
    "instanttensor": ("safetensors",), "mistral": ("safetensors",), "pt": ("bin", "pt"), "gguf": ("gguf",),
}  # fmt: skip
"""--load-format -> formats it reads."""


def foreign(subject: Subject) -> Iterator[Verdict]:
    """Hold that weights which were converted for another engine are not read."""
    formats = subject.serving.weights.formats
    if formats and set(formats) <= set(FOREIGN):
        problem = f"weights in {', '.join(formats)} are made for another engine"
        yield refuse("weight-format", "weights", problem, "take the original safetensors")


def load_format(subject: Subject) -> Iterator[Verdict]:
    """Hold that a loader reads the formats it was made for."""
    formats, asked = subject.serving.weights.formats, subject.serving.arguments.get("load-format", "auto").lower()
    needed = NEEDS.get(asked)
    if formats and needed and not set(formats) & set(needed):
        problem = f"--load-format {asked} finds no file, the weights are {', '.join(formats)}"
        yield refuse("load-format", "--load-format", problem, "write auto")


def gguf_over_gpus(subject: Subject) -> Iterator[Verdict]:
    """Hold that GGUF over several GPUs was refused at first, then wrong without a word."""
    serving = subject.serving
    if values.tensor(serving) == 1 or "gguf" not in serving.weights.formats:
        return
    path, remedy = "--tensor-parallel-size", "take safetensors, or a newer release"
    if GGUF_SHARDS_REFUSED.holds(serving.version):
        yield refuse("gguf-tensor-parallel", path, "GGUF is not divided over GPUs in this release", remedy)
    elif GGUF_SHARDS_WRONG.holds(serving.version):
        yield warn("gguf-tensor-parallel", path, "GGUF over several GPUs answers garbage in this release", remedy)


def bitsandbytes_over_gpus(subject: Subject) -> Iterator[Verdict]:
    """Hold that releases divided checkpoints of bitsandbytes late."""
    serving = subject.serving
    made = serving.card.quantization.method if serving.card and serving.card.quantization else ""
    if made == "bitsandbytes" and values.tensor(serving) > 1:
        path, remedy = "--tensor-parallel-size", "use pipeline stages, or a checkpoint in another format"
        if BITSANDBYTES_SHARDS_REFUSED.holds(serving.version):
            problem = "a checkpoint of bitsandbytes is not divided over GPUs in this release"
            yield refuse("bitsandbytes-tensor-parallel", path, problem, remedy)
        elif serving.version is None:
            problem = "releases before 0.8 do not divide a checkpoint of bitsandbytes over GPUs"
            yield warn("bitsandbytes-tensor-parallel", path, problem, remedy)


def gguf_colon(subject: Subject) -> Iterator[Verdict]:
    """Hold that a colon is no part of a repository's name; newer releases split it off."""
    serving = subject.serving
    found = COLON.fullmatch(serving.model or "")
    if found and GGUF_COLON_UNKNOWN.holds(serving.version):
        problem = f"'{serving.model}' is no repository: this release does not split :{found['quantization']} off"
        yield refuse("repository-name", "model", problem, f"download the file of {found['repository']} and name it")


def gguf_repository(subject: Subject) -> Iterator[Verdict]:
    """Hold that a repository of GGUF files holds many models; one must be chosen."""
    serving = subject.serving
    name = serving.model or ""
    if REPOSITORY.fullmatch(name) and name.lower().endswith("-gguf") and "load-format" not in serving.arguments:
        problem = f"{name} holds a file for each quantization and none is chosen"
        if GGUF_COLON_UNKNOWN.holds(serving.version):
            yield refuse("repository-name", "model", problem, "download one file and name its path")
        else:
            yield warn("repository-name", "model", problem, f"write {name}:QUANTIZATION, or the path of one file")


def gguf_unread(subject: Subject) -> Iterator[Verdict]:
    """Hold that the first releases had no loader for GGUF."""
    serving = subject.serving
    if set(serving.weights.formats) == {"gguf"} and GGUF_UNREAD.holds(serving.version):
        problem = f"vLLM {release(serving.version or ())} reads no GGUF"
        yield refuse("weight-format", "weights", problem, "take safetensors, or release 0.5.5 or later")


def split_gguf(subject: Subject) -> Iterator[Verdict]:
    """Hold that a GGUF file cut into parts must be put together first."""
    parts = [name for name in subject.serving.weights.files if re.search(r"-of-\d+\.gguf$", name)]
    if parts:
        problem = f"{parts[0]} is one part of a file"
        yield refuse("gguf-parts", "weights", problem, "merge the parts with gguf-split --merge")


def gguf_left(subject: Subject) -> Iterator[Verdict]:
    """Hold that releases without a loader for GGUF need a plug-in."""
    serving = subject.serving
    only = set(serving.weights.formats) == {"gguf"} or values.method(subject) == "gguf"
    if only and serving.version and serving.version > (GGUF_IN_TREE.last or ()):
        problem = f"vLLM {release(serving.version)} has no loader for GGUF of its own"
        yield warn("gguf-loader", "weights", problem, "install the plug-in, or take safetensors")


def loader_of_a_method(subject: Subject) -> Iterator[Verdict]:
    """Hold that bitsandbytes' loader goes with bitsandbytes."""
    asked = subject.serving.arguments.get("load-format", "").lower()
    if asked == "bitsandbytes" and values.method(subject) not in ("bitsandbytes", ""):
        problem = f"the loader of bitsandbytes does not read {values.method(subject)}"
        yield refuse("load-format", "--load-format", problem, "write auto")
