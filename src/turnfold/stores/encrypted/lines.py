"""The lines of a keyring file as they are known now. No locking here; the keyring holds its lock."""

from __future__ import annotations

from typing import BinaryIO

from turnfold.codec.keyring import VERSION, Line, decode_line
from turnfold.errors import IntegrityError, SchemaTooNew
from turnfold.model.keys import KeyInfo
from turnfold.model.session import SessionKey


class Lines:
    """What was read so far."""

    def __init__(self, where: str, *, masters_in: str | None = None) -> None:
        """Begin with nothing read."""
        self._where = where
        self._clear(masters_in)

    def __repr__(self) -> str:
        """Without keys."""
        return f"Lines({self._where!r})"

    def _clear(self, masters_in: str | None = None) -> None:
        self.through = 0
        self._inode = 0
        self._count = 0
        self.masters_in = masters_in
        self.masters: dict[str, bytes] = {}
        self.master_at: dict[str, int] = {}
        self.current_master = ""
        self.index: Line | None = None
        self.keys: dict[str, Line] = {}
        self._of: dict[SessionKey, list[str]] = {}
        self.forgotten: dict[SessionKey, Line] = {}
        self.rotating: str | None = None
        self._header: Line | None = None

    def read_on(self, file: BinaryIO, inode: int, size: int) -> bool:
        """Read what is new, everything if the file is another one; whether keys were renewed or taken away."""
        changed = False
        if inode != self._inode or size < self.through:
            changed = self._inode != 0
            self._clear()
            self._inode = inode
        if size > self.through:
            file.seek(self.through)
            data = file.read(size - self.through)
            end = data.rfind(b"\n") + 1
            for raw in data[:end].splitlines():
                self._count += 1
                changed = self._take(decode_line(raw, self._count, self._where)) or changed
            self.through += end
        if self.index is None or not self.master_at:
            raise IntegrityError(f"{self._where} is no whole keyring", hint="turnfold keys new makes one")
        return changed

    def _take(self, line: Line) -> bool:
        """Take in one line; whether it renews or takes away what was known."""
        if self._count == 1:
            return self._take_header(line)
        if line.kid is not None:
            if line.kid not in self.keys:
                self._of.setdefault(_owner(line), []).append(line.kid)
            self.keys[line.kid] = line
            return False
        if line.drop is not None:
            gone = self.keys.pop(line.drop, None)
            if gone is not None:
                self._of[_owner(gone)].remove(line.drop)
        elif line.forgotten is not None:
            self.forgotten[_owner(line)] = line
        elif line.index is not None:
            self.index = line
            return False
        elif line.rotating is not None:
            self.rotating = line.rotating
        elif line.master is not None:
            self.master_at[line.master] = line.at_us
            if line.key is not None:
                self.masters[line.master] = line.key
                self.current_master = line.master
        return True

    def _take_header(self, line: Line) -> bool:
        if line.turnfold_keyring is None:
            raise IntegrityError(f"{self._where} is no keyring", hint="turnfold keys new makes one")
        if line.turnfold_keyring > VERSION:
            raise SchemaTooNew(f"the keyring {self._where} has version {line.turnfold_keyring}, this Turnfold reads up to {VERSION}")
        self._header, self.masters_in = line, line.masters_in
        return False

    def of(self, key: SessionKey, incarnation: str | None) -> list[Line]:
        """The keys of a session, oldest first, of one creation or of all."""
        lines = [self.keys[kid] for kid in self._of.get(key, ())]
        return [line for line in lines if incarnation is None or line.incarnation == incarnation]

    def newest(self, key: SessionKey, incarnation: str) -> Line | None:
        """The key that new content is sealed with."""
        lines = self.of(key, incarnation)
        return lines[-1] if lines else None

    def all(self) -> list[Line]:
        """What a file written anew holds."""
        assert self._header is not None
        assert self.index is not None
        masters = [Line(master=kid, key=self.masters.get(kid), at_us=at) for kid, at in self.master_at.items()]
        rotating = [] if self.rotating is None else [Line(rotating=self.rotating)]
        return [self._header, *masters, *rotating, self.index, *self.keys.values(), *self.forgotten.values()]

    def infos(self) -> list[KeyInfo]:
        """What is known of sessions' keys, without key material."""
        out = []
        for kids in self._of.values():
            for kid in kids:
                line = self.keys[kid]
                newest = self.newest(_owner(line), line.incarnation or "")
                out.append(_info(line, kid, "current" if newest is line else "kept"))
        for line in self.forgotten.values():
            out += [_info(line, kid, "forgotten") for kid in line.forgotten or ()]
        return out


def _owner(line: Line) -> SessionKey:
    return SessionKey(line.tenant or "", line.session or "")


def _info(line: Line, kid: str, state: str) -> KeyInfo:
    return KeyInfo(
        kid=kid,
        kind="session",
        state=state,
        tenant=line.tenant,
        session_id=line.session,
        incarnation=line.incarnation,
        master=line.master or line.born,
        created_at_us=line.at_us,
    )
