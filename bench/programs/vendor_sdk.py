"""ROMA's call through the vendor's own client, in fifty threads.

    python -m bench.programs.vendor_sdk PORT TARGETS

The credentials are made up and given in the open: a client without any would ask the cloud's metadata address
for some.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from huaweicloudsdkcore.auth.credentials import BasicCredentials  # type: ignore[import-not-found, unused-ignore]
from huaweicloudsdkcore.http.http_config import HttpConfig  # type: ignore[import-not-found, unused-ignore]
from huaweicloudsdkroma.v2 import (  # type: ignore[import-not-found, unused-ignore]
    RomaClient,
    UnpublishLiveDataApiV2Request,
)

from bench.plans import INSTANCE, PROJECT
from bench.programs.meter import Meter

_THREADS = 50


def make_client(port: int) -> Any:
    """Return a client of the server on loopback."""
    credentials = BasicCredentials(
        "BENCHACCESSKEY000000", "benchSecretKeyBenchSecretKeyBench0000000", PROJECT
    )
    config = HttpConfig(pool_connections=_THREADS, pool_maxsize=_THREADS)
    builder = RomaClient.new_builder().with_credentials(credentials).with_http_config(config)
    return builder.with_endpoint(f"http://127.0.0.1:{port}").build()


def main() -> None:
    """Send, and report what it took."""
    port, count = map(int, sys.argv[1:])
    client, meter = make_client(port), Meter()

    def send(number: int) -> None:
        request = UnpublishLiveDataApiV2Request(instance_id=INSTANCE, ld_api_id=f"{number:032x}")
        client.unpublish_live_data_api_v2(request)

    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(send, range(count)):
            pass
    meter.report()


if __name__ == "__main__":
    main()
