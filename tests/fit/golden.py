"""Write golden.csv anew: python tests/fit/golden.py. Look at every line that changes and say why in the commit."""

import csv
import sys
from pathlib import Path

from pulumi_plinth.fit.parallel import Nodes
from pulumi_plinth.fit.plan import Fitted, Wish, fit
from pulumi_plinth.fit.shapes import load_shapes
from pulumi_plinth.fit.sizing import Sizer
from pulumi_plinth.model.catalogue import load_catalogue

FILE = Path(__file__).with_name("golden.csv")
SHAPES = ("VM.GPU.A10.1", "BM.GPU.A10.4", "BM.GPU4.8", "BM.GPU.H100.8", "BM.GPU.MI300X.8")
MODELS = (
    "bge-m3", "c4ai-command-r-08-2024", "c4ai-command-r-plus-08-2024", "deepseek-r1-0528",
    "deepseek-r1-distill-llama-70b", "deepseek-r1-distill-qwen-14b", "deepseek-v2-lite-chat", "deepseek-v3-0324",
    "e5-mistral-7b-instruct", "gemma-2-9b-it", "gemma-3-12b-it", "gemma-3-1b-it", "gemma-3-27b-it", "glm-4.5-air",
    "glm-4.7-flash", "gpt-oss-120b", "gpt-oss-20b", "granite-3.3-8b-instruct", "kimi-k2-instruct", "llama-2-13b",
    "llama-2-70b", "llama-2-7b", "llama-3.1-405b-instruct", "llama-3.1-8b-instruct", "llama-3.2-1b-instruct",
    "llama-3.3-70b-instruct", "llama-4-maverick-17b-128e-instruct", "llama-4-scout-17b-16e-instruct",
    "mistral-7b-instruct-v0.3", "mistral-large-instruct-2411", "mixtral-8x7b-instruct-v0.1", "olmo-2-1124-7b-instruct",
    "phi-3.5-mini-instruct", "phi-4", "qwen2.5-72b-instruct", "qwen2.5-7b-instruct", "qwen3-0.6b",
    "qwen3-235b-a22b-instruct-2507", "qwen3-8b", "qwen3-8b-awq", "qwen3-next-80b-a3b-thinking", "smollm2-135m-instruct",
)  # fmt: skip
COLUMNS = ("model", "shape", "layout", "nodes", "weights_mib", "cache_mib", "max_model_len", "kv_tokens", "seqs")


def rows():
    """Plan every model on every shape."""
    catalogue, shapes = load_catalogue(), load_shapes()
    for name in MODELS:
        sizer = Sizer(catalogue.find(name).card())
        for shape in SHAPES:
            yield (name, shape, *cells(fit(sizer, Nodes(shapes[shape]), Wish())))


def cells(found):
    """Say what was planned, as text."""
    if not isinstance(found, Fitted):
        return ("refused", "", f"{found.needed_gib * 1024:.0f}", "", "", "", "")
    sizes = (found.nodes, found.need.weights >> 20, found.cache_bytes >> 20, found.max_model_len, found.kv_tokens)
    return (str(found.layout), *map(str, sizes), str(found.batch.sequences))


if __name__ == "__main__":
    with FILE.open("w", newline="") as stream:
        csv.writer(stream, lineterminator="\n").writerows((COLUMNS, *rows()))
    sys.stdout.write(f"{FILE}\n")
