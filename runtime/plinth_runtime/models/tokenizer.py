"""build_tokenizer: parameters to a tokenizer that pads, knows its limit and renders chats."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from plinth_runtime.models.chat import (
    AUTO,
    DEFAULT,
    FIELD,
    check_template,
    read_template,
    template_folder,
    template_names,
)
from plinth_runtime.models.environment import require
from plinth_runtime.models.errors import BuildError, near
from plinth_runtime.models.folders import check_place, resolve
from plinth_runtime.models.model_params import ModelParams
from plinth_runtime.models.registry import MODELS
from plinth_runtime.models.special_tokens import get_default_special_tokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def build_tokenizer(model_params: ModelParams, *, chat_templates: str | Path | None = None) -> PreTrainedTokenizerBase:
    """Build the tokenizer of a model. `chat_templates` is a folder of NAME.jinja files, for templates by name.

    Raises BuildError when it has no padding token, or when the chat template does not exist or does not render.
    """
    require("torch", "transformers")
    params = resolve(model_params)
    tokenizer = _load(params, _name(params))
    _set_pad_token(tokenizer, params)
    if params.model_max_length is not None:
        tokenizer.model_max_length = params.model_max_length
    _set_chat_template(tokenizer, params.chat_template, template_folder(chat_templates))
    return tokenizer


def _name(params: ModelParams) -> str:
    if params.tokenizer_name is None and MODELS.get(params.model_name) is not None:
        raise BuildError("tokenizer_name", None, "a registered model brings no tokenizer", "name one, or its folder")
    return params.tokenizer_name or params.model_name


def _load(params: ModelParams, name: str) -> Any:
    from transformers import AutoTokenizer

    check_place(name, "tokenizer_name")
    # The pad token is set later: the constructor would add an unknown one, and its id is beyond the embeddings.
    kwargs = {key: value for key, value in params.tokenizer_kwargs.items() if key != "pad_token"}
    kwargs.setdefault("trust_remote_code", params.trust_remote_code)
    if name == params.model_name:
        # A revision is one of the model's repository; another repository has its own.
        kwargs.setdefault("revision", params.model_revision)
    return AutoTokenizer.from_pretrained(name, **kwargs)


def _set_pad_token(tokenizer: Any, params: ModelParams) -> None:
    """Take the first of: the parameter, the constructor's argument, the tokenizer's own, the one left unnamed."""
    given = params.tokenizer_pad_token or params.tokenizer_kwargs.get("pad_token")
    if given is not None:
        field = "tokenizer_pad_token" if params.tokenizer_pad_token else "tokenizer_kwargs['pad_token']"
        _check_token(tokenizer, str(given), field)
        tokenizer.pad_token = str(given)
    elif tokenizer.pad_token is None:
        tokenizer.pad_token = get_default_special_tokens(tokenizer).pad_token
    if tokenizer.pad_token is None:
        remedy = f"set tokenizer_pad_token to a token of the vocabulary, such as {tokenizer.eos_token!r}"
        raise BuildError("tokenizer_pad_token", None, "the tokenizer has no padding token", remedy)


def _check_token(tokenizer: Any, token: str, field: str) -> None:
    vocabulary = tokenizer.get_vocab()
    if token not in vocabulary:
        special = sorted(map(str, tokenizer.all_special_tokens))
        remedy = near(token, special) or f"one of its special tokens, such as {', '.join(special[:5])}"
        raise BuildError(field, token, f"is none of the tokenizer's {len(vocabulary)} tokens", f"write {remedy}")


def _set_chat_template(tokenizer: Any, value: str | None, folder: Path) -> None:
    if value is None:
        if not tokenizer.chat_template:
            _fall_back(tokenizer, folder)
        return
    if value.strip().lower() == AUTO:
        if not tokenizer.chat_template:
            raise BuildError(FIELD, value, "the tokenizer has no template of its own", "name another template")
        return
    tokenizer.chat_template = read_template(value, folder)
    check_template(tokenizer)


def _fall_back(tokenizer: Any, folder: Path) -> None:
    """Give a base model, which has none, the plain template where there is one, and say so either way."""
    if DEFAULT in template_names(folder):
        tokenizer.chat_template = read_template(DEFAULT, folder)
        said = "is given the template `default`"
    else:
        said = "cannot render chats"
    warnings.warn(f"the tokenizer has no chat template and {said}; set chat_template", UserWarning, stacklevel=4)
