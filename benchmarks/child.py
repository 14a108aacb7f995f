"""One workload on one contestant in this fresh process; prints one line of JSON. Called by ``series``."""

from __future__ import annotations

import json
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from benchmarks import disk, following, places, port, workloads, writers
from benchmarks.contestant import everyone
from benchmarks.timing import Result, drive

MARK = "@@RESULT "
WORKLOADS: dict[str, Callable[..., Coroutine[Any, Any, Result]]] = {
    "append": workloads.append,
    "disk": disk.disk,
    "seed": workloads.seed,
    "cold": workloads.cold,
    "tail": workloads.tail,
    "fork": workloads.fork,
    "places": places.places,
    "seed_list": workloads.seed_list,
    "listing": workloads.listing,
    "together": writers.together,
    "prepare_shared": writers.prepare_shared,
    "one_of_processes": writers.one_of_processes,
    "check_shared": writers.check_shared,
    "follow_write": following.write,
    "follow_read": following.read,
    "port_append": port.append,
    "port_floor": port.floor,
}


def main() -> None:
    """Run what the first argument says: contestant, workload, folder, durable, arguments."""
    task = json.loads(sys.argv[1])
    warnings.filterwarnings("ignore")  # the peers' own, before their results
    result: Result
    try:
        folder = Path(task["folder"])
        folder.mkdir(parents=True, exist_ok=True)
        who = everyone()[task["contestant"]](folder, durable=task["durable"])
        who.load_library()
        result = drive(WORKLOADS[task["workload"]](who, **task["arguments"]), who)
        result["ok"] = True
    except ModuleNotFoundError as error:
        result = {"ok": False, "missing": error.name, "error": str(error)}
    except Exception as error:  # noqa: BLE001  # whatever a contestant raises is a result
        result = {"ok": False, "error": f"{type(error).__name__}: {error}"[:500], "trace": traceback.format_exc()[-2_000:]}
    sys.stdout.write(f"\n{MARK}{json.dumps(result)}\n")
    sys.stdout.flush()
    os._exit(0)  # threads that a contestant left behind are none of ours


if __name__ == "__main__":
    main()
