"""Rendering a chat template that anybody may have written: Jinja's sandbox, with steps, sizes and calls counted.

Jinja's own sandbox stops a template from reaching Python. It does not stop one from looping for an hour or from
doubling a text until memory is full; here every loop step, call, operator and filter costs a step, and every text and
list that comes out of one has a bounded size. What a good template is, is said in `chat_template.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, cast

from jinja2 import TemplateError, nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.visitor import NodeTransformer

TEMPLATE_LIMIT = 128 << 10
"""Characters. The longest template in use has 25,000."""

VALUE_LIMIT = 32 << 10
"""Characters of a text, items of a list. Texts that templates bring along reach 6,000."""

OUTPUT_LIMIT = 256 << 10
STEP_LIMIT = 50_000
"""A conversation of a few turns takes some hundred steps; the limit is reached within half a second."""

NUMBER_LIMIT = 100_000
_WIDTH = re.compile(r"\d{5,}")
_GROWING = frozenset({"center", "expandtabs", "join", "ljust", "replace", "rjust", "zfill", "format", "format_map"})
_FILTERS_LEFT_OUT = frozenset({"center", "filesizeformat", "pprint", "urlize", "wordwrap", "xmlattr", "random"})


class TooMuchError(TemplateError):
    """The template needs more steps or memory than any real one."""


class BoundedSandbox(ImmutableSandboxedEnvironment):
    """An environment for one rendering. Parse through `from_string`, or the bounds are not woven in."""

    intercepted_binops = frozenset({"+", "-", "*", "/", "//", "%", "**"})

    def __init__(self) -> None:
        super().__init__(trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols])
        self._left = STEP_LIMIT
        self.globals = {
            "range": _bounded_range, "namespace": self.globals["namespace"], "dict": dict,
            "raise_exception": _raise, "strftime_now": lambda _format: "2026-01-01",
        }  # fmt: skip
        self.filters = {
            name: self._counted(name, function)
            for name, function in {**self.filters, "tojson": _to_json}.items()
            if name not in _FILTERS_LEFT_OUT
        } | {"__each": self._each, "__small": self._small}

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        tree = super()._parse(source, name, filename)
        _Bounds().visit(tree)
        return tree

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute an operator if its result cannot be huge."""
        self._spend()
        if operator == "**" and not (_is_small(left, 1000) and _is_small(right, 16)):
            raise TooMuchError("a power of large numbers")
        if operator == "*" and _size(left) * abs(right if isinstance(right, int) else 1) > VALUE_LIMIT:
            raise TooMuchError("a text or list is repeated too often")
        if operator == "*" and isinstance(left, int) and _size(right) * abs(left) > VALUE_LIMIT:
            raise TooMuchError("a text or list is repeated too often")
        if operator == "%" and isinstance(left, str) and (_WIDTH.search(left) or "*" in left):
            raise TooMuchError("a format is too wide")
        return self._small(super().call_binop(context, operator, left, right))

    def call(self, context: Context, obj: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a macro, a method of a text or list, or one of the few functions."""
        self._spend()
        name = getattr(obj, "__name__", "")
        if name in _GROWING:
            _check_growth(name, getattr(obj, "__self__", None), args)
        return self._small(super().call(context, obj, *args, **kwargs))

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Refuse a format that asks for a wide field before it is one."""
        found = super().wrap_str_format(value)
        if found is not None and _WIDTH.search(str(getattr(value, "__self__", ""))):
            raise TooMuchError("a format is too wide")
        return found

    def _counted(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*args: Any, **kwargs: Any) -> Any:
            self._spend()
            values = [value for value in args if isinstance(value, (str, list, int))]
            if name in _GROWING and values:
                _check_growth(name, values[0], tuple(values[1:]))
            for value in (*values, *kwargs.values()):
                self._small(value)
            return self._small(function(*args, **kwargs))

        for mark in ("jinja_pass_arg",):
            if hasattr(function, mark):
                setattr(counted, mark, getattr(function, mark))
        return counted

    def _each(self, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            self._spend()
            yield item

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise TooMuchError(f"more than {STEP_LIMIT} steps")

    @staticmethod
    def _small(value: Any) -> Any:
        if _size(value) > VALUE_LIMIT:
            raise TooMuchError(f"a text or list of more than {VALUE_LIMIT}")
        if isinstance(value, int) and not _is_small(value, NUMBER_LIMIT * NUMBER_LIMIT):
            raise TooMuchError("a number that is larger than any length")
        return value


def render(text: str, variables: Mapping[str, Any]) -> str:
    """Render a template. Raises jinja2's TemplateError (a syntax error has `lineno`), or TooMuchError."""
    if len(text) > TEMPLATE_LIMIT:
        raise TooMuchError(f"the template has {len(text)} characters, more than {TEMPLATE_LIMIT}")
    pieces, length = [], 0
    try:
        for piece in BoundedSandbox().from_string(text).generate(**variables):
            length += len(piece)
            if length > OUTPUT_LIMIT:
                raise TooMuchError(f"more than {OUTPUT_LIMIT} characters come out")
            pieces.append(piece)
    except (RecursionError, MemoryError, OverflowError) as error:
        raise TooMuchError(type(error).__name__) from None
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, ZeroDivisionError) as error:
        raise TemplateError(str(error)) from error
    return "".join(pieces)


class _Bounds(NodeTransformer):
    """Weaves the counting filters into what cannot be intercepted: loops, `~` and blocks that set a variable."""

    def visit_For(self, node: nodes.For) -> nodes.Node:  # noqa: N802 the visitor's spelling
        self.generic_visit(node)
        node.iter = _filtered(cast("nodes.Expr", node.iter), "__each")
        return node

    def visit_Concat(self, node: nodes.Concat) -> nodes.Node:  # noqa: N802 the visitor's spelling
        self.generic_visit(node)
        return _filtered(node, "__small")

    def visit_AssignBlock(self, node: nodes.AssignBlock) -> nodes.Node:  # noqa: N802 the visitor's spelling
        self.generic_visit(node)
        node.filter = nodes.Filter(node.filter, "__small", [], [], None, None, lineno=node.lineno)
        return node

    def visit_Const(self, node: nodes.Const) -> nodes.Node:  # noqa: N802 the visitor's spelling
        if isinstance(node.value, int) and not _is_small(node.value, NUMBER_LIMIT):
            raise TooMuchError(f"line {node.lineno} has a number above {NUMBER_LIMIT}")
        return node


class _Generation(Extension):
    """`{% generation %}` marks the answer for training; serving renders what is inside."""

    tags = {"generation"}  # noqa: RUF012 the base class says so

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return the body as it stands."""
        next(parser.stream)
        return list(parser.parse_statements(("name:endgeneration",), drop_needle=True))


def _filtered(node: nodes.Expr, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


def _raise(message: str) -> str:
    raise TemplateError(str(message)[:500])


def _bounded_range(*args: int) -> range:
    found = range(*args)
    if len(found) > STEP_LIMIT:
        raise TooMuchError(f"a range of {len(found)}")
    return found


def _to_json(value: Any, *, ensure_ascii: bool = False, indent: int | None = None, **others: Any) -> str:
    if indent is not None and not _is_small(indent, 100):
        raise TooMuchError("an indent of more than 100")
    known = {key: others[key] for key in ("separators", "sort_keys") if key in others}
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **known)


def _check_growth(name: str, subject: Any, args: tuple[Any, ...]) -> None:
    """Refuse before computing what would multiply sizes: widths, replacements, joins."""
    widths = [arg for arg in args if isinstance(arg, int)]
    if any(width > VALUE_LIMIT for width in widths):
        raise TooMuchError(f"{name} to a width of {max(widths)}")
    texts = [len(arg) for arg in (subject, *args) if isinstance(arg, (str, list, tuple))]
    product = 1
    for length in texts[:1] + sorted(texts[1:])[-1:]:
        product *= max(length, 1)
    if product > VALUE_LIMIT * 8:
        raise TooMuchError(f"{name} of large texts")


def _size(value: Any) -> int:
    return len(value) if isinstance(value, (str, list, tuple, dict)) else 0


def _is_small(value: Any, limit: int) -> bool:
    return isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) <= limit
