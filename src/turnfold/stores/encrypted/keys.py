"""The ciphers of the sessions that an encrypted store works on: bounded, forgotten on close, and looked up anew when the keyring changed."""

from __future__ import annotations

import threading
from typing import NamedTuple

from turnfold.codec.cipher import Index, SessionCipher, kid_in
from turnfold.core.checks import creation_of, not_found
from turnfold.errors import IntegrityError, KeyUnavailable, StoreClosed, TurnfoldError
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
        self._creating: dict[tuple[SessionKey, str], int] = {}
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

    def known(self, commit: Commit) -> Held | None:
        """Return the same where it is at hand, None where it has to be looked for."""
        held = self._held.get(commit.key)
        if held is None or self._keyring.version() != self._version:
            return None
        incarnation = commit.incarnation
        return held if incarnation is None or incarnation == held.incarnation else None

    def _look_up(self, commit: Commit) -> Held:
        key = commit.key
        if commit.genesis is not None:
            check_session_id(key.session_id)
        if commit.incarnation is not None:  # the store itself will see whether that one lives
            try:
                return self._hold(key, commit.incarnation)
            except KeyUnavailable:
                found = self._store.last_seqs([key]).get(key)
                if found is None or found[0] != commit.incarnation:
                    raise not_found(key.session_id) from None
                raise
        found = self._store.last_seqs([key]).get(key)
        if found is not None:
            return self._hold(key, found[0])
        incarnation = creation_of(commit).incarnation
        place = key, incarnation
        with self._lock:
            data_key = self._keyring.create(key, incarnation)
            self._creating[place] = self._creating.get(place, 0) + 1
        return Held(incarnation, SessionCipher(key, data_key, self._keyring.find), creates=True)

    def _confirm(self, key: SessionKey) -> None:
        """See that the last event was sealed under a key of the keyring: one that derives keys would give one for any session."""
        for event in self._store.read_events(EventQuery(key=key, descending=True, limit=1)).events:  # SessionNotFound where there is none
            kid = kid_in(event.data_raw)
            if kid is None:
                raise IntegrityError(f"session {key.session_id!r} is not encrypted", hint="copy it into an encrypted store")
            self._keyring.find(key, kid)

    def _hold(self, key: SessionKey, incarnation: str) -> Held:
        if not self._keyring.can_forget:
            self._confirm(key)
        cipher = SessionCipher(key, self._keyring.current(key, incarnation), self._keyring.find)
        return self._keep(key, Held(incarnation, cipher))

    def _keep(self, key: SessionKey, held: Held) -> Held:
        with self._lock:
            if len(self._held) >= KEY_CACHE_SESSIONS_MAX:
                del self._held[next(iter(self._held))]
            self._held[key] = held
        return held

    def created(self, key: SessionKey, held: Held, incarnation: str | None) -> None:
        """Note that a commit which was to create a session was written.

        Args:
            key: Which session.
            held: What it was sealed with.
            incarnation: Where it went; None where that was not said. Another one than was meant had the same events already.
        """
        joined = incarnation not in {None, held.incarnation}
        self._release(key, held, refused=joined)
        if not joined:
            self._keep(key, Held(held.incarnation, held.cipher))

    def refused(self, commit: Commit, held: Held, error: BaseException) -> bool:
        """Take back what was assumed for a commit that failed; whether another attempt may do better.

        Args:
            commit: As the caller gave it.
            held: What it was sealed with.
            error: What the inner store raised. Only a refusal says that nothing was written: after anything else the key of a new session
                stays, for the commit may yet be found to have landed.
        """
        decided = isinstance(error, TurnfoldError) and error.fault == "caller"
        living = self._living(commit.key) if decided else None
        if held.creates:
            self._release(commit.key, held, refused=decided)
            return living is not None
        if not decided or living == held.incarnation:
            return False
        with self._lock:
            self._held.pop(commit.key, None)
        return commit.incarnation is None  # else the caller means one that is gone

    def _release(self, key: SessionKey, held: Held, *, refused: bool) -> None:
        """Let go of the key of a session that was to be created: where nobody else is at it and it was not, the key is dropped."""
        place = key, held.incarnation
        with self._lock:
            count = self._creating.pop(place) - 1
            if count:
                self._creating[place] = count
            elif refused and self._living(key) != held.incarnation:
                self._keyring.discard(key, held.incarnation)

    def _living(self, key: SessionKey) -> str | None:
        found = self._store.last_seqs([key]).get(key)
        return None if found is None else found[0]

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

    def reader_of(self, key: SessionKey) -> SessionCipher:
        """Return such a cipher of whichever creation lives; SessionNotFound where none does."""
        found = self._store.last_seqs([key]).get(key)
        if found is None:
            raise not_found(key.session_id)
        return self.reader(key, found[0])

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
