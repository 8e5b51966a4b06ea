"""Whatever is written in a dialect reads back the same, or what differs was reported."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from pulumi_plinth.model.capabilities import CAPABILITIES
from pulumi_plinth.model.convert import DIALECTS, convert
from pulumi_plinth.model.dialects.table import dump
from pulumi_plinth.model.dialects.text import to_yaml
from pulumi_plinth.model.spec import ModelSpec

pytestmark = pytest.mark.slow

SETTINGS = settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))

WORD = st.from_regex(r"[a-z][a-z0-9]{0,8}(-[a-z0-9]{1,4})?", fullmatch=True)
ANY = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
ODD = st.sampled_from(
    [
        "yes", "null", "~", "1", "1.0", "0x1F", "1e5", "2025-06-30", "1:30", "- a", "a: b", "# a", "'", '"', '"""', "|",
        ">", " a", "a ", "a\nb", "\na", "a\n", "a\r\nb", "\t", "{a: 1}", "[1]", "&a", "*a", "!a", "%a", "@a", "`a",
        "<<", "=", ".inf", "\u2028", "\x85", "${secret:x}", "---", "...", "a\n---\nb", "\ufeff", "<|im_end|>", "é",
        "😀",
        "017", "+1", "-", "?", ":", ",", "true", "Off",
    ]
)  # fmt: skip
TEXT = st.one_of(WORD, ODD, ANY)
MAP = st.dictionaries(TEXT, TEXT, max_size=3)
LIST = st.lists(TEXT, max_size=3)
COUNT = st.integers(1, 10**9)
URI = st.one_of(
    st.tuples(WORD, WORD).map(lambda parts: f"hf://{parts[0]}/{parts[1]}"),
    st.tuples(WORD, WORD, WORD).map(lambda parts: f"hf://{parts[0]}/{parts[1]}@{parts[2]}"),
    st.sampled_from(
        ["hf://gpt2", "local:///mnt/x", "local://x", "local://a/b/", "local://~/m", "local://x.gguf", "s3://b/p",
         "oci://n/a/b/c/o/d/", "pvc://a:b/c", "https://h.example/m"]
    ),
)  # fmt: skip
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.floats(-1e9, 1e9), TEXT),
    lambda child: st.one_of(st.lists(child, max_size=3), st.dictionaries(TEXT, child, max_size=3)),
    max_leaves=6,
)


def part(**fields):
    """A mapping with any of these fields."""
    return st.fixed_dictionaries({}, optional=fields)


RESOURCES = part(cpu=st.sampled_from(["1", "500m", "0.5"]), memory=st.sampled_from(["1Gi", "500M"]), gpu=st.just(1))
SPEC = part(
    servedName=TEXT,
    technicalName=WORD,
    displayName=TEXT,
    vendor=TEXT,
    version=TEXT,
    license=TEXT,
    compartmentId=TEXT,
    kind=st.sampled_from(["generate", "embed", "rerank"]),
    namespace=WORD,
    labels=MAP,
    annotations=MAP,
    format=st.fixed_dictionaries({"name": TEXT}, optional={"version": TEXT, "weight": COUNT}),
    modelType=TEXT,
    architecture=TEXT,
    quantization=TEXT,
    parameterSize=st.sampled_from(["7B", "1.24B", "400M"]),
    capabilities=st.lists(st.sampled_from(CAPABILITIES), max_size=2),
    maxTokens=COUNT,
    configuration=JSON,
    metadata=MAP,
    serving=part(
        modes=st.lists(st.sampled_from(["On-demand", "Dedicated"]), max_size=2),
        replicas=st.integers(0, 9),
        limits=RESOURCES,
        requests=st.just({"cpu": "100m"}),
    ),
    lifecycle=part(
        phase=st.sampled_from(["ACTIVE", "DEPRECATED", "EXPERIMENTAL"]),
        category=st.sampled_from(["SMALL", "LARGE"]),
        internal=st.booleans(),
        disabled=st.booleans(),
        longTermSupport=st.booleans(),
        deprecationTime=st.just("2025-06-30"),
    ),
    about=part(tags=LIST, authors=LIST, limitations=TEXT, diskSizeGb=st.floats(0, 1e6), deploymentConfig=JSON),
    parameters=part(
        tokenizerName=TEXT,
        tokenizerPadToken=TEXT,
        tokenizerKwargs=st.dictionaries(TEXT, JSON, max_size=2),
        modelMaxLength=COUNT,
        torchDtype=st.sampled_from(["auto", "bfloat16"]),
        trustRemoteCode=st.booleans(),
        deviceMap=st.one_of(st.none(), TEXT),
        freezeLayers=LIST,
        modelKwargs=st.dictionaries(WORD, JSON, max_size=2),
    ),
    peft=part(
        loraR=COUNT,
        loraDropout=st.floats(0, 0.9),
        loraTargetModules=LIST,
        qLora=st.booleans(),
        qLoraBits=st.sampled_from([4, 8]),
        loraInitWeights=st.sampled_from(["gaussian", "pissa_niter_16"]),
    ),
    adapters=st.lists(
        st.fixed_dictionaries({"name": WORD, "uri": st.sampled_from(["local://a/b", "local:///x/y", "hf://o/l"])}),
        max_size=2,
    ),
    chatTemplate=TEXT,
    modelfile=part(
        template=TEXT,
        system=TEXT,
        parameters=part(num_ctx=COUNT, temperature=st.floats(0, 2), use_mmap=st.booleans(), stop=LIST),
        messages=st.lists(st.fixed_dictionaries({"role": st.just("user"), "content": TEXT}), max_size=2),
        licenses=LIST,
    ),
    placement=part(instanceType=TEXT, count=COUNT, labelSelector=st.dictionaries(WORD, JSON, max_size=2)),
)
STORAGE = st.fixed_dictionaries(
    {"uri": URI}, optional={"path": st.just("/mnt/m"), "parameters": MAP, "key": WORD, "nodeSelector": MAP}
)
ORIGIN = st.one_of(STORAGE.map(lambda storage: {"storage": storage}), st.just({"store": "models", "path": "a/b"}))


@st.composite
def specs(draw):
    """A valid spec of any shape, as a stack file would hold it."""
    data = {**draw(SPEC), **draw(ORIGIN)}
    try:
        return dump(ModelSpec.model_validate(data))
    except ValidationError:
        for field in ("adapters", "chatTemplate", "kind", "modelfile", "peft"):
            data.pop(field, None)
        try:
            return dump(ModelSpec.model_validate(data))
        except ValidationError:
            return {"store": "models", "path": "a/b"}


def without(value, keys):
    """A copy of a dump without one place."""
    if not keys or not isinstance(value, dict):
        return value
    head, *rest = keys
    if head not in value:
        return value
    if not rest:
        return {key: item for key, item in value.items() if key != head}
    smaller = {**value, head: without(value[head], rest)}
    return smaller if smaller[head] != {} else {key: item for key, item in smaller.items() if key != head}


def stack(spec):
    """The text of a stack file with one model."""
    return to_yaml([{"config": {"plinth:stack": {"models": {"m-1": spec}}}}])


@SETTINGS
@given(specs())
def test_our_own_form_reads_back_the_same(spec):
    """A stack file that is written holds exactly what was meant."""
    result = convert([("stack.yaml", stack(spec))])
    assert result.errors == ()
    again = convert(result.outputs and [("again.yaml", result.outputs[0][1])])
    assert dump(again.models[0].spec) == dump(result.models[0].spec) == spec
    assert json.loads(json.dumps(result.to_json()))["models"][0]["name"] == "m-1"


@pytest.mark.parametrize("to", [name for name in DIALECTS if name != "plinth"])
@SETTINGS
@given(spec=specs())
def test_what_a_dialect_cannot_say_is_listed(to, spec):
    """Written, read again and compared: only reported places differ. Written once more, nothing changes."""
    first = convert([("stack.yaml", stack(spec))], to)
    if not first.outputs:
        assert first.errors
        return
    name, text = first.outputs[0]
    again = convert([(name, text)], to)
    assert again.errors == (), text
    before, after = dump(first.models[0].spec), dump(again.models[0].spec)
    for finding in first.warnings:
        if finding.message.startswith("cannot be said"):
            before = without(before, keys_of(finding.path))
    for key, value in before.items():
        if key not in {"kind", "scope"}:
            assert contains(after.get(key), value), (key, value, after.get(key))
    third = convert([(name, again.outputs[0][1])], to)
    assert dump(third.models[0].spec) == after


def keys_of(path):
    """Take a reported path apart."""
    import re

    rest = path.removeprefix("models.m-1").removeprefix(".")
    return [quoted or plain for quoted, plain in re.findall(r'\["([^"]*)"\]|([^.\[\]]+)', rest)]


def contains(whole, wanted):
    """Tell whether a dump has at least what another has."""
    if isinstance(wanted, dict):
        return wanted == {} or (
            isinstance(whole, dict) and all(contains(whole.get(key), value) for key, value in wanted.items())
        )
    return whole == wanted
