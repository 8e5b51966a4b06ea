"""Adapters, media, templates, caches and things said twice, in loosely written facts. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pulumi_plinth.check.facts_place_words import Facts, is_absent, words_of
from pulumi_plinth.check.facts_serving.names import parameters_of_name
from pulumi_plinth.check.serving import Adapter, Cache, Double, Media, Serving, Template

ITEM_TOKENS: Mapping[str, int] = {"whisper": 1500}
"""Model type -> tokens of one item that every checkpoint of it has."""

CACHE_KEYS = (
    r"(?!.*(per_token|bytes|gib|gb|context_tokens))(.*_)?(kv|cache)\w*_tokens?"
    "|(max_)?tokens_in_(kv_)?cache|(gpu_)?kv_cache_size"
)
NOT_GPU = "disk|ephemeral|host|init|shm|pvc|storage|ram|boot|volume|node|shared|cpu"
COUNTED = "(.+_)?(formula|estimate|estimated|predicted|planned|counted|naive)(_.+)?_(gb|gib)"
MEASURED = "(.+_)?(real|actual|measured|observed|allocated|reserved)(_.+)?_(gb|gib)"
NEEDED = rf"(?!.*({NOT_GPU})).*(need|requir)\w*_(gb|gib)|(gb|gib)_(needed|required)"
THERE = rf"(?!.*({NOT_GPU})).*(available|spare|left)\w*_(gb|gib)|(gb|gib)_(available|left)"
ENCODER_DECODERS = ("whisper", "bart", "mbart", "t5", "florence2")
ITEM_KEYS = (
    "(max_)?tokens_per_(mm_)?(item|image|video|audio)|(encoder|image|audio)_tokens(_per_(item|image))?"
    "|max_tokens_per_mm_item"
)
RANKS = "(adapter|lora)_(r|rank)|r|rank|adapter_config_r|max_adapter_rank|highest_rank"
PAIRS = (
    ("the vocabulary", "(draft|speculator)(_model)?_vocab(_size)?", "(target|base)(_model)?_vocab(_size)?|vocab_size"),
    ("the model's name", "served_model_name", "(request(ed)?|client|router?|probe)_model(_name)?"),
)
NEEDS, HAS = "needs|needed|required|requires|min|minimum", "installed|image|has|shipped|bundled"
BASE_KEYS = "adapter_base(_model)?|base_model_name_or_path|(adapter_)?trained_on"
IDENTIFIER = re.compile(r"[A-Za-z][A-Za-z0-9_.]*")
MODULE = re.compile(r"\w*_\w+|lm_head|query|key|value|dense|gate|up|down|all-linear")
FIRST = "asked|requested|declared|configured|wanted|stated|spec|given|user"
SECOND = "used|rendered|deployed|effective|got|applied|actual|planned|estimated|computed|chosen"


def read_adapter(facts: Facts, serving: Serving) -> Adapter:
    """Read LoRA adapters."""
    base, added = facts.text(BASE_KEYS), facts.number("(adapter_)?(added|new|extra)_tokens")
    rank = facts.number(RANKS, max)
    pattern = facts.find("(adapter_|lora_)?rank_pattern")
    highest, uneven = _highest(pattern[1] if pattern else None, int(rank) if rank else None)
    described = facts.find("(lora_)?adapters?|adapter_(weights|keys)")
    said = str(described[1]).lower() if described else ""
    none_match = bool(re.search(r"\b(no|none|0|zero)\b.*\b(match|overlap|belong|intersect)", said))
    number = facts.number("(matching|matched|common)_(keys|modules|weights)")
    dora = facts.flag("(use_)?dora") or False
    return Adapter(
        rank=highest,
        uneven=uneven,
        targets=_modules(facts.find("(adapter_|lora_)?target_(modules|linear_layers)")),
        saved=tuple(facts.words("modules_to_save|saved_modules|full_modules") or ()),
        wrapped=_wrapped(facts),
        matches=False if none_match or number == 0 else None,
        base=base or None,
        fits=_fits(base, serving.model),
        tokens=int(added) if added else None,
        bias=facts.text("(adapter_|lora_)?bias") in ("all", "lora_only"),
        method="dora" if dora else (facts.text("(peft|adapter)_(type|method)") or "").lower() or None,
    )


def read_media(facts: Facts, serving: Serving) -> Media:
    """Read tokens of items."""
    kind = serving.card.model_type if serving.card else ""
    item = facts.number(ITEM_KEYS, max)
    limit = facts.number("(images|videos|items|max_images|max_items)_per_prompt|limit_mm_per_prompt_(image|video)", max)
    worst = [value for _, value in facts.each("(worst|max)_(case_)?(image|video|audio)_tokens")]
    total = facts.number("(mm_)?profile_(total|tokens)|worst_case_tokens")
    together = sum(int(value) for value in worst if isinstance(value, int))
    name = (serving.model or "").lower()
    return Media(
        item_tokens=int(item) if item else ITEM_TOKENS.get(kind),
        items=int(limit) if limit else None,
        profile_tokens=int(total) if total else together or None,
        encoder_decoder=kind in ENCODER_DECODERS or "whisper" in name or bool(facts.flag("(is_)?encoder_decoder")),
        chunked=facts.flag("(enable_)?chunked_mm(_input)?|mm_chunking"),
    )


def read_template(facts: Facts, serving: Serving) -> Template:
    """Read who brings the chat template; where only completions are asked for, nobody needs one."""
    asked = (facts.text("api|endpoints?|routes?|requests_to") or "chat").lower()
    if "chat" not in asked and "complet" in asked:
        return Template(None, serving.arguments.get("chat-template"))
    found = facts.find("(chat|prompt)_template(_in_repo|_file|_jinja)?|tokenizer_chat_template|chat_template_source")
    given = serving.arguments.get("chat-template")
    if found is None:
        return Template(None, given)
    text = str(found[1])
    if is_absent(found[1]) or found[1] is False:
        return Template(own=False, given=given)
    own = found[1] is True or re.search(r"\b(present|in repo|own|built ?in|included|yes)\b", text.lower()) is not None
    return Template(own=True, given=given) if own else Template(None, text)


def read_cache(facts: Facts) -> Cache:
    """Read a cache as an engine reported it, and the longest request."""
    prompt, answer = (
        facts.number("(max_)?(prompt|input)_(len(gth)?|tokens)", max),
        facts.number("(max_)?(completion|output|answer|new|response)_(len(gth)?|tokens)|max_new_tokens", max),
    )
    blocks, tokens = facts.number("(num_)?gpu_blocks"), facts.number(CACHE_KEYS)
    block, states = facts.number("block_size|tokens_per_block"), facts.number("(mamba|state)_(cache_)?blocks")
    allocator = facts.text("(kv_|cache_|kv_cache_)?(allocator|manager)") or ""
    return Cache(
        blocks=int(blocks) if blocks else None,
        block_tokens=int(block) if block else None,
        tokens=int(tokens) if tokens else None,
        needed_bytes=_size(facts, NEEDED),
        available_bytes=_size(facts, THERE),
        estimated_bytes=_size(facts, COUNTED),
        measured_bytes=_size(facts, MEASURED),
        whole_windows=re.search(r"full|whole|unif|no hybrid|reserve", allocator.lower()) is not None,
        states=int(states) if states else None,
        request_tokens=int(prompt + (answer or 0)) if prompt else None,
    )


def read_doubles(facts: Facts, serving: Serving) -> Iterator[Double]:
    """Yield what is said twice: `count_asked` and `count_used`, GPUs picked by hand and the layout's."""
    seconds = {_stem(key, SECOND): (key, value) for key, value in facts.each(f".+_({SECOND})|({SECOND})_.+")}
    for key, value in facts.each(f".+_({FIRST})|({FIRST})_.+"):
        other = seconds.get(_stem(key, FIRST))
        if other:
            yield Double(_stem(key, FIRST), (key, _same(value)), (other[0], _same(other[1])))
    yield from _pairs(facts)
    needs, has = (facts.version(f"({words})_transformers(_version)?") for words in (NEEDS, HAS))
    if needs and has and has < needs:
        yield Double("the release of transformers", ("what is needed", needs), ("what is installed", has))
    picked = facts.number("(selected|picked|chosen)_gpus?")
    sizes = [serving.arguments.get(f"{kind}-parallel-size") for kind in ("tensor", "pipeline")]
    if picked and any(sizes) and all(size is None or size.isdecimal() for size in sizes):
        product = int(sizes[0] or 1) * int(sizes[1] or 1)
        yield Double("the number of GPUs", ("selected_gpus", int(picked)), ("the layout", product))


def _pairs(facts: Facts) -> Iterator[Double]:
    """Yield what must be equal at two places: vocabularies of draft and target, names that are served and asked for."""
    for name, first, second in PAIRS:
        found, other = facts.find(first), facts.find(second)
        if found and other and not is_absent(found[1]) and not is_absent(other[1]):
            yield Double(name, (found[0], _same(found[1])), (other[0], _same(other[1])))


def _fits(base: str | None, model: str | None) -> bool | None:
    """Tell whether an adapter's base has the size of the model that is served; None where a name says no size."""
    sizes = [parameters_of_name(name) for name in (base or "", model or "")]
    return None if None in sizes else sizes[0] == sizes[1]


def _highest(pattern: Any, rank: int | None) -> tuple[int | None, bool]:
    """Return the highest rank that is stated, and whether higher ones exist that are not."""
    if is_absent(pattern):
        return rank, False
    if isinstance(pattern, Mapping):
        ranks = [value for value in pattern.values() if isinstance(value, int)]
        return max([*ranks, rank or 0]) or None, False
    text = str(pattern)
    numbers = [int(number) for number in re.findall(r"\b\d+\b", text)]
    if numbers:
        return max([*numbers, rank or 0]), False
    return rank, re.search(r"high|above|larger|more|bigger|greater", text.lower()) is not None


def _modules(found: tuple[str, Any] | None) -> tuple[str, ...]:
    """Return module names of a list, or those that a sentence names."""
    if found is None or is_absent(found[1]):
        return ()
    if not isinstance(found[1], str):
        return words_of(found[1])
    return tuple(word for word in IDENTIFIER.findall(found[1]) if MODULE.fullmatch(word.rsplit(".", 1)[-1]))


def _wrapped(facts: Facts) -> tuple[str, ...]:
    """Return the modules that a server wraps, where the list is whole."""
    found = facts.find("(expected|supported|wrapped)(_target)?(_modules)?")
    if found is None or (isinstance(found[1], str) and "..." in found[1]):
        return ()
    return _modules(found)


def _size(facts: Facts, pattern: str) -> int | None:
    found = facts.size(pattern)
    return int(found) if found is not None else None


def _stem(key: str, words: str) -> str:
    return re.sub(rf"^({words})_|_({words})$", "", key)


def _same(value: Any) -> Any:
    return value.strip().lower() if isinstance(value, str) else value
