"""Imports one file in a process of its own, so that a test can kill it and see its memory. Arguments: STORE_URL FILE BATCH_EVENTS (0: as it is)."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from turnfold.engine.importer import Importer
from turnfold.engine.importing import batch
from turnfold.stores.registry import open_store


def main(url: str, path: str, batch_events: int) -> None:
    if batch_events:
        vars(batch)["IMPORT_BATCH_EVENTS"] = batch_events
    store = open_store(url)
    begun_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    result = Importer(store).import_file(Path(path), progress=lambda done: say(done.bytes_done))
    store.close()
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    say("done", result.event_count, (peak_kib - begun_kib) // 1024)


def say(*words: object) -> None:
    """Tell the test, at once."""
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
