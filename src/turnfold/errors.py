"""One family of errors: what went wrong, whose fault it is, whether a retry can help, and what to do.

Every error carries ``code`` (stable, snake case), ``fault`` (``caller``, ``peer``, ``store`` or ``us``), ``retryable`` and an optional
``hint``; ``details`` holds the values that a program may want (limit, current seq, path). The command line maps them to exit statuses and
the server to HTTP statuses through the class attributes.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

Fault = Literal["caller", "peer", "store", "us"]


class TurnfoldError(Exception):
    """Base of all errors that Turnfold raises on purpose."""

    code: ClassVar[str] = "error"
    fault: ClassVar[Fault] = "us"
    retryable: ClassVar[bool] = False
    exit_status: ClassVar[int] = 1
    http_status: ClassVar[int] = 500
    default_hint: ClassVar[str] = ""

    def __init__(self, message: str, *, hint: str | None = None, **details: Any) -> None:
        """Keep the message, a hint that says what to do, and machine-readable details."""
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint
        self.details = details

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with hint and details, so that errors cross process boundaries whole."""
        return (_rebuild, (type(self), self.message, self.hint, self.details))


def _rebuild(kind: type[TurnfoldError], message: str, hint: str, details: dict[str, Any]) -> TurnfoldError:
    return kind(message, hint=hint, **details)


class InvalidInput(TurnfoldError):
    """A value that the caller gave cannot be used; the message says which and why."""

    code = "invalid_input"
    fault = "caller"
    exit_status = 2
    http_status = 422


class SessionNotFound(TurnfoldError):
    """No such session for this tenant and owner (another owner's session is not found either)."""

    code = "session_not_found"
    fault = "caller"
    exit_status = 4
    http_status = 404


class NotFound(TurnfoldError):
    """Something inside a session (branch, checkpoint, event, run, part) does not exist."""

    code = "not_found"
    fault = "caller"
    exit_status = 4
    http_status = 404


class AlreadyExists(TurnfoldError):
    """A branch or checkpoint of that name exists."""

    code = "already_exists"
    fault = "caller"
    exit_status = 6
    http_status = 409


class SessionClosed(TurnfoldError):
    """The session has a terminal status and takes no more events."""

    code = "session_closed"
    fault = "caller"
    exit_status = 5
    http_status = 409
    default_hint = "it can still be read, exported and archived; open another session to go on"


class SessionExpired(SessionClosed):
    """The session's time to live has passed."""

    code = "session_expired"


class InvalidTransition(TurnfoldError):
    """The lifecycle table has no such transition from the current status."""

    code = "invalid_transition"
    fault = "caller"
    exit_status = 5
    http_status = 409


class SessionSuspended(InvalidTransition):
    """The session is suspended or pending and must be resumed or activated first."""

    code = "session_suspended"
    default_hint = "call resume() or activate() first"


class SequenceConflict(TurnfoldError):
    """The session has moved on since ``expected_seq``; ``details['current_seq']`` says where it is."""

    code = "sequence_conflict"
    fault = "caller"
    retryable = True
    exit_status = 6
    http_status = 409
    default_hint = "read on from your cursor, then try again"

    @property
    def current_seq(self) -> int:
        """The session's last seq at the time of the refusal."""
        return int(self.details.get("current_seq", 0))


class IdempotencyConflict(TurnfoldError):
    """Some ids of a commit exist with other content, or only some of them exist; nothing was written."""

    code = "idempotency_conflict"
    fault = "caller"
    exit_status = 6
    http_status = 409
    default_hint = "a retry carries the same id, data and `at`; give another event another id"


class MergeConflict(TurnfoldError):
    """Two branches changed the same thing; ``details['conflicts']`` lists base, ours and theirs."""

    code = "merge_conflict"
    fault = "caller"
    exit_status = 6
    http_status = 409


class LeaseLost(TurnfoldError):
    """The lease token is stale, or the session is leased and the commit carries none."""

    code = "lease_lost"
    fault = "caller"
    exit_status = 6
    http_status = 409


class LimitExceeded(TurnfoldError):
    """A named limit was hit; ``details`` has ``limit`` (its name) and ``value``."""

    code = "limit_exceeded"
    fault = "caller"
    exit_status = 7
    http_status = 413


class IntegrityError(TurnfoldError):
    """Stored data does not match its digests or seals; ``details['seq']`` is the first bad one."""

    code = "integrity_error"
    fault = "store"
    exit_status = 8
    http_status = 500


class KeyUnavailable(TurnfoldError):
    """A key of encrypted content is not in the keyring: forgotten, lost, or it is another keyring; ``details`` has ``kid`` and ``seq``."""

    code = "key_unavailable"
    fault = "caller"
    exit_status = 12
    http_status = 410
    default_hint = "check TURNFOLD_KEYRING; a forgotten key cannot be brought back"


class PermissionDenied(TurnfoldError):
    """A known caller without the role."""

    code = "permission_denied"
    fault = "caller"
    exit_status = 9
    http_status = 403


class StoreUnavailable(TurnfoldError):
    """The store cannot be reached or cannot be used now (disk full, read-only, locked, server down)."""

    code = "store_unavailable"
    fault: ClassVar[Fault] = "store"
    retryable = True
    exit_status = 10
    http_status = 503


class StoreClosed(StoreUnavailable):
    """The store or client was closed."""

    code = "store_closed"
    retryable = False
    fault: ClassVar[Fault] = "caller"


class StoreCorrupt(TurnfoldError):
    """The file is not what this store writes, or is damaged beyond what opening may repair."""

    code = "store_corrupt"
    fault = "store"
    exit_status = 8
    http_status = 500


class SchemaTooNew(TurnfoldError):
    """The data was written by a newer version of Turnfold than this one."""

    code = "schema_too_new"
    fault = "caller"
    exit_status = 11
    http_status = 500
    default_hint = "upgrade turnfold"


class SchemaOutdated(TurnfoldError):
    """The data lacks migrations that this version of Turnfold needs; the message names them."""

    code = "schema_outdated"
    fault = "caller"
    exit_status = 11
    http_status = 500
    default_hint = "run `turnfold store migrate`"


class FormatError(TurnfoldError):
    """A file is not of the format that it was read as; the message names file and place."""

    code = "format_error"
    fault = "caller"
    exit_status = 2
    http_status = 422


class NotSupported(TurnfoldError):
    """This store or format has no such capability; the message names it."""

    code = "not_supported"
    fault = "caller"
    exit_status = 2
    http_status = 501


class MissingExtra(TurnfoldError):
    """An optional dependency is not installed; the hint is the pip command."""

    code = "missing_extra"
    fault = "caller"
    exit_status = 3
    http_status = 500


class DurabilityWarning(UserWarning):
    """A server is set to forget what it acknowledged; the message names the setting. The store then does not claim to be durable."""


def missing_extra(extra: str, library: str) -> MissingExtra:
    """Return the error for an optional library that is not installed."""
    return MissingExtra(f"{library} is not installed", hint=f"pip install 'turnfold[{extra}]'", extra=extra, library=library)
