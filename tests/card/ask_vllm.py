"""Runs in the engine environment: what vLLM itself derives from each config.json on stdin. Loads no model."""

import json
import logging
import sys
import tempfile
import warnings
from pathlib import Path

TOO_LONG = 1 << 40


def derive(config):
    """What vLLM makes of one config.json, or the reason why it refuses."""
    from vllm.config.model import _get_and_verify_max_len
    from vllm.transformers_utils.config import get_config, get_hf_text_config
    from vllm.transformers_utils.model_arch_config_convertor import (
        MODEL_ARCH_CONFIG_CONVERTORS,
        ModelArchConfigConvertorBase,
    )

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(config))
        try:
            whole = get_config(folder, trust_remote_code=False)
            text = get_hf_text_config(whole)
            shape = MODEL_ARCH_CONFIG_CONVERTORS.get(whole.model_type, ModelArchConfigConvertorBase)(
                whole, text
            ).convert()
            window = getattr(text, "sliding_window", None)

            def longest(wish):
                return _get_and_verify_max_len(
                    text, shape, None, wish, disable_sliding_window=False, sliding_window=window
                )

            default = longest(None)
            try:
                bound = longest(TOO_LONG)
                bound = 0 if bound == TOO_LONG else bound
            except ValueError as error:
                bound = int(float(str(error).split("derived max_model_len (")[1].split("=")[1].split(" ")[0]))
        except Exception as error:  # noqa: BLE001 whatever it is, the caller compares only what vLLM accepts
            return {"error": f"{type(error).__name__}: {str(error)[:200]}"}
    return {
        "layers": shape.total_num_hidden_layers, "hidden_size": shape.hidden_size, "vocabulary": shape.vocab_size,
        "attention_heads": shape.total_num_attention_heads, "kv_heads": shape.total_num_kv_heads,
        "head_dim": shape.head_size, "experts": shape.num_experts, "active": shape.num_experts_per_token,
        "default_context": default, "max_context": bound, "mla": bool(shape.is_deepseek_mla),
    }  # fmt: skip


def main():
    """Answer on stdout, one JSON list."""
    warnings.simplefilter("ignore")
    out, sys.stdout = sys.stdout, sys.stderr
    logging.disable(logging.CRITICAL)
    print(json.dumps([derive(config) for config in json.load(sys.stdin)]), file=out)


if __name__ == "__main__":
    main()
