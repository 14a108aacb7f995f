"""A keyring in a file: wrapped keys of sessions, and the master keys that wrap them (or only their ids, where a KMS has them).

Theory of operation. The file (0600, see ``codec.keyring``) grows by whole lines under an OS lock on a file beside it, each made durable before a
ciphertext under its key can be. Readers take no lock: they read on from where they were, up to the last newline, and everything anew when the
file was replaced. It is replaced, atomically, where something has to be gone: when keys are forgotten, and at the end of an eager rotation.
A process looks at the file at most every ``KEYRING_CHECK_S``, and whenever it misses a key.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from glob import escape
from pathlib import Path

import msgspec

from turnfold.codec.cipher import KEY_BYTES, kid_of
from turnfold.codec.keyring import VERSION, Line, context_of, encode_line, unwrap, wrap
from turnfold.errors import AlreadyExists, KeyUnavailable, PermissionDenied
from turnfold.ids import now_us
from turnfold.limits import KEYRING_CHECK_S, LOCK_WAIT_S_MAX
from turnfold.model.keys import SECRET_BYTES, DataKey, KeyInfo
from turnfold.model.session import SessionKey
from turnfold.ports.keyring import Kms, Progress, RenewableKms
from turnfold.stores._disk import as_turnfold_error, locked, sync_directory, write_all, write_atomically
from turnfold.stores.encrypted.lines import Lines

_INDEX_KID = "index"
_BATCH = 256


class FileKeyring:
    """A keyring in a file of this machine. Thread-safe; several processes may use it."""

    can_forget = True

    def __init__(self, path: str | Path, *, kms: Kms | None = None) -> None:
        """Bind an existing keyring file.

        Args:
            path: The file that ``create_file`` (``turnfold keys new``) made.
            kms: Where the master keys are; None: in the file.

        Raises:
            KeyUnavailable: There is no such file, or its master keys are elsewhere.
            PermissionDenied: Others may read it.
        """
        self._path = Path(path)
        self._kms = kms
        self._lock = threading.RLock()
        self._version = 1
        self._looked_at = 0.0
        self._lines = Lines(str(self._path))
        self._refresh()
        if (self._lines.masters_in is not None) != (kms is not None):
            held = self._lines.masters_in or "the file itself"
            raise KeyUnavailable(f"the master keys of the keyring {self._path} are in {held}", hint="open it with what holds them")

    @classmethod
    def create_file(cls, path: str | Path, *, kms: Kms | None = None, masters_in: str = "a KMS") -> FileKeyring:
        """Make a keyring file with a new master key, readable by this user alone.

        Args:
            path: A file that is not there.
            kms: Where the master keys are; None: in the file.
            masters_in: What ``kms`` is called in messages.

        Raises:
            AlreadyExists: There is one.
        """
        path = Path(path)
        now = now_us()
        secret = secrets.token_bytes(KEY_BYTES)
        if kms is None:
            master, key = _new_id(), secrets.token_bytes(KEY_BYTES)
            wrapped = wrap(key, secret, _index_context())
            head = [Line(turnfold_keyring=VERSION, at_us=now), Line(master=master, key=key, at_us=now)]
        else:
            master, wrapped = kms.key_id, kms.wrap(secret, _index_context())
            head = [Line(turnfold_keyring=VERSION, masters_in=masters_in, at_us=now), Line(master=master, at_us=now)]
        data = b"".join(encode_line(line) for line in (*head, Line(index=wrapped, born=master, at_us=now)))
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise AlreadyExists(f"there is a file {path} already", hint="turnfold keys ls shows what a keyring holds") from None
        except OSError as error:
            raise as_turnfold_error(error, path) from error
        try:
            write_all(fd, data)
            os.fsync(fd)
        finally:
            os.close(fd)
        sync_directory(path.absolute().parent)
        return cls(path, kms=kms)

    def __repr__(self) -> str:
        """Without keys."""
        return f"<{type(self).__name__} {self._path}>"

    def describe(self) -> str:
        """See ``ports.keyring``."""
        return str(self._path)

    # ---- the file --------------------------------------------------------------------------------------------------------------------
    def _refresh(self) -> None:
        """Read what was added, or everything if the file is another one now."""
        self._looked_at = time.monotonic()
        try:
            with self._path.open("rb") as file:
                status = os.fstat(file.fileno())
                if status.st_mode & 0o077:
                    hint = f"chmod 600 {self._path}"
                    raise PermissionDenied(f"the keyring {self._path} can be read or written by other users", hint=hint)
                if self._lines.read_on(file, status.st_ino, status.st_size):
                    self._version += 1
        except FileNotFoundError:
            hint = "turnfold keys new makes one; a lost keyring is only to be had from a backup"
            raise KeyUnavailable(f"there is no keyring {self._path}", hint=hint, path=str(self._path)) from None
        except OSError as error:
            raise as_turnfold_error(error, self._path) from error

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Hold the lock of the file, with everything read that others wrote."""
        path = self._path.with_name(self._path.name + ".lock")
        with self._lock:
            try:
                fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
                try:
                    with locked(fd, path, LOCK_WAIT_S_MAX):
                        self._refresh()
                        yield
                finally:
                    os.close(fd)
            except OSError as error:
                raise as_turnfold_error(error, self._path) from error

    def _append(self, lines: Iterable[Line]) -> None:
        """Add lines durably; called while writing."""
        fd = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_size != self._lines.through:  # the tail of somebody who was killed while writing it
                os.ftruncate(fd, self._lines.through)
            write_all(fd, b"".join(map(encode_line, lines)))
            os.fsync(fd)
        finally:
            os.close(fd)
        self._refresh()

    def _rewrite(self, lines: Iterable[Line]) -> None:
        """Replace the file durably; called while writing. What a killed process left beside it may hold keys that are to be gone."""
        for left in self._path.absolute().parent.glob(f"{escape(self._path.name)}.*.tmp"):
            left.unlink(missing_ok=True)
        write_atomically(self._path.absolute(), b"".join(map(encode_line, lines)))
        self._refresh()

    def version(self) -> int:
        """See ``ports.keyring``."""
        if time.monotonic() - self._looked_at > KEYRING_CHECK_S:
            with self._lock:
                self._refresh()
        return self._version

    # ---- wrapping --------------------------------------------------------------------------------------------------------------------
    def _master(self) -> str:
        return self._lines.current_master if self._kms is None else self._kms.key_id

    def _wrap(self, secret: bytes, context: bytes) -> tuple[str, bytes]:
        """Wrap under the current master key; return its id and the result."""
        master = self._master()
        if self._kms is not None:
            return master, self._kms.wrap(secret, context)
        return master, wrap(self._lines.masters[master], secret, context)

    def _unwrap(self, master: str, wrapped: bytes, context: bytes, what: str) -> bytes:
        if self._kms is not None:
            return self._kms.unwrap(master, wrapped, context)
        key = self._lines.masters.get(master)
        if key is None:
            raise KeyUnavailable(f"the master key {master} of {what} is not in the keyring {self._path}", kid=master)
        return unwrap(key, wrapped, context, what)

    def _opened(self, line: Line) -> DataKey:
        assert line.kid is not None
        assert line.wrapped is not None
        secret = self._unwrap(
            line.master or line.born or "", line.wrapped, _context(line), f"the key {line.kid} of the keyring {self._path}"
        )
        return DataKey(line.kid, secret)

    def _made(self, key: SessionKey, incarnation: str, stable: bytes) -> DataKey:
        """Make a data key and keep it; called while writing."""
        kid, secret = _new_id(), secrets.token_bytes(SECRET_BYTES - len(stable)) + stable
        line = Line(kid=kid, tenant=key.tenant, session=key.session_id, incarnation=incarnation, at_us=now_us())
        master, wrapped = self._wrap(secret, _context(line))
        self._append([msgspec.structs.replace(line, born=master, wrapped=wrapped)])
        return DataKey(kid, secret)

    # ---- keys of sessions ------------------------------------------------------------------------------------------------------------
    def create(self, key: SessionKey, incarnation: str) -> DataKey:
        """See ``ports.keyring``."""
        with self._writing():
            line = self._lines.newest(key, incarnation)
            return self._made(key, incarnation, b"") if line is None else self._opened(line)

    def current(self, key: SessionKey, incarnation: str, *, renew: bool = True) -> DataKey:
        """See ``ports.keyring``."""
        with self._lock:
            line = self._lines.newest(key, incarnation) or self._after_looking(lambda: self._lines.newest(key, incarnation))
            if line is None:
                raise self._missing(key, None)
            if not renew or line.born == self._master():
                return self._opened(line)
        with self._writing():  # the master key is a new one: so is this session's from now on
            line = self._lines.newest(key, incarnation)
            if line is None:
                raise self._missing(key, None)
            opened = self._opened(line)
            if line.born == self._master():
                return opened
            return self._made(key, incarnation, opened.secret[KEY_BYTES:])

    def find(self, key: SessionKey, kid: str) -> DataKey:
        """See ``ports.keyring``."""
        with self._lock:
            line = self._lines.keys.get(kid) or self._after_looking(lambda: self._lines.keys.get(kid))
            if line is None:
                raise self._missing(key, kid)
            return self._opened(line)

    def _after_looking(self, ask: Callable[[], Line | None]) -> Line | None:
        """Ask again after a look at the file."""
        self._refresh()
        return ask()

    def _missing(self, key: SessionKey, kid: str | None) -> KeyUnavailable:
        name = "" if kid is None else f" {kid}"
        if key in self._lines.forgotten:
            message = f"the key{name} of session {key.session_id!r} was forgotten: what it holds cannot be read any more"
            return KeyUnavailable(message, hint="turnfold delete removes what is left of it", kid=kid, session_id=key.session_id)
        message = f"the key{name} of session {key.session_id!r} is not in the keyring {self._path}"
        return KeyUnavailable(message, kid=kid, session_id=key.session_id)

    def has(self, key: SessionKey, incarnation: str) -> bool:
        """See ``ports.keyring``."""
        with self._lock:
            return (self._lines.newest(key, incarnation) or self._after_looking(lambda: self._lines.newest(key, incarnation))) is not None

    def forgotten(self, key: SessionKey) -> bool:
        """See ``ports.keyring``."""
        return key in self._lines.forgotten

    def discard(self, key: SessionKey, incarnation: str) -> None:
        """See ``ports.keyring``. They are dropped by a line: they sealed nothing, and the file is written anew only for what did."""
        with self._writing():
            kids = [line.kid for line in self._lines.of(key, incarnation)]
            if kids:
                self._append(Line(drop=kid) for kid in kids)

    def forget(self, key: SessionKey, *, incarnation: str | None = None, remember: bool = True) -> int:
        """See ``ports.keyring``. The file is written anew without the keys."""
        with self._writing():
            gone = {line.kid for line in self._lines.of(key, incarnation)}
            if not gone and (remember or key not in self._lines.forgotten):
                return 0
            kept = [line for line in self._lines.all() if line.kid not in gone or line.kid is None]
            if remember:
                note = Line(forgotten=tuple(sorted(str(kid) for kid in gone)), tenant=key.tenant, session=key.session_id, at_us=now_us())
                kept.append(note)
            else:
                kept = [line for line in kept if line.forgotten is None or (line.tenant, line.session) != key]
            self._rewrite(kept)
        return len(gone)

    def index_secret(self) -> bytes:
        """See ``ports.keyring``."""
        with self._lock:
            if self._lines.index is None:  # closed and used again
                self._refresh()
            line = self._lines.index
            assert line is not None
            assert line.index is not None
            return self._unwrap(line.master or line.born or "", line.index, _index_context(), f"the index key of the keyring {self._path}")

    # ---- master keys -----------------------------------------------------------------------------------------------------------------
    def rotate(self, *, eager: bool = False, progress: Progress | None = None) -> KeyInfo:
        """See ``ports.keyring``. With a KMS the new master key is the one that it names now."""
        with self._writing():
            if not (eager and self._lines.rotating is not None):
                self._append([*self._new_master(), *([Line(rotating=self._master())] if eager else [])])
        if eager:
            self._wrap_all(progress or _no_progress)
        return self.list_keys()[0]

    def _new_master(self) -> list[Line]:
        """Make a master key where that is ours to do; return the lines that tell of it."""
        if self._kms is None:
            return [Line(master=_new_id(), key=secrets.token_bytes(KEY_BYTES), at_us=now_us())]
        if isinstance(self._kms, RenewableKms):
            self._kms.renew()
        master = self._kms.key_id
        return [] if master in self._lines.master_at else [Line(master=master, at_us=now_us())]

    def _wrap_all(self, progress: Progress) -> None:
        """Wrap every kept key under the current master key in steps that others may come between, then destroy the older masters."""
        done = 0
        while True:
            with self._writing():
                master = self._master()
                old = [line for line in self._lines.keys.values() if (line.master or line.born) != master]
                progress(done, done + len(old))
                if len(old) <= _BATCH:
                    self._append(self._wrapped_anew(line) for line in old)
                    self._append([self._index_anew()])
                    self._rewrite(
                        line for line in self._lines.all() if line.rotating is None and (line.key is None or line.master == master)
                    )
                    break
                self._append(self._wrapped_anew(line) for line in old[:_BATCH])
                done += _BATCH
        progress(done + len(old), done + len(old))

    def _wrapped_anew(self, line: Line) -> Line:
        master, wrapped = self._wrap(self._opened(line).secret, _context(line))
        return msgspec.structs.replace(line, master=master, wrapped=wrapped)

    def _index_anew(self) -> Line:
        line = self._lines.index
        assert line is not None
        master, wrapped = self._wrap(self.index_secret(), _index_context())
        return msgspec.structs.replace(line, master=master, index=wrapped)

    def list_keys(self) -> list[KeyInfo]:
        """See ``ports.keyring``."""
        with self._lock:
            self._refresh()
            master = self._master()
            out = [KeyInfo(kid=master, kind="master", state="current", created_at_us=self._lines.master_at.get(master, 0))]
            out += [
                KeyInfo(kid=kid, kind="master", state="kept", created_at_us=at)
                for kid, at in self._lines.master_at.items()
                if kid != master and (kid in self._lines.masters or self._kms is not None)
            ]
            return out + self._lines.infos()

    def close(self) -> None:
        """See ``ports.keyring``."""
        with self._lock:
            self._lines = Lines(str(self._path), masters_in=self._lines.masters_in)
            self._looked_at = 0.0


def _new_id() -> str:
    return kid_of(secrets.token_bytes(KEY_BYTES))


def _index_context() -> bytes:
    return context_of("", "", "", _INDEX_KID)


def _context(line: Line) -> bytes:
    assert line.kid is not None
    return context_of(line.tenant or "", line.session or "", line.incarnation or "", line.kid)


def _is_other_master(line: Line, master: str) -> bool:
    """Whether a line is that of a master key which nothing is wrapped by any more."""
    return line.master is not None and line.kid is None and line.index is None and line.master != master


def _no_progress(_done: int, _total: int) -> None:
    """Tell nobody."""
