"""Runs in the engine environment: what transformers' configuration classes take for keys that nobody gave."""

import json
import logging
import sys
import warnings

LENGTHS = (
    "max_position_embeddings", "n_positions", "max_seq_len", "seq_length", "max_sequence_length", "max_seq_length",
    "seq_len",
)  # fmt: skip


def value(config, key):
    """One default, under our name for it."""
    if key == "max_position_embeddings":
        found = [getattr(config, name, None) for name in LENGTHS]
        return getattr(config, "model_max_length", None) or min(length for length in found if length)
    if key == "tie_word_embeddings":
        return bool(getattr(config, "tie_word_embeddings", None))
    return getattr(config, key)


def main():
    """Answer on stdout."""
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    from transformers import CONFIG_MAPPING

    asked = json.load(sys.stdin)
    types = {name: {key: value(CONFIG_MAPPING[name](), key) for key in keys} for name, keys in asked["types"].items()}
    composites = {name: CONFIG_MAPPING[name]().get_text_config().model_type for name in asked["composites"]}
    print(json.dumps({"types": types, "composites": composites}))


if __name__ == "__main__":
    main()
