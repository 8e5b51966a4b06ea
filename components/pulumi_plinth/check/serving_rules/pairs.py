"""Rules about options that a release could not take together, or not in the old spelling."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pulumi_plinth.check.core import Verdict, refuse, warn
from pulumi_plinth.check.serving import Serving
from pulumi_plinth.check.serving_rules import values
from pulumi_plinth.check.serving_rules.releases import (
    CHUNKED_WITHOUT_PREFIXES,
    LMCACHE_ON_FLASH_ATTENTION,
    MEDIA_LIMIT_JSON,
    PORT_TAKEN_FIRST,
    TOOLS_WITHOUT_REASONING,
    release,
)
from pulumi_plinth.check.subject import Subject

AMPERE = (8, 0)
PORT = 8000
"""Where vLLM listens when nobody says."""

MEDIA_LIMIT = "limit-mm-per-prompt"
OLD_LIMIT = re.compile(r"\w+=\d+([,\s]+\w+=\d+)*")


def tools_with_reasoning(subject: Subject) -> Iterator[Verdict]:
    """Hold that tools and --enable-reasoning excluded each other at first (vllm-project/vllm#14429)."""
    serving = subject.serving
    both = all(values.switched(serving, flag) for flag in ("enable-reasoning", "enable-auto-tool-choice"))
    if both and TOOLS_WITHOUT_REASONING.holds(serving.version):
        problem = f"vLLM {_shown(serving)} parses tools or reasoning, not both"
        yield refuse("flag", "--enable-reasoning", problem, "leave one of them out, or take release 0.8 or later")


def chunks_with_prefixes(subject: Subject) -> Iterator[Verdict]:
    """Hold that chunked prefill and prefix caching excluded each other at first (kubeai-project/kubeai#119)."""
    serving = subject.serving
    both = all(values.switched(serving, flag) for flag in ("enable-chunked-prefill", "enable-prefix-caching"))
    if both and CHUNKED_WITHOUT_PREFIXES.holds(serving.version):
        problem = f"vLLM {_shown(serving)} cuts prompts or keeps prefixes, not both"
        yield refuse("flag", "--enable-prefix-caching", problem, "leave one of them out, or take release 0.6 or later")


def media_limit_spelling(subject: Subject) -> Iterator[Verdict]:
    """Hold that limits of media are JSON since 0.10 (vllm-project/vllm#21615)."""
    serving = subject.serving
    given = serving.arguments.get(MEDIA_LIMIT, "")
    written = any(word.replace("_", "-").startswith(f"--{MEDIA_LIMIT}") for word in serving.words)
    if written and OLD_LIMIT.fullmatch(given) and MEDIA_LIMIT_JSON.holds(serving.version):
        pairs = ", ".join(f'"{name}": {count}' for name, count in re.findall(r"(\w+)=(\d+)", given))
        yield refuse("flag", f"--{MEDIA_LIMIT}", f"'{given}' is no JSON", f"write '{{{pairs}}}'")


def ports(subject: Subject) -> Iterator[Verdict]:
    """Hold that VLLM_PORT is a port between the engine's processes, not the server's (vllm-project/vllm#5867)."""
    serving = subject.serving
    given = serving.environment.get("VLLM_PORT", "")
    port = values.whole(serving, "port") or subject.place.traffic.engine_port or PORT
    if given.isdecimal() and int(given) == port:
        problem = f"VLLM_PORT and the server both take {port}"
        verdict = refuse if PORT_TAKEN_FIRST.holds(serving.version) else warn
        yield verdict("engine-port", "environment.VLLM_PORT", problem, "leave VLLM_PORT out; --port is the server's")


def lmcache(subject: Subject) -> Iterator[Verdict]:
    """Hold that LMCache's first connector read FlashAttention's cache only (LMCache/LMCache#412)."""
    serving, found = subject.serving, values.capability(subject.serving)
    connected = "lmcache" in serving.arguments.get("kv-transfer-config", "").lower()
    if connected and found and found < AMPERE and LMCACHE_ON_FLASH_ATTENTION.holds(serving.version):
        problem = f"LMCache reads the cache of FlashAttention, which capability {found[0]}.{found[1]} has not"
        yield refuse("attention-backend", "--kv-transfer-config", problem, "leave it out, or take an A10 or newer")


def _shown(serving: Serving) -> str:
    return release(serving.version or ())
