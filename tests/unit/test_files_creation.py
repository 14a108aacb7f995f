"""Creating a files store from several sides at once."""

from __future__ import annotations

import threading
from pathlib import Path

from turnfold.stores.files import FilesStore


def test_threads_that_create_one_store_at_once_all_get_it(tmp_path: Path) -> None:
    """Each writes the store's mark through a temporary file of its own."""
    errors: list[BaseException] = []
    ready = threading.Barrier(8)

    def create(place: Path) -> None:
        ready.wait()
        try:
            FilesStore(place).close()
        except BaseException as error:  # noqa: BLE001  # told to the test's own thread
            errors.append(error)

    for number in range(20):
        threads = [threading.Thread(target=create, args=(tmp_path / f"store-{number}",)) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert errors == []
