"""A document under import: each of its sessions is a virtual file of lines, so that one importer does for files and documents.

A session's lines are joined and spooled; the document's own file is looked at only by its format. What the file system says about a virtual
file is made from its content: a hash stands for the time of its last change. The account of a document (how its file was when all its
sessions had come in) is kept beside the sessions, in a small log of its own, so that an unchanged document costs a stat and one read.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

import msgspec

from turnfold.core.fold import change_of
from turnfold.engine.importing.batch import Target
from turnfold.engine.importing.cursor import Cursor, cursor_of
from turnfold.engine.importing.result import display_path
from turnfold.engine.importing.source import Facts, Piece, SourceFile
from turnfold.engine.prepare import prepare
from turnfold.engine.scopes import scope_genesis, scope_id
from turnfold.errors import SessionNotFound
from turnfold.formats.base import Document, DocumentFormat, Line
from turnfold.limits import LINE_BYTES_MAX, LINE_PIECE_BYTES, MIB
from turnfold.model.commit import Commit
from turnfold.model.event import NewEvent
from turnfold.model.session import SessionKey

SPOOL_BYTES_MAX = 8 * MIB
"""A session with more bytes of lines is spooled to a temporary file."""
_ACCOUNT = "document"
_HASH_BYTES = 1 * MIB


class DocumentFile(SourceFile):
    """A session of a document as a file of lines."""

    def __init__(self, path: Path, document: Document, line_bytes_max: int = LINE_BYTES_MAX, piece_bytes: int = LINE_PIECE_BYTES) -> None:
        """Spool its lines; ``path`` is the document's."""
        self._document = document
        self._settled_bytes = 0
        self._hashed = (0, hashlib.sha256())
        self.native_id = document.native_id
        super().__init__(path, line_bytes_max, piece_bytes)

    def _open(self) -> tuple[BinaryIO, Facts]:
        settled_count = len(self._document.lines) if self._document.settled_count is None else self._document.settled_count
        spool = cast("BinaryIO", SpooledTemporaryFile(SPOOL_BYTES_MAX))  # noqa: SIM115  # closed by ``__exit__``
        digest = hashlib.sha256()
        size = 0
        for index, line in enumerate(self._document.lines):
            data = line + b"\n"
            size += spool.write(data)
            digest.update(data)
            if index < settled_count:
                self._settled_bytes = size
        self.on_disk = Facts(size, int.from_bytes(digest.digest()[:8]) >> 1, 0)
        return spool, self.on_disk

    @property
    def settled_bytes(self) -> int:
        """The size of the lines that stay as they are."""
        return self._settled_bytes

    @property
    def modified_us(self) -> int:
        """The document's time of last change."""
        return self.path.stat().st_mtime_ns // 1000

    def settled(self, line: Line | Piece) -> bool:
        """Whether the line is one of those that stay as they are."""
        return line.offset < self._settled_bytes

    def fingerprint(self, offset: int) -> tuple[str, str]:
        """Nothing, and the hash of all before ``offset``. Going forward it reads what is new only."""
        at, digest = self._hashed
        if offset < at:
            at, digest = 0, hashlib.sha256()
        self.file.seek(at)
        while at < offset and (data := self.file.read(min(_HASH_BYTES, offset - at))):
            digest.update(data)
            at += len(data)
        self._hashed = (at, digest)
        return "", digest.hexdigest()[:32]


def sessions_of(fmt: DocumentFormat, path: Path) -> Iterator[Document]:
    """Yield a document's sessions; an id that a document has twice gets a number, so that neither is taken for the other's change."""
    seen: Counter[str] = Counter()
    for document in fmt.documents(path):
        seen[document.native_id] += 1
        count = seen[document.native_id]
        yield document if count == 1 else msgspec.structs.replace(document, native_id=f"{document.native_id}~{count}")


def state_of_files(fmt: DocumentFormat, path: Path) -> str:
    """A hash of what the file system says about all files of a document, a database's log of writes included."""
    wal = path.with_name(path.name + "-wal")
    found = hashlib.sha256()
    shared_memory = path.with_name(path.name + "-shm")
    for one in dict.fromkeys([path, wal, *sorted(fmt.covered(path))]):
        if one == shared_memory:  # every reader touches it
            continue
        try:
            stat = one.stat()
        except FileNotFoundError:
            continue
        if stat.st_size or one != wal:  # an empty log comes and goes with each reader
            found.update(f"{one.name}\0{stat.st_size}\0{stat.st_mtime_ns}\0{stat.st_ino}\n".encode("utf-8", "surrogateescape"))
    return found.hexdigest()[:32]


def read_account(target: Target, path: Path) -> Cursor | None:
    """How a document was when all of its sessions had come in: ``tail`` is the state of its files, ``line`` how many sessions it had."""
    try:
        head = target.store.get_session(_account_key(target, path), owner=target.owner)
    except SessionNotFound:
        return None
    return cursor_of(head, _ACCOUNT)


def write_account(target: Target, path: Path, *, format_name: str, state: str, session_count: int) -> None:
    """Note that all of a document's sessions came in."""
    shown = display_path(path)
    account = Cursor(source=_ACCOUNT, format=format_name, path=shown, tail=state, line=session_count, finished=True)
    old = read_account(target, path)
    if old == account:
        return
    new = NewEvent(type="import.cursor", data=account, visibility="none", meta={"import": True}, message_count=0, turn_count=0)
    events = (prepare(new, target.hmac_key, []),)
    genesis = scope_genesis(target.owner, target.hmac_key)
    key = _account_key(target, path)
    target.store.commit(Commit(key=key, events=events, change=change_of(events), owner=target.owner, genesis=genesis))


def _account_key(target: Target, path: Path) -> SessionKey:
    name = msgspec.json.encode([target.owner, display_path(path.absolute())])
    return target.key(scope_id("import", hashlib.sha256(name).hexdigest()[:32]))
