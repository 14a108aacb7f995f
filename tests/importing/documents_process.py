"""Imports one document in a process of its own, so that a test can kill it. Arguments: STORE_URL FILE BATCH_EVENTS."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.importing.documents import formats_with_chats
from tests.importing.importing_process import say
from turnfold.engine.importer import Importer
from turnfold.engine.importing import batch
from turnfold.stores.registry import open_store


def main(url: str, path: str, batch_events: int) -> None:
    vars(batch)["IMPORT_BATCH_EVENTS"] = batch_events
    store = open_store(url)
    result = Importer(store, known_formats=formats_with_chats()).import_tree([Path(path)], progress=lambda done: say(done.bytes_done))
    store.close()
    say("done", result.event_count)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
