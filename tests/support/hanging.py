"""What hangs on simulated front ends in the scenarios: one thing of each type, and two applications."""

from __future__ import annotations

from orchestrator.simulator.bound_types import BoundFixture

SHOP = BoundFixture(
    type="applications", name="web-shop", tunnel="GREEN", whitelist=("192.0.2.7",), visit="w7"
)
BILLING = BoundFixture(type="applications", name="billing")
SLOW = BoundFixture(type="throttles", name="slow")
OFFICES = BoundFixture(type="acls", name="offices")
HMAC = BoundFixture(type="signs", name="hmac")
CORS = BoundFixture(type="plugins", name="cors")
ALL = (SHOP, BILLING, SLOW, OFFICES, HMAC, CORS)
TWO = ("DEFAULT_ENVIRONMENT_RELEASE_ID", "7a1ad0c350844ee69479b47df9a881cb")
"""Two environments."""
