"""Every limit has a name, and its unit is in the name. A limit that is hit is reported by this name and its value."""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * 1024

# ---- ids and names -------------------------------------------------------------------------------------------------------------------
SESSION_ID_BYTES_MAX: Final = 1024
"""A session's id."""
NAME_BYTES_MAX: Final = 256
"""Tenants, owners, agents, branches, checkpoints, tags, event ids and types, state keys up to this many UTF-8 bytes."""
EVENT_ID_BYTES_MAX: Final = 512
"""An event's id."""
TITLE_BYTES_MAX: Final = 4 * KIB
"""A session's title."""

# ---- commits -------------------------------------------------------------------------------------------------------------------------
APPEND_EVENTS_MAX: Final = 50_000
"""Events of one commit."""
EVENT_DATA_BYTES_MAX: Final = 64 * MIB
"""Encoded payload of one event, without its out-of-line parts."""
INLINE_PART_BYTES_MAX: Final = 16 * KIB
"""A blob part, or one string of a kept source line, that is larger is stored once per session by its sha256."""
STATE_VALUE_BYTES_MAX: Final = 1 * MIB
"""One value of the state, encoded as JSON."""
COMMIT_GROUP_MAX: Final = 512
"""Commits that the combining writer takes into one transaction."""
COMMIT_QUEUE_MAX: Final = 10_000
"""Commits waiting for the writer; more wait outside (async) or block (sync)."""

# ---- files store -------------------------------------------------------------------------------------------------------------------
SEGMENT_BYTES_MAX: Final = 16 * MIB
"""A log goes on in a new file once its last one has grown to this."""
OPEN_LOGS_MAX: Final = 200
"""Logs that a process keeps open (two file handles each); the least recently used are let go."""

# ---- Redis store -------------------------------------------------------------------------------------------------------------------
REDIS_OPEN_WAIT_S: Final = 3.0
"""How long opening a store waits for a Redis that is just starting."""
REDIS_WAIT_S_MAX: Final = 10.0
"""How long an operation waits for a Redis that does not answer or is starting, before it fails; ``?wait_s=`` sets another."""
REDIS_ANSWER_S_MAX: Final = 15.0
"""How long a Redis may take to answer one request; ``?answer_s=`` sets another."""
REDIS_ATTEMPTS_MAX: Final = 200
"""How often a rare kind of commit begins again because others wrote to the session meanwhile."""
REDIS_CLAIM_S: Final = 30
"""How long a commit may rely on the list entries and reservations that it wrote before."""
REDIS_LIST_GRAIN_S: Final = 5
"""How far a session's place in the lists may lag behind its last event; reads make up for it."""
REDIS_MARK_GRAIN_S: Final = 60
"""For how long a session that was marked as changing may go on changing without being marked anew."""

# ---- encryption ----------------------------------------------------------------------------------------------------------------------
COMPRESS_BYTES_MIN: Final = 16 * KIB
"""Payloads, lines and parts from this size on are deflated before they are encrypted: that costs 3 µs at 240 bytes, 18 at 2 KB, 100 at 8 KB."""
KEY_CACHE_SESSIONS_MAX: Final = 1_024
"""Sessions whose unwrapped keys an encrypted store holds; the one held longest is let go."""
KEYRING_CHECK_S: Final = 1.0
"""How long a process may go on with a key that another process renewed or forgot."""

# ---- object storage ------------------------------------------------------------------------------------------------------------------
IDEMPOTENCY_EVENTS: Final = 1_024
"""A store that remembers ids only for a while remembers those of at least this many last events of a session."""
OBJECT_REQUEST_S_MAX: Final = 60
"""How long one request to object storage may take."""
OBJECT_CONNECT_S_MAX: Final = 5
"""How long connecting to object storage may take."""
OBJECT_ATTEMPTS_MAX: Final = 8
"""How often a request to object storage that was not answered, or refused for now, is made."""
OBJECT_RETRY_S_MAX: Final = 120.0
"""How long after its first attempt a request to object storage is made once more."""
OBJECT_BACKOFF_S_MAX: Final = 2.0
"""How long to wait at most between two attempts of a request to object storage."""
OBJECT_CONTENTION_S_MAX: Final = 120.0
"""How long a commit to object storage goes on while others always come first."""
OBJECT_PARALLEL_MAX: Final = 8
"""Requests to object storage that one call makes at the same time."""
OBJECT_TAIL_BYTES_MAX: Final = 64 * KIB
"""Events that a session's manifest holds itself; what is beyond goes into a segment of its own."""
OBJECT_ROWS_BYTES_MAX: Final = 32 * KIB
"""Head entries, runs, seals and ranges that a session's manifest holds itself; what is beyond goes into an object of its own."""
OBJECT_SEGMENT_BYTES_MAX: Final = 4 * MIB
"""Events of one segment on object storage, before compression."""
OBJECT_CACHE_BYTES_MAX: Final = 64 * MIB
"""Segments and index rows of object storage that a store keeps in memory."""
OBJECT_SESSIONS_MAX: Final = 500
"""Sessions on object storage whose manifests a store keeps in memory."""
OBJECT_GRACE_S: Final = 900.0
"""How long an object that nothing refers to any more stays for those who still read by an older manifest."""
OBJECT_COLD_S: Final = 3_600.0
"""Compaction moves the events that a manifest on object storage holds itself into a segment when none has come for so long."""
OBJECT_RESERVATION_S: Final = 300.0
"""How long a place under an owner's session limit stays reserved for a session that is not there yet."""
OBJECT_POLL_S: Final = 0.5
"""How often followed sessions on object storage are looked at."""
OBJECT_POLL_REQUESTS_MAX: Final = 4
"""Requests of one look at followed sessions on object storage."""
OBJECT_CATALOG_READS_MIN: Final = 50
"""Who read more manifests than this for a list leaves their rows to the next process."""

# ---- reads ---------------------------------------------------------------------------------------------------------------------------
PAGE_EVENTS_MAX: Final = 10_000
"""Events of one page."""
PAGE_EVENTS_DEFAULT: Final = 100
"""Events of a page that names no limit."""
PAGE_SESSIONS_MAX: Final = 1_000
"""Sessions of one page."""
PAGE_SESSIONS_DEFAULT: Final = 50
"""Sessions of a page that names no limit."""
DIFF_PAIRS_MAX: Final = 4_000_000
"""Pairs of messages up to which two branches are aligned exactly; beyond that, texts that come again and again do not count as equal ends."""
SEARCH_HITS_MAX: Final = 1_000
"""Hits of one page of a search."""
SEARCH_TERMS_MAX: Final = 32
"""Words of one search."""
READ_CHUNK_EVENTS: Final = 1_000
"""Events that a whole-session read (messages, verify, export) takes from the store at a time."""
READ_CHUNK_BYTES: Final = 4 * MIB
"""Payload and kept-line bytes that such a read aims to hold at a time."""

# ---- copies --------------------------------------------------------------------------------------------------------------------------
COPY_PIECE_EVENTS: Final = 2_000
"""Events that a copy holds and commits at a time."""
COPY_PIECE_BYTES: Final = 8 * MIB
"""Bytes of events and parts that a copy holds and commits at a time; one more event may come on top."""
COPY_SMALL_EVENTS: Final = 200
"""A session with more events is copied by itself."""
COPY_GROUP_SESSIONS: Final = 200
"""Small sessions that a copy commits together."""
COPY_WORKERS: Final = 8
"""Sessions that a copy looks at at once."""
COPY_ATTEMPTS_MAX: Final = 20
"""How often a copy begins a session anew because it changed meanwhile."""
BUNDLE_HELD_BYTES: Final = 8 * MIB
"""So much of the logs in a bundle is read once and held; the rest is read anew for each step of its import."""
COPY_SESSIONS_MAX: Final = 10_000_000
"""Sessions of one copy."""
COPY_RUNS_MAX: Final = 1_000_000
"""Runs of one session in a copy."""
COPY_PROBLEMS_MAX: Final = 1_000
"""Problems of a copy that are listed one by one; more are only counted."""

# ---- waiting -------------------------------------------------------------------------------------------------------------------------
FOLLOW_WAIT_S_MAX: Final = 3_600.0
"""How long a follower may ask to wait for the next event; None waits as long as the session lives."""
POLL_INTERVAL_S: Final = 0.25
"""How often a store without a wake-up channel is looked at while somebody follows."""
FOLLOW_FILES_STEP_S: Final = 0.5
"""How long following files stays in one call: so long at most it takes to end."""
CATCH_UP_MS_MAX: Final = 2_000
"""How long a query waits for the index to catch up before it answers with ``indexed_through``."""
PLAN_ATTEMPTS_MAX: Final = 100
"""How often a change that was planned on a read of the session (a merge, a checkpoint) is planned anew because the session moved on meanwhile."""
LOCK_WAIT_S_MAX: Final = 30.0
"""How long a writer waits for another process before it says who holds the lock."""

# ---- upkeep --------------------------------------------------------------------------------------------------------------------------
SEAL_EVENTS: Final = 1_024
"""A session with this many events since its last seal is sealed in the background."""
LIST_GRAIN_S: Final = 60
"""How far a session's place in the list index may lag behind its last event; reads make up for it."""
TOMBSTONE_DAYS: Final = 30
"""How long a deleted session's row stays, so that nothing that belonged to it acts on a new one of the same id."""
LEASE_TTL_S_MAX: Final = 3_600.0
"""How long a lease lasts at most without being renewed."""
COMPACT_SESSIONS: Final = 100
"""Sessions that one step of ``compact`` rewrites at most."""
COMPACT_IDLE_S: Final = 86_400.0
"""A session without an event for so long is cold as a whole."""
COMPACT_QUIET_S: Final = 60.0
"""A session that was written in that time is not compacted at all."""
COMPACT_TAIL_EVENTS: Final = 1_024
"""The last events of a session that is not idle stay as they are; of those before, what seals cover is cold."""
COMPACT_EVERY_S: Final = 600.0
"""How long the background waits between two looks for what is cold; before the first one, ``COMPACT_QUIET_S``."""
COMPACT_STEP_S: Final = 0.2
"""How long one step of ``compact`` goes on with its sessions."""
BLOCK_BYTES: Final = 64 * KIB
"""Content of one block of cold events, before it is compressed; one event may be more."""
BLOCK_EVENTS_MAX: Final = 256
"""Events of one block."""
BLOCK_RATIO_MAX: Final = 0.9
"""A block, part or file that would shrink less than to this (encrypted ones) stays as it is."""
BLOCKS_CACHED_MAX: Final = 16
"""Decompressed blocks that a store keeps for its next reads, none of them larger than ``BLOCK_BYTES`` fourfold."""
SWEEP_EVERY_S: Final = 86_400.0
"""How long the background waits between two sweeps of such artifacts; ``turnfold store compact`` sweeps at once."""
ORPHAN_AGE_S: Final = 3_600.0
"""An artifact that no session names is swept once it is older: until then a commit that names it may be on its way."""
FOLLOWER_BATCH_EVENTS: Final = 2_000
"""Events that the search index and the seals take at a time."""

# ---- import --------------------------------------------------------------------------------------------------------------------------
IMPORT_BATCH_EVENTS: Final = 2_000
"""Events of one commit of an import."""
IMPORT_BATCH_BYTES: Final = 4 * MIB
"""Bytes of a file that go into one commit of an import."""
IMPORT_INDEX_CHARS: Final = 8 * MIB
"""Characters of terms that an import collects over its commits before it writes them into the search index: what is written at once is one
segment there, and segments are merged."""
LINE_BYTES_MAX: Final = 256 * MIB
"""A longer line of an imported file is kept as out-of-line pieces and reported."""
LINE_PIECE_BYTES: Final = 4 * MIB
"""Size of the pieces that a line longer than ``LINE_BYTES_MAX`` is kept in."""
UNPACKED_BYTES_MAX: Final = 16 * 1024 * MIB
"""Content of one compressed file."""
IMPORT_PROBLEMS_MAX: Final = 1_000
"""Problems of one file that are listed one by one; more are only counted."""
IMPORT_RETRIES_MAX: Final = 32
"""How often an import begins again at its cursor because somebody else wrote to the session meanwhile."""

# ---- PostgreSQL store --------------------------------------------------------------------------------------------------------------------
POSTGRES_CONNECTIONS_MAX: Final = 8
"""Connections of one store beside those that write and the one that listens; who needs one more waits."""
POSTGRES_CONNECT_S: Final = 10
"""How long a connection may take to be made."""
POSTGRES_STATEMENT_S: Final = 30.0
"""How long the server works on one statement at most."""
POSTGRES_ANSWER_S: Final = 10.0
"""How much longer a client waits for the answer, before it takes the connection for dead."""
POSTGRES_RECONNECT_S: Final = 15.0
"""How long a commit whose connection broke waits for the server to come back, before it says that it may or may not be written."""
POSTGRES_LANES: Final = 2
"""Connections that write at the same time; the commits of one session go over one of them."""
POSTGRES_GROUP_MAX: Final = 128
"""Commits that go to the server together, in one transaction and one round trip."""
POSTGRES_WATCH_S: Final = 60.0
"""How long a session counts as watched after a hub said so; it says so again three times as often."""
