"""Authenticated encryption of one session's content: AES-256-GCM through the ``cryptography`` package, compressed first.

Theory of operation. A session's data key is 64 random bytes. The first half is the AES key; the second, which stays when the first is renewed,
gives by HKDF the keys of names, references and fingerprints. What is sealed is JSON, so that it fits where JSON stood: payloads as the first,
other values, which may have to be a string, as the second::

    ["tf1:<key id>", "<base64 of nonce, ciphertext and tag>"]
    "tf1:<key id>:<base64 of nonce, ciphertext and tag>"

or, where bytes stood (kept lines, parts), ``tf1`` + key id + nonce + ciphertext and tag. The nonce is 96 random bits per sealed piece; with
2³² pieces under one key, which is all the events a session can have, two are the same with a chance of 2⁻³³ (NIST SP 800-38D allows 2⁻³²).
Inside is a frame: flags, the event's salt, padding, then meta and payload, deflated where that is smaller. Padding to a multiple of three makes the
base64 text canonical: no bit of it is free to change.

Associated data, length-prefixed: tenant, session id, what it is, and for an event its id, type and version. So a ciphertext that is moved to
another event, session or tenant does not open. The seq is not in it, since it is given out at commit: order is what seals are for.

The fingerprint of an event is a keyed BLAKE2b (a MAC, at half the time of an HMAC) of its unsalted content. It stands where the salt stood, which
went inside: two sealings of one event differ in every byte, and a store recognises them as the same by it (``codec.seal.same_content``). It
goes with the payload when that is redacted.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable, Iterable
from hashlib import blake2b, sha256
from hmac import digest as hmac_digest
from struct import Struct
from typing import Any, NoReturn

import msgspec

from turnfold.codec.residual import KEYED
from turnfold.codec.seal import FINGERPRINT_BYTES, content_of
from turnfold.errors import IntegrityError, KeyUnavailable, missing_extra
from turnfold.limits import COMPRESS_BYTES_MIN
from turnfold.model.event import Event
from turnfold.model.keys import KID_CHARS, SECRET_BYTES, DataKey
from turnfold.model.message import SEALED
from turnfold.model.session import SessionKey

NONCE_BYTES = 12
TAG_BYTES = 16
KEY_BYTES = 32
_TEXT = b'"tf1:'
_PAYLOAD = SEALED
_BYTES = b"tf1"
_TEXT_BODY = len(_TEXT) + KID_CHARS + 1
_BODY = len(_PAYLOAD) + KID_CHARS + 2
_AROUND = _BODY + 3
"""Bytes of a sealed payload that are no base64."""
_DEFLATED, _META = 1, 2
_ZEROS = (b"", b"\0", b"\0\0")
_ZLIB_LEVEL = 1
_replace = msgspec.structs.replace
_random = os.urandom
_encode_base64 = msgspec.json.Encoder().encode
_decode_base64 = msgspec.json.Decoder(bytes).decode
"""Bytes as a JSON string: twice as fast as ``binascii`` here."""
_event_lengths = Struct(">BIIQ").pack
_lengths = Struct(">BII").pack
_meta_length = Struct(">I")
_EVENT, _TOMBSTONE, _SOURCE, _ENTRY, _RUN, _PART, _STATUS = range(7)
"""What a ciphertext is, as its associated data begins."""


def _aead() -> Any:
    """The library's module; the only place that asks for it, so that its absence is said once."""
    try:
        from cryptography.hazmat.primitives.ciphers import aead
    except ModuleNotFoundError as error:
        raise missing_extra("crypto", "cryptography") from error
    return aead


def gcm(key: bytes) -> Any:
    """Return AES-GCM under a key of ``KEY_BYTES``."""
    return _aead().AESGCM(key)


def siv(key: bytes) -> Any:
    """Return AES-SIV under a key of twice ``KEY_BYTES``: the same input gives the same output, which says nothing else."""
    return _aead().AESSIV(key)


def derive(secret: bytes, purpose: bytes, length: int = KEY_BYTES) -> bytes:
    """Derive a key for one purpose from a uniformly random secret: HKDF-Expand with SHA-256 (RFC 5869, §2.3)."""
    out = block = b""
    count = 0
    while len(out) < length:
        count += 1
        block = hmac_digest(secret, block + purpose + bytes((count,)), "sha256")
        out += block
    return out[:length]


def prefixed(*parts: str | bytes) -> bytes:
    """Join parts so that each can be told from its neighbour."""
    raw = [part.encode() if isinstance(part, str) else part for part in parts]
    return b"".join(len(part).to_bytes(4, "big") + part for part in raw)


def seal_raw(aead: Any, plain: bytes, context: bytes) -> bytes:
    """Encrypt: nonce, ciphertext, tag."""
    nonce = _random(NONCE_BYTES)
    sealed: bytes = nonce + aead.encrypt(nonce, plain, context)
    return sealed


def open_raw(aead: Any, sealed: bytes, context: bytes) -> bytes | None:
    """Decrypt what ``seal_raw`` gave; None where it is not that."""
    from cryptography.exceptions import InvalidTag

    try:
        plain: bytes = aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
    except (InvalidTag, ValueError):
        return None
    return plain


def kid_in(raw: bytes) -> str | None:
    """Return the id of the key that a payload or value was sealed under, None where it is not sealed."""
    for begin in (_PAYLOAD, _TEXT):
        if raw.startswith(begin):
            return raw[len(begin) : len(begin) + KID_CHARS].decode("ascii", "replace")
    return None


def kid_in_bytes(raw: bytes) -> str | None:
    """Return the same for a kept line or a part."""
    start = len(_BYTES)
    return raw[start : start + KID_CHARS].decode("ascii", "replace") if raw.startswith(_BYTES) else None


class SessionCipher:
    """Seals and opens what belongs to one creation of a session. Thread-safe; holds keys: forget it when the store closes."""

    __slots__ = (
        "_aad",
        "_current",
        "_encrypt",
        "_find",
        "_fingerprint",
        "_heads",
        "_keys",
        "_kid_payload",
        "_kid_text",
        "_siv",
        "_stable",
        "key",
    )

    def __init__(self, key: SessionKey, current: DataKey, find: Callable[[SessionKey, str], DataKey]) -> None:
        """Bind a session.

        Args:
            key: Whose content it is.
            current: What new content is sealed with.
            find: Gives the keys that older content was sealed with, or raises KeyUnavailable.
        """
        assert len(current.secret) == SECRET_BYTES
        self.key = key
        self._find = find
        self._aad = prefixed(*key)
        stable = current.secret[KEY_BYTES:]
        self._stable = stable
        self._fingerprint = blake2b(key=derive(stable, b"turnfold/fingerprint/1"), digest_size=FINGERPRINT_BYTES)
        self._siv: Any = None
        self._current = kid = current.kid.encode()
        self._kid_text = _TEXT + kid + b":"
        self._kid_payload = _PAYLOAD + kid + b'",'
        aead = gcm(current.secret[:KEY_BYTES])
        self._encrypt = aead.encrypt
        self._keys: dict[bytes, Any] = {kid: aead}
        self._heads: dict[bytes, Any] = {self._kid_payload: aead}

    def __repr__(self) -> str:
        """Without keys."""
        return f"SessionCipher({self.key!r})"

    @property
    def _names(self) -> Any:
        if self._siv is None:
            self._siv = siv(derive(self._stable, b"turnfold/name/1", 2 * KEY_BYTES))
        return self._siv

    def has(self, kid: str) -> bool:
        """Whether it opens what was sealed under that key without asking the keyring."""
        return kid.encode() in self._keys

    # ---- frames ----------------------------------------------------------------------------------------------------------------------
    def _seal(self, plain: bytes, context: bytes, salt: bytes = b"", meta: bytes | None = None) -> bytes:
        """Put a frame together and encrypt it: nonce, ciphertext, tag, a multiple of three bytes in all."""
        flags = 0
        if meta is not None:
            flags = _META
            plain = _meta_length.pack(len(meta)) + meta + plain
        if len(plain) >= COMPRESS_BYTES_MIN:
            deflated = zlib.compress(plain, _ZLIB_LEVEL)
            if len(deflated) < len(plain):
                flags |= _DEFLATED
                plain = deflated
        salt_size = len(salt)
        padding = -(salt_size + len(plain)) % 3
        nonce = _random(NONCE_BYTES)
        sealed: bytes = nonce + self._encrypt(
            nonce, b"%c%c%b%b%b" % (flags | padding << 4, salt_size, salt, _ZEROS[padding], plain), context
        )
        return sealed

    def _aead_of(self, kid: bytes) -> Any:
        aead = self._keys.get(kid)
        if aead is None:
            try:
                name = kid.decode("ascii")
            except UnicodeDecodeError as error:
                raise KeyUnavailable(f"session {self.key.session_id!r}: {kid!r} is no key id", session_id=self.key.session_id) from error
            aead = gcm(self._find(self.key, name).secret[:KEY_BYTES])
            self._keys[kid] = aead
            self._heads[_PAYLOAD + kid + b'",'] = aead
        return aead

    def _seal_text(self, plain: bytes, context: bytes, salt: bytes = b"", meta: bytes | None = None) -> bytes:
        return self._kid_text + _encode_base64(self._seal(plain, context, salt, meta))[1:]

    def _seal_payload(self, plain: bytes, context: bytes, salt: bytes = b"", meta: bytes | None = None) -> bytes:
        return self._kid_payload + _encode_base64(self._seal(plain, context, salt, meta)) + b"]"

    def _open_text(self, raw: bytes, context: bytes, place: Callable[[], str]) -> tuple[bytes, bytes, bytes | None]:
        """Return payload, salt and meta of a sealed JSON string."""
        if raw.startswith(_PAYLOAD) and raw[_BODY - 2 : _BODY] == b'",' and raw[-1:] == b"]":
            kid, quoted = raw[len(_PAYLOAD) : len(_PAYLOAD) + KID_CHARS], raw[_BODY:-1]
        elif raw.startswith(_TEXT) and raw[_TEXT_BODY - 1 : _TEXT_BODY] == b":":
            kid, quoted = raw[len(_TEXT) : len(_TEXT) + KID_CHARS], b'"' + raw[_TEXT_BODY:]
        else:
            self._refuse(place, None, "is not sealed, although the store is encrypted")
        aead = self._aead_of(kid)
        try:
            sealed = _decode_base64(quoted)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            sealed = b""
        if len(sealed) * 4 != (len(quoted) - 2) * 3:  # the decoder passes over spaces
            self._refuse(place, kid, "is damaged: no base64")
        plain = open_raw(aead, sealed, context)
        if plain is None:
            self._refuse(place, kid, "does not open: it was changed, moved from another place, or the key is another one of that name")
        return _unframe(plain)

    def _open_bytes(self, raw: bytes, context: bytes, place: Callable[[], str]) -> bytes:
        end = len(_BYTES) + KID_CHARS
        if raw[: len(_BYTES)] != _BYTES:
            self._refuse(place, None, "is not sealed, although the store is encrypted")
        kid = raw[len(_BYTES) : end]
        plain = open_raw(self._aead_of(kid), raw[end:], context)
        if plain is None:
            self._refuse(place, kid, "does not open: it was changed, moved from another place, or the key is another one of that name")
        return _unframe(plain)[0]

    def _seal_bytes(self, plain: bytes, context: bytes) -> bytes:
        return _BYTES + self._current + self._seal(plain, context)

    def _refuse(self, place: Callable[[], str], kid: bytes | None, reason: str, **details: Any) -> NoReturn:
        name = None if kid is None else kid.decode("ascii", "replace")
        under = "" if name is None else f" (key {name})"
        raise IntegrityError(
            f"session {self.key.session_id!r}: {place()}{under} {reason}",
            hint="restore the session from a backup; a store that was not encrypted has to be copied into one that is",
            session_id=self.key.session_id,
            kid=name,
            **details,
        )

    # ---- events ----------------------------------------------------------------------------------------------------------------------
    def _event_context(self, kind: int, event: Event) -> bytes:
        id_, type_ = event.id.encode(), event.type.encode()
        return b"".join((self._aad, _event_lengths(kind, len(id_), len(type_), event.version), id_, type_))

    def seal_event(self, event: Event) -> Event:
        """Return the event as the store keeps it. The way of a short message without meta and kept line is written out: it is every append's."""
        plain, salt = event.data_raw, event.salt
        if event.redacted:
            context = self._context(_TOMBSTONE, event.digest)
            return _replace(event, data_raw=self._seal_payload(plain, context, salt, event.meta_raw))
        id_, type_ = event.id.encode(), event.type.encode()
        context = b"".join((self._aad, _event_lengths(_EVENT, len(id_), len(type_), event.version), id_, type_))
        source = event.source
        if event.meta_raw is None and source is None and len(plain) < COMPRESS_BYTES_MIN:
            salt_size = len(salt)
            padding = -(salt_size + len(plain)) % 3
            nonce = _random(NONCE_BYTES)
            sealed = nonce + self._encrypt(nonce, b"%c%c%b%b%b" % (padding << 4, salt_size, salt, _ZEROS[padding], plain), context)
        else:
            sealed = self._seal(plain, context, salt, event.meta_raw)
            if source is not None:
                source = self._seal_bytes(source, self._event_context(_SOURCE, event))
        fingerprint = self._fingerprint.copy()
        fingerprint.update(content_of(event, b""))
        data = self._kid_payload + _encode_base64(sealed) + b"]"
        return _replace(event, data_raw=data, salt=fingerprint.digest(), meta_raw=None, source=source)

    def seal_tombstone(self, tombstone: bytes, digest: bytes) -> bytes:
        """Return what is left of a redacted event's payload, sealed; the digest, which is salted, says whose it is."""
        return self._seal_payload(tombstone, self._context(_TOMBSTONE, digest))

    def open_events(self, events: Iterable[Event]) -> list[Event]:
        """Return a page of events as they were appended, all or none.

        Raises:
            IntegrityError: One of them was changed or moved; names its seq and key id.
            KeyUnavailable: The key of one of them is not in the keyring; names its seq and key id.
        """
        from cryptography.exceptions import InvalidTag

        aad, heads, out = self._aad, self._heads, []
        body, around, replace, decode, pack = _BODY, _AROUND, _replace, _decode_base64, _event_lengths
        for event in events:
            raw = event.data_raw
            aead = heads.get(raw[:body])
            if aead is None or event.redacted or event.source is not None or raw[-1:] != b"]":
                out.append(self._open_event(event))
                continue
            id_, type_ = event.id.encode(), event.type.encode()
            context = b"".join((aad, pack(_EVENT, len(id_), len(type_), event.version), id_, type_))
            try:
                sealed = decode(raw[body:-1])
                if len(sealed) * 4 != (len(raw) - around) * 3:  # the decoder passes over spaces
                    out.append(self._open_event(event))
                    continue
                plain = aead.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context)
            except (InvalidTag, ValueError):  # the long way says what it is
                out.append(self._open_event(event))
                continue
            flags, salt_size = plain[0], plain[1]
            if flags & 3:
                data, salt, meta = _unframe(plain)
            else:
                end = 2 + salt_size
                data, salt, meta = plain[end + (flags >> 4) :], plain[2:end], None
            out.append(replace(event, data_raw=data, salt=salt, meta_raw=meta))
        return out

    def _open_event(self, event: Event) -> Event:
        """Open one event the long way: with its kept line, or to say what is wrong with it."""
        try:
            context = self._context(_TOMBSTONE, event.digest) if event.redacted else self._event_context(_EVENT, event)
            data, salt, meta = self._open_text(event.data_raw, context, lambda: f"event {event.seq}")
            source = event.source
            if source is not None:
                source = self._open_bytes(source, self._event_context(_SOURCE, event), lambda: f"the kept line of event {event.seq}")
        except (IntegrityError, KeyUnavailable) as error:
            error.details["seq"] = event.seq
            raise
        return _replace(event, data_raw=data, salt=salt, meta_raw=meta, source=source)

    # ---- what stands beside the log --------------------------------------------------------------------------------------------------
    def _context(self, kind: int, name: str | bytes, more: str | bytes = b"") -> bytes:
        first = name.encode() if isinstance(name, str) else name
        second = more.encode() if isinstance(more, str) else more
        return b"".join((self._aad, _lengths(kind, len(first), len(second)), first, second))

    def seal_value(self, kind: str, name: str, value: bytes) -> bytes:
        """Seal the JSON value of a head entry into a JSON string."""
        return self._seal_text(value, self._context(_ENTRY, kind, name))

    def open_value(self, kind: str, name: str, raw: bytes) -> bytes:
        """Open the value of a head entry."""
        return self._open_text(raw, self._context(_ENTRY, kind, name), lambda: f"the {kind} {name!r}")[0]

    def seal_name(self, kind: str, name: str) -> str:
        """Return the token that stands for the name of an entry: the same each time, and only for this session."""
        return _token(self._names.encrypt(b"n" + name.encode(), [self._aad, kind.encode()]))

    def open_name(self, kind: str, token: str) -> str:
        """Return the name that a token stands for."""
        from cryptography.exceptions import InvalidTag

        try:
            plain: bytes = self._names.decrypt(_untoken(token), [self._aad, kind.encode()])
        except (InvalidTag, ValueError):
            self._refuse(lambda: f"the name of a {kind} entry", None, "does not open: it was changed or moved from another session")
        return plain[1:].decode()

    def seal_status(self, reason: str) -> str:
        """Seal why a session ended."""
        return self._seal_text(reason.encode(), self._context(_STATUS, b""))[1:-1].decode()

    def open_status(self, sealed: str) -> str:
        """Open why a session ended."""
        return self._open_text(_quoted(sealed), self._context(_STATUS, b""), lambda: "the reason of its end")[0].decode()

    def seal_run(self, run_id: str, body: bytes) -> str:
        """Seal the body of a run row."""
        return self._seal_text(body, self._context(_RUN, run_id))[1:-1].decode()

    def open_run(self, run_id: str, sealed: str) -> bytes:
        """Open the body of a run row."""
        return self._open_text(_quoted(sealed), self._context(_RUN, run_id), lambda: f"the run {run_id!r}")[0]

    def reference(self, ref: str) -> str:
        """Return the name that a part has in the store: one cannot tell from it what the part is, as one can from its hash."""
        return KEYED + hmac_digest(derive(self._stable, b"turnfold/reference/1"), ref.encode(), "sha256").hex()

    def seal_part(self, ref: str, content: bytes) -> bytes:
        """Seal an out-of-line part."""
        return self._seal_bytes(content, self._context(_PART, ref))

    def open_part(self, ref: str, sealed: bytes) -> bytes:
        """Open an out-of-line part."""
        return self._open_bytes(sealed, self._context(_PART, ref), lambda: f"the part {ref}")


def _unframe(frame: bytes) -> tuple[bytes, bytes, bytes | None]:
    """Take an authentic frame apart: payload, salt, meta."""
    flags, salt_size = frame[0], frame[1]
    end = 2 + salt_size
    salt, plain = frame[2:end], frame[end + (flags >> 4) :]
    if flags & _DEFLATED:
        plain = zlib.decompress(plain)
    if not flags & _META:
        return plain, salt, None
    size = _meta_length.unpack_from(plain)[0]
    start = _meta_length.size
    return plain[start + size :], salt, plain[start : start + size]


def _quoted(text: str) -> bytes:
    return b'"' + text.encode() + b'"'


def kid_in_text(text: str) -> str | None:
    """Return the same for a sealed text without its quotes."""
    return kid_in(_quoted(text))


def _token(raw: bytes) -> str:
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _untoken(token: str) -> bytes:
    from base64 import urlsafe_b64decode

    return urlsafe_b64decode(token + "=" * (-len(token) % 4))


class Index:
    """Tokens that are the same in each session of a tenant: of tags, so that lists can ask for one, and of search terms."""

    __slots__ = ("_secret", "_tenants")

    def __init__(self, secret: bytes) -> None:
        """Bind the index secret of a keyring."""
        self._secret = secret
        self._tenants: dict[str, tuple[bytes, bytes]] = {}

    def __repr__(self) -> str:
        """Without the secret."""
        return "Index()"

    def _keys(self, tenant: str) -> tuple[bytes, bytes]:
        keys = self._tenants.get(tenant)
        if keys is None:
            name = prefixed(tenant)
            keys = derive(self._secret, b"turnfold/tag/1" + name), derive(self._secret, b"turnfold/term/1" + name)
            self._tenants[tenant] = keys
        return keys

    def tag(self, tenant: str, tag: str) -> str:
        """Return the token of a tag."""
        return _token(hmac_digest(self._keys(tenant)[0], tag.encode(), "sha256")[:TAG_BYTES])

    def terms(self, tenant: str, terms: Iterable[str]) -> list[str]:
        """Return the tokens of search terms, in their order: 16 hexadecimal digits each."""
        key = self._keys(tenant)[1]
        return [hmac_digest(key, term.encode(), "sha256")[:8].hex() for term in terms]


def kid_of(raw: bytes) -> str:
    """Return a key id made of the first bytes of something unique."""
    return _token(sha256(raw).digest()[: KID_CHARS * 3 // 4])
