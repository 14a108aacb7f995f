"""Digests of events and seals of logs: integrity that costs no read before a write.

An event's digest is SHA-256 (HMAC-SHA-256 with a key) over a format tag and, length-prefixed, the envelope as a JSON array in fixed order
(without seq, branch and recorded_at, which the store gives out), the random salt, payload, meta and kept source line. Order and completeness are
covered by seals: a seal's root commits to its predecessor's root and to the leaf of every event since, where a leaf is the SHA-256 of
(seq, branch, recorded_at, digest). Without a key this finds corruption, not an attacker, and the tail after the last seal is covered by its
digests alone.

Beside ciphertext (``codec.cipher``) an event keeps the digest of its plaintext, whose salt is encrypted with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from struct import Struct
from typing import TYPE_CHECKING

import msgspec

from turnfold.model.event import Event
from turnfold.model.usage import NO_USAGE

if TYPE_CHECKING:
    from hashlib import _Hash

_FORMAT = b"turnfold/event/1\0"
_LEAF = b"turnfold/leaf/1\0"
_SEAL = b"turnfold/seal/1\0"
_lengths = Struct(">QQQQQ").pack
_leaf_head = Struct(">QqI").pack
_encode = msgspec.json.Encoder().encode
DIGEST_BYTES = 32
FINGERPRINT_BYTES = 32
"""Twice as long as a salt."""


def _first_sha256(body: bytes) -> _Hash:
    """Import hashlib with the first digest: who only reads is spared OpenSSL, 3.6 MB and 3 ms."""
    global _sha256  # noqa: PLW0603  # from here on the name is the function itself, without a wrapper on the hot path
    from hashlib import sha256

    _sha256 = sha256
    return sha256(body)


_sha256: Callable[[bytes], _Hash] = _first_sha256


def event_digest(event: Event, salt: bytes | None = None, key: bytes | None = None) -> bytes:
    """Return the 32-byte digest of an event.

    Args:
        event: Its envelope and payload.
        salt: Use this salt instead of the event's own (to compare with a stored twin).
        key: HMAC key, or None for a plain digest.
    """
    body = content_of(event, event.salt if salt is None else salt)
    if key is None:
        return _sha256(body).digest()
    from hmac import digest

    return digest(key, body, "sha256")


def content_of(event: Event, salt: bytes) -> bytes:
    """Return what a digest is made of: envelope, salt, payload, meta and kept line."""
    usage = event.usage
    envelope = _encode(
        (
            event.id,
            event.type,
            event.version,
            event.at_us,
            event.run_id,
            event.actor,
            event.causation_id,
            event.correlation_id,
            event.message_id,
            event.block_index,
            event.parent_id,
            event.visibility,
            event.visible_to,
            event.hidden_from,
            event.message_count,
            event.turn_count,
            event.token_count,
            None if usage is NO_USAGE or not usage else (*usage.numbers(), usage.model),
        ),
    )
    data = event.data_raw
    meta = event.meta_raw or b""
    source = event.source or b""
    lengths = _lengths(len(envelope), len(salt), len(data), len(meta), len(source))
    return b"".join((_FORMAT, lengths, envelope, salt, data, meta, source))


def same_content(incoming: Event, *, salt: bytes, digest: bytes, key: bytes | None = None) -> bool:
    """Whether an incoming event is the stored one with that salt and digest (its id equal): a repeat prepared anew has another salt.

    An encrypted event has a keyed fingerprint in place of its salt, which is the same each time the same content is sealed.
    """
    if len(salt) == FINGERPRINT_BYTES:
        return incoming.salt == salt
    return incoming.digest == digest or event_digest(incoming, salt, key) == digest


def leaf(event: Event) -> bytes:
    """Return the 32-byte seal leaf of a stored event."""
    branch = event.branch.encode()
    return _sha256(_LEAF + _leaf_head(event.seq, event.recorded_at_us, len(branch)) + branch + event.digest).digest()


def seal_root(previous: bytes, upto_seq: int, leaves: Iterable[bytes], key: bytes | None = None) -> bytes:
    """Return the root that commits to the previous root and all leaves since, in seq order."""
    body = _SEAL + upto_seq.to_bytes(8, "big") + len(previous).to_bytes(1, "big") + previous
    if key is None:
        state = _sha256(body)
        for item in leaves:
            state.update(item)
        return state.digest()
    from hmac import new

    mac = new(key, body, "sha256")
    for item in leaves:
        mac.update(item)
    return mac.digest()
