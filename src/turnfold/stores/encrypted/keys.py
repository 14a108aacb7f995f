"""The ciphers of the sessions that an encrypted store works on: bounded, forgotten on close, and looked up anew when the keyring changed."""

from __future__ import annotations

import threading
from typing import NamedTuple

from turnfold.codec.cipher import Index, SessionCipher, kid_in
from turnfold.core.checks import creation_of, not_found
from turnfold.errors import IntegrityError, StoreClosed
from turnfold.ids import check_session_id
from turnfold.limits import KEY_CACHE_SESSIONS_MAX
from turnfold.model.commit import Commit
from turnfold.model.query import EventQuery
from turnfold.model.session import SessionKey
from turnfold.ports.keyring import Keyring
from turnfold.ports.store import Store


class Held(NamedTuple):
    """A session as it is held: which creation it is, and its cipher. ``creates``: it is not there yet."""

    incarnation: str
    cipher: SessionCipher
    creates: bool = False


class Keys:
    """Finds ciphers for writing (by what lives in the store) and for reading (by the id in a ciphertext)."""

    def __init__(self, store: Store, keyring: Keyring) -> None:
        """Bind the inner store and the keyring."""
        self._store = store
        self._keyring = keyring
        self._lock = threading.Lock()
        self._held: dict[SessionKey, Held] = {}
        self._openers: dict[tuple[SessionKey, str], SessionCipher] = {}
        self._version = keyring.version()
        self._index: Index | None = None
        self._closed = False

    def __repr__(self) -> str:
        """Without keys."""
        return f"Keys({self._keyring.describe()!r})"

    def _check(self) -> None:
        """Let go of everything when the keyring changed; refuse after the close."""
        if self._closed:
            raise StoreClosed(f"the store {self._store.url} is closed")
        version = self._keyring.version()
        if version != self._version:
            with self._lock:
                self._held, self._openers, self._version = {}, {}, version

    def index(self) -> Index:
        """What makes tokens of tags and terms."""
        self._check()
        if self._index is None:
            self._index = Index(self._keyring.index_secret())
        return self._index

    # ---- to write --------------------------------------------------------------------------------------------------------------------
    def writer(self, commit: Commit) -> Held:
        """Return the cipher that a commit's content is sealed with; a new session gets its key here, before it is written.

        Raises:
            SessionNotFound: It is not there and the commit does not create it, or another creation lives.
            KeyUnavailable: Its key was forgotten, or is of another keyring.
        """
        self._check()
        held = self._held.get(commit.key)
        if held is None or (commit.incarnation is not None and commit.incarnation != held.incarnation):
            held = self._look_up(commit)
        return held

    def _look_up(self, commit: Commit) -> Held:
        key = commit.key
        if commit.genesis is not None:
            check_session_id(key.session_id)
        found = self._store.last_seqs([key]).get(key)
        if found is None:
            genesis = creation_of(commit)
            data_key = self._keyring.create(key, genesis.incarnation)
            return Held(genesis.incarnation, SessionCipher(key, data_key, self._keyring.find), creates=True)
        incarnation = found[0]
        if commit.incarnation not in {None, incarnation}:
            raise not_found(key.session_id)
        if not self._keyring.can_forget:
            self._confirm(key)
        return self._hold(key, incarnation)

    def _confirm(self, key: SessionKey) -> None:
        """See that the last event was sealed under a key of the keyring: one that derives keys would give one for any session."""
        for event in self._store.read_events(EventQuery(key=key, descending=True, limit=1)).events:
            kid = kid_in(event.data_raw)
            if kid is None:
                raise IntegrityError(f"session {key.session_id!r} is not encrypted", hint="copy it into an encrypted store")
            self._keyring.find(key, kid)

    def _hold(self, key: SessionKey, incarnation: str) -> Held:
        cipher = SessionCipher(key, self._keyring.current(key, incarnation), self._keyring.find)
        held = Held(incarnation, cipher)
        with self._lock:
            if len(self._held) >= KEY_CACHE_SESSIONS_MAX:
                del self._held[next(iter(self._held))]
            self._held[key] = held
        return held

    def settle(self, key: SessionKey, held: Held) -> None:
        """Note that a session was created."""
        with self._lock:
            if len(self._held) >= KEY_CACHE_SESSIONS_MAX:
                del self._held[next(iter(self._held))]
            self._held[key] = Held(held.incarnation, held.cipher)

    def stale(self, commit: Commit, held: Held) -> bool:
        """Whether a refused commit was sealed for another creation than the one that lives now; forget what was wrong."""
        found = self._store.last_seqs([commit.key]).get(commit.key)
        living = None if found is None else found[0]
        if held.creates:
            if living != held.incarnation:
                self._keyring.discard(commit.key, held.incarnation)
            return living is not None and living != held.incarnation
        if living == held.incarnation:
            return False
        with self._lock:
            self._held.pop(commit.key, None)
        return True

    # ---- to read ---------------------------------------------------------------------------------------------------------------------
    def opener(self, key: SessionKey, kid: str) -> SessionCipher:
        """Return a cipher that opens what was sealed under that key id.

        Raises:
            KeyUnavailable: It is not in the keyring.
        """
        self._check()
        held = self._held.get(key)
        if held is not None and held.cipher.has(kid):
            return held.cipher
        cipher = self._openers.get((key, kid))
        if cipher is None:
            cipher = SessionCipher(key, self._keyring.find(key, kid), self._keyring.find)
            with self._lock:
                if len(self._openers) >= KEY_CACHE_SESSIONS_MAX:
                    del self._openers[next(iter(self._openers))]
                self._openers[key, kid] = cipher
        return cipher

    def reader(self, key: SessionKey, incarnation: str) -> SessionCipher:
        """Return a cipher of a living session, whatever its ciphertexts: for names, which stay the same under all its keys."""
        self._check()
        held = self._held.get(key)
        if held is not None and held.incarnation == incarnation:
            return held.cipher
        return SessionCipher(key, self._keyring.current(key, incarnation, renew=False), self._keyring.find)

    # ---- to let go -------------------------------------------------------------------------------------------------------------------
    def drop(self, key: SessionKey) -> None:
        """Forget what is held of a session."""
        with self._lock:
            self._held.pop(key, None)
            self._openers = {place: cipher for place, cipher in self._openers.items() if place[0] != key}

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._closed = True
            self._held, self._openers, self._index = {}, {}, None
