"""Chat templates: named ones of our own, inline texts and files, and what must hold before a model is served with one.

A template is checked by rendering it, in the bounded sandbox next door, with the conversations every client sends.
Files are read by the caller; only `bundled` reads, and only this package's own templates.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

from jinja2 import TemplateError, TemplateSyntaxError, meta, nodes

from pulumi_plinth.errors import Fault, SpecError, nearest
from pulumi_plinth.model.chat_sandbox import TEMPLATE_LIMIT, BoundedSandbox, TooMuchError, render

AUTO = "auto"
"""Take the template that stands in the model's folder."""

ALIASES: Mapping[str, str] = {
    "chatml": "chat_ml", "gemma2": "gemma2-it", "gemma-2": "gemma2-it", "llama3": "llama3-instruct",
    "phi3": "phi3-instruct", "qwen2-vl": "qwen2-vl-instruct", "qwen2.5-vl": "qwen2-vl-instruct",
    "qwen3-vl": "qwen3-vl-instruct", "vicuna": "llava",
}  # fmt: skip

KNOWN_VARIABLES = frozenset({
    "add_generation_prompt", "add_vision_id", "additional_special_tokens", "bos_token", "builtin_tools", "cls_token",
    "continue_final_message", "custom_tools", "date_string", "documents", "enable_thinking", "eos_token", "mask_token",
    "messages", "model_identity", "pad_token", "reasoning_effort", "sep_token", "thinking", "tools",
    "tools_in_user_message", "unk_token",
})  # fmt: skip
"""What the engine, the tokenizer and the arguments that many families share give a template."""

SPECIAL_TOKENS: Mapping[str, str] = {
    "bos_token": "<s>",
    "eos_token": "</s>",
    "pad_token": "<pad>",
    "unk_token": "<unk>",
}
"""Stand-ins for checks where the tokenizer is not at hand."""

Origin = Literal["auto", "bundled", "inline", "file"]
_END = "<end of text>"
"""Stands for the end token where it must be told from a template's own words."""

_USER, _ANSWER, _SYSTEM = "Wie viele Nüsse hat 1 Eichhörnchen?", "An answer of 7 words, no more.", "Be brief, please."


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """Where a template comes from, and its text; `text` is None for auto, and for a file until the caller read it."""

    origin: Origin
    name: str
    text: str | None = None


def names() -> tuple[str, ...]:
    """List the templates of this package."""
    folder = files("plinth_runtime.contract") / "chat_templates"
    return tuple(sorted(item.name.removesuffix(".jinja") for item in folder.iterdir() if item.name.endswith(".jinja")))


def bundled(name: str) -> str:
    """Return the text of a template of this package; KeyError for another name."""
    known = ALIASES.get(name, name)
    if known not in names():
        raise KeyError(name)
    return (files("plinth_runtime.contract") / "chat_templates" / f"{known}.jinja").read_text(encoding="utf-8")


def resolve(value: str | None, path: str) -> ChatTemplate:
    """Read what a person wrote: nothing or auto, a name, a file's path, or the template itself.

    Raises SpecError for a word that is none of these. A file comes back without text: the caller reads and checks it.
    """
    if value is None or value.strip().lower() == AUTO:
        return ChatTemplate("auto", AUTO)
    if "{{" in value or "{%" in value or "\n" in value:
        return ChatTemplate("inline", "inline", value)
    word = value.strip()
    if ALIASES.get(word, word) in names():
        return ChatTemplate("bundled", ALIASES.get(word, word), bundled(word))
    if "/" in word or word.endswith((".jinja", ".jinja2", ".j2", ".txt")):
        return ChatTemplate("file", word)
    near = nearest(word, [AUTO, *names()])
    remedy = near or f"write auto, the path of a .jinja file, a template, or one of {', '.join(names())}"
    raise SpecError([Fault(path, value, "is no chat template that is known", remedy)])


def check(text: str, path: str, kwargs: Mapping[str, Any] | None = None) -> list[Fault]:
    """Find everything wrong with a template. `kwargs` are the variables that the user declares (chatTemplateKwargs)."""
    try:
        unknown = sorted(_unknown(_parse(text), kwargs or {}))
    except TemplateSyntaxError as error:
        return [Fault(path, None, f"line {error.lineno}: {error.message}", "mend the template")]
    except (TemplateError, RecursionError) as error:
        return [Fault(path, None, f"asks for too much: {str(error)[:200]}", "write a simpler template")]
    remedy = "declare it in chatTemplateKwargs, or test `is defined`"
    faults = [Fault(path, name, "is a variable that nothing sets", remedy) for name in unknown]
    return faults or list(_rendering_faults(text, path, kwargs or {}))


def show(text: str, messages: Sequence[Mapping[str, Any]], *, prompt: bool, **variables: Any) -> str:
    """Render a conversation; `prompt` adds what makes the model answer. Raises jinja2's TemplateError."""
    known = {"tools": None, **SPECIAL_TOKENS, **variables}
    return render(text, {**known, "messages": list(messages), "add_generation_prompt": prompt})


def _parse(text: str) -> nodes.Template:
    if len(text) > TEMPLATE_LIMIT:
        raise TooMuchError(f"it has {len(text)} characters, more than {TEMPLATE_LIMIT}")
    return BoundedSandbox().parse(text)


def _unknown(tree: nodes.Template, kwargs: Mapping[str, Any]) -> set[str]:
    """Find variables that nobody gives and no test guards."""
    asked = {
        test.node.name for test in tree.find_all(nodes.Test)
        if test.name in ("defined", "undefined") and isinstance(test.node, nodes.Name)
    } | {
        item.node.name for item in tree.find_all(nodes.Filter)
        if item.name in ("default", "d") and isinstance(item.node, nodes.Name)
    }  # fmt: skip
    # What one branch sets counts as set: nearly every published template sets its variables under an `if`.
    stored = {item.name for item in tree.find_all(nodes.Name) if item.ctx in ("store", "param")}
    given = KNOWN_VARIABLES | set(BoundedSandbox().globals) | set(kwargs)
    return meta.find_undeclared_variables(tree) - given - asked - stored


def _rendering_faults(text: str, path: str, kwargs: Mapping[str, Any]) -> Iterator[Fault]:
    user = [{"role": "user", "content": _USER}]
    try:
        given = {**kwargs, "eos_token": _END}
        plain, prompted = show(text, user, prompt=False, **given), show(text, user, prompt=True, **given)
    except TooMuchError as error:
        yield Fault(path, None, f"asks for too much: {error}", "write a simpler template")
        return
    except TemplateError as error:
        yield Fault(path, None, f"fails on a single user turn: {error}", "accept [{role: user, content: text}]")
        return
    if _USER not in prompted:
        yield Fault(path, None, "drops the user's text", "render message.content of every turn")
    # Phi's own templates close a finished conversation with the tokenizer's end token; that changes no turn.
    if not prompted.startswith(plain.removesuffix(_END)):
        remedy = "end with {% if add_generation_prompt %}...{% endif %} and change nothing before it"
        yield Fault(path, None, "changes earlier turns when the generation prompt is added", remedy)
    yield from _turn_faults(text, path, kwargs)


def _turn_faults(text: str, path: str, kwargs: Mapping[str, Any]) -> Iterator[Fault]:
    """Check a conversation with an answer in it; a template may refuse a system turn, but must not swallow one."""
    turns = [
        {"role": "user", "content": _USER},
        {"role": "assistant", "content": _ANSWER},
        {"role": "user", "content": "Ok?"},
    ]
    for name, messages in (
        ("several turns", turns),
        ("a system turn", [{"role": "system", "content": _SYSTEM}, *turns]),
    ):
        try:
            shown = show(text, messages, prompt=True, **kwargs)
        except TooMuchError as error:
            yield Fault(path, None, f"asks for too much: {error}", "write a simpler template")
            return
        except TemplateError as error:
            if name == "several turns" and not re.search(r"alternat|role", str(error), re.IGNORECASE):
                yield Fault(path, None, f"fails on {name}: {error}", "accept user and assistant turns in turn")
            continue
        lost = [turn["role"] for turn in messages if turn["role"] != "assistant" and turn["content"] not in shown]
        if lost:
            yield Fault(path, None, f"drops the {lost[0]}'s text in {name}", "render message.content of every turn")
