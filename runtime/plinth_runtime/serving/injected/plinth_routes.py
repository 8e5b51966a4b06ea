# ruff: noqa: INP001 a folder for the PYTHONPATH, no package
"""Every route that the engine could have, and what the gate does with it: one table, a reason in each row. Pure.

A route that is not in the table is closed as well; a test walks the engine's application and wants each of its routes
decided here, so that a new version's routes are looked at by somebody. Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType


class Use(Enum):
    """Who reaches a route of the engine, and at what cost."""

    LISTING = "with a key, at any time: costs no step of the engine"
    WORK = "with a key, one of a bounded number, its body bounded"
    INSIDE = "the agent only; clients find the like on the management port"
    CLOSED = "nobody"


Route = tuple[Use, str]
"""What is done with a route, and why."""


def _rows(use: Use, why: str, *paths: str) -> dict[str, Route]:
    return dict.fromkeys(paths, (use, why))


ROUTES: Mapping[str, Route] = MappingProxyType(
    _rows(Use.LISTING, "OpenAI clients ask for the names of models", "/v1/models")
    | _rows(
        Use.WORK,
        "answers from a generating model, in the words of OpenAI, Anthropic and Cohere",
        "/v1/chat/completions", "/v1/chat/completions/batch", "/v1/completions", "/v1/responses", "/v1/messages",
        "/v1/messages/count_tokens", "/cohere/v2/chat", "/v1/systemone",
    )
    | _rows(
        Use.WORK,
        "vectors, classes and scores from a pooling model",
        "/v1/embeddings", "/v2/embed", "/pooling", "/classify", "/score", "/v1/score", "/rerank", "/v1/rerank",
        "/v2/rerank", "/generative_scoring",
    )
    | _rows(Use.WORK, "text from speech", "/v1/audio/transcriptions", "/v1/audio/translations")
    | _rows(Use.WORK, "clients count tokens before they ask", "/tokenize", "/detokenize")
    | _rows(Use.WORK, "any of the above, chosen by its body, as SageMaker asks", "/invocations")
    | _rows(Use.INSIDE, "says that a frozen engine is well, and how busy it is", "/health", "/metrics")
    | _rows(
        Use.INSIDE,
        "reads a folder of the host; the management port looks first which one",
        "/v1/load_lora_adapter", "/v1/unload_lora_adapter",
    )
    | _rows(Use.CLOSED, "the same in SageMaker's words", "/adapters", "/adapters/{adapter_name}")
    | _rows(Use.CLOSED, "the same as /health, /metrics and /startupz for other platforms", "/ping", "/load", "/version")
    | _rows(
        Use.CLOSED,
        "answers of others by number; the engine does not keep any unless told to",
        "/v1/responses/{response_id}", "/v1/responses/{response_id}/cancel",
    )
    | _rows(Use.CLOSED, "a websocket has no body that could be bounded and no end that could be waited for",
            "/v1/realtime")
    | _rows(
        Use.CLOSED,
        "halves of a request, for engines that are split over several servers: raw tokens and cache handles",
        "/inference/v1/generate", "/v1/chat/completions/render", "/v1/chat/completions/derender",
        "/v1/completions/render", "/v1/completions/derender", "/v1/messages/render", "/v1/responses/render",
        "/cohere/v2/chat/render", "/inference/v1/abort_requests", "/kv_event_sources",
    )
    | _rows(
        Use.CLOSED,
        "tells how the server is built",
        "/docs", "/docs/oauth2-redirect", "/redoc", "/openapi.json", "/tokenizer_info", "/server_info",
    )
    | _rows(
        Use.CLOSED,
        "changes or stops the engine",
        "/scale_elastic_ep", "/is_scaling_elastic_ep", "/fault_tolerance/apply", "/fault_tolerance/status",
        "/start_profile", "/stop_profile", "/reset_prefix_cache", "/reset_mm_cache", "/reset_encoder_cache",
        "/collective_rpc", "/sleep", "/wake_up", "/is_sleeping", "/release_kv_cache_memory", "/pause", "/resume",
        "/abort_requests", "/is_paused", "/init_weight_transfer_engine", "/shutdown_weight_transfer_engine",
        "/start_weight_update", "/start_draft_weight_update", "/update_weights", "/finish_weight_update",
        "/update_weight_version", "/weight_info", "/weight_checker", "/get_world_size",
    )
)  # fmt: skip
"""Paths as the engine writes them. Compared with a request's percent-decoded path, exactly."""


def paths_for(*uses: Use) -> frozenset[str]:
    """Give the paths of these uses."""
    return frozenset(path for path, (use, _) in ROUTES.items() if use in uses)
