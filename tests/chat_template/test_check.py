"""What is refused in a chat template, and that a hostile one costs neither time nor memory."""

import resource
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import TemplateError

from pulumi_plinth.model.chat_sandbox import render
from pulumi_plinth.model.chat_template import bundled, check, names

GOOD = (
    "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant:{% endif %}"
)


def said(text, **kwargs):
    """The faults of a template as text."""
    return [str(fault) for fault in check(text, "chatTemplate", kwargs)]


def test_a_good_template_has_no_faults():
    """The simplest one."""
    assert said(GOOD) == []


PUBLISHED = {
    "variables set in a branch": (
        "{% if messages[0].role == 'system' %}{% set system = messages[0].content %}{% set turns = messages[1:] %}"
        "{% else %}{% set turns = messages %}{% endif %}{% if system %}{{ system }}{% endif %}"
        "{% for m in turns %}{% if m.role == 'user' %}{% set name = 'human' %}{% else %}{% set name = m.role %}"
        "{% endif %}{{ name }}: {{ m.content }}\n{% endfor %}"
    ),
    "an argument of a macro": "{% macro say(words) %}{{ words }}{% endmacro %}"
    "{% for m in messages %}{{ say(m.content) }}{% endfor %}",
    "an end token behind a finished conversation": "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% else %}{{ eos_token }}{% endif %}",
}


@pytest.mark.parametrize("case", PUBLISHED)
def test_what_published_templates_do_is_no_fault(case):
    """Mistral's, Gemma's, GLM's and Phi's own templates are written like this."""
    assert said(PUBLISHED[case]) == []


WRONG = {
    "a tag left open": ("{% for m in messages %}\n{{ m.content }}\n", "line 2: Unexpected end of template"),
    "a line in the middle": ("a\nb\n{{ messages[0] .. }}\nc", "line 3: "),
    "an unknown filter": ("{{ messages | frobnicate }}", "line 1: No filter named 'frobnicate'"),
    "an unknown variable": (GOOD + "{{ persona }}", '"persona" is a variable that nothing sets; declare it'),
    "the text dropped": ("{% for m in messages %}{{ m.role }}{% endfor %}", "drops the user's text"),
    "only the first turn": ("{{ messages[0].content }}", "drops the user's text in several turns"),
    "the system turn dropped": (
        "{% for m in messages if m.role != 'system' %}{{ m.content }}{% endfor %}", "drops the system's text",
    ),
    "a prompt that is no suffix": (
        "{% if add_generation_prompt %}<{% endif %}{% for m in messages %}{{ m.content }}{% endfor %}",
        "changes earlier turns when the generation prompt is added",
    ),
    "an end token without the prompt": (
        GOOD + "{% if not add_generation_prompt %}</s>{% endif %}", "changes earlier turns",
    ),
    "a failure": ("{{ messages[0].content.nothing.at.all() }}", "fails on a single user turn"),
    "a refusal": ("{{ raise_exception('only tools, please') }}", "fails on a single user turn: only tools, please"),
    "another file": ("{% include 'other.jinja' %}", "fails on a single user turn: no loader"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_templates_are_told_with_the_reason(case):
    """Each with the place and what to write."""
    text, message = WRONG[case]
    assert any(message in fault for fault in said(text)), said(text)
    assert all(fault.startswith("chatTemplate: ") for fault in said(text))


def test_declared_and_tested_variables_are_known():
    """ChatTemplateKwargs declare; `is defined` and default() guard."""
    assert said("{{ persona }}" + GOOD, persona="pirate") == []
    assert said("{% if persona is defined %}{{ persona }}{% endif %}" + GOOD) == []
    assert said("{{ persona | default('') }}" + GOOD) == []
    assert said("{% if tools %}{{ tools | tojson }}{% endif %}{% if enable_thinking %}.{% endif %}" + GOOD) == []


def test_a_template_may_refuse_a_system_turn_and_demand_alternation():
    """Families do; refusing is not dropping."""
    text = "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    assert said(text + "{{ m.content }}{% endfor %}") == []


HOSTILE = {
    "nested loops": "{% for a in range(40000) %}{% for b in range(40000) %}{% endfor %}{% endfor %}",
    "doubling with ~": "{% set n = namespace(x='ab') %}{% for i in range(90) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "doubling with +": "{% set n = namespace(x=[1]) %}{% for i in range(90) %}{% set n.x = n.x + n.x %}{% endfor %}",
    "doubling with a block": "{% set n = namespace(x='ab') %}{% for i in range(90) %}{% set n.x %}{{ n.x }}{{ n.x }}"
    "{% endset %}{% endfor %}",
    "repetition": "{{ 'a' * 90000 * 90000 }}",
    "repetition from the left": "{{ 90000 * 'a' }}",
    "a list repeated": "{{ [0] * 99999 }}",
    "a power": "{{ 9 ** 9 ** 9 }}",
    "a number": "{{ 10000000000 }}",
    "a wide format": "{{ '%99999999d' % 1 }}",
    "a wide str.format": "{{ '{:99999999}'.format(1) }}",
    "replacement": "{{ ('a' * 30000).replace('a', 'b' * 30000) }}",
    "replacement by filter": "{{ ('a' * 30000) | replace('a', 'b' * 30000) }}",
    "a join": "{{ ('b' * 30000).join('a' * 30000) }}",
    "justified": "{{ 'a'.ljust(99999) }}",
    "an endless macro": "{% macro f(n) %}{{ f(n) }}{{ f(n) }}{% endmacro %}{{ f(1) }}",
    "a macro of macros": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
    "much output": "{% for a in range(40000) %}{{ 'abcdefghijklmnopqrstuvwxyz' }}{% endfor %}",
    "deep nesting": "{{ " + "(" * 20000 + "1" + ")" * 20000 + " }}",
    "a huge template": "a" * 1_000_000,
    "a wide indent": "{{ [1] | tojson(indent=99999) }}",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_templates_are_stopped_early(case):
    """Neither an hour nor all memory: each stops within a second and 100 MB."""
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    faults = said(HOSTILE[case])
    assert time.process_time() - started < 2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10
    assert any("asks for too much" in fault for fault in faults), faults


ESCAPES = [
    "{{ ''.__class__.__mro__ }}", "{{ messages.__class__.__init__.__globals__ }}", "{{ raise_exception.__globals__ }}",
    "{{ self.__init__ }}", "{{ range.__self__ }}", "{{ namespace.__init__.__globals__ }}",
    "{% set x = messages[0].update({'content': 'changed'}) %}", "{{ messages.append(1) }}",
]  # fmt: skip


@pytest.mark.parametrize("text", ESCAPES)
def test_python_is_out_of_reach(text):
    """Attributes of Python give nothing, and values that were passed in cannot be changed."""
    messages = [{"role": "user", "content": "Hi"}]
    try:
        shown = render(text, {"messages": messages})
    except TemplateError:
        shown = ""
    assert "class" not in shown
    assert "function" not in shown
    assert messages == [{"role": "user", "content": "Hi"}]


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(st.data())
def test_mutated_templates_give_faults_and_nothing_else(data):
    """Whatever is cut out of or put into a real template, a list of faults comes back."""
    text = bundled(data.draw(st.sampled_from(names())))
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    junk = data.draw(
        st.sampled_from(["", "{%", "%}", "{{", "}}", "{#", "'", "(", "|", ".", "messages", "loop", "\x00", "é"])
    )
    check(text[:start] + junk + text[end:], "x")
