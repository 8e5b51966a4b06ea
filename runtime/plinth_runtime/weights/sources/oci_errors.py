"""What OCI's library raises, in our words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from plinth_runtime.weights.sources import RefusedError, TransientError
from plinth_runtime.weights.sources.libraries import library
from plinth_runtime.weights.sources.store_errors import status_fault


@contextmanager
def translated(where: str, unreachable: str = "the service cannot be reached") -> Iterator[None]:
    """Raise SourceError for whatever OCI's library raises. Of a server's answer only status and code are repeated."""
    oci, jwt = library("oci", "oci"), library("jwt", "oci")
    try:
        yield
    except oci.exceptions.ServiceError as error:
        raise status_fault(error.status, f"{where}: OCI answered {error.status} ({error.code})") from None
    except oci.exceptions.ClientError as error:
        raise RefusedError(f"{where}: {type(error).__name__}: {error}") from None
    except library("circuitbreaker", "oci").CircuitBreakerError:
        raise TransientError(f"{where}: {unreachable}, several times in a row") from None
    except oci._vendor.requests.RequestException as error:  # noqa: SLF001 all its errors of the network are of this class
        raise TransientError(f"{where}: {unreachable} ({type(error).__name__})") from None
    except jwt.PyJWTError as error:
        raise RefusedError(f"{where}: what should be a token is none ({type(error).__name__})") from None
    except FileNotFoundError as error:
        raise RefusedError(f"{where}: there is no file {error.filename}") from None
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        words = str(error).splitlines() or [""]
        raise RefusedError(f"{where}: {type(error).__name__}: {words[0]}") from None
