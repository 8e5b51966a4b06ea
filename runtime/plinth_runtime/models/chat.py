"""Chat templates: from what a person wrote to the text of a template that renders.

Names are those of the `.jinja` files in one folder: the one the caller passes, else that of the contract, which
whoever plans a deployment uses too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from plinth_runtime import contract
from plinth_runtime.models.environment import require
from plinth_runtime.models.errors import BuildError, near

AUTO = "auto"
DEFAULT = "default"
BUNDLED = Path(contract.__file__).parent / "chat_templates"
FIELD = "chat_template"
SUFFIXES = (".jinja", ".jinja2", ".j2", ".txt")
_PROBE = "How many nuts has one squirrel?"


def template_folder(given: str | Path | None) -> Path:
    """Return the folder of named templates: the one given, else our own."""
    folder = Path(given or BUNDLED)
    if not folder.is_dir():
        raise BuildError("chat_templates", str(folder), "is no folder", "name the folder that holds NAME.jinja files")
    return folder


def template_names(folder: Path) -> tuple[str, ...]:
    """List the names that the folder offers."""
    return tuple(sorted(file.stem for file in folder.glob("*.jinja")))


def read_template(value: str, folder: Path) -> str:
    """Return a template's text: the value itself, a file's, or the one of that name. Raises BuildError."""
    if "{{" in value or "{%" in value or "\n" in value:
        return value
    word = value.strip()
    if word in template_names(folder):
        return _text(folder / f"{word}.jinja")
    if "/" in word or word.endswith(SUFFIXES):
        return _text(Path(word).expanduser())
    raise BuildError(FIELD, value, "is no chat template that is known", _remedy(word, folder))


def check_template(tokenizer: Any) -> None:
    """Render one user turn with the tokenizer's template. Raises BuildError when it fails or drops the text."""
    require("jinja2")
    from jinja2 import TemplateError, TemplateSyntaxError

    remedy = "mend the template; it is given messages=[{role: user, content: text}]"
    try:
        shown = tokenizer.apply_chat_template(
            [{"role": "user", "content": _PROBE}], tokenize=False, add_generation_prompt=True
        )
    except TemplateSyntaxError as error:
        raise BuildError(FIELD, _name(tokenizer), f"line {error.lineno}: {error.message}", remedy) from error
    except TemplateError as error:
        raise BuildError(FIELD, _name(tokenizer), f"fails on a user turn: {error}", remedy) from error
    if _PROBE not in shown:
        raise BuildError(FIELD, _name(tokenizer), "drops the user's text", remedy)


def _remedy(word: str, folder: Path) -> str:
    names = template_names(folder)
    ways = "auto, a .jinja file's path or the template itself"
    like = near(word, names, limit=1)
    return (f"did you mean {like}? Or " if like else "") + f"write {ways}, or one of {', '.join(names)}"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BuildError(FIELD, str(path), f"cannot be read: {error}", "write the path of a text file") from error


def _name(tokenizer: Any) -> str:
    return str(tokenizer.chat_template)
