"""The disk and the fetches of one node in memory; they survive the agent and follow a clock of the test's."""

import hashlib

from plinth_runtime.contract.model_status import NodeProgress
from plinth_runtime.node.tasks import Arrived, Failure, Report

SIZE = 1000


def content_of(address, version=1):
    """The digest of what an address gives."""
    return hashlib.sha256(f"{address} {version}".encode()).hexdigest()


class MemoryDisk:
    """Records, links and snapshots; implements the agent's shelves."""

    def __init__(self):
        self.records = {}
        self.links = {}
        self.snapshots = {}
        self.folders = set()
        self.held = set()
        self.begun = {}

    def read_all(self):
        """Give what was kept."""
        return iter(list(self.records.values()))

    def begin(self, begun):
        """Remember that a fetch begins, and where its link leads now."""
        self.begun[begun.key] = begun.model_copy(update={"before": self.links.get(begun.link)})

    def adopt(self, busy):
        """Give what was brought without anybody taking note."""
        for key in [key for key in self.begun if key not in busy]:
            begun = self.begun.pop(key)
            snapshot = self.links.get(begun.link)
            if snapshot not in {None, begun.before}:
                yield begun.record(snapshot, self.snapshots[snapshot], verified=True)

    def keep(self, record):
        """Remember; the fetch has ended."""
        self.records[record.key] = record
        self.begun.pop(record.key, None)

    def forget(self, record):
        """Forget; links and snapshots stay."""
        self.records.pop(record.key, None)

    def is_intact(self, record):
        """Whether the link leads to the finished snapshot."""
        return self.is_finished(record) and self.links.get(record.link) == record.snapshot

    def is_finished(self, record):
        """Whether the snapshot is there."""
        return self.snapshots.get(record.snapshot) == record.content

    def is_there(self, folder):
        """Whether somebody put a folder there."""
        return folder in self.folders

    def link(self, record):
        """Switch a link."""
        self.links[record.link] = record.snapshot

    def unlink(self, record):
        """Remove a link if it is this record's."""
        if self.links.get(record.link) == record.snapshot:
            del self.links[record.link]

    def drop(self, snapshot):
        """Remove content that no link leads to and nobody holds."""
        if snapshot in self.links.values() or snapshot in self.held:
            return False
        self.snapshots.pop(snapshot, None)
        return True


class SlowFetcher:
    """Fetches that take `seconds` of the test's clock; `failing` maps an address to the failure it gives."""

    def __init__(self, disk, clock, report, seconds=5.0, failing=None):
        self._disk, self._clock, self._report = disk, clock, report
        self._seconds = seconds
        self.failing = {} if failing is None else failing
        self.running = {}
        self.started = []
        self.cancelled = []

    def start(self, task):
        """Begin."""
        self.running[task.key] = (task, self._clock())
        self.started.append(task)
        self._report(Report(task.key, task.declared, None))

    def cancel(self, key):
        """End; nothing is said of it any more."""
        if self.running.pop(key, None) is not None:
            self.cancelled.append(key)

    def close(self):
        """End all."""
        self.running.clear()

    def advance(self):
        """Let what is under way go on to now."""
        for key, (task, began) in list(self.running.items()):
            share = (self._clock() - began) / self._seconds
            if task.address in self.failing and share >= 0.5:
                del self.running[key]
                self._report(Report(key, task.declared, self.failing[task.address]))
            elif share >= 1:
                del self.running[key]
                self._report(Report(key, task.declared, self._arrive(task)))
            else:
                done = NodeProgress(bytes_done=int(SIZE * share), bytes_total=SIZE, bytes_per_second=100)
                self._report(Report(key, task.declared, done))

    def _arrive(self, task):
        content = content_of(task.address)
        snapshot = f"/cache/{content[:16]}"
        self._disk.snapshots[snapshot] = content
        self._disk.links[task.link] = snapshot
        described = {"modelType": "llama", "maxTokens": 4096}
        return Arrived(task.address, task.link, snapshot, content, SIZE, verified=True, described=described)


REFUSED = Failure("SourceRefused", "404: there is no such model. Check the address.", retryable=False)
AWAY = Failure("SourceRefused", "the store did not answer", retryable=True)
