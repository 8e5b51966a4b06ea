"""Folders and ports inside a pod: one place, because the plan, the launch file and the objects must agree. Pure."""

from __future__ import annotations

MODELS = "/models"
"""Where the volume with the weights is mounted; an image with weights in it has them there too."""

WEIGHTS = f"{MODELS}/weights"
"""The model's folder, unless it lies deeper in a volume of somebody's own."""

ADAPTERS = "/adapters"
RUN, CACHE, SCRATCH, SHARED_MEMORY = "/run/plinth", "/var/cache/plinth", "/tmp", "/dev/shm"  # noqa: S108 of the pod
LAUNCH, KEYS, STORE = "/etc/plinth/launch", "/etc/plinth/keys", "/etc/plinth/store"
LAUNCH_FILE, KEYS_FILE = f"{LAUNCH}/launch.json", f"{KEYS}/keys"
KEYS_ENTRY = "keys"

EVERYWHERE = "0.0.0.0"  # noqa: S104 the pod's own address, guarded by a NetworkPolicy
GENERATE_PORT, GENERATE_SERVICE_PORT = 5000, 80
"""What services of the llama-2 presets answer on, inside and outside the pod."""

RUNTIME = "plinth-runtime"
"""On the image's PATH."""
