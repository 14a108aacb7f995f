"""Writes sessions out: to the format that they came from, as a bundle, as JSON lines.

Export to the own format of an imported session is its kept lines, joined, in order: byte for byte the file, as long as nothing of it was
redacted. Events that were added since by other means are not lines of that format and are reported, not written.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from turnfold.engine.bundle import Manifest, family, write_bundle
from turnfold.engine.converting import conversation_of, convert
from turnfold.engine.importing.kept import kept_lines, redaction_count
from turnfold.engine.importing.packed import SUFFIX
from turnfold.engine.listing import OWN_WRITTEN
from turnfold.engine.reading import read_all
from turnfold.errors import AlreadyExists, FormatError, InvalidInput, NotSupported
from turnfold.formats.base import DocumentFormat, Format
from turnfold.formats.loss import LossReport
from turnfold.formats.registry import ALIASES, Formats, formats
from turnfold.model.event import NewEvent
from turnfold.model.message import decode_message
from turnfold.model.session import SessionInfo, SessionKey
from turnfold.model.usage import NO_USAGE, Usage
from turnfold.ports.store import Store

_encode = msgspec.json.Encoder().encode


class ExportedFile(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file that was written."""

    path: str
    session_id: str
    byte_count: int
    losses: dict[str, Any] = {}
    """What the format cannot hold, by kind (``LossReport.to_dict``); empty for an export that keeps everything."""


class Loss(msgspec.Struct, frozen=True):
    """What an export to the native format leaves out.

    Attributes:
        redacted_count: Lines whose content was erased.
        added_count: Messages that were not in the imported file.
    """

    redacted_count: int
    added_count: int

    def __bool__(self) -> bool:
        """Whether anything is left out."""
        return bool(self.redacted_count or self.added_count)


class Exporter:
    """Exports sessions of one tenant and owner."""

    def __init__(self, store: Store, tenant: str = "default", owner: str | None = None, *, known_formats: Formats | None = None) -> None:
        """Set up; sessions of other owners are out of reach. ``known_formats`` None are those installed."""
        self._store = store
        self._tenant = tenant
        self._owner = owner
        self._formats = formats() if known_formats is None else known_formats

    def write(self, session_id: str, path: Path, format: str, *, branch: str = "", overwrite: bool = False) -> list[ExportedFile]:
        """Write a session as ``bundle``, ``jsonl``, the format that it came from (then as it came), or any format that there is a writer for.

        Args:
            session_id: The session.
            path: The file; for a tool's format also a folder, which gets the subagents' files too, named as the tool names them.
            format: ``bundle``, ``jsonl``, the format that the session came from, or one of ``Formats.writer_names()``.
            branch: The branch that a writer writes; empty is the active one.
            overwrite: Replace files that are there.

        Raises:
            NotSupported: There is no such format, or the session came from another one and there is no writer for this one.
            AlreadyExists: A file is there already.
        """
        if format == "bundle":
            if path.exists() and not overwrite:
                raise AlreadyExists(f"{path} exists already", hint="name another file, or allow replacing", path=str(path))
            self.bundle([session_id], path)
            return [ExportedFile(str(path), session_id, path.stat().st_size)]
        if format != "jsonl" and self._formats.can_write(format) and not self._has_lines_of(session_id, format):
            return [self._convert(session_id, path, format, branch=branch, overwrite=overwrite)]
        if format != "jsonl" and path.is_dir():
            return self.native_tree(session_id, path, format, overwrite=overwrite)
        lines = self.jsonl(session_id) if format == "jsonl" else self.native(session_id, format)
        return [ExportedFile(str(path), session_id, write_file(path, lines, overwrite=overwrite))]

    # ---- another format ----------------------------------------------------------------------------------------------------------------

    def converted(self, session_id: str, format: str, losses: LossReport, *, branch: str = "") -> Iterator[bytes]:
        """Yield a session in a format that it did not come from.

        Args:
            session_id: The session.
            format: One of ``Formats.writer_names()``.
            losses: Gets what the format cannot hold; complete when the last piece was yielded.
            branch: The branch; empty is the active one.

        Raises:
            NotSupported: There is no writer of that name.
        """
        writer = self._formats.writer(format)
        conversation = conversation_of(self._store, self._key(session_id), owner=self._owner, branch=branch, losses=losses)
        return convert(writer, conversation, losses)

    def _convert(self, session_id: str, path: Path, format: str, *, branch: str, overwrite: bool) -> ExportedFile:
        losses = LossReport()
        if path.is_dir():
            path /= _safe(session_id.replace("/", "_") + self._formats.writer(format).suffix)
        size = write_file(path, self.converted(session_id, format, losses, branch=branch), overwrite=overwrite)
        return ExportedFile(str(path), session_id, size, losses.to_dict())

    def _has_lines_of(self, session_id: str, format: str) -> bool:
        """Whether the kept lines of a session are a file of that format."""
        native = self._store.get_session(self._key(session_id), owner=self._owner).info.native or {}
        name = ALIASES.get(format, format)
        return native.get("format") == name and not isinstance(self._formats.find(name), DocumentFormat)

    # ---- native ------------------------------------------------------------------------------------------------------------------------

    def native(self, session_id: str, format: str | None = None) -> Iterator[bytes]:
        """Yield the lines of the file that the session was imported from.

        Args:
            session_id: The session.
            format: The format wanted; None is the one it came from.

        Raises:
            NotSupported: It came from another format, from none, or out of a document.
        """
        self._native(session_id, format)
        return kept_lines(self._store, self._key(session_id), self._owner)

    def loss(self, session_id: str) -> Loss:
        """What ``native`` leaves out, in one read of the session."""
        key = self._key(session_id)
        added = 0
        for event in read_all(self._store, key, owner=self._owner, types=frozenset({"message"}), with_source=True):
            added += event.source is None and not event.redacted
        return Loss(redaction_count(self._store, key, self._owner), added)

    def native_tree(
        self,
        session_id: str,
        directory: Path,
        format: str | None = None,
        *,
        overwrite: bool = False,
        missing_only: bool = False,
    ) -> list[ExportedFile]:
        """Write the session's file, its subagents' files and their small companions, named as the tool names them.

        Args:
            session_id: The session.
            directory: Where to; created if need be.
            format: The format wanted; None is the one it came from.
            overwrite: Replace files that are there.
            missing_only: Leave files that are there as they are.

        Raises:
            NotSupported: The session came from another format.
            AlreadyExists: A file is there already (nothing was written over).
        """
        fmt, _ = self._native(session_id, format)
        written: list[ExportedFile] = []
        for key in family(self._store, self._tenant, session_id, owner=self._owner):
            info = self._store.get_session(key, owner=self._owner).info
            if (info.native or {}).get("format") != fmt.name:
                continue
            path = directory / _safe(_file_name(fmt, info))
            content: list[tuple[Path, Iterable[bytes]]] = [(path, kept_lines(self._store, key, self._owner))]
            content += [(path.parent / _safe(name), [text.encode()]) for name, text in self._companions(key).items()]
            for target, chunks in content:
                if not (missing_only and target.exists()):
                    written.append(ExportedFile(str(target), key.session_id, write_file(target, chunks, overwrite=overwrite)))
        return written

    def _native(self, session_id: str, format: str | None) -> tuple[Format, SessionInfo]:
        info = self._store.get_session(self._key(session_id), owner=self._owner).info
        came_from = (info.native or {}).get("format")
        name = str(came_from) if format is None and came_from else format or "claude-code"
        fmt = self._formats.find(name)
        choice = ", ".join([*OWN_WRITTEN, *self._formats.writer_names()])
        if fmt is None:
            raise NotSupported(f"there is no format {name!r} to write", hint=f"one of {choice}", format=name)
        wanted = fmt.name
        if came_from != wanted:
            what = f"was imported from {came_from}" if came_from else "was not imported from a tool's file"
            raise NotSupported(
                f"session {session_id!r} {what}: it cannot be written as {wanted}",
                hint=f"export it as {choice}",
                format=wanted,
            )
        if isinstance(fmt, DocumentFormat):
            raise NotSupported(
                f"session {session_id!r} came out of a document of {wanted}, which is read but not written",
                hint=f"export it as {choice}",
                format=wanted,
            )
        return fmt, info

    def _companions(self, key: SessionKey) -> dict[str, str]:
        files: dict[str, str] = {}
        for event in read_all(self._store, key, owner=self._owner, types=frozenset({"snapshot"})):
            data = event.data
            if isinstance(data, dict) and data.get("kind") == "companions" and event.meta.get("import"):
                files = {name: text for name, text in data.get("files", {}).items() if isinstance(text, str)}
        return files

    # ---- our own -----------------------------------------------------------------------------------------------------------------------

    def bundle(self, session_ids: Iterable[str], path: Path, *, with_children: bool = True) -> Manifest:
        """Write sessions, and their subagents' sessions, into one bundle file."""
        keys: dict[SessionKey, None] = {}
        for session_id in session_ids:
            found = family(self._store, self._tenant, session_id, owner=self._owner) if with_children else [self._key(session_id)]
            keys.update(dict.fromkeys(found))
        return write_bundle(self._store, keys, path, owner=self._owner)

    def jsonl(self, session_id: str) -> Iterator[bytes]:
        """Yield every event as one JSON line (``Event.to_dict``): readable, for other programs; without kept lines and digests."""
        for event in read_all(self._store, self._key(session_id), owner=self._owner):
            yield _encode(event.to_dict()) + b"\n"

    def _key(self, session_id: str) -> SessionKey:
        return SessionKey(self._tenant, session_id)


def _file_name(fmt: Format, info: SessionInfo) -> str:
    """The name that the file had where it carries the session's id, else the one that the tool would give it."""
    native = info.native or {}
    native_id = str(native.get("id") or info.id)
    name = fmt.export_name(native_id)
    had = PurePosixPath(str(native.get("path") or "")).name.removesuffix(SUFFIX)
    return had if "/" not in name and native_id in had else name


def _safe(name: str) -> Path:
    """A relative path inside the target folder; names come from files that others wrote."""
    path = PurePosixPath(name)
    if path.is_absolute() or not path.parts or ".." in path.parts or "\0" in name or "\\" in name:
        raise InvalidInput(f"{name!r} is no name for an exported file")
    return Path(*path.parts)


def write_file(path: Path, chunks: Iterable[bytes], *, overwrite: bool = False) -> int:
    """Write a file so that it appears when it is complete; return its size in bytes.

    Raises:
        AlreadyExists: It is there, and may not be replaced.
    """
    if path.exists() and not overwrite:
        raise AlreadyExists(f"{path} exists already", hint="name another folder, or allow replacing", path=str(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    size = 0
    try:
        with part.open("wb") as file:
            for chunk in chunks:
                size += file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink()
        raise
    return size


def read_jsonl(lines: Iterable[bytes], name: str = "jsonl") -> Iterator[NewEvent]:
    """Yield the events of JSON lines (``Exporter.jsonl``), ready to append to another session.

    Raises:
        FormatError: A line is no event; the message names ``name`` and the line.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            yield _new_event(msgspec.json.decode(line, type=_JsonlEvent))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise FormatError(f"{name}, line {number}: {error}", path=name, line=number) from error


class _JsonlEvent(msgspec.Struct, kw_only=True):
    type: str
    data: msgspec.Raw
    id: str | None = None
    version: int = 1
    branch: str = ""
    at: str | None = None
    run_id: str | None = None
    actor: str | None = None
    causation_id: str | None = None
    correlation_id: str | None = None
    message_id: str | None = None
    block_index: int | None = None
    parent_id: str | None = None
    visibility: str = "both"
    visible_to: tuple[str, ...] | None = None
    hidden_from: tuple[str, ...] | None = None
    token_count: int = 0
    usage: Usage = NO_USAGE
    meta: dict[str, object] | None = None


def _new_event(read: _JsonlEvent) -> NewEvent:
    from turnfold.formats.lines import parse_at

    fields = {name: getattr(read, name) for name in _JsonlEvent.__struct_fields__}
    fields["data"], fields["at"] = bytes(read.data), parse_at(read.at)
    if read.type == "message":
        fields["turn_count"] = int(decode_message(bytes(read.data)).role == "user" and read.visibility == "both")
    return NewEvent(**fields)
