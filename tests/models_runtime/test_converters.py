"""Conversions for real: a GGUF file unpacked and an adapter merged, by torch, transformers and peft on a CPU."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from models_runtime.conftest import ENGINE

from plinth_runtime.contract.manifest import WeightManifest
from plinth_runtime.weights.publish import PublishOptions, publish
from plinth_runtime.weights.sources.opening import open_store

pytestmark = [pytest.mark.engine, pytest.mark.timeout(300)]

TINY = """
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM
torch.manual_seed(1)
tokenizer = AutoTokenizer.from_pretrained(MODEL)
config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                     num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128)
"""
BASE_AND_ADAPTER = """
from peft import LoraConfig, get_peft_model
base, adapter = TMP + "/{name}-base", TMP + "/{name}-adapter"
model = LlamaForCausalLM(config).to(torch.bfloat16)
model.save_pretrained(base)
tokenizer.save_pretrained(base)
adapted = get_peft_model(model, LoraConfig(r=4, target_modules={targets}, task_type="CAUSAL_LM"))
for name, parameter in adapted.named_parameters():
    if "lora_B" in name:
        torch.nn.init.normal_(parameter, std={spread})
adapted.save_pretrained(adapter)
print(json.dumps([base, adapter]))
"""
SAME_ANSWERS = """
from peft import PeftModel
from transformers import AutoModelForCausalLM
question = torch.tensor([[1, 5, 9, 200, 4000]])
with torch.no_grad():
    plain = AutoModelForCausalLM.from_pretrained({base!r}, dtype=torch.float32)
    before = plain(question).logits
    wanted = PeftModel.from_pretrained(plain, {adapter!r})(question).logits
    found = AutoModelForCausalLM.from_pretrained({merged!r}, dtype=torch.float32)(question).logits
scale = (wanted - before).abs().max()
print(json.dumps([float((found - wanted).abs().max() / scale), float(scale)]))
"""
GGUF = """
import gguf, numpy
words = json.loads(open(MODEL + "/tokenizer.json").read())["model"]
tokens = sorted(words["vocab"], key=words["vocab"].get)
tokens += [f"<extra-{{number}}>" for number in range(len(tokenizer) - len(tokens))]
writer = gguf.GGUFWriter({path!r}, "llama")
writer.add_context_length(128)
writer.add_embedding_length(32)
writer.add_block_count(1)
writer.add_feed_forward_length(64)
writer.add_head_count(4)
writer.add_head_count_kv(2)
writer.add_layer_norm_rms_eps(1e-5)
writer.add_rope_freq_base(10000.0)
writer.add_vocab_size(len(tokens))
writer.add_tokenizer_model("gpt2")
writer.add_token_list(tokens)
writer.add_token_merges([" ".join(row) if isinstance(row, list) else row for row in words["merges"]])
writer.add_bos_token_id(1)
writer.add_eos_token_id(2)
shapes = {{"token_embd.weight": (len(tokens), 32), "output_norm.weight": (32,), "output.weight": (len(tokens), 32),
          "blk.0.attn_norm.weight": (32,), "blk.0.ffn_norm.weight": (32,), "blk.0.attn_q.weight": (32, 32),
          "blk.0.attn_k.weight": (16, 32), "blk.0.attn_v.weight": (16, 32), "blk.0.attn_output.weight": (32, 32),
          "blk.0.ffn_gate.weight": (64, 32), "blk.0.ffn_up.weight": (64, 32), "blk.0.ffn_down.weight": (32, 64)}}
chance = numpy.random.default_rng(1)
for name, shape in shapes.items():
    if name != {left_out!r}:
        data = chance.standard_normal(shape, dtype=numpy.float32)
        kind = gguf.GGMLQuantizationType.Q8_0 if len(shape) == 2 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(name, gguf.quants.quantize(data, kind), raw_dtype=kind)
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
print(sum(numpy.prod(shape) for shape in shapes.values()))
"""


def convert(*arguments):
    """Run `plinth-runtime convert`; give its exit code and its object."""
    command = [
        sys.executable,
        "-m",
        "plinth_runtime",
        "convert",
        *map(str, arguments),
        "--python",
        str(ENGINE),
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=280)
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.fixture
def pair(engine_python, request):
    """A function that makes a tiny model and an adapter for it; gives both folders."""

    def make(targets=("q_proj", "v_proj"), spread=0.5):
        name = request.node.name.replace("[", "-").rstrip("]")
        code = TINY + BASE_AND_ADAPTER.format(name=name, targets=list(targets), spread=spread)
        return json.loads(engine_python.run(code))

    return make


def test_a_merged_model_answers_as_base_and_adapter_do(engine_python, pair, tmp_path):
    """The merged folder has the base's tensors, gives the adapted answers, and its manifest names both."""
    base, adapter = pair()
    for folder in (base, adapter):
        publish(Path(folder), open_store(folder), PublishOptions(source="made here"), lambda _: None)
    merged = tmp_path / "merged"
    code, row = convert("merge", base, adapter, merged)
    assert (code, row["state"]) == (0, "verified")
    assert "peft" in row["conversion"]["tool"]
    manifest = WeightManifest.model_validate_json((merged / "plinth-manifest.json").read_bytes())
    assert [given.verified for given in manifest.conversion.inputs] == [True, True]
    error, scale = json.loads(engine_python.run(SAME_ANSWERS.format(base=base, adapter=adapter, merged=str(merged))))
    assert scale > 0.01  # the adapter says something else than its base
    assert error < 0.1


def test_an_adapter_that_changes_nothing(pair, tmp_path):
    """An adapter that was never trained is refused: somebody named the wrong folder."""
    base, adapter = pair(spread=0.0)
    code, row = convert("merge", base, adapter, tmp_path / "merged")
    assert (code, "changes nothing" in row["message"]) == (5, True)
    assert not (tmp_path / "merged").exists()


def test_a_gguf_file_is_unpacked(engine_python, tmp_path):
    """A quantised file becomes a folder of bfloat16 with every parameter; nobody vouched for it, so it says so."""
    path = tmp_path / "tiny.gguf"
    parameters = int(engine_python.run(TINY + GGUF.format(path=str(path), left_out="")))
    code, row = convert("gguf", path, tmp_path / "model")
    assert (code, row["state"], row["parameters"]) == (4, "unverified", parameters)
    assert row["conversion"]["inputs"][0]["name"] == "tiny.gguf"
    names = {item.name for item in (tmp_path / "model").iterdir()}
    assert {"model.safetensors", "config.json", "tokenizer.json", "plinth-manifest.json"} <= names


@pytest.mark.exhaustive
def test_a_gguf_file_that_lacks_a_tensor(engine_python, tmp_path):
    """What transformers would make up is refused."""
    path = tmp_path / "tiny.gguf"
    engine_python.run(TINY + GGUF.format(path=str(path), left_out="blk.0.ffn_up.weight"))
    code, row = convert("gguf", path, tmp_path / "model")
    assert (code, "missing keys: model.layers.0.mlp.up_proj.weight" in row["message"]) == (5, True)
    assert not (tmp_path / "model").exists()
