"""A measured throughput as people give it to a command: a number, or the file that `plinth-runtime bench` wrote."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import click

from pulumi_plinth.deployment.gpu_spec import ThroughputSpec

STATED = "the stated throughput"
REPORT_LIMIT_BYTES = 16 << 20
"""A report of a benchmark has some kilobytes."""


class Throughput(click.ParamType[ThroughputSpec]):
    """Tokens a second of one replica, with who measured them."""

    name = "number|file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> ThroughputSpec:
        """Read a number, else a report; a word that is neither ends the command."""
        if isinstance(value, ThroughputSpec):
            return value
        try:
            rate = float(value)
        except ValueError:
            return self._of_report(Path(value), param, ctx)
        if not (rate > 0 and math.isfinite(rate)):
            self.fail(f"{value} is no throughput; write tokens a second above 0", param, ctx)
        return ThroughputSpec(value=rate, source=STATED)

    def _of_report(self, path: Path, param: click.Parameter | None, ctx: click.Context | None) -> ThroughputSpec:
        try:
            if path.stat().st_size > REPORT_LIMIT_BYTES:
                self.fail(f"'{path}' is too large to be a report of `plinth-runtime bench`", param, ctx)
            return ThroughputSpec.model_validate(json.loads(path.read_bytes())["tokensPerSecond"])
        except OSError:
            problem = "is neither a number nor a file; write tokens a second, or a report of `plinth-runtime bench`"
            self.fail(f"'{path}' {problem}", param, ctx)
        except (ValueError, KeyError, TypeError):
            problem = "has no tokensPerSecond; make it with `plinth-runtime bench URL --json`"
            self.fail(f"'{path}' {problem}", param, ctx)
