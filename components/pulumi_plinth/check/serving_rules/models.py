"""Rules about the model and the release that is to serve it: architecture, own code, template, revision."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.serving_rules import values
from pulumi_plinth.check.serving_rules.releases import SINCE, TEMPLATE_MISSING, UNTIL, release
from pulumi_plinth.check.subject import Subject

FAMILIES = (
    "alpaca", "chatglm", "chatml", "command", "deepseek", "gemma", "glm", "granite", "internlm", "llama", "mistral",
    "mixtral", "phi", "qwen", "vicuna", "yi", "zephyr",
)  # fmt: skip
"""Families that templates are named after."""

ADDRESS = re.compile(r"^(https?://\S+|(resolve|tree|blob|raw|commit|commits)/\S+)$")
NO_CHAT = ("embed", "rerank", "classify", "reward")


def newer_than_engine(subject: Subject) -> Iterator[Verdict]:
    """Hold that a release knows the models of its time."""
    kind, version = values.model_type(subject.serving), subject.serving.version
    first, last = SINCE.get(kind), UNTIL.get(kind)
    if version == (0,):
        return
    if version and first and version < first:
        problem = f"{kind} arrived in vLLM {release(first)}, this is {release(version)}"
        yield refuse("model-release", "image", problem, f"take release {release(first)} or later")
    if version and last and version[: len(last)] > last:
        problem = f"{kind} was served until vLLM {release(last)}, this is {release(version)}"
        yield refuse("model-release", "image", problem, f"take release {release(last)}")


def own_code(subject: Subject) -> Iterator[Verdict]:
    """Hold that a repository with code of its own runs only where somebody trusts it."""
    serving = subject.serving
    allowed = values.switched(serving, "trust-remote-code")
    has_code = bool(serving.config.get("auto_map")) or bool(serving.card and serving.card.remote_code)
    native = values.model_type(serving) in SINCE
    if has_code and (allowed is False or (allowed is None and not native)):
        problem = "the repository brings code of its own (auto_map) and it is not trusted"
        remedy = "read that code, then pin the revision and add --trust-remote-code"
        yield refuse("remote-code", "--trust-remote-code", problem, remedy)


def no_template(subject: Subject) -> Iterator[Verdict]:
    """Hold that a chat model without a template answers 400."""
    serving = subject.serving
    template, version = serving.template, serving.version
    kind, card = values.model_type(serving), serving.card
    if template.own is not False or template.given or (card is not None and card.kind in NO_CHAT):
        return
    span = TEMPLATE_MISSING.get(kind)
    if span is None or span.holds(version, unknown=True):
        problem = "neither the repository nor the command brings a chat template"
        yield refuse("chat-template", "--chat-template", problem, "pass the template that the model was trained with")


def borrowed_template(subject: Subject) -> Iterator[Verdict]:
    """Hold that a template of another family is a deliberate act."""
    serving = subject.serving
    given, name = (serving.template.given or "").lower(), (serving.model or "").lower()
    families = [family for family in FAMILIES if family in re.findall(r"[a-z]+", given)]
    if families and name and not any(family in name for family in families):
        problem = f"the chat template is that of {families[0]}, the model is {serving.model}"
        yield warn("chat-template", "--chat-template", problem, "use the model's own, or compare some answers")


def revision(subject: Subject) -> Iterator[Verdict]:
    """Hold that a revision is a branch, a tag or a commit, not a part of an address."""
    for flag in ("revision", "tokenizer-revision", "code-revision"):
        asked = subject.serving.arguments.get(flag, "")
        if ADDRESS.fullmatch(asked):
            problem = f"'{asked}' is a part of an address, not a branch, tag or commit"
            yield refuse("revision", f"--{flag}", problem, f"write '{asked.rsplit('/', 1)[-1]}' if that is the branch")
