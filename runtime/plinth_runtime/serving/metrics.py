"""The board as Prometheus text, and the engine's own behind it. Nothing is counted here, only read."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from plinth_runtime.contract.status import Phase, StartupStatus
from plinth_runtime.contract.transfer import transfer_gauges

Reading = tuple[StartupStatus, bool]
"""The status, and whether clients may be sent here."""


class StatusCollector(Collector):
    """Turns one reading into metric families."""

    def __init__(self, read: Callable[[], Reading], *, engine_answered: bool) -> None:
        self._read = read
        self._engine_answered = engine_answered

    def collect(self) -> Iterator[Metric]:
        """Read once, so that all figures are of the same moment."""
        status, ready = self._read()
        info = GaugeMetricFamily("plinth_launch_info", "What runs here; always 1.", labels=["deployment", "digest"])
        info.add_metric([status.deployment, status.launch_digest], 1)
        yield info
        phases = GaugeMetricFamily("plinth_phase", "1 for the present phase, 0 for the others.", labels=["phase"])
        for phase in Phase:
            phases.add_metric([phase], float(phase is status.phase))
        yield phases
        yield _elapsed(status)
        yield CounterMetricFamily("plinth_engine_restarts", "Engine restarts since the agent started.", status.restarts)
        # Without it, figures that are missing and figures that do not exist would look the same.
        yield GaugeMetricFamily("plinth_engine_scraped", "1 when the engine's own follow.", self._engine_answered)
        for name, text, value in _gauges(status, ready=ready):
            yield GaugeMetricFamily(name, text, value)


def _elapsed(status: StartupStatus) -> Metric:
    family = GaugeMetricFamily("plinth_startup_elapsed_seconds", "In each phase of this start.", labels=["phase"])
    for phase, seconds in status.elapsed.items():
        family.add_metric([phase], seconds)
    return family


def _gauges(status: StartupStatus, *, ready: bool) -> Iterator[tuple[str, str, float]]:
    yield "plinth_ready", "1 when clients may be sent here.", float(ready)
    yield "plinth_startup_percent", "Estimated progress to ready.", status.percent
    yield "plinth_weight_bytes_done", "Weight bytes fetched or verified so far.", status.bytes_done
    yield "plinth_weight_bytes_total", "Weight bytes to fetch or verify.", status.bytes_total
    yield "plinth_weights_verified", "1 when the weights agree with the planned manifest.", status.weights == "verified"
    if status.fetch is not None:
        yield from transfer_gauges(status.fetch)
    yield "plinth_uptime_seconds", "Since the agent started.", status.seconds
    yield "plinth_phase_seconds", "Since the present phase began.", status.phase_seconds
    if status.phase_percent is not None:
        yield "plinth_phase_percent", "Done of the present phase, where something measures it.", status.phase_percent
    if status.eta_seconds is not None:
        yield "plinth_startup_eta_seconds", "Until ready; absent while not known.", status.eta_seconds
    if status.ready_after_seconds is not None:
        yield "plinth_ready_after_seconds", "From the agent's start to the first ready.", status.ready_after_seconds


def render(read: Callable[[], Reading], engine: bytes) -> bytes:
    """Give the exposition text of one scrape; `engine` is the engine's own, empty if it said nothing.

    The names do not meet: ours begin with `plinth_`, and no figures of this process itself are among them.
    """
    registry = CollectorRegistry()
    registry.register(StatusCollector(read, engine_answered=engine != b""))
    return generate_latest(registry) + engine
