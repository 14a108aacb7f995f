"""Turnfold: the session layer for AI agents. Public names only; they are imported when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from turnfold.client import Client as Client
    from turnfold.client_async import AsyncClient as AsyncClient
    from turnfold.connecting import connect as connect
    from turnfold.connecting import connect_async as connect_async
    from turnfold.connecting import new_keyring as new_keyring
    from turnfold.connecting import open_keyring as open_keyring
    from turnfold.copying import backup as backup
    from turnfold.copying import copy as copy
    from turnfold.copying import copy_async as copy_async
    from turnfold.core.fold import payload_of as payload_of
    from turnfold.core.merging import Append as Append
    from turnfold.core.merging import MergePlan as MergePlan
    from turnfold.core.merging import MergeSides as MergeSides
    from turnfold.core.merging import MergeStrategy as MergeStrategy
    from turnfold.core.merging import Selective as Selective
    from turnfold.core.merging import StateMerge as StateMerge
    from turnfold.core.merging import merge_state as merge_state
    from turnfold.core.upcasting import upcaster as upcaster
    from turnfold.core.window import Window as Window
    from turnfold.engine._async.session import AsyncSession as AsyncSession
    from turnfold.engine._sync.session import Session as Session
    from turnfold.engine.context import override as override
    from turnfold.engine.copying.report import CopyProblem as CopyProblem
    from turnfold.engine.copying.report import CopyProgress as CopyProgress
    from turnfold.engine.copying.report import CopyReport as CopyReport
    from turnfold.engine.cursor import Cursor as Cursor
    from turnfold.engine.exporter import ExportedFile as ExportedFile
    from turnfold.engine.importer import FileImport as FileImport
    from turnfold.engine.importer import ImportResult as ImportResult
    from turnfold.engine.listing import FormatInfo as FormatInfo
    from turnfold.engine.listing import list_formats as list_formats
    from turnfold.engine.resuming import Resumption as Resumption
    from turnfold.engine.searching import SearchHit as SearchHit
    from turnfold.engine.usage import UsageRow as UsageRow
    from turnfold.engine.verify import Verified as Verified
    from turnfold.errors import AlreadyExists as AlreadyExists
    from turnfold.errors import FormatError as FormatError
    from turnfold.errors import IdempotencyConflict as IdempotencyConflict
    from turnfold.errors import IntegrityError as IntegrityError
    from turnfold.errors import InvalidInput as InvalidInput
    from turnfold.errors import InvalidTransition as InvalidTransition
    from turnfold.errors import KeyUnavailable as KeyUnavailable
    from turnfold.errors import LeaseLost as LeaseLost
    from turnfold.errors import LimitExceeded as LimitExceeded
    from turnfold.errors import MergeConflict as MergeConflict
    from turnfold.errors import MissingExtra as MissingExtra
    from turnfold.errors import NotFound as NotFound
    from turnfold.errors import NotSupported as NotSupported
    from turnfold.errors import PermissionDenied as PermissionDenied
    from turnfold.errors import SchemaOutdated as SchemaOutdated
    from turnfold.errors import SchemaTooNew as SchemaTooNew
    from turnfold.errors import SequenceConflict as SequenceConflict
    from turnfold.errors import SessionClosed as SessionClosed
    from turnfold.errors import SessionExpired as SessionExpired
    from turnfold.errors import SessionNotFound as SessionNotFound
    from turnfold.errors import SessionSuspended as SessionSuspended
    from turnfold.errors import StoreClosed as StoreClosed
    from turnfold.errors import StoreCorrupt as StoreCorrupt
    from turnfold.errors import StoreUnavailable as StoreUnavailable
    from turnfold.errors import TurnfoldError as TurnfoldError
    from turnfold.model.answers import Appended as Appended
    from turnfold.model.answers import Diff as Diff
    from turnfold.model.answers import DiffRow as DiffRow
    from turnfold.model.answers import Merged as Merged
    from turnfold.model.event import Event as Event
    from turnfold.model.event import NewEvent as NewEvent
    from turnfold.model.keys import KeyInfo as KeyInfo
    from turnfold.model.message import Message as Message
    from turnfold.model.message import assistant as assistant
    from turnfold.model.message import message as message
    from turnfold.model.message import system as system
    from turnfold.model.message import tool_call as tool_call
    from turnfold.model.message import tool_result as tool_result
    from turnfold.model.message import user as user
    from turnfold.model.page import Page as Page
    from turnfold.model.parts import BlobPart as BlobPart
    from turnfold.model.parts import CompactionPart as CompactionPart
    from turnfold.model.parts import FilePart as FilePart
    from turnfold.model.parts import GenericPart as GenericPart
    from turnfold.model.parts import OpaquePart as OpaquePart
    from turnfold.model.parts import ReasoningPart as ReasoningPart
    from turnfold.model.parts import RefusalPart as RefusalPart
    from turnfold.model.parts import ServerToolCallPart as ServerToolCallPart
    from turnfold.model.parts import ServerToolResultPart as ServerToolResultPart
    from turnfold.model.parts import TextPart as TextPart
    from turnfold.model.parts import ToolCallPart as ToolCallPart
    from turnfold.model.parts import ToolResultPart as ToolResultPart
    from turnfold.model.parts import UriPart as UriPart
    from turnfold.model.query import CheckReport as CheckReport
    from turnfold.model.session import Branch as Branch
    from turnfold.model.session import Checkpoint as Checkpoint
    from turnfold.model.session import Lease as Lease
    from turnfold.model.session import SessionInfo as SessionInfo
    from turnfold.model.settings import Settings as Settings
    from turnfold.model.usage import Usage as Usage
    from turnfold.ports.keyring import Keyring as Keyring
    from turnfold.ports.keyring import Kms as Kms

_ERRORS = (
    "AlreadyExists FormatError IdempotencyConflict IntegrityError InvalidInput InvalidTransition KeyUnavailable LeaseLost LimitExceeded "
    "MergeConflict MissingExtra NotFound NotSupported PermissionDenied SchemaOutdated SchemaTooNew SequenceConflict SessionClosed SessionExpired "
    "SessionNotFound SessionSuspended StoreClosed StoreCorrupt StoreUnavailable TurnfoldError"
)
_HOMES = {
    "turnfold.model.answers": "Appended Diff DiffRow Merged",
    "turnfold.core.merging": "Append MergePlan MergeSides MergeStrategy Selective StateMerge merge_state",
    "turnfold.engine.verify": "Verified",
    "turnfold.engine.resuming": "Resumption",
    "turnfold.engine.searching": "SearchHit",
    "turnfold.engine.usage": "UsageRow",
    "turnfold.model.parts": (
        "BlobPart CompactionPart FilePart GenericPart OpaquePart ReasoningPart RefusalPart ServerToolCallPart ServerToolResultPart "
        "TextPart ToolCallPart ToolResultPart UriPart"
    ),
    "turnfold.client": "Client",
    "turnfold.client_async": "AsyncClient",
    "turnfold.connecting": "connect connect_async new_keyring open_keyring",
    "turnfold.copying": "backup copy copy_async",
    "turnfold.core.fold": "payload_of",
    "turnfold.core.upcasting": "upcaster",
    "turnfold.core.window": "Window",
    "turnfold.engine._async.session": "AsyncSession",
    "turnfold.engine._sync.session": "Session",
    "turnfold.engine.context": "override",
    "turnfold.engine.copying.report": "CopyProblem CopyProgress CopyReport",
    "turnfold.engine.cursor": "Cursor",
    "turnfold.engine.exporter": "ExportedFile",
    "turnfold.engine.importer": "FileImport ImportResult",
    "turnfold.engine.listing": "FormatInfo list_formats",
    "turnfold.errors": _ERRORS,
    "turnfold.model.event": "Event NewEvent",
    "turnfold.model.message": "Message assistant message system tool_call tool_result user",
    "turnfold.model.keys": "KeyInfo",
    "turnfold.model.page": "Page",
    "turnfold.model.query": "CheckReport",
    "turnfold.model.session": "Branch Checkpoint Lease SessionInfo",
    "turnfold.model.settings": "Settings",
    "turnfold.model.usage": "Usage",
    "turnfold.ports.keyring": "Keyring Kms",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}
__all__ = sorted(_HOME_OF)  # noqa: PLE0605  # the type checkers read the block above


def __getattr__(name: str) -> Any:  # noqa: ANN401  # whatever the name stands for
    """Import a public name when it is first used, so that ``import turnfold`` costs next to nothing."""
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module 'turnfold' has no attribute {name!r}")
    from importlib import import_module

    value = getattr(import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names."""
    return [*__all__, "__version__"]
