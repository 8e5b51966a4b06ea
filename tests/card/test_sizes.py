"""What a card says about weights: parameters, bytes, parts, quantised tensors, and folders that are no models."""

import time

import pytest

from plinth_runtime.contract.card import CardError


def test_parameters_and_bytes_are_exact_per_format_and_part(llama):
    """Every tensor counts once, by its format and by the part of the model it belongs to."""
    card = llama(
        {
            "model.embed_tokens.weight": ("BF16", [128, 64]),
            "model.layers.0.self_attn.q_proj.weight": ("BF16", [64, 64]),
            "model.norm.weight": ("F32", [64]),
            "lm_head.weight": ("BF16", [128, 64]),
        }
    ).card()
    assert card.parameters == 128 * 64 * 2 + 64 * 64 + 64
    assert card.parameters_by_dtype == {"bfloat16": 128 * 64 * 2 + 64 * 64, "float32": 64}
    assert card.weight_bytes == 2 * (128 * 64 * 2 + 64 * 64) + 4 * 64
    assert card.bytes_by_part == {"embedding": 16384, "head": 16384, "other": 64 * 64 * 2 + 256}
    assert (card.dtype, card.tied_embeddings, card.tensors, card.shards) == ("bfloat16", False, 4, 1)


def test_counters_are_no_parameters(llama):
    """Whole-number buffers such as position ids take bytes and are no weights."""
    card = llama(
        {"embeddings.position_ids": ("I64", [1, 512]), "embeddings.word_embeddings.weight": ("F32", [8, 8])}
    ).card()
    assert (card.parameters, card.weight_bytes) == (64, 512 * 8 + 256)


def test_without_a_stored_head_the_embeddings_are_tied(llama):
    """A model that stores no head uses its embedding."""
    assert llama().card().tied_embeddings is True


QUANTISED = {
    "gptq": (
        {"quant_method": "gptq", "bits": 4, "group_size": 128},
        {"a.qweight": ("I32", [8, 64]), "a.qzeros": ("I32", [1, 8]), "a.scales": ("F16", [1, 64]),
         "a.g_idx": ("I32", [64])},
        {"int4": 8 * 64 * 8}, 4,
    ),
    "awq": (
        {"quant_method": "awq", "bits": 4, "group_size": 128, "version": "gemm"},
        {"a.qweight": ("I32", [64, 8]), "a.qzeros": ("I32", [1, 8]), "a.scales": ("F16", [1, 64]),
         "n.weight": ("F16", [9])},
        {"float16": 9, "int4": 64 * 8 * 8}, 4,
    ),
    "fp8": (
        {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]},
        {"a.weight": ("F8_E4M3", [64, 64]), "a.weight_scale_inv": ("F32", [1, 1]), "n.weight": ("BF16", [64])},
        {"bfloat16": 64, "float8_e4m3fn": 4096}, 8,
    ),
    "mxfp4": (
        {"quant_method": "mxfp4", "modules_to_not_convert": ["model.embed_tokens"]},
        {"m.experts.gate_up_proj_blocks": ("U8", [2, 4, 16]), "m.experts.gate_up_proj_scales": ("U8", [2, 4])},
        {"float4_e2m1": 2 * 4 * 16 * 2}, 4,
    ),
    "bitsandbytes": (
        {"quant_method": "bitsandbytes", "load_in_4bit": True, "bnb_4bit_quant_type": "nf4"},
        {"a.weight": ("U8", [2048, 1]), "a.weight.absmax": ("U8", [64]), "a.weight.quant_map": ("F32", [16])},
        {"int4": 4096}, 4,
    ),
    "compressed-tensors": (
        {
            "quant_method": "compressed-tensors", "format": "pack-quantized",
            "config_groups": {"group_0": {"weights": {"num_bits": 4, "group_size": 32, "type": "int"}}},
        },
        {"a.weight_packed": ("I32", [64, 8]), "a.weight_scale": ("BF16", [64, 2]), "a.weight_shape": ("I64", [2])},
        {"int4": 64 * 8 * 8}, 4,
    ),
    "modelopt_fp4": (
        {"quant_algo": "NVFP4", "kv_cache_quant_algo": "FP8", "producer": {"name": "modelopt"},
         "quant_method": "modelopt"},
        {"a.weight": ("U8", [64, 32]), "a.weight_scale": ("F8_E4M3", [64, 4]), "a.weight_scale_2": ("F32", [])},
        {"float4_e2m1": 4096}, 4,
    ),
}  # fmt: skip


@pytest.mark.parametrize("method", QUANTISED)
def test_packed_weights_count_unpacked_and_scales_do_not(llama, method):
    """Parameters are those of the model, not of its packing; bytes are those of the file."""
    config, tensors, expected, bits = QUANTISED[method]
    card = llama(tensors, quantization_config=config).card()
    assert (card.quantization.method, card.quantization.bits) == (method, bits)
    assert card.parameters_by_dtype == expected
    assert card.parameters == sum(expected.values())


def test_modelopt_may_describe_itself_in_a_file_of_its_own(llama, folder):
    """hf_quant_config.json counts when config.json is silent."""
    llama()
    folder.add("hf_quant_config.json", {"quantization": {"quant_algo": "FP8", "kv_cache_quant_algo": "FP8"}})
    quantization = folder.card().quantization
    assert (quantization.method, quantization.bits, quantization.kv_cache) == ("modelopt", 8, "fp8")


def test_active_parameters_follow_from_the_expert_tensors(llama):
    """Of eight experts two work: a quarter of their parameters counts, draft layers do not."""
    card = llama(
        {
            "model.layers.0.mlp.experts.0.up_proj.weight": ("BF16", [800]),
            "model.layers.0.self_attn.o_proj.weight": ("BF16", [100]),
            "model.layers.2.eh_proj.weight": ("BF16", [50]),
        },
        num_experts=8, num_experts_per_tok=2,
    ).card()  # fmt: skip
    assert (card.parameters, card.active_parameters, card.experts.count) == (950, 300, 8)
    assert card.bytes_by_part == {"draft": 100, "experts": 1600, "other": 200}


def shards(folder, count, per_shard=900):
    """An index with `count` shards of a large model, headers only."""
    weight_map = {}
    for number in range(count):
        path = f"model-{number + 1:05}-of-{count:05}.safetensors"
        tensors = {f"model.layers.{number}.mlp.experts.{i}.w.weight": ("BF16", [2048, 7168]) for i in range(per_shard)}
        folder.weights(tensors, path)
        weight_map |= dict.fromkeys(tensors, path)
    return folder.add("model.safetensors.index.json", {"metadata": {}, "weight_map": weight_map})


@pytest.mark.slow
def test_a_hundred_shards_are_read_within_half_a_second_without_tensor_data(llama, folder):
    """2.6 TB of weights: only headers are read, and quickly."""
    llama(num_hidden_layers=100)
    shards(folder, 100)
    started = time.process_time()
    card = folder.card()
    elapsed = time.process_time() - started
    assert (card.shards, card.tensors, card.parameters) == (100, 90_000, 90_000 * 2048 * 7168)
    assert elapsed < 1.5, "0.5 s of processor time alone; test machines are busy"
    assert sum(length for _, _, length in folder.reads) < 40e6


def test_the_index_decides_which_files_count(llama, folder):
    """Mistral's second copy and other leftovers beside the shards are not counted twice."""
    llama()
    shards(folder, 2, 3)
    folder.weights({"x": ("BF16", [5])}, "consolidated.safetensors")
    assert folder.card().parameters == 2 * 3 * 2048 * 7168


def test_a_numbered_row_without_index_must_be_complete(folder, llama):
    """Two of three files were copied and the index forgotten: the missing one is named."""
    llama()
    del folder.sizes["model.safetensors"]
    for number in (1, 3):
        folder.weights({f"t{number}": ("BF16", [4])}, f"model-0000{number}-of-00003.safetensors")
    with pytest.raises(CardError, match=r"model-00002-of-00003\.safetensors is missing"):
        folder.card()


BROKEN = {
    "a missing shard": (lambda f: f.sizes.pop("model-00002-of-00002.safetensors"), "00002.safetensors is missing"),
    "a tensor in no file": (
        lambda f: f.weights({"other": ("BF16", [1])}, "model-00002-of-00002.safetensors"), "3 tensors named by",
    ),
    "a tensor in two files": (
        lambda f: f.weights(
            {"model.layers.0.mlp.experts.0.w.weight": ("BF16", [1])}, "model-00002-of-00002.safetensors"
        ),
        "which another file holds too",
    ),
    "an index that is a list": (lambda f: f.add("model.safetensors.index.json", []), "is not an object"),
    "an index without a map": (lambda f: f.add("model.safetensors.index.json", {"a": 1}), "is not an index"),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_indices_are_refused(llama, folder, case):
    """What the index promises must be there, once."""
    spoil, message = BROKEN[case]
    llama()
    shards(folder, 2, 3)
    spoil(folder)
    with pytest.raises(CardError, match=message):
        folder.card()


def test_all_faults_of_a_folder_are_told_at_once(folder):
    """No config and no weights are two faults, said together."""
    folder.add("README.md", "hello")
    with pytest.raises(CardError) as caught:
        folder.card()
    assert caught.value.faults == (
        "config.json is missing",
        "there is no *.safetensors file (other weight formats are not served)",
    )
