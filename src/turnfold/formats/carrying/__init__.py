"""What the writers of agent tools' own session files share: a conversation is carried over from one tool to another.

Theory of operation. A tool's file is written from a ``Conversation`` so that the tool can go on with it: structured calls with their results,
images, compactions. Everything is derived from the conversation (ids from the session's id and seqs, times from its events), so writing twice
gives the same bytes, and a conversation that has gone on gets another native id instead of another tool's file being written over.

Each file says where it comes from, twice: in a note that the model reads (``note``), which is no content and is replaced when the conversation
is carried on to a third tool, and in fields named ``turnfold`` that the tools do not read, by which an import finds the session again.
"""

from __future__ import annotations

from turnfold.formats.carrying.options import WriteOptions

__all__ = ["WriteOptions"]
