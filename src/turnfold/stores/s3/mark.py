"""The store's mark: opening finds out that the place can be used, and that its server keeps conditions.

A server that ignores ``If-None-Match`` and ``If-Match`` takes every write and loses the updates that met. So before a store is first used
through an endpoint, two writes are tried there that must be refused; the mark remembers the endpoint.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import Final

import msgspec

from turnfold.errors import NotSupported, SchemaTooNew, StoreCorrupt
from turnfold.objectstorage import Bucket, Found, Tag
from turnfold.stores.s3 import names
from turnfold.stores.s3.manifest import FORMAT

_NEVER: Final = Tag('"00000000000000000000000000000000"')
_ENDPOINTS_MAX: Final = 32


class Mark(msgspec.Struct):
    """The content of the mark."""

    turnfold_store: int
    token: str
    conditions_kept_by: list[str]


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Mark).decode


def check_mark(bucket: Bucket) -> None:
    """Find the store's mark, or set it where there is none, and try the server's conditions where nobody did.

    Raises:
        StoreUnavailable: There is no such bucket, no permission, or no server.
        NotSupported: The server ignores conditions.
        SchemaTooNew: A newer Turnfold wrote the store.
        StoreCorrupt: Something else stands there.
    """
    endpoint = bucket.endpoint or bucket.location.scheme
    found: Found | Tag | None = bucket.get(names.MARK)
    while True:
        mark = _mark_of(found, bucket) if isinstance(found, Found) else Mark(FORMAT, "", [])
        if endpoint in mark.conditions_kept_by:
            return
        expected = found.tag if isinstance(found, Found) else None
        mark.token = secrets.token_hex(8)
        if expected is not None:
            _try_conditions(bucket, mark)
            mark.conditions_kept_by = [*mark.conditions_kept_by, endpoint][-_ENDPOINTS_MAX:]
        answer = bucket.replace(names.MARK, _encode(mark), expected=expected, is_mine=partial(_holds, mark.token))
        found = Found(_encode(mark), answer) if isinstance(answer, Tag) else answer


def _holds(token: str, body: bytes) -> bool:
    return _decode(body).token == token


def _mark_of(found: Found, bucket: Bucket) -> Mark:
    try:
        mark = _decode(found.body)
    except msgspec.MsgspecError as error:
        raise StoreCorrupt(f"{bucket.name}/{names.MARK} is no mark of a Turnfold store", hint="choose another prefix") from error
    if mark.turnfold_store > FORMAT:
        raise SchemaTooNew(f"{bucket.name} was written by a newer Turnfold")
    return mark


def _try_conditions(bucket: Bucket, mark: Mark) -> None:
    """Make two writes of the mark that a server must refuse."""
    for condition, expected in (("If-None-Match", None), ("If-Match", _NEVER)):
        if not bucket.refuses(names.MARK, _encode(mark), expected=expected):
            raise NotSupported(
                f"{bucket.name} ignores {condition} and would lose updates",
                hint="use a server that keeps conditional writes: AWS S3, Ceph 20 or later, a recent MinIO",
            )
