"""Makes a database with the genuine LangGraph: a graph with a tool node, a picture, a fork, an edit, an interrupt and a subgraph."""

# mypy: ignore-errors
# The package is not installed where types are checked.

from __future__ import annotations

import operator
import sqlite3
import sys
from contextlib import closing
from datetime import UTC, datetime
from typing import Annotated, Any, TypedDict
from uuid import UUID

from langchain_core.messages import AIMessage, HumanMessage, RemoveMessage, SystemMessage
from langchain_core.tools import tool
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from langgraph.prebuilt import ToolNode
from langgraph.types import interrupt

USAGE = {
    "input_tokens": 100,
    "output_tokens": 20,
    "total_tokens": 120,
    "input_token_details": {"cache_read": 40},
    "output_token_details": {"reasoning": 5},
}
TOLD = {"model_name": "scripted", "finish_reason": "tool_calls"}


class State(TypedDict):
    """What the graph goes round with."""

    messages: Annotated[list, add_messages]
    count: Annotated[int, operator.add]
    notes: dict


@tool
def weather(city: str) -> str:
    """Tell the weather."""
    return f"It rains in {city}, as it does on most days of the year."


def graph(answers: list[AIMessage]) -> StateGraph:
    def model(_state: State) -> dict[str, Any]:
        notes = {"at": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "id": UUID(int=7), "some": {1}, "raw": b"\xff", 3: float("inf")}
        return {"messages": [answers.pop(0)], "count": 1, "notes": notes}

    made = StateGraph(State)
    made.add_node("model", model)
    made.add_node("tools", ToolNode([weather]))
    made.add_edge(START, "model")
    made.add_conditional_edges("model", lambda state: "tools" if state["messages"][-1].tool_calls else END)
    made.add_edge("tools", "model")
    return made


def trip(saver: SqliteSaver) -> None:
    calls = [{"name": "weather", "args": {"city": city}, "id": f"call_{city[0]}"} for city in ("Bergen", "Oslo")]
    answers = [
        AIMessage(content="", id="ai-1", tool_calls=calls, usage_metadata=USAGE, response_metadata=TOLD),
        AIMessage(content=[{"type": "text", "text": "It rains in both."}], id="ai-2"),
        AIMessage(content="Then take a coat – ok?", id="ai-3"),
        AIMessage(content="On the fork.", id="ai-4"),
    ]
    app = graph(answers).compile(checkpointer=saver)
    config = {"configurable": {"thread_id": "trip-42"}}
    app.invoke({"messages": [SystemMessage("Be brief.", id="s-1"), HumanMessage("Weather in Bergen and Oslo?", id="h-1")]}, config)
    before = app.get_state(config).config
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    app.invoke({"messages": [HumanMessage(content=[{"type": "text", "text": "And this?"}, picture], id="h-2")]}, config)
    app.invoke({"messages": [HumanMessage("Something else?", id="h-3")]}, before)
    app.update_state(config, {"messages": [AIMessage(content="On the fork, edited.", id="ai-4"), RemoveMessage(id="h-3")]})


def waiting(saver: SqliteSaver) -> None:
    def ask(_state: State) -> dict[str, Any]:
        return {"messages": [AIMessage(content=interrupt("Really?"))]}

    inner = StateGraph(State)
    inner.add_node("ask", ask)
    inner.add_edge(START, "ask")
    outer = StateGraph(State)
    outer.add_node("inner", inner.compile())
    outer.add_edge(START, "inner")
    app = outer.compile(checkpointer=saver)
    app.invoke({"messages": [HumanMessage("May I?", id="h-1")]}, {"configurable": {"thread_id": "waiting"}})


def together(old: list | None, writes: list) -> list:
    found = old or []
    for write in writes:
        found = add_messages(found, write)
    return found


class Deltas(TypedDict):
    """A state of which a checkpoint holds nothing but what was written."""

    messages: Annotated[list, DeltaChannel(together, list)]
    facts: Annotated[list, DeltaChannel(lambda old, writes: sum(writes, old or []), list)]


def deltas(saver: SqliteSaver) -> None:
    def model(state: Deltas) -> dict[str, Any]:
        number = len(state["messages"])
        return {"messages": [AIMessage(f"answer {number}", id=f"a-{number}")], "facts": [f"fact {number}"]}

    made = StateGraph(Deltas)
    made.add_node("model", model)
    made.add_edge(START, "model")
    app = made.compile(checkpointer=saver)
    config = {"configurable": {"thread_id": "deltas"}}
    for number in range(3):
        app.invoke({"messages": [HumanMessage(f"question {number}", id=f"h-{number}")]}, config)
    app.update_state(config, {"messages": [RemoveMessage(id="h-1"), AIMessage("answer 5, edited", id="a-5")]})


if __name__ == "__main__":
    with closing(sqlite3.connect(sys.argv[1], check_same_thread=False)) as connection:
        trip(SqliteSaver(connection))
        waiting(SqliteSaver(connection))
        deltas(SqliteSaver(connection))
        connection.commit()
