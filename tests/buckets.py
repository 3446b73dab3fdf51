"""Buckets on this machine: Moto for s3:// and gcp-storage-emulator for gs://, each a real server that clients speak to.

The emulator gives no `x-goog-generation` with an object's content, which Google does and TensorStore needs to write a
file a second time; it is added here.
"""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MISSING = [n for n in ("gcsfs", "s3fs", "moto", "flask", "gcp_storage_emulator") if importlib.util.find_spec(n) is None]
REASON = f"needs {', '.join(MISSING)}: pip install -e '.[buckets]'"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextmanager
def google() -> Iterator[dict[str, str]]:
    """A server with an empty gs://bucket; the environment that clients find it by."""
    from gcp_storage_emulator.handlers import objects
    from gcp_storage_emulator.server import create_server

    download = objects.download

    def with_generation(request: Any, response: Any, storage: Any, *more: Any, **named: Any) -> None:
        download(request, response, storage, *more, **named)
        at = request.params
        if response.status < 300:
            response["x-goog-generation"] = storage.get_file_obj(at["bucket_name"], at["object_id"])["generation"]

    port = _free_port()
    objects.download = with_generation
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket="bucket")
    server.start()
    try:
        url = f"http://127.0.0.1:{port}"
        yield {
            "STORAGE_EMULATOR_HOST": url,
            "TENSORSTORE_GCS_HTTP_URL": url,
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
        }
    finally:
        server.stop()
        objects.download = download


@contextmanager
def amazon() -> Iterator[dict[str, str]]:
    """A server with an empty s3://bucket; the environment that clients find it by."""
    import boto3
    from moto.server import ThreadedMotoServer

    port = _free_port()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=port, verbose=False)
    server.start()
    try:
        url = f"http://127.0.0.1:{port}"
        keys = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
        boto3.client("s3", endpoint_url=url, **keys).create_bucket(Bucket="bucket")
        yield {
            "AWS_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "a",
            "AWS_SECRET_ACCESS_KEY": "b",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
    finally:
        server.stop()


SERVERS = {"gs": google, "s3": amazon}
