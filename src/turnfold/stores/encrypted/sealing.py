"""From a commit to the commit that the inner store gets: payloads, kept lines, meta, entries, runs and parts sealed, the rest as it was.

What stays clear, because the store works with it: ids, types, times, branches and their forks, checkpoints' and pins' names, the session that a
session descends from, counts, usage, status, visibility. A tag becomes a token that is the same in each session of the tenant, so that lists can
ask for it; its text is sealed in a metadata entry beside it (named ``#`` and the token), since lists carry metadata and no entries.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from turnfold.codec.cipher import Index, SessionCipher
from turnfold.model.commit import Commit, Guard, HeadChange, Redact
from turnfold.model.query import IndexRow
from turnfold.model.run import Run
from turnfold.model.session import Entry

CLEAR_KINDS: Final = frozenset({"branch", "pin"})
"""Entries that the stores themselves read, or that hold nothing but a seq."""
NAMED_KINDS: Final = frozenset({"state", "metadata", "handle", "import"})
"""Entries whose names were given by somebody: they are sealed too."""
SEALED: Final = "tf"
"""The one key of an object that holds a sealed value where the stores expect an object."""
TAG_MARK: Final = "#"
_replace = msgspec.structs.replace
_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode


def seal_commit(commit: Commit, cipher: SessionCipher, index_of: Callable[[], Index]) -> Commit:
    """Return the commit with its content sealed. ``also`` is left to the caller: those are other sessions.

    Args:
        commit: As the caller gave it.
        cipher: Of its session.
        index_of: Gives the tokens of tags; not asked for by a commit that only counts.
    """
    seal_event = cipher.seal_event
    events = tuple([seal_event(event) for event in commit.events])
    change = commit.change
    if (
        not change.entries
        and change.status is None
        and not change.guards
        and commit.genesis is None
        and not (commit.runs or commit.parts or commit.redacts)
    ):
        return _replace(commit, events=events)
    index = index_of()
    genesis = commit.genesis
    if genesis is not None:
        first = events[0] if commit.verbatim is not None and events else seal_event(genesis.event)
        genesis = _replace(genesis, event=first, change=_seal_change(genesis.change, cipher, index))
    return _replace(
        commit,
        events=events,
        change=_seal_change(change, cipher, index),
        genesis=genesis,
        runs=tuple([seal_run(run, cipher) for run in commit.runs]),
        parts=tuple([(cipher.reference(ref), cipher.seal_part(ref, content)) for ref, content in commit.parts]),
        redacts=tuple([_seal_redact(redact, cipher, index) for redact in commit.redacts]),
    )


def _seal_change(change: HeadChange, cipher: SessionCipher, index: Index) -> HeadChange:
    status = change.status
    if status is not None and status.end_reason is not None:
        status = _replace(status, end_reason=cipher.seal_status(status.end_reason))
    return _replace(
        change,
        entries=seal_entries(change.entries, cipher, index),
        status=status,
        guards=tuple([Guard(guard.kind, entry_name(guard.kind, guard.name, cipher, index), guard.present) for guard in change.guards]),
    )


def _seal_redact(redact: Redact, cipher: SessionCipher, index: Index) -> Redact:
    return Redact(
        redact.seq,
        redact.digest,
        cipher.seal_tombstone(redact.tombstone, redact.digest),
        tuple([cipher.reference(ref) for ref in redact.parts]),
        seal_entries(redact.entries, cipher, index),
    )


def entry_name(kind: str, name: str, cipher: SessionCipher, index: Index) -> str:
    """Return the name that an entry has in the store."""
    if kind == "tag":
        return index.tag(cipher.key.tenant, name)
    return cipher.seal_name(kind, name) if kind in NAMED_KINDS else name


def seal_entries(entries: Iterable[Entry], cipher: SessionCipher, index: Index) -> tuple[Entry, ...]:
    """Return the entries as the store keeps them."""
    out: list[Entry] = []
    for entry in entries:
        if entry.kind in CLEAR_KINDS:
            out.append(entry)
            continue
        name = entry_name(entry.kind, entry.name, cipher, index)
        if entry.kind == "tag":
            out.append(_replace(entry, name=name))
            text = None if entry.value is None else cipher.seal_value("tag", name, _encode(entry.name))
            out.append(Entry("metadata", TAG_MARK + name, text, entry.seq))
        else:
            value = None if entry.value is None else _seal_value(entry.kind, entry.name, entry.value, cipher)
            out.append(_replace(entry, name=name, value=value))
    return tuple(out)


def _seal_value(kind: str, name: str, value: bytes, cipher: SessionCipher) -> bytes:
    sealed = cipher.seal_value(kind, name, value)
    if kind == "native":
        return b'{"%b":%b}' % (SEALED.encode(), sealed)
    if kind == "parent":  # lists ask for the children of a session
        data = _decode(value)
        kept = {"session_id": data["session_id"]} if isinstance(data, dict) and "session_id" in data else {}
        return _encode({**kept, SEALED: msgspec.Raw(sealed)})
    return sealed


def seal_run(run: Run, cipher: SessionCipher) -> Run:
    """Return a run row with its body sealed."""
    return _replace(run, data={SEALED: cipher.seal_run(run.id, _encode(run.data))}) if run.data else run


def seal_rows(rows: Iterable[IndexRow], tenant: str, index: Index) -> list[IndexRow]:
    """Return index rows with a token in place of each term; their order stays, so that phrases rank as they do elsewhere."""
    return [_replace(row, terms=" ".join(index.terms(tenant, row.terms.split())), derived=False) for row in rows]
