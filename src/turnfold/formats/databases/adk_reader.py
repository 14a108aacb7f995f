"""ADK's events → messages, state, compactions and rewinds."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import msgspec

from turnfold.formats.base import Line, Projected
from turnfold.formats.databases.genai import message_of, usage_of
from turnfold.formats.databases.tables import Handler, Row, TableReader, at_of
from turnfold.formats.fields import name_of, object_of, text_of, text_or_none
from turnfold.limits import STATE_VALUE_BYTES_MAX

ACTIONS = frozenset({"artifact_delta", "transfer_to_agent", "escalate", "skip_summarization", "end_of_agent", "agent_state", "route"})
"""Actions without a message that people want to see."""
_encode = msgspec.json.Encoder(order="sorted").encode


class AdkReader(TableReader):
    """Projects one session."""

    def handlers(self) -> dict[str, Handler]:
        """The handler of each table."""
        return {"sessions": self._header, "events": self._event, "sessions.state": self._final}

    def _header(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        return [self.event(line, "settings", {"kind": "sessions"})]

    def _event(self, line: Line, row: Row, whole: Row) -> list[Projected]:
        data = row.get("event_data")
        event: Row = data if isinstance(data, dict) else row
        problem = "the event is no JSON object" if data is not None and not isinstance(data, dict) else None
        self.seen_at(at_of(event.get("timestamp")) or at_of(row.get("timestamp")))
        meta: dict[str, Any] = {"uuid": text_of(row.get("id"))}
        for name in ("branch", "long_running_tool_ids"):
            if event.get(name):
                meta[name] = event[name]
        envelope = {
            "meta": meta,
            "run_id": name_of(event.get("invocation_id") or row.get("invocation_id")),
            "actor": name_of(event.get("author")),
        }
        actions = object_of(event.get("actions"))
        if problem is not None:
            return [self.unread(line, "events", problem, **envelope)]
        return [self._main(line, event, whole, envelope), *self._state(object_of(actions.get("state_delta")), envelope)]

    def _main(self, line: Line, event: Row, whole: Row, envelope: dict[str, Any]) -> Projected:
        """The event that keeps the line."""
        actions = object_of(event.get("actions"))
        if object_of(actions.get("compaction")):
            return self._compaction(line, object_of(actions["compaction"]), whole, envelope)
        if "rewinds_to" in whole:
            return self._rewind(line, text_of(whole["rewinds_to"]), envelope)
        message = message_of(event)
        usage = usage_of(event.get("usage_metadata"), event.get("model_version"))
        if message is not None:
            typed = event.get("author") == "user" and message.role == "user"
            return self.message(line, message, turn_count=1 if typed else 0, usage=usage, **envelope)
        code, text = text_or_none(event.get("error_code")), text_or_none(event.get("error_message"))
        if code or text:
            return self.event(line, "run.error", {"code": code, "message": text}, visibility="ui", usage=usage, **envelope)
        data = {name: actions[name] for name in ACTIONS if actions.get(name)}
        return self.event(line, "settings", {"kind": "actions", **data}, usage=usage, **envelope)

    def _compaction(self, line: Line, compaction: Row, whole: Row, envelope: dict[str, Any]) -> Projected:
        covers = whole.get("covers")
        ends = [self.find(text_of(name)) for name in covers] if isinstance(covers, list) else []
        message = message_of({"author": "model", "content": compaction.get("compacted_content")})
        data: dict[str, Any] = {"summary": message.text} if message is not None and message.text else {}
        if len(ends) == 2 and ends[0] is not None and ends[1] is not None:
            data |= {"first_seq": ends[0].seq, "last_seq": ends[1].seq}
        return self.event(line, "compaction", data, visibility="both", **envelope)

    def _rewind(self, line: Line, event_id: str, envelope: dict[str, Any]) -> Projected:
        """Take what came from that invocation on out of the view, as ADK does when it builds the next request."""
        place = self.find(event_id)
        if place is None or place.seq >= self.next_seq:
            return self.event(line, "settings", {"kind": "rewind"}, **envelope)
        data = {"ranges": [(place.seq, self.next_seq - 1)], "reason": "rewind"}
        return self.event(line, "retract", data, **envelope)

    # ---- state ---------------------------------------------------------------------------------------------------------------------------

    def _state(self, delta: Row, envelope: dict[str, Any]) -> list[Projected]:
        known: dict[str, int] = dict(self.memory.get("state", {}))
        values = {}
        for key, value in delta.items():
            encoded = _encode(value)
            if name_of(key) is None or key.startswith("temp:") or len(encoded) > STATE_VALUE_BYTES_MAX:
                continue
            values[key] = value
            known[key] = crc32(encoded)
        if not values:
            return []
        self.memory["state"] = known
        fields = {name: value for name, value in envelope.items() if name != "meta"}
        return [self.own("state.set", {"values": values}, **fields)]

    def _final(self, line: Line, row: Row, _whole: Row) -> list[Projected]:
        """Set what no event has set."""
        at = at_of(row.get("update_time")) or self.at_us
        final = dict(object_of(row.get("state")))
        final |= {f"app:{key}": value for key, value in object_of(row.get("app_state")).items()}
        final |= {f"user:{key}": value for key, value in object_of(row.get("user_state")).items()}
        known: dict[str, int] = self.memory.get("state", {})
        missing = {key: value for key, value in final.items() if known.get(key) != crc32(_encode(value))}
        out = [self.event(line, "settings", {"kind": "sessions.state"}, at=at)]
        return [*out, *self._state(missing, {"at": at})]
