"""How artifact stores name and pack what they keep.

A path is ``xx/yyyy…/hash``: 40 hexadecimal digits of the session's hash, the first two as a folder of their own, then the content's. Session
ids may be longer than a file name, so they are not in the path: each artifact begins with one line of JSON that says whose it is. A folder
or bucket thus explains itself, and a list needs nothing beside it.
"""

from __future__ import annotations

import hashlib
from typing import Final

import msgspec

from turnfold.codec.residual import is_part, part_digits
from turnfold.errors import StoreCorrupt
from turnfold.model.artifact import ArtifactName
from turnfold.model.session import SessionKey

HEADER_BYTES_MAX: Final = 16 * 1024
"""The first line: tenant, session id and hash, as JSON."""
_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(ArtifactName)


def folder_of(key: SessionKey) -> str:
    """Return the folder of a session's artifacts."""
    digest = hashlib.sha256(_encode([key.tenant, key.session_id])).hexdigest()[:40]
    return f"{digest[:2]}/{digest[2:]}"


def path_of(name: ArtifactName) -> str:
    """Return the path of an artifact.

    Raises:
        InvalidInput: The reference is none.
    """
    return f"{folder_of(name.key)}/{hex_of(name.ref)}"


def hex_of(ref: str) -> str:
    """Return the hexadecimal digits of a reference.

    Raises:
        InvalidInput: It is none.
    """
    return part_digits(ref)


def pack(name: ArtifactName, content: bytes) -> bytes:
    """Return an artifact as it is stored: the line that names it, then the bytes."""
    return _encode(name) + b"\n" + content


def unpack(name: ArtifactName, data: bytes) -> bytes:
    """Return the bytes of a stored artifact.

    Raises:
        StoreCorrupt: They are not what the name says.
    """
    header, _, content = data.partition(b"\n")
    if name_of(header) != name or not is_part(name.ref, content):
        raise StoreCorrupt(
            f"the artifact {name.ref} of session {name.session_id!r} is damaged: its content is another",
            hint="put the file back from a backup",
            ref=name.ref,
        )
    return content


def name_of(head: bytes) -> ArtifactName | None:
    """Return the name that the beginning of a stored artifact gives, None where it gives none."""
    try:
        return _decoder.decode(head.partition(b"\n")[0])
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
