"""What a transfer of weights says of itself while it runs, and the figures that Prometheus gets of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import Field

from plinth_runtime.contract.base import Document

WHOLE_PERCENT = 100


class TransferStatus(Document):
    """How far a fetch or a publication is. Bytes and files count what belongs to the model; it may be here already."""

    bytes_total: int = Field(default=0, ge=0, description="Of the whole model; 0 until its source was asked.")
    bytes_done: int = Field(default=0, description="Here, or there, and not to be sent again.")
    bytes_fetched: int = Field(default=0, ge=0, description="Sent by this run, with what had to be thrown away.")
    files_total: int = Field(default=0, ge=0)
    files_done: int = Field(default=0, ge=0, description="Complete, checked and under their names.")
    parts_again: int = Field(default=0, ge=0, description="Parts that came damaged, late or not at all.")
    streams: int = Field(default=0, ge=0, description="Connections that bring bytes at this moment.")
    most_streams: int = Field(default=0, ge=0, description="The most there have been at once.")
    throttled: int = Field(default=0, ge=0, description="Answers 429 and 503 of the store.")
    bytes_per_second: int = Field(default=0, ge=0, description="Over the last five seconds.")
    eta_seconds: float | None = Field(default=None, description="To the last byte at this rate. None: nothing moves.")

    @property
    def percent(self) -> float:
        """Share of the bytes, 0 to 100."""
        return round(WHOLE_PERCENT * self.bytes_done / self.bytes_total, 1) if self.bytes_total else 0.0


def transfer_gauges(status: TransferStatus) -> Iterator[tuple[str, str, float]]:
    """Give name, help and value of each figure; what is not known is left out."""
    yield "plinth_transfer_bytes", "Bytes of the model that is fetched or published.", status.bytes_total
    yield "plinth_transfer_bytes_done", "Bytes that are in their place.", status.bytes_done
    yield "plinth_transfer_bytes_sent", "Bytes that this run moved, those thrown away too.", status.bytes_fetched
    yield "plinth_transfer_files", "Files of the model.", status.files_total
    yield "plinth_transfer_files_done", "Files that are complete and checked.", status.files_done
    yield "plinth_transfer_parts_again", "Parts that had to be moved again.", status.parts_again
    yield "plinth_transfer_streams", "Connections at this moment.", status.streams
    yield "plinth_transfer_throttled", "Answers of the store that asked for fewer streams.", status.throttled
    yield "plinth_transfer_bytes_per_second", "Over the last seconds.", status.bytes_per_second
    yield "plinth_transfer_percent", "Share of the bytes that are in their place.", status.percent
    if status.eta_seconds is not None:
        yield "plinth_transfer_eta_seconds", "Until the last byte at this rate.", status.eta_seconds
