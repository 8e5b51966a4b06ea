"""The safetensors header: what is refused, and that nothing malformed crashes, hangs or eats memory."""

import json
import random
import resource
import struct
import time

import pytest

from plinth_runtime.contract.card import HEADER_LIMIT_BYTES, CardError
from plinth_runtime.contract.safetensors import HeaderError, header_length, parse_header

GOOD = {"a": {"dtype": "F32", "shape": [2, 2], "data_offsets": [0, 16]}}


def row(**changes):
    """The good tensor with something changed."""
    return json.dumps({"a": {**GOOD["a"], **changes}}).encode()


REFUSED = {
    "not JSON": (b"{", "unreadable header"),
    "a list": (b"[]", "not an object"),
    "a tensor that is a number": (b'{"a": 1}', "lacks a known dtype"),
    "an unknown dtype": (row(dtype="Q4"), "lacks a known dtype"),
    "a dtype that is a list": (row(dtype=["F32"]), "lacks a known dtype"),
    "three offsets": (row(data_offsets=[0, 1, 2]), "lacks a known dtype"),
    "negative offsets": (row(data_offsets=[-16, 0]), "impossible offsets"),
    "offsets backwards": (row(data_offsets=[16, 0]), "impossible offsets"),
    "offsets with fractions": (row(data_offsets=[0.0, 16.0]), "impossible offsets"),
    "a true extent": (row(shape=[True, 4]), "impossible shape"),
    "a negative extent": (row(shape=[-2, -2]), "impossible shape"),
    "extents that overflow": (row(shape=[1 << 40, 1 << 40]), "more elements than any model"),
    "a huge extent": (row(shape=[1 << 70]), "impossible shape"),
    "too many dimensions": (row(shape=[1] * 33), "no usable shape"),
    "elements that do not fill the bytes": (row(shape=[3]), "3 elements of 32 bits in 16 bytes"),
    "a gap at the start": (row(data_offsets=[4, 20]), "overlap or leave gaps"),
    "a name given twice": (b'{"a": {}, "a": {}}', "names a twice"),
    "deep nesting": (b'{"a":' + b"[" * 100_000, "unreadable header"),
    "a number without end": (
        b'{"a": {"dtype": "F32", "shape": [' + b"9" * 5000 + b'], "data_offsets": [0, 1]}}',
        "header",
    ),
    "no UTF-8": (b'{"\xff\xfe": 1}', "unreadable header"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_malformed_headers_are_refused_with_the_reason(case):
    """Each kind of damage has its sentence."""
    header, message = REFUSED[case]
    with pytest.raises(HeaderError, match=message):
        parse_header(header, 8 + len(header) + 16)


def test_overlapping_tensors_are_refused():
    """Two tensors on the same bytes are an attack or a bug."""
    header = json.dumps({**GOOD, "b": {"dtype": "F32", "shape": [2], "data_offsets": [8, 16]}}).encode()
    with pytest.raises(HeaderError, match="overlap"):
        parse_header(header, 8 + len(header) + 16)


@pytest.mark.parametrize(("size", "message"), [(15, "cut short"), (17, "appended to")])
def test_a_file_must_have_exactly_the_bytes_of_its_header(size, message):
    """A byte too few or too many is told."""
    header = json.dumps(GOOD).encode()
    with pytest.raises(HeaderError, match=message):
        parse_header(header, 8 + len(header) + size)


def test_the_length_is_checked_before_anything_is_read():
    """A length beyond the file, beyond the bound, or of a cut file never leads to a read."""
    for prefix, size in ((struct.pack("<Q", 1 << 63), 1 << 62), (b"\1", 1), (struct.pack("<Q", 100), 50)):
        with pytest.raises(HeaderError, match="no safetensors file"):
            header_length(prefix, size)
    with pytest.raises(HeaderError, match="more than the"):
        header_length(struct.pack("<Q", HEADER_LIMIT_BYTES + 1), 1 << 40)


def test_a_scalar_and_an_empty_tensor_are_fine():
    """Shapes [] and [0] are legal."""
    rows = {
        "scalar": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]},
        "none": {"dtype": "F32", "shape": [0, 5], "data_offsets": [0, 0]},
    }
    header = json.dumps({**rows, "__metadata__": {"format": "pt"}}).encode()
    tensors = parse_header(header, 8 + len(header) + 4)
    assert {name: tensor.elements for name, tensor in tensors.items()} == {"scalar": 1, "none": 0}


def mutated(rng, header):
    """A header with some bytes changed, cut, doubled or replaced by a token that hurts."""
    body = bytearray(header)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(body) + 1)
        body[place:place] = rng.choice(
            [
                b"",
                b"[",
                b"{",
                b'"',
                b"1e999",
                b"-1",
                b"NaN",
                b"null",
                b"\x00",
                b"99999999999999999999",
                bytes([rng.randrange(256)]),
            ]
        )
        if rng.random() < 0.5 and body:
            del body[rng.randrange(len(body)) :][: rng.randint(0, 8)]
        if rng.random() < 0.3 and body:
            body[rng.randrange(len(body))] = rng.randrange(256)
    return bytes(body)


def fuzz(folder, total, seed):
    """Feed malformed headers, `total` bytes of them, to the whole reader; only CardError may come out."""
    rng = random.Random(seed)  # noqa: S311 reproducible, not secret
    tensors = {
        f"model.layers.{i}.w.weight": {"dtype": "BF16", "shape": [4, i + 1], "data_offsets": [0, 8]} for i in range(4)
    }
    plain = json.dumps({"__metadata__": {"format": "pt"}, **tensors}).encode()
    fed = refused = 0
    while fed < total:
        header = mutated(rng, plain)
        length = len(header) if rng.random() < 0.8 else rng.getrandbits(rng.choice([3, 16, 40, 64]))
        folder.add("model.safetensors", struct.pack("<Q", length) + header, rng.randint(0, 64))
        fed += len(header)
        try:
            folder.card()
        except CardError:
            refused += 1
    return fed, refused


def check_fuzz(llama, folder, total, seed):
    """Run the fuzz and look at time and memory."""
    llama()
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    fed, refused = fuzz(folder, total, seed)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert fed >= total
    assert refused > 0
    assert grown < 200 << 10, "kilobytes"
    assert time.perf_counter() - started < 50


def test_malformed_headers_never_crash_hang_or_eat_memory(llama, folder):
    """A hundred thousand bytes of damage: only CardError comes out."""
    check_fuzz(llama, folder, 100_000, 1)


@pytest.mark.exhaustive
def test_a_million_bytes_of_malformed_headers(llama, folder):
    """The same at full length."""
    check_fuzz(llama, folder, 1_000_000, 2)


@pytest.mark.exhaustive
@pytest.mark.timeout(120)
def test_the_largest_header_stays_within_memory(llama, folder):
    """A header at the bound, full of the smallest tensors, parses within 600 MB."""
    llama()
    count = HEADER_LIMIT_BYTES // 62
    rows = ",".join(f'"{i:x}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}' for i in range(count))
    body = ("{" + rows + "}").encode()[:HEADER_LIMIT_BYTES]
    folder.add("model.safetensors", struct.pack("<Q", len(body)) + body)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    folder.card()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 600 << 10


JUNK = [
    None,
    True,
    -1,
    0,
    1 << 80,
    1.5,
    float("nan"),
    "x",
    "",
    [],
    [[]],
    {},
    {"a": 1},
    ["full_attention"],
    "M*-",
    [-1, 5],
]


@pytest.mark.slow
def test_config_values_of_any_type_never_crash(llama, folder):
    """Each key of config.json replaced by every kind of junk gives a card or a CardError."""
    known = {
        "layer_types", "sliding_window", "rope_scaling", "rope_parameters", "quantization_config", "text_config",
        "vision_config", "architectures", "model_type", "head_dim", "kv_lora_rank", "num_experts", "id2label",
        "num_experts_per_tok", "linear_attn_config", "attn_config", "ffn_config", "hybrid_override_pattern",
        "cross_attention_layers", "model_max_length", "torch_dtype", "auto_map", "num_kv_shared_layers",
        "num_hidden_layers", "hidden_size", "num_attention_heads", "vocab_size", "max_position_embeddings",
    }  # fmt: skip
    for model_type in ("llama", "deepseek_v3", "gemma2", "qwen3_next", "nemotron_h", "jamba", "llama4", "phi3", "bert"):
        for key in known:
            for junk in JUNK:
                llama(**{"model_type": model_type, key: junk})
                try:
                    folder.card()
                except CardError:
                    continue
