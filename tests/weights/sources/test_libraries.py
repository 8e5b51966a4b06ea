"""What libraries of stores import and fetches do not need: it is spared, and still there for whoever needs it."""

import subprocess
import sys
import threading

import pytest

from plinth_runtime.weights.sources.libraries import Spared, _Finder, _sparing

SIGNERS = """
import sys
from plinth_runtime.weights.sources.libraries import library
library("oci", "oci").auth.signers.InstancePrincipalsSecurityTokenSigner
print(*sorted(sys.modules.keys() & {"pkcs11", "charset_normalizer", "oci.dns"}))
import charset_normalizer
print(library("oci", "oci").pagination.list_call_get_all_results.__name__)
"""


@pytest.mark.processes
def test_what_oci_spares():
    """Signers are there without smart cards and other services, which are there as soon as they are wanted."""
    said = subprocess.run([sys.executable, "-c", SIGNERS], capture_output=True, text=True, check=True).stdout
    assert said.splitlines() == ["", "list_call_get_all_results"]


def test_for_one_thread_only(monkeypatch):
    """While one thread spares a module, others import it."""
    monkeypatch.delitem(sys.modules, "this", raising=False)
    finder, found = _Finder(Spared(absent=frozenset({"this"}))), []
    with pytest.raises(ModuleNotFoundError, match="this is not needed here"):
        finder.find_spec("this")
    thread = threading.Thread(target=lambda: found.append(finder.find_spec("this")))
    thread.start()
    thread.join()
    assert (found, finder.find_spec("that")) == ([None], None)


def test_python_finds_modules_as_before():
    """Nothing stays behind, also when an import fails."""
    before = list(sys.meta_path)
    with pytest.raises(ImportError), _sparing(Spared(absent=frozenset({"no_such_module"}))):
        import no_such_module  # noqa: F401
    assert sys.meta_path == before
