"""Makes a database of ADK's old schema with the genuine tables, which hold an event's actions as a pickle."""

# mypy: ignore-errors
# The package is not installed where types are checked.

from __future__ import annotations

import sys

from google.adk.events import Event, EventActions
from google.adk.sessions import Session
from google.adk.sessions.schemas import v0
from google.genai import types
from sqlalchemy import create_engine
from sqlalchemy.orm import Session as Transaction

USAGE = types.GenerateContentResponseUsageMetadata(prompt_token_count=10, candidates_token_count=2)


def said(role: str, part: types.Part) -> types.Content:
    return types.Content(role=role, parts=[part])


def events() -> list[Event]:
    call = types.Part(function_call=types.FunctionCall(id="c1", name="look", args={"a": 1}))
    answer = types.Part(function_response=types.FunctionResponse(id="c1", name="look", response={"ok": True}))
    model = {"author": "old_agent", "invocation_id": "e-1"}
    return [
        Event(author="user", invocation_id="e-1", timestamp=1795184918.5, content=said("user", types.Part(text="Old question?"))),
        Event(
            **model,
            timestamp=1795184919.5,
            long_running_tool_ids={"c1"},
            content=said("model", call),
            actions=EventActions(state_delta={"k": 1}),
            usage_metadata=USAGE,
        ),
        Event(**model, timestamp=1795184920.5, content=said("user", answer)),
    ]


if __name__ == "__main__":
    engine = create_engine(f"sqlite:///{sys.argv[1]}")
    v0.Base.metadata.create_all(engine)
    with Transaction(engine) as transaction:
        transaction.add(v0.StorageSession(app_name="old", user_id="ada", id="s-0", state={"k": 1}))
        transaction.flush()
        session = Session(id="s-0", app_name="old", user_id="ada", state={})
        for event in events():
            transaction.add(v0.StorageEvent.from_event(session=session, event=event))
        transaction.commit()
