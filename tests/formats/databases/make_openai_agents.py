"""Makes a database with the genuine OpenAI Agents SDK: an agent with a scripted model, a branch, a picture, usage, and a plain session."""

# mypy: ignore-errors
# The package is not installed where types are checked.

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, RunConfig, Runner, SQLiteSession, function_tool, set_tracing_disabled
from agents.extensions.memory import AdvancedSQLiteSession
from agents.items import ModelResponse
from agents.models.interface import Model
from agents.usage import Usage
from openai.types import responses
from openai.types.responses.response_reasoning_item import Summary
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
set_tracing_disabled(disabled=True)


class Scripted(Model):
    """Answers what it was told to, one response after another."""

    def __init__(self, outputs: list[list[Any]]) -> None:
        self.outputs = outputs

    async def get_response(self, *args: Any, **fields: Any) -> ModelResponse:
        usage = Usage(
            requests=1,
            input_tokens=100,
            output_tokens=20,
            total_tokens=120,
            input_tokens_details=InputTokensDetails(cached_tokens=40, cache_write_tokens=0),
            output_tokens_details=OutputTokensDetails(reasoning_tokens=5),
        )
        return ModelResponse(output=self.outputs.pop(0), usage=usage, response_id="resp_1")

    def stream_response(self, *args: Any, **fields: Any) -> AsyncIterator[Any]:
        raise NotImplementedError


@function_tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"It rains in {city}, as it does on most days of the year."


def said(text: str, name: str) -> responses.ResponseOutputMessage:
    content = responses.ResponseOutputText(type="output_text", text=text, annotations=[])
    return responses.ResponseOutputMessage(id=name, type="message", role="assistant", status="completed", content=[content])


def called(arguments: str, name: str) -> responses.ResponseFunctionToolCall:
    return responses.ResponseFunctionToolCall(
        id=f"fc_{name}", call_id=f"call_{name}", type="function_call", name="weather", arguments=arguments, status="completed"
    )


async def advanced(path: str) -> None:
    thought = Summary(type="summary_text", text="Two cities to look up.")
    reasoning = responses.ResponseReasoningItem(id="rs_1", type="reasoning", summary=[thought], encrypted_content="gAAAAABopaque")
    calls = [reasoning, called('{"city": "Bergen"}', "a"), called('{"city":"Oslo"}', "b")]
    answers = [("It rains in both.", "msg_1"), ("Then take a coat – ok?", "msg_2"), ("On the branch.", "msg_3")]
    agent = Agent(name="Planner", model=Scripted([calls, *([said(*answer)] for answer in answers)]), tools=[weather])
    session = AdvancedSQLiteSession(session_id="trip-42", db_path=path, create_tables=True)
    picture = {"type": "input_image", "image_url": f"data:image/png;base64,{PNG}", "detail": "auto"}
    asked: list[Any] = [{"role": "user", "content": [{"type": "input_text", "text": "And this picture?"}, picture]}]
    both = RunConfig(session_input_callback=lambda history, new: history + new)
    await session.store_run_usage(await Runner.run(agent, "Weather in Bergen and Oslo?", session=session))
    await session.store_run_usage(await Runner.run(agent, asked, session=session, run_config=both))
    await session.create_branch_from_turn(2, "what-if")
    await session.store_run_usage(await Runner.run(agent, "Something else?", session=session))
    session.close()


async def plain(path: str) -> None:
    session = SQLiteSession("plain", path)
    search: Any = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}}
    await session.add_items([{"role": "user", "content": "Hello there"}, search, {"role": "assistant", "content": "Hi"}])
    session.close()


if __name__ == "__main__":
    asyncio.run(advanced(sys.argv[1]))
    asyncio.run(plain(sys.argv[1]))
