"""Puts a session where another tool goes on with it, and says how.

A session that came from the same tool and is as it came is put back as it was, byte for byte. Any other (one of another tool, one that was
written to, forked or redacted here, one in a form that today's tool refuses) is converted, under an id that follows from its content: a
session that has gone on gets another file. A file that is there is never written over. If it begins with what would be written, it is that
file, and perhaps the tool has gone on in it; that is then what to continue.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from typing import Any, BinaryIO, Literal, NamedTuple

import msgspec

from turnfold.codec.zstd import unpack
from turnfold.core.conversation import ENTRY_TYPES
from turnfold.engine.converting import conversation_of, convert
from turnfold.engine.exporter import Exporter, write_file
from turnfold.engine.importing.continued import RESUMED, links_of
from turnfold.engine.importing.kept import kept_lines, redaction_count
from turnfold.engine.reading import read_all
from turnfold.errors import AlreadyExists, InvalidInput, NotSupported
from turnfold.formats.carrying.options import WriteOptions, began_us, folder_of, origin_of
from turnfold.formats.carrying.places import ALIASES, TOOLS, Place, Tool, command_line
from turnfold.formats.claude_code.writer import ClaudeCodeWriter
from turnfold.formats.codex.writer import CodexWriter
from turnfold.formats.loss import FILE_SNAPSHOTS, HOOK_RECORDS, TOOL_RECORDS, LossReport
from turnfold.model.event import Event, NewEvent
from turnfold.model.session import SessionInfo, SessionKey
from turnfold.ports.store import Store

COPIES_MAX = 100
"""Files of one and the same conversation that are tried before giving up."""
_WRITERS: dict[str, type[ClaudeCodeWriter | CodexWriter]] = {"claude": ClaudeCodeWriter, "codex": CodexWriter}
_TOUCHES = ENTRY_TYPES | {"retract", "rollback", "branch.switched"}
_BESIDE = {"hook": HOOK_RECORDS, "snapshot": FILE_SNAPSHOTS, "tool.progress": TOOL_RECORDS}
_imported_id = re.compile(r"i\d+\.\d+\.")

Outcome = Literal["written", "there", "planned"]


class Resumption(msgspec.Struct, frozen=True, kw_only=True):
    """A session in another tool's place.

    Attributes:
        session_id: The session here.
        tool: ``claude`` or ``codex``.
        native_id: The tool's id of it.
        path: Its file.
        cwd: The folder to start the tool in.
        arguments: The command that goes on with it, to be run in ``cwd`` with ``variables`` in the environment.
        command: All of that as a line for a shell.
        outcome: ``written``; ``there`` where the file was there already; ``planned`` in a dry run.
        is_native: It is the tool's own file as it was, not a conversion.
        grown_byte_count: How much the tool has added to the file since; importing it brings that in.
        byte_count: Of what was (or would be) written.
        losses: What the tool's format cannot hold, by kind (``LossReport.to_dict``).
        linked: Whether the session says where it went on; a session that takes no more events does not.
    """

    session_id: str
    tool: str
    native_id: str
    path: str
    cwd: str
    arguments: list[str]
    command: str
    variables: dict[str, str] = {}
    outcome: Outcome = "written"
    is_native: bool = False
    grown_byte_count: int = 0
    byte_count: int = 0
    losses: dict[str, Any] = {}
    linked: bool = False


class ResumeRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to resume, where and how; see ``AsyncClient.resume_with``."""

    tool: str
    branch: str = ""
    home: Path | None = None
    cwd: Path | None = None
    reasoning: Literal["drop", "note"] = "drop"
    force: bool = False
    dry_run: bool = False


class Resumed(NamedTuple):
    """What was done, and the event that tells the session of it (None where it is told already)."""

    resumption: Resumption
    link: NewEvent | None


def resume(store: Store, key: SessionKey, request: ResumeRequest, *, owner: str | None = None) -> Resumed:
    """Write the session for the tool, unless it is there.

    Raises:
        SessionNotFound: There is no such session in this scope.
        NotSupported: There is no such tool.
        InvalidInput: The session's folder is not on this machine.
        AlreadyExists: The tool's own file of that session is there and holds something else.
    """
    tool = TOOLS.get(ALIASES.get(request.tool, request.tool))
    if tool is None:
        raise NotSupported(f"there is no tool {request.tool!r} to resume with", hint=f"one of {', '.join(TOOLS)}", tool=request.tool)
    return _Resuming(store, key, owner, tool, request).run()


class _Resuming:
    """One session on its way."""

    def __init__(self, store: Store, key: SessionKey, owner: str | None, tool: Tool, request: ResumeRequest) -> None:
        self._store = store
        self._key = key
        self._owner = owner
        self._tool = tool
        self._request = request
        self._losses = LossReport()
        self._conversation = conversation_of(store, key, owner=owner, branch=request.branch, losses=self._losses)
        self._home = request.home or tool.home(Path.home(), os.environ)
        self._cwd = self._folder()

    def run(self) -> Resumed:
        info = self._conversation.info
        if self._is_untouched(info):
            if not self._request.force:
                return self._put_back(info)
            there = next(self._tool.found(self._home, str((info.native or {}).get("id"))), None)
            if there is None:
                return self._put_back(info)
        return self._convert()

    def _folder(self) -> Path:
        chosen = self._request.cwd
        known = folder_of(self._conversation, WriteOptions())
        folder = chosen if chosen is not None else Path(known) if known else Path.cwd()
        if not folder.is_dir() and not (self._request.dry_run and chosen is None):
            hint = "name the folder to go on in (--cwd)" if chosen is None else "name a folder that is there"
            raise InvalidInput(f"the session's folder {folder} is not on this machine", hint=hint, path=str(folder))
        return folder.absolute()

    # ---- as it was ---------------------------------------------------------------------------------------------------------------------

    def _is_untouched(self, info: SessionInfo) -> bool:
        """Whether the tool's own file can be put back: nothing was changed here, and today's tool reads it."""
        native = info.native or {}
        if native.get("format") != self._tool.format or (info.parent or {}).get("relation") == "subagent":
            return False
        if self._request.branch not in {"", info.active_branch}:
            return False
        return is_as_it_came(self._store, self._key, self._owner) and not self._is_bare()

    def _is_bare(self) -> bool:
        """Whether it is a rollout of old, whose lines have no wrapper: Codex refuses those since 0.3x."""
        first = next(kept_lines(self._store, self._key, self._owner), b"")
        return self._tool.name == "codex" and b'"payload"' not in first

    def _put_back(self, info: SessionInfo) -> Resumed:
        native = info.native or {}
        native_id, had = str(native.get("id")), PurePosixPath(str(native.get("path") or "")).name.removesuffix(".zst")
        path = self._tool.path(self._home, Place(native_id, self._cwd, began_us(self._conversation), had))
        if not path.exists() and self._request.cwd is None:
            path = next(self._tool.found(self._home, native_id), path)
        if not path.exists():
            size = sum(map(len, kept_lines(self._store, self._key, self._owner)))
            if not self._request.dry_run:
                self._write_native(path)
            return self._done(native_id, path, size, is_native=True)
        size, grown = self._compare(path)
        return self._done(native_id, path, size, is_native=True, grown=grown)

    def _write_native(self, path: Path) -> None:
        write_file(path, kept_lines(self._store, self._key, self._owner))
        if self._tool.name == "claude":  # its subagents' files go with it
            exporter = Exporter(self._store, self._key.tenant, self._owner)
            exporter.native_tree(self._key.session_id, path.parent, self._tool.format, missing_only=True)

    def _compare(self, path: Path) -> tuple[int, int]:
        """Return the size of the session's lines and what the file there has more than them."""
        size = 0
        with _content(path) as file:
            for line in kept_lines(self._store, self._key, self._owner):
                if file.read(len(line)) != line:
                    hint = "import it first, or let a copy be written under another id (--force)"
                    raise AlreadyExists(f"{path} holds something else than this session", hint=hint, path=str(path))
                size += len(line)
            return size, file.seek(0, os.SEEK_END) - size

    # ---- converted ---------------------------------------------------------------------------------------------------------------------

    def _convert(self) -> Resumed:
        conversation = self._conversation
        cwd = str(self._cwd) if self._request.cwd is not None or not folder_of(conversation, WriteOptions()) else None
        same = (conversation.info.native or {}).get("format") == self._tool.format
        for copy in range(COPIES_MAX):
            options = WriteOptions(reasoning=self._request.reasoning, origin_note=not same, cwd=cwd)
            native_id = _WRITERS[self._tool.name](options).native_id(conversation, copy)
            writer = _WRITERS[self._tool.name](msgspec.structs.replace(options, native_id=native_id))
            losses = LossReport()
            content = b"".join(convert(writer, conversation, losses))
            wanted = self._tool.path(self._home, Place(native_id, self._cwd, began_us(conversation)))
            path = wanted if self._tool.name == "claude" else next(self._tool.found(self._home, native_id), wanted)
            grown = _grown(path, content)
            if grown is None:
                if not self._request.dry_run:
                    write_file(path, [content])
                return self._done(native_id, path, len(content), content=content, losses=losses)
            if grown >= 0 and not self._request.force:
                return self._done(native_id, path, len(content), content=content, losses=losses, grown=grown, there=True)
        raise AlreadyExists(f"{COPIES_MAX} files of this conversation are there already", hint=f"look into {self._home}")

    # ---- the answer --------------------------------------------------------------------------------------------------------------------

    def _done(
        self,
        native_id: str,
        path: Path,
        size: int,
        *,
        content: bytes | None = None,
        losses: LossReport | None = None,
        is_native: bool = False,
        grown: int = -1,
        there: bool = False,
    ) -> Resumed:
        there = there or grown >= 0
        arguments = self._tool.arguments(native_id)
        variables = {} if self._request.home is None else {self._tool.home_variable: str(self._request.home.absolute())}
        outcome: Outcome = "there" if there else "planned" if self._request.dry_run else "written"
        resumption = Resumption(
            session_id=self._key.session_id,
            tool=self._tool.name,
            native_id=native_id,
            path=str(path),
            cwd=str(self._cwd),
            arguments=arguments,
            command=command_line(arguments, str(self._cwd), variables),
            variables=variables,
            outcome=outcome,
            is_native=is_native,
            grown_byte_count=max(grown, 0),
            byte_count=size,
            losses={} if losses is None else {**self._losses.to_dict(), **losses.to_dict(), **self._left_out()},
        )
        link = None if self._request.dry_run or content is None else self._link(resumption, content)
        return Resumed(resumption, link)

    def _left_out(self) -> dict[str, Any]:
        """What the session has besides its conversation, and no other tool's session holds."""
        found = LossReport()
        for event in read_all(self._store, self._key, owner=self._owner, types=frozenset(_BESIDE), branch=self._conversation.branch):
            if not event.meta.get("import"):
                found.add(_BESIDE[event.type], event.seq)
        return found.to_dict()

    def _link(self, resumption: Resumption, content: bytes) -> NewEvent | None:
        """The event that says where the session went on, by which an import tells what of that file is new."""
        data = {
            "kind": RESUMED,
            "tool": resumption.tool,
            "native_id": resumption.native_id,
            "path": resumption.path,
            "byte_count": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
            **{name: value for name, value in origin_of(self._conversation).items() if name != "session_id"},
        }
        events = read_all(self._store, self._key, owner=self._owner, types=frozenset({"link"}))
        known = any(found.get("native_id") == resumption.native_id and found.get("path") == resumption.path for found in links_of(events))
        return None if known else NewEvent(type="link", data=data, visibility="ui")


def is_as_it_came(store: Store, key: SessionKey, owner: str | None) -> bool:
    """Whether an imported session's lines say all of its conversation: nothing was redacted, and nothing added here."""
    if redaction_count(store, key, owner):
        return False
    return not any(_is_ours(event) for event in read_all(store, key, owner=owner, types=_TOUCHES, with_source=True))


def _is_ours(event: Event) -> bool:
    """Whether an event is none of the file's: it keeps no line, and no import or reader made it."""
    return event.source is None and not _imported_id.match(event.id)


def _grown(path: Path, content: bytes) -> int | None:
    """How many bytes a file has more than its first ones, which are these; -1 where it is another file, None where it is not there."""
    if not path.exists():
        return None
    with _content(path) as file:
        begins = file.read(len(content)) == content
        return file.seek(0, os.SEEK_END) - len(content) if begins else -1


@contextmanager
def _content(path: Path) -> Iterator[BinaryIO]:
    """Open a tool's file; one that Codex has compressed is unpacked on the side."""
    if path.suffix != ".zst":
        with path.open("rb") as file:
            yield file
        return
    with path.open("rb") as packed, TemporaryFile() as plain:
        for piece in unpack(packed):
            plain.write(piece)
        plain.seek(0)
        yield plain
