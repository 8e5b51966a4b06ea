"""Planning speed: a thousand models on sixty shapes, on one core.

    .venv/bin/python tests/bench/fit.py [RUNS]

The catalogue's cards, each changed a little until there are a thousand, so that nothing is planned twice. Prints CPU
seconds of every run; exits 1 if the median is above two.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time

from pulumi_plinth.fit.parallel import Nodes
from pulumi_plinth.fit.plan import Fitted, Wish, fit
from pulumi_plinth.fit.shapes import load_shapes
from pulumi_plinth.fit.sizing import Sizer
from pulumi_plinth.model.catalogue import load_catalogue

LIMIT_SECONDS = 2.0
MODELS = 1000
SHAPES = 60


def main() -> int:
    """Run and judge."""
    cards = [card for entry in load_catalogue().entries() if (card := entry.card())]
    pool = [
        card.model_copy(update={"weight_bytes": card.weight_bytes + number})
        for number, card in zip(range(MODELS), itertools.cycle(cards), strict=False)
    ]
    shapes = list(load_shapes().values())[:SHAPES]
    took = []
    for _ in range(int(sys.argv[1]) if len(sys.argv) > 1 else 3):
        began = time.process_time()
        pairs = ((sizer, shape) for sizer in map(Sizer, pool) for shape in shapes)
        fitting = sum(isinstance(fit(sizer, Nodes(shape), Wish()), Fitted) for sizer, shape in pairs)
        took.append(time.process_time() - began)
        sys.stdout.write(f"{len(pool)} models x {len(shapes)} shapes: {took[-1]:.2f} s of CPU, {fitting} fit\n")
    median = statistics.median(took)
    sys.stdout.write(f"median {median:.2f} s, limit {LIMIT_SECONDS:.1f} s\n")
    return int(median > LIMIT_SECONDS)


if __name__ == "__main__":
    sys.exit(main())
