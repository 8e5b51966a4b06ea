"""A stand-in for OCI's answers about shapes and service limits; signatures are judged as Object Storage judges them."""

import json
import re
import threading

from fakes.oci_object_storage import FakeObjectStorage
from fakes.store_server import Answer

LIMIT = re.compile(r"/20190729/services/compute/limits/(?P<name>[^/]+)/resourceAvailability")


class FakeLimits(FakeObjectStorage):
    """`shapes`: limits by shape and domain; `rooms`: what a limit leaves by limit and domain; `values`: limits alone.

    `fail(status)` answers with an error; while `silent` is set, nobody is answered.
    """

    def __init__(self):
        super().__init__()
        self.shapes = {}
        self.rooms = {}
        self.values = {}
        self.silent = False
        self._over = threading.Event()

    def __exit__(self, *args):
        self._over.set()
        super().__exit__(*args)

    def respond(self, asked):
        """Note a request; who is silent says nothing until the test is over."""
        if self.silent:
            self._over.wait(30)
        return super().respond(asked)

    def answer(self, asked):
        """Answer ListShapes, GetResourceAvailability and ListLimitValues."""
        if not self._is_signed(asked):
            return _told({"code": "NotAuthenticated", "message": "The required information is missing"}, 401)
        domain, match = asked.query["availabilityDomain"], LIMIT.fullmatch(asked.path)
        if match:
            found = self.rooms.get((match["name"], domain))
            return _told(found) if found else _told({"code": "NotAuthorizedOrNotFound", "message": "either"}, 404)
        if asked.path == "/20190729/limitValues":
            value = self.values.get((asked.query["name"], domain))
            row = {"name": asked.query["name"], "scopeType": "AD", "availabilityDomain": domain, "value": value}
            return _told([row] if value is not None else [])
        assert asked.path == "/20160918/shapes"
        rows = [
            {"shape": name, "quotaNames": limits} for (name, place), limits in self.shapes.items() if place == domain
        ]
        return _told([row for row in rows if row["shape"] == asked.query["shape"]])


def _told(value, status=200):
    return Answer(status, json.dumps(value).encode(), {"Content-Type": "application/json"})
