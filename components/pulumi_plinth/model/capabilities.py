"""What a model can do, by the names that OME uses, old and new, and the API calls that follow. Tables only. Pure."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator

from pulumi_plinth.errors import nearest

Capability = Literal[
    "AUDIO_TEXT_TO_TEXT", "AUDIO_TO_AUDIO", "AUDIO_TO_TEXT", "AUDIO_TRANSLATION", "CHAT", "EMBEDDING",
    "IMAGE_TEXT_TO_AUDIO", "IMAGE_TEXT_TO_EMBEDDING", "IMAGE_TEXT_TO_IMAGE", "IMAGE_TEXT_TO_TEXT",
    "IMAGE_TEXT_TO_VIDEO", "IMAGE_TO_TEXT", "RERANK", "REWARD_SCORING", "TEXT_EMBEDDINGS", "TEXT_GENERATION",
    "TEXT_RERANK", "TEXT_SUMMARIZATION", "TEXT_TO_AUDIO", "TEXT_TO_EMBEDDING", "TEXT_TO_IMAGE", "TEXT_TO_TEXT",
    "TEXT_TO_VIDEO", "VIDEO_TEXT_TO_AUDIO", "VIDEO_TEXT_TO_TEXT", "VISION",
]  # fmt: skip
"""Legacy names, preferred names, and the six that OME's own catalogue uses beside them."""

CAPABILITIES: tuple[str, ...] = get_args(Capability)

PREFERRED = MappingProxyType(
    {
        "CHAT": "TEXT_TO_TEXT",
        "TEXT_GENERATION": "TEXT_TO_TEXT",
        "TEXT_SUMMARIZATION": "TEXT_TO_TEXT",
        "TEXT_EMBEDDINGS": "EMBEDDING",
        "TEXT_TO_EMBEDDING": "EMBEDDING",
        "IMAGE_TEXT_TO_EMBEDDING": "EMBEDDING",
        "TEXT_RERANK": "RERANK",
        "REWARD_SCORING": "RERANK",
        "VISION": "IMAGE_TEXT_TO_TEXT",
        "IMAGE_TO_TEXT": "IMAGE_TEXT_TO_TEXT",
        "VIDEO_TEXT_TO_TEXT": "IMAGE_TEXT_TO_TEXT",
        "AUDIO_TEXT_TO_TEXT": "AUDIO_TO_TEXT",
    }
)
"""The preferred name that says the same. What is written in a document is kept; this is for questions about it."""

ApiCapability = Literal[
    "OPENAI_V1_AUDIO_SPEECH", "OPENAI_V1_AUDIO_TRANSCRIPTIONS", "OPENAI_V1_AUDIO_TRANSLATIONS",
    "OPENAI_V1_CHAT_COMPLETIONS", "OPENAI_V1_EMBEDDINGS", "OPENAI_V1_IMAGES_EDITS", "OPENAI_V1_IMAGES_GENERATIONS",
    "OPENAI_V1_REALTIME", "OPENAI_V1_RESPONSES",
]  # fmt: skip


def _read_name(value: Any) -> Any:
    """Accept every spelling of a known name: `text-generation`, `Text_Generation`."""
    if not isinstance(value, str):
        return value
    name = re.sub(r"[\s./-]+", "_", value.strip()).upper()
    if name not in CAPABILITIES and name not in get_args(ApiCapability):
        near = nearest(name, [*CAPABILITIES, *get_args(ApiCapability)])
        raise ValueError(f"is not a known capability; {near or 'write one of ' + ', '.join(CAPABILITIES)}")
    return name


CapabilityName = Annotated[Capability, BeforeValidator(_read_name)]
ApiCapabilityName = Annotated[ApiCapability, BeforeValidator(_read_name)]


def preferred(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the preferred names, each once, in the order given."""
    return tuple(dict.fromkeys(PREFERRED.get(name, name) for name in names))


def kind_of(names: tuple[str, ...]) -> Literal["generate", "embed", "rerank"]:
    """Return how a model with these capabilities is served: what only embeds or only ranks does not generate."""
    found = set(preferred(names))
    if found and found <= {"EMBEDDING"}:
        return "embed"
    return "rerank" if found and found <= {"RERANK"} else "generate"
