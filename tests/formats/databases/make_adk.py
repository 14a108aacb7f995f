"""Makes a database with the genuine ADK: every kind of part, state in three scopes, a compaction, a rewind, and a second user."""

# mypy: ignore-errors
# The package is not installed where types are checked.

from __future__ import annotations

import asyncio
import sys
from typing import Any

from google.adk.events import Event, EventActions
from google.adk.events.event_actions import EventCompaction
from google.adk.sessions import DatabaseSessionService
from google.genai import types

Part = types.Part


def said(role: str, *parts: Part) -> types.Content:
    return types.Content(role=role, parts=list(parts))


def events() -> list[Event]:
    picture = Part(inline_data=types.Blob(mime_type="image/png", data=b"\x89PNG \xff\xfe\xfd"))
    paper = Part(file_data=types.FileData(file_uri="gs://bucket/x.pdf", mime_type="application/pdf"))
    thought = Part(text="Thinking of it.", thought=True, thought_signature=b"sig\x00\x01")
    calls = [types.FunctionCall(id="c1", name="weather", args={"city": "Bergen"}), types.FunctionCall(id="c2", name="slow", args={})]
    answers = [
        types.FunctionResponse(id="c1", name="weather", response={"result": "rain"}),
        types.FunctionResponse(id="c2", name="slow", response={"error": "timed out"}),
    ]
    usage = types.GenerateContentResponseUsageMetadata(
        prompt_token_count=100,
        candidates_token_count=20,
        thoughts_token_count=7,
        cached_content_token_count=30,
        total_token_count=127,
    )
    code = Part(executable_code=types.ExecutableCode(code="print(1)", language="PYTHON"))
    ran = Part(code_execution_result=types.CodeExecutionResult(outcome="OUTCOME_OK", output="1"))
    model: dict[str, Any] = {"author": "planner", "invocation_id": "e-1"}
    return [
        Event(author="user", invocation_id="e-1", content=said("user", Part(text="Weather in Bergen?"), picture, paper)),
        Event(
            **model,
            content=said("model", thought, *(Part(function_call=call) for call in calls)),
            usage_metadata=usage,
            long_running_tool_ids={"c2"},
            model_version="gemini-x",
            finish_reason=types.FinishReason.STOP,
        ),
        Event(
            **model,
            content=said("user", *(Part(function_response=answer) for answer in answers)),
            actions=EventActions(state_delta={"step": 1, "user:lang": "en", "temp:x": 1}),
        ),
        Event(**model, content=said("model", Part(text="It rains – as ever."), code, ran)),
        Event(author="user", invocation_id="e-2", content=said("user", Part(text="Next?")), branch="root.helper"),
        Event(author="planner", invocation_id="e-2", error_code="429", error_message="too much"),
    ]


async def make(path: str) -> None:
    service = DatabaseSessionService(f"sqlite+aiosqlite:///{path}")
    state = {"app:theme": "dark", "user:lang": "nb", "step": 0}
    session = await service.create_session(app_name="planner", user_id="ada", session_id="trip-1", state=state)
    for event in events():
        await service.append_event(session, event)
    compaction = EventCompaction(
        start_timestamp=session.events[0].timestamp,
        end_timestamp=session.events[2].timestamp,
        compacted_content=said("model", Part(text="They asked about the weather.")),
    )
    await service.append_event(session, Event(author="user", invocation_id="c-1", actions=EventActions(compaction=compaction)))
    back = EventActions(rewind_before_invocation_id="e-2", state_delta={"step": 0})
    await service.append_event(session, Event(author="user", invocation_id="e-3", actions=back))
    hand_over = EventActions(artifact_delta={"a.txt": 0}, transfer_to_agent="helper", escalate=True)
    await service.append_event(session, Event(author="planner", invocation_id="e-4", actions=hand_over))
    other = await service.create_session(app_name="planner", user_id="bob", session_id="trip-1")
    await service.append_event(other, Event(author="user", invocation_id="e-9", content=said("user", Part(text="Hello from Bob"))))


if __name__ == "__main__":
    asyncio.run(make(sys.argv[1]))
