"""Permits: made once, renewed in time, one at a time per object; libraries that are not there."""

import importlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from plinth_runtime.errors import SourceRefusedError
from plinth_runtime.weights.sources import RemoteObject
from plinth_runtime.weights.sources.opening import open_source
from plinth_runtime.weights.sources.permits import KEPT_PERMITS, Permit, Permits

ROW = RemoteObject("model", 1, "key")


def counted(clock, seconds=240.0):
    """Permits that count how often they are made."""
    made = []

    def make(target):
        made.append(target.key)
        return Permit(f"https://store.example/{target.key}?Signature={len(made)}")

    return Permits(make, seconds, clock), made


@pytest.mark.parametrize(("ages", "made_for_each"), [((0, 100, 139.9), 1), ((0, 240), 2), ((0, 239, 2, 237, 1), 2)])
def test_a_permit_lasts(ages, made_for_each):
    """A permit is used until its time is over, and then another one is made."""
    now = [50.0]
    permits, made = counted(lambda: now[0])
    for age in ages:
        now[0] += age
        permits.get(ROW)
    assert len(made) == made_for_each


def test_threads_share_a_permit():
    """However many threads want an object at once, one makes its permit; one that is refused is replaced once."""
    permits, made = counted(lambda: 0.0)
    barrier = threading.Barrier(8)

    def use(_):
        barrier.wait()
        first, _used = permits.get(ROW)
        barrier.wait()
        return first, permits.renew(ROW, first)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(use, range(8)))
    assert len(made) == 2
    assert len({first.url for first, _ in results} | {second.url for _, second in results}) == 2


def test_permits_are_forgotten():
    """No more than some hundred permits are kept, those used last."""
    permits, made = counted(lambda: 0.0)
    for number in range(KEPT_PERMITS + 1):
        permits.get(RemoteObject("x", 1, str(number)))
    permits.get(RemoteObject("x", 1, str(KEPT_PERMITS)))
    assert len(made) == KEPT_PERMITS + 1
    permits.get(RemoteObject("x", 1, "0"))
    assert len(made) == KEPT_PERMITS + 2


def test_a_permit_is_not_printed():
    """Neither address nor headers show in what a program prints of it."""
    assert "secret" not in repr(Permit("https://x?secret", {"Authorization": "secret"}))


@pytest.mark.parametrize(
    ("address", "module", "extra"),
    [("oci://n/ns/b/b/o/p", "oci", "oci"), ("s3://b/p", "botocore", "s3"), ("hf://a/b", "huggingface_hub", "hub")],
)
def test_a_missing_library_is_named(monkeypatch, address, module, extra):
    """Without the library of a store, its addresses are refused with what to install."""
    importer = importlib.import_module

    def without(name, *rest):
        if name.partition(".")[0] == module:
            raise ModuleNotFoundError(f"No module named '{module}'", name=module)
        return importer(name, *rest)

    monkeypatch.setattr("plinth_runtime.weights.sources.libraries.import_module", without)
    with pytest.raises(SourceRefusedError, match=f"Python package {module} is not installed") as fault:
        open_source(address)
    assert fault.value.hint == f"Install it with: pip install 'plinth-runtime[{extra}]'"


def test_a_library_that_is_broken_is_not_called_missing(monkeypatch):
    """What a library itself misses is told as it is."""

    def broken(_name):
        raise ModuleNotFoundError("No module named 'urllib3'", name="urllib3")

    monkeypatch.setattr("plinth_runtime.weights.sources.libraries.import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="urllib3"):
        open_source("s3://b/p")
