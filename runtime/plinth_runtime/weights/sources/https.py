"""Web servers as sources: `https://`, and `http://` on this machine.

A web server has no list. So it is looked for, in this order: a manifest, a page that lists files (nginx, Apache,
Python), the files that every model has, and last the address itself as one file.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from urllib.parse import quote, unquote, urljoin, urlsplit

from plinth_runtime.contract.manifest import MANIFEST_NAME, WeightManifest
from plinth_runtime.weights.sources import (
    Listing,
    NotFoundError,
    RefusedError,
    RemoteObject,
    SourceError,
    TransientError,
)
from plinth_runtime.weights.sources.wire import Body, Wanted, Wire, WireSettings

LIST_STREAMS = 8
MAX_FOLDERS = 1000
MAX_OBJECTS = 1_000_000
INDEX_SUFFIX = ".safetensors.index.json"
WELL_KNOWN = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "tokenizer.model",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "chat_template.jinja",
    "preprocessor_config.json", "processor_config.json", "README.md", "LICENSE",
    "model.safetensors", f"model{INDEX_SUFFIX}", "adapter_config.json", "adapter_model.safetensors",
)  # fmt: skip
"""Files that are looked for where nothing lists them. Shards come from the index."""
