"""S3 servers of a test's own: moto for every run, and a real Ceph RADOS Gateway where a root with one is at hand.

Every bucket is fresh; ``store_url`` and ``new_bucket`` give URLs for the S3 store. Moto's buckets are open to everybody, so its URLs say
``anonymous=true`` and need no credentials; those of a real server need ``environment``.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import secrets
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import urlencode, urlsplit

from turnfold.errors import StoreUnavailable
from turnfold.ids import now_us
from turnfold.model.event import from_us
from turnfold.testing.servers.base import Server, free_port

REGION: Final = "us-east-1"
_REQUEST_S_MAX: Final = 30.0
_OPEN_POLICY: Final = b'{"Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"arn:aws:s3:::*"}]}'
_NOTHING: Final = hashlib.sha256(b"").hexdigest()


class S3Server(Server):
    """What S3 servers share: an endpoint, credentials, and buckets."""

    environment: Mapping[str, str] = {}
    """The variables that a client of this server needs."""

    @property
    def endpoint(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The URL of a store in a bucket that was made just now."""
        return self.store_url(self.new_bucket())

    def new_bucket(self) -> str:
        """Make a bucket and return its name."""
        name = f"turnfold-{secrets.token_hex(8)}"
        make_bucket(self.endpoint, name, self.environment)
        return name

    def store_url(self, bucket: str, prefix: str = "", **options: str) -> str:
        """Return the URL of a store in a bucket of this server; ``options`` are further ones of the URL."""
        options = {"endpoint": self.endpoint, "region": REGION, **options}
        if not self.environment:
            options["anonymous"] = "true"
        return f"s3://{bucket}/{prefix}?{urlencode(options, safe=':/')}"


class MotoServer(S3Server):
    """Moto's server (``pip install 'moto[server]'``): in memory, its conditional writes made atomic; what it holds ends with it."""

    def new_bucket(self) -> str:
        """See the base class."""
        name = super().new_bucket()
        _request("PUT", self.endpoint, f"{name}?policy", {}, _OPEN_POLICY)
        return name

    def command(self) -> Sequence[str]:
        """See the base class."""
        return (sys.executable, str(Path(__file__).with_name("moto_server.py")), "-H", "127.0.0.1", "-p", str(self.port))


class CephServer(S3Server):
    """A Ceph RADOS Gateway in a root file system of its own; needs root rights, and what it holds ends with it.

    The root has Ceph's programs and, in its superuser's home, ``rgw-up.sh DIR PORT``, which starts them and makes the user. They live in a
    mount and process namespace that ends with this process.
    """

    environment: Mapping[str, str] = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "testsecret"}
    start_s_max = 120.0

    def __init__(self, folder: Path, root: Path, *, port: int | None = None) -> None:
        """Bind the folder for its log, and the root that holds the server."""
        super().__init__(folder, port=port)
        self._root = root
        self._monitor_port = free_port()

    def command(self) -> Sequence[str]:
        """See the base class."""
        script = (
            'mount -t proc proc "$0/proc" && mount --bind /dev/urandom "$0/dev/urandom" && '
            'chroot "$0" bash -c \'bash ~root/rgw-up.sh "$@"\' up "$@" && exec sleep infinity'
        )
        inside = f"/srv/turnfold-{secrets.token_hex(4)}"
        arguments = (str(self._root), inside, str(self.port), str(self._monitor_port))
        return ("unshare", "-mpf", "--kill-child", "--propagation", "private", "bash", "-c", script, *arguments)

    def is_ready(self) -> bool:
        """Whether it knows its user: its port answers before that."""
        try:
            _request("GET", self.endpoint, "", self.environment)
        except (StoreUnavailable, OSError):
            return False
        return True


def make_bucket(endpoint: str, name: str, environment: Mapping[str, str]) -> None:
    """Make a bucket on an S3 server.

    Args:
        endpoint: ``http://host:port`` or ``https://host``; buckets are addressed by path.
        name: The bucket.
        environment: With AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; without them the request is not signed.

    Raises:
        StoreUnavailable: The server refused.
    """
    _request("PUT", endpoint, name, environment)


def remove_bucket(endpoint: str, name: str, environment: Mapping[str, str]) -> None:
    """Remove an empty bucket."""
    _request("DELETE", endpoint, name, environment)


def _request(method: str, endpoint: str, bucket: str, environment: Mapping[str, str], body: bytes = b"") -> None:
    parts = urlsplit(endpoint)
    connect = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = connect(parts.netloc, timeout=_REQUEST_S_MAX)
    try:
        connection.request(method, f"/{bucket}", body, _signed(method, parts.netloc, f"/{bucket}", environment))
        answer = connection.getresponse()
        said = answer.read(1_000).decode(errors="replace")
    finally:
        connection.close()
    if answer.status >= 300:
        raise StoreUnavailable(f"{method} {endpoint}/{bucket}: {answer.status} {said}")


def _signed(method: str, host: str, path: str, environment: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a request without a body, signed (AWS Signature Version 4) where there are credentials."""
    key = environment.get("AWS_ACCESS_KEY_ID")
    secret = environment.get("AWS_SECRET_ACCESS_KEY")
    if key is None or secret is None:
        return {}
    moment = from_us(now_us()).strftime("%Y%m%dT%H%M%SZ")
    region = environment.get("AWS_REGION", REGION)
    names = "host;x-amz-content-sha256;x-amz-date"
    lines = (method, path, "", f"host:{host}", f"x-amz-content-sha256:{_NOTHING}", f"x-amz-date:{moment}", "", names, _NOTHING)
    scope = f"{moment[:8]}/{region}/s3/aws4_request"
    text = "\n".join(("AWS4-HMAC-SHA256", moment, scope, hashlib.sha256("\n".join(lines).encode()).hexdigest()))
    signing = f"AWS4{secret}".encode()
    for part in (*scope.split("/"), text):
        signing = hmac.digest(signing, part.encode(), "sha256")
    authorization = f"AWS4-HMAC-SHA256 Credential={key}/{scope}, SignedHeaders={names}, Signature={signing.hex()}"
    return {"x-amz-date": moment, "x-amz-content-sha256": _NOTHING, "Authorization": authorization}
