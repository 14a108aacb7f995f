"""What a client and its sessions share: the store, how it is reached, whose data it is, the settings that hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Generic, TypeVar

import msgspec

from turnfold.codec.seal import event_digest
from turnfold.engine.hub import Hub
from turnfold.engine.upkeep import Upkeep
from turnfold.errors import IntegrityError, InvalidInput, SessionNotFound
from turnfold.ids import check_name
from turnfold.model.commit import LimitCheck
from turnfold.model.event import Event
from turnfold.model.settings import Settings
from turnfold.ports.store import Store

B = TypeVar("B")

_overrides: ContextVar[dict[str, Any] | None] = ContextVar("turnfold_settings", default=None)


@contextmanager
def override(**settings: Any) -> Iterator[None]:
    """Override settings for this context and the work started in it.

    Raises:
        InvalidInput: There is no such setting.
    """
    unknown = settings.keys() - set(Settings.__struct_fields__)
    if unknown:
        raise InvalidInput(f"no setting is named {', '.join(sorted(unknown))}", hint=f"settings: {', '.join(Settings.__struct_fields__)}")
    token = _overrides.set({**(_overrides.get() or {}), **settings})
    try:
        yield
    finally:
        _overrides.reset(token)


class Context(Generic[B]):
    """Shared by a client and the sessions that it opens."""

    def __init__(self, store: Store, bridge: B, *, tenant: str, owner: str | None, settings: Settings, key: bytes | None) -> None:
        """Bind everything; nothing is started."""
        self.store = store
        self.bridge = bridge
        self.tenant = check_name(tenant, "tenant")
        self.owner = None if owner is None else check_name(owner, "owner")
        self._settings = settings
        self.key = key
        self.hub = Hub(store)
        self.upkeep = Upkeep(store, key)

    @property
    def settings(self) -> Settings:
        """The client's settings with the overrides of this context."""
        overrides = _overrides.get()
        return self._settings if overrides is None else msgspec.structs.replace(self._settings, **overrides)

    def scope(self, owner: str | None) -> str | None:
        """Narrow to an owner: the client's own, or the one asked for if the client is bound to none.

        Raises:
            SessionNotFound: The client is bound to another owner.
        """
        if owner is None:
            return self.owner
        if self.owner is not None and self.owner != owner:
            raise SessionNotFound("this client is bound to another owner", hint="a per-call owner only narrows the client's scope")
        return check_name(owner, "owner")

    def append_limits(self) -> tuple[LimitCheck, ...]:
        """The limits of an ordinary append."""
        turns_max = self.settings.turns_max
        return () if turns_max is None else (LimitCheck("turns_max", "turn_count", turns_max),)

    def check(self, events: list[Event]) -> None:
        """Check the digest of events just read (``verify_on_read``)."""
        for event in events:
            if not event.redacted and event_digest(event, None, self.key) != event.digest:
                raise IntegrityError(f"event {event.seq} does not match its digest", seq=event.seq)
