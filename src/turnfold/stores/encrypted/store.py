"""The encrypted store: what a session says is sealed before the inner store gets it, whatever store that is.

Theory of operation. The wrapper works through the port alone. Payloads, kept lines, meta, values and names of head entries, runs' bodies and parts
are sealed under the session's data key (``codec.cipher``); what the stores check, count, sort and filter by stays clear (``sealing`` has the
list). Events are opened, and so authenticated, when a page is read: all of them, or the page fails.

Which key a commit needs depends on which creation of the session lives, and that is not known before the commit is made. So the wrapper assumes
what it knows and lets the inner store check it in the same commit: a known session is named by its incarnation, one that is not there
is created with ``expected_seq=0``. Where the assumption was wrong the inner store refuses, nothing was written, and the commit is sealed anew.
A new session's key is made, durably, before its first commit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from turnfold.codec.cipher import SessionCipher, kid_in, kid_in_bytes
from turnfold.errors import IntegrityError, InvalidInput, KeyUnavailable, NotSupported, StoreClosed, TurnfoldError
from turnfold.limits import COMPACT_SESSIONS
from turnfold.model.commit import Commit, Committed
from turnfold.model.event import Seal
from turnfold.model.query import (
    ChangedSession,
    CheckReport,
    Compacted,
    EventPage,
    EventQuery,
    IndexRow,
    MigrationReport,
    SearchQuery,
    SearchRow,
    SessionQuery,
)
from turnfold.model.run import Run
from turnfold.model.session import Head, Lease, SessionInfo, SessionKey
from turnfold.ports.keyring import Keyring
from turnfold.ports.store import ENCRYPTED, SEARCH_INDEX, Store, Watch
from turnfold.stores.encrypted.keys import Held, Keys
from turnfold.stores.encrypted.opening import DAMAGED, KEY_UNAVAILABLE, closed_info, open_head, open_info, open_run
from turnfold.stores.encrypted.scanning import scan_sessions
from turnfold.stores.encrypted.sealing import seal_commit, seal_rows

ATTEMPTS_MAX: Final = 8
"""How often a commit is sealed anew because the session was deleted or created meanwhile."""
NO_SEARCH, TOKENS = "off", "tokens"
_replace = msgspec.structs.replace
_Assumed = tuple[tuple[Commit, Held], ...]
"""Which creation of each session a commit was sealed for."""


class EncryptedStore:
    """Any store with what sessions say encrypted. Thread-safe."""

    def __init__(self, store: Store, keyring: Keyring, *, search: str = NO_SEARCH) -> None:
        """Wrap a store, which is closed with the wrapper.

        Args:
            store: Empty, or written through a wrapper with the same keyring.
            keyring: Where the keys are; closed with the wrapper.
            search: ``off`` refuses searches; ``tokens`` keeps an index of keyed tokens, one for each word.

        Raises:
            InvalidInput: There is no such kind of search.
        """
        if search not in {NO_SEARCH, TOKENS}:
            raise InvalidInput(f"an encrypted store has no search {search!r}", hint=f"{NO_SEARCH} or {TOKENS}")
        self.url = f"encrypted+{store.url}"
        inner = store.capabilities
        self.capabilities = (inner if search == TOKENS else inner - {SEARCH_INDEX}) | {ENCRYPTED}
        self._store = store
        self._keyring = keyring
        self._search = search
        self._keys = Keys(store, keyring)
        self._closed = False

    def __repr__(self) -> str:
        """Without keys."""
        return f"<{type(self).__name__} {self.url}>"

    # ---- writing ---------------------------------------------------------------------------------------------------------------------
    def commit(self, commit: Commit) -> Committed:
        """See ``ports.store``. The first half is the way of an append to a session that is known; everything else goes the long way."""
        if commit.genesis is None and not commit.also and commit.events:
            held = self._keys.known(commit)
            if held is not None:
                sealed = seal_commit(commit, held.cipher, self._keys.index)
                if commit.incarnation is None:
                    sealed = _replace(sealed, incarnation=held.incarnation)
                try:
                    return self._store.commit(sealed)
                except TurnfoldError as error:
                    if not self._keys.refused(commit, held, error):
                        raise
        return self._commit(commit)

    def _commit(self, commit: Commit) -> Committed:
        for _ in range(ATTEMPTS_MAX):
            sealed, assumed = self._sealed(commit)
            try:
                done = self._store.commit(sealed)
            except BaseException as error:
                if not self._refused(assumed, error):
                    raise
            else:
                self._written(commit, assumed, done)
                return done
        raise KeyUnavailable(f"session {commit.key.session_id!r} was deleted and created over and over", session_id=commit.key.session_id)

    def commit_many(self, commits: Sequence[Commit]) -> list[Committed | Exception]:
        """See ``ports.store``."""
        out: list[Committed | Exception] = [StoreClosed(f"the store {self.url} is closed")] * len(commits)
        ready: list[tuple[int, Commit, _Assumed]] = []
        for place, commit in enumerate(commits):
            try:
                sealed, assumed = self._sealed(commit)
            except TurnfoldError as error:
                out[place] = error
            else:
                ready.append((place, sealed, assumed))
        try:
            outcomes = self._store.commit_many([sealed for _, sealed, _ in ready]) if ready else []
        except BaseException as error:
            for _, _, assumed in ready:
                self._refused(assumed, error)
            raise
        for (place, _, assumed), outcome in zip(ready, outcomes, strict=True):
            out[place] = self._outcome(commits[place], assumed, outcome)
        return out

    def _outcome(self, commit: Commit, assumed: _Assumed, outcome: Committed | Exception) -> Committed | Exception:
        """What became of one of several commits; it has a transaction of its own where what was assumed for it was wrong."""
        if isinstance(outcome, Committed):
            self._written(commit, assumed, outcome)
            return outcome
        try:
            return self._commit(commit) if self._refused(assumed, outcome) else outcome
        except TurnfoldError as error:
            return error

    def _sealed(self, commit: Commit) -> tuple[Commit, _Assumed]:
        """Seal a commit and those in ``also``; return it with what was assumed of each session."""
        sealed, held = self._sealed_one(commit)
        if not commit.also:
            return sealed, () if held is None else ((commit, held),)
        assumed = [] if held is None else [(commit, held)]
        also: list[Commit] = []
        try:
            for item in commit.also:
                inner, held = self._sealed_one(item)
                also.append(inner)
                assumed += [] if held is None else [(item, held)]
        except BaseException as error:
            self._refused(tuple(assumed), error)
            raise
        return _replace(sealed, also=tuple(also)), tuple(assumed)

    def _sealed_one(self, commit: Commit) -> tuple[Commit, Held | None]:
        if not (commit.events or commit.genesis or commit.change.entries or commit.runs or commit.parts or commit.redacts):
            return commit, None  # nothing to seal: a session whose key was forgotten may still be pruned
        try:
            held = self._keys.writer(commit)
        except KeyUnavailable:
            self._store.get_session(commit.key, owner=commit.owner)  # who may not see the session is told nothing of its key
            raise
        try:
            sealed = seal_commit(commit, held.cipher, self._keys.index)
        except BaseException as error:
            self._refused(((commit, held),), error)
            raise
        if not held.creates:
            return (sealed if commit.incarnation is not None else _replace(sealed, incarnation=held.incarnation)), held
        if commit.verbatim is None and commit.expected_seq is None:
            sealed = _replace(sealed, expected_seq=0)
        return sealed, held

    def _written(self, commit: Commit, assumed: _Assumed, done: Committed) -> None:
        """Hold the keys of created sessions."""
        for item, held in assumed:
            if held.creates:
                self._keys.created(item.key, held, done.incarnation if item is commit else None)

    def _refused(self, assumed: _Assumed, error: BaseException) -> bool:
        """Take back what was assumed for a commit that failed; whether it may be sealed anew because a session is another one now."""
        again = [self._keys.refused(item, held, error) for item, held in assumed]
        return any(again)

    # ---- reading ---------------------------------------------------------------------------------------------------------------------
    def read_events(self, query: EventQuery) -> EventPage:
        """See ``ports.store``; the whole page opens, or IntegrityError or KeyUnavailable name what does not."""
        page = self._store.read_events(query)
        events = page.events
        if not events:
            return page
        kid = kid_in(events[0].data_raw)
        try:
            if kid is None:
                raise _not_sealed(query.key, f"event {events[0].seq}", seq=events[0].seq)
            cipher = self._keys.opener(query.key, kid)
        except KeyUnavailable as error:
            error.details["seq"] = events[0].seq
            raise
        return EventPage(cipher.open_events(events), page.through_seq, page.last_seq, page.incarnation, page.ranges, page.more)

    def get_session(self, key: SessionKey, *, owner: str | None = None) -> Head:
        """See ``ports.store``."""
        head = self._store.get_session(key, owner=owner)
        incarnation = head.info.incarnation
        if not self._keyring.has(key, incarnation):
            self._keys.reader(key, incarnation)  # which raises: a head without sealed entries would look as if all was well
        return open_head(head, self._opener(key), lambda: self._keys.reader(key, incarnation))

    def _opener(self, key: SessionKey) -> Callable[[str], SessionCipher]:
        return lambda kid: self._keys.opener(key, kid)

    def list_sessions(self, query: SessionQuery) -> tuple[list[SessionInfo], str | None]:
        """See ``ports.store``. A session whose key is not in the keyring is listed without its content.

        Raises:
            KeyUnavailable: None of the sessions has its key here, and none was forgotten: it is another keyring.
        """
        asked = query
        if query.tags:
            query = _replace(query, tags=tuple([self._keys.index().tag(query.tenant, tag) for tag in query.tags]))
        infos, cursor = self._store.list_sessions(query)
        if not infos and query.tags and query.cursor is None:  # tokens of another keyring find nothing: see that it is the right one
            self.list_sessions(_replace(asked, tags=(), limit=1))
        out: list[SessionInfo] = []
        missing: KeyUnavailable | None = None
        opened = 0
        for info in infos:
            key = SessionKey(info.tenant, info.id)
            try:
                if not self._keyring.has(key, info.incarnation):
                    self._keys.reader(key, info.incarnation)  # which says why
                out.append(open_info(info, self._opener(key)))
                opened += 1
            except KeyUnavailable as error:
                out.append(closed_info(info, KEY_UNAVAILABLE))
                if self._keyring.forgotten(key):
                    opened += 1
                missing = error
            except IntegrityError:  # opening the session says what it is; the others are listed
                out.append(closed_info(info, DAMAGED))
                opened += 1
        if missing is not None and not opened:
            raise missing
        return out, cursor

    def last_seqs(self, keys: Iterable[SessionKey]) -> dict[SessionKey, tuple[str, int]]:
        """See ``ports.store``."""
        return self._store.last_seqs(keys)

    def get_run(self, key: SessionKey, run_id: str, *, owner: str | None = None) -> Run:
        """See ``ports.store``."""
        return open_run(self._store.get_run(key, run_id, owner=owner), self._opener(key))

    def list_runs(self, key: SessionKey, *, owner: str | None = None, status: str | None = None, limit: int = 100) -> list[Run]:
        """See ``ports.store``."""
        runs = self._store.list_runs(key, owner=owner, status=status, limit=limit)
        return [open_run(run, self._opener(key)) for run in runs]

    def read_part(self, key: SessionKey, ref: str, *, owner: str | None = None) -> bytes:
        """See ``ports.store``."""
        try:
            cipher = self._keys.reader_of(key)
        except KeyUnavailable:
            self._store.get_session(key, owner=owner)  # who may not see the session is told nothing of its key
            raise
        sealed = self._store.read_part(key, cipher.reference(ref), owner=owner)
        kid = kid_in_bytes(sealed)
        if kid is None:
            raise _not_sealed(key, f"the part {ref}")
        return self._keys.opener(key, kid).open_part(ref, sealed)

    # ---- searching -------------------------------------------------------------------------------------------------------------------
    def search(self, query: SearchQuery) -> list[SearchRow]:
        """See ``ports.store``; over tokens, or by opening every session where the inner store has no index.

        Raises:
            NotSupported: The store was not opened with ``search=tokens``.
        """
        if self._closed:
            raise StoreClosed(f"the store {self.url} is closed")
        if self._search != TOKENS:
            hint = "open it with ?search=tokens to keep an index of keyed tokens; what that reveals is in the docs on encryption"
            raise NotSupported("an encrypted store does not search", hint=hint)
        if SEARCH_INDEX not in self._store.capabilities:
            return scan_sessions(self, query)
        terms = tuple(self._keys.index().terms(query.tenant, query.terms))
        query = _replace(query, terms=terms)
        found: list[SearchRow] = []
        while True:
            rows = self._store.search(query)
            found += [row for row in rows if not self._keyring.forgotten(SessionKey(query.tenant, row.session_id))]
            if len(rows) < query.limit or len(found) >= query.limit:
                return found[: query.limit]
            query = _replace(query, after=(rows[-1].bucket, rows[-1].session_id, rows[-1].seq))

    # ---- the session as a whole ------------------------------------------------------------------------------------------------------
    def delete_session(self, key: SessionKey, *, owner: str | None = None) -> None:
        """See ``ports.store``; its keys are destroyed with it."""
        found = self._store.last_seqs([key]).get(key)
        self._store.delete_session(key, owner=owner)
        self._keys.drop(key)
        if found is not None and self._keyring.can_forget:
            self._keyring.forget(key, incarnation=found[0], remember=False)

    def forget_key(self, key: SessionKey, *, owner: str | None = None) -> int:
        """Destroy the keys of a session and leave it otherwise as it is; see ``ports.keyring.Keyring.forget``.

        Raises:
            SessionNotFound: There is no such session of that owner.
            NotSupported: The keyring cannot forget.
        """
        self._store.get_session(key, owner=owner)
        count = self._keyring.forget(key)
        self._keys.drop(key)
        return count

    def acquire_lease(self, key: SessionKey, holder: str, ttl_s: float, *, owner: str | None = None) -> Lease:
        """See ``ports.store``."""
        return self._store.acquire_lease(key, holder, ttl_s, owner=owner)

    def renew_lease(self, lease: Lease, ttl_s: float) -> Lease:
        """See ``ports.store``."""
        return self._store.renew_lease(lease, ttl_s)

    def release_lease(self, lease: Lease) -> None:
        """See ``ports.store``."""
        self._store.release_lease(lease)

    # ---- followers and seals ---------------------------------------------------------------------------------------------------------
    def changed_sessions(self, follower: str, limit: int) -> list[ChangedSession]:
        """See ``ports.store``. The follower is moved past sessions whose key was forgotten; those of another keyring wait for theirs."""
        asked = limit
        while True:
            changed = self._store.changed_sessions(follower, asked)
            readable = [item for item in changed if self._keyring.has(item.key, item.incarnation)]
            forgotten = [item for item in changed if item not in readable and self._keyring.forgotten(item.key)]
            for item in forgotten:
                self._store.advance(follower, item.key, incarnation=item.incarnation, from_seq=item.follower_seq, to_seq=item.last_seq)
            if readable or (not forgotten and len(changed) < asked):
                return readable[:limit]
            if not forgotten:
                asked *= 2

    def advance(
        self,
        follower: str,
        key: SessionKey,
        *,
        incarnation: str,
        from_seq: int,
        to_seq: int,
        rows: Sequence[IndexRow] = (),
    ) -> bool:
        """See ``ports.store``; terms go as tokens, and only where searching was asked for."""
        if rows:
            rows = seal_rows(rows, key.tenant, self._keys.index()) if self._search == TOKENS else ()
        return self._store.advance(follower, key, incarnation=incarnation, from_seq=from_seq, to_seq=to_seq, rows=rows)

    def follower_seq(self, follower: str, key: SessionKey) -> int:
        """See ``ports.store``."""
        return self._store.follower_seq(follower, key)

    def read_seals(self, key: SessionKey) -> list[Seal]:
        """See ``ports.store``."""
        return self._store.read_seals(key)

    def add_seal(self, key: SessionKey, seal: Seal, *, incarnation: str) -> bool:
        """See ``ports.store``."""
        return self._store.add_seal(key, seal, incarnation=incarnation)

    # ---- the store as a whole --------------------------------------------------------------------------------------------------------
    def watch(self, wake: Callable[[], None]) -> Watch:
        """See ``ports.store``."""
        return self._store.watch(wake)

    def check(self) -> CheckReport:
        """See ``ports.store``; what the inner store finds."""
        report = self._store.check()
        return CheckReport(report.problems, {**report.facts, "keyring": self._keyring.describe(), "encrypted_search": self._search})

    def compact(self, *, sessions_max: int = COMPACT_SESSIONS) -> Compacted:
        """See ``ports.store``. Ciphertext hardly shrinks: what is saved is what stays clear."""
        return self._store.compact(sessions_max=sessions_max)

    def migrate(self, *, dry_run: bool = False, post: bool = False) -> MigrationReport:
        """See ``ports.store``."""
        return self._store.migrate(dry_run=dry_run, post=post)

    def close(self) -> None:
        """See ``ports.store``; keys are forgotten."""
        self._closed = True
        self._store.close()
        self._keys.close()
        self._keyring.close()


def _not_sealed(key: SessionKey, what: str, **details: int) -> IntegrityError:
    return IntegrityError(
        f"session {key.session_id!r}: {what} is not sealed, although the store is encrypted",
        hint="a store that was not encrypted has to be copied into one that is",
        session_id=key.session_id,
        **details,
    )
