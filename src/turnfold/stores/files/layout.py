"""Where things are in a files store, and whether a directory is one.

::

    turnfold.json                        what this is, and its version
    changes                              touched around every commit: what watchers wait on
    followers/<name>.jsonl               cursors of followers
    catalogs/<tenant>.cache              rows of its session list; may be deleted at any time
    tenants/<tenant>/<session>/          one directory per session; its own lock
        00000001.jsonl …                 segments of the log
        00000001.jsonl.z …               segments of a cold log, compressed (see ``sealed``)
        00000001.jsonl.<offset>.torn     what an interrupted write left, cut from the end of a segment
        parts/<sha256>                   out-of-line payloads
        index.cache                      what a long replay taught; may be deleted at any time
        grave.json                       what a deletion left: spent segments and fences

A name on disk is a readable prefix of the real one and its SHA-256, so that any text is a safe name and no two share one.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path

import msgspec

from turnfold.errors import InvalidInput, NotSupported, SchemaTooNew, StoreCorrupt, TurnfoldError
from turnfold.model.session import SessionKey
from turnfold.stores._disk import as_turnfold_error, sync_directory, write_atomically

FORMAT = "turnfold-files"
VERSION = 2
"""What this code writes and reads up to. Version 2 may have compressed segments, which code of version 1 takes for missing ones."""
COMPACT_VERSION = 2
MIGRATIONS = ("0001.pre.initial", "0002.post.compact")
"""The steps from version to version, by the names that those of a SQL store would have; all of them are the number in the format file."""
FORMAT_FILE = "turnfold.json"
CHANGES_FILE = "changes"
TENANTS = "tenants"
FOLLOWERS = "followers"
PARTS = "parts"
CATALOGS = "catalogs"
GRAVE_FILE = "grave.json"
TORN_SUFFIX = ".torn"
TEMPORARY_SUFFIX = ".tmp"
SEGMENT_SUFFIX = ".jsonl"

_PREFIX_CHARS = 40
_HASH_CHARS = 40  # 160 bits: nobody finds two ids that share them
_unsafe = re.compile(r"[^a-z0-9]+")
_segment_name = re.compile(r"\d{8}\.jsonl(\.z)?")

# flock and O_APPEND of two machines do not exclude each other there, so the log would be torn. 9p is not in the list: sandboxes
# mount their root by it, for one machine.
NETWORK_FILE_SYSTEMS = frozenset({
    "nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "afs", "ceph", "glusterfs", "lustre", "gpfs", "beegfs", "gfs2", "ocfs2", "davfs",
    "fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.s3fs", "fuse.gcsfuse", "fuse.rclone", "fuse.goofys", "fuse.davfs2",
})  # fmt: skip


class _FormatFile(msgspec.Struct):
    """What the format file says."""

    format: str
    version: int


def safe_name(text: str) -> str:
    """Return the name on disk of any text."""
    try:
        digest = hashlib.sha256(text.encode()).hexdigest()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"{text!r} holds a lone surrogate, which no store can keep") from error
    prefix = _unsafe.sub("-", text[: 2 * _PREFIX_CHARS].lower()).strip("-")[:_PREFIX_CHARS]
    return f"{prefix or 'x'}.{digest[:_HASH_CHARS]}"


@lru_cache(maxsize=1024)
def relative_path(key: SessionKey) -> str:
    """Return the directory of a session from the store's root."""
    return f"{TENANTS}/{safe_name(key.tenant)}/{safe_name(key.session_id)}"


def tenant_folders(root: Path) -> list[str]:
    """Return the names of all tenants' directories."""
    folder = root / TENANTS
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.exists() else []


def session_folders(root: Path) -> list[str]:
    """Return the directories of all sessions from the store's root."""
    tenants = tenant_folders(root)
    return [
        f"{TENANTS}/{tenant}/{name}" for tenant in tenants for name in sorted(path.name for path in (root / TENANTS / tenant).iterdir())
    ]


def segment_name(number: int) -> str:
    """Return the file name of the n-th segment (from 1)."""
    return f"{number:08}{SEGMENT_SUFFIX}"


def segment_numbers(names: list[str]) -> list[int]:
    """Pick the segments out of a directory listing, plain or compressed, in order."""
    return sorted({int(name[:8]) for name in names if _segment_name.fullmatch(name)})


def prepare_root(root: Path) -> None:
    """Make the directory a files store, or check that it is one.

    Raises:
        SchemaTooNew: A newer version wrote it.
        StoreCorrupt: It is something else, or its format file is damaged.
        StoreUnavailable: It cannot be made or read.
        NotSupported: It lies on a network mount.
    """
    refuse_network_mount(root)
    path = root / FORMAT_FILE
    try:
        _check_format(path, path.read_bytes())
        with contextlib.suppress(OSError):  # whoever made the store may have been killed here; a read-only store may do without
            _make_folders(root)
        return
    except FileNotFoundError:
        pass
    except OSError as error:
        raise as_turnfold_error(error, root) from error
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)  # for its user alone: transcripts hold secrets
        foreign = any(not entry.name.startswith(FORMAT_FILE) for entry in root.iterdir())
        if foreign and not path.exists():  # another process may have made the store just now
            raise not_a_store(root)
        write_atomically(path, msgspec.json.encode(_FormatFile(FORMAT, VERSION)) + b"\n")  # first: it says whose the rest is
        _make_folders(root)
        sync_directory(root)
        sync_directory(root.parent)
    except OSError as error:
        raise as_turnfold_error(error, root) from error


def version_of(root: Path) -> int:
    """Return the version that a store has now; another process may have raised it."""
    path = root / FORMAT_FILE
    try:
        return _check_format(path, path.read_bytes())
    except OSError as error:
        raise as_turnfold_error(error, root) from error


def raise_version(root: Path) -> None:
    """Let a store be of this code's version from here on."""
    try:
        write_atomically(root / FORMAT_FILE, msgspec.json.encode(_FormatFile(FORMAT, VERSION)) + b"\n")
    except OSError as error:
        raise as_turnfold_error(error, root) from error


def _make_folders(root: Path) -> None:
    for folder in (TENANTS, FOLLOWERS):
        (root / folder).mkdir(exist_ok=True)


def not_a_store(root: Path) -> TurnfoldError:
    """Return the error for a directory that holds something else."""
    hint = "name an empty or a new directory, or one that a files store made"
    return StoreCorrupt(f"{root} is not a Turnfold files store: it holds other files", hint=hint, path=str(root))


def _check_format(path: Path, content: bytes) -> int:
    try:
        found = msgspec.json.decode(content, type=_FormatFile)
    except msgspec.MsgspecError as error:
        raise StoreCorrupt(f"{path} is damaged", path=str(path)) from error
    if found.format != FORMAT:
        raise StoreCorrupt(f"{path} says {found.format!r}, not {FORMAT!r}", path=str(path))
    if found.version > VERSION:
        raise SchemaTooNew(
            f"{path.parent} has version {found.version}, this Turnfold reads up to {VERSION}",
            path=str(path.parent),
            version=found.version,
        )
    return found.version


def refuse_network_mount(root: Path, mounts: str | None = None) -> None:
    """Raise NotSupported where the directory lies on a network file system.

    Args:
        root: The directory; it may not exist yet.
        mounts: The mount table in the form of ``/proc/mounts``; None reads the system's, where there is one.
    """
    if mounts is None:
        try:
            mounts = Path("/proc/mounts").read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            return  # no such table on this system
    place = os.path.realpath(root) + "/"
    best, kind = "", ""
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), fields[1]).rstrip("/") + "/"
        if place.startswith(point) and len(point) >= len(best):
            best, kind = point, fields[2]
    if kind in NETWORK_FILE_SYSTEMS:
        raise NotSupported(
            f"{root} lies on a network mount ({kind} at {best.rstrip('/') or '/'}), where locks of two machines do not exclude each other",
            hint="use a local directory, or the PostgreSQL store to share sessions between machines",
            path=str(root),
            file_system=kind,
        )
