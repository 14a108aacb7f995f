"""Runs the measures: interleaved rounds (ours, floor, peer, ours, floor, peer …), each run a fresh process on a fresh store."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks import following
from benchmarks.child import MARK
from benchmarks.contestant import everyone
from benchmarks.plan import Measure
from benchmarks.redis_contestants import URL_FILE
from benchmarks.servers import Servers
from benchmarks.timing import Result
from turnfold.testing.servers.base import Server
from turnfold.testing.servers.redis import RedisServer, executable

ROOT = Path(__file__).resolve().parent.parent
Results = dict[str, list[Result]]
_MEMORY = Path("/dev/shm")

_PROBE = """
import gc, sys, time
def rss():
    for line in open('/proc/self/status'):
        if line.startswith('VmRSS:'):
            return int(line.split()[1]) / 1024
r, m, c, t = rss(), len(sys.modules), time.process_time(), time.perf_counter()
{code}
t, c = time.perf_counter() - t, time.process_time() - c
g = time.perf_counter()
gc.collect()
g = time.perf_counter() - g
import json
print({mark!r} + json.dumps(dict(ok=True, verified=True, ms=t * 1e3, cpu_ms=c * 1e3, rss_mb=rss() - r, gc_ms=g * 1e3, modules=len(sys.modules) - m)))
sys.stdout.flush()
import os
os._exit(0)
"""


class Runner:
    """Runs measures in folders of its own and removes them."""

    def __init__(self, *, repeats: int, quick: bool, realtime: bool, disk: Path | None, say: Callable[[str], None]) -> None:
        self.repeats, self.quick, self.realtime, self.say = repeats, quick, realtime, say
        self.disk = Path(tempfile.mkdtemp(prefix="turnfold-bench-", dir=disk))
        self.memory = Path(tempfile.mkdtemp(prefix="turnfold-bench-", dir=_MEMORY if _MEMORY.is_dir() else disk))
        self._places = Servers(self.disk, self.memory)
        self._seeds: dict[str, Path] = {}
        self._servers: list[Server] = []
        self._count = 0

    def close(self) -> None:
        """Remove everything."""
        self._places.close()
        for server in self._servers:
            server.kill()
        for folder in (self.disk, self.memory):
            shutil.rmtree(folder, ignore_errors=True)

    def run(self, measure: Measure) -> Results:
        """Run a measure; returns the results of every contestant that is there, in order of the rounds."""
        if any("redis" in name for name in measure.contestants) and not self._servers:
            self._start_redis()
        out: Results = {name: [] for name in measure.contestants}
        for turn in range(self.repeats):
            for name in list(out):
                result = self._one(measure, name, turn)
                if result.get("missing"):
                    self.say(f"{name} is left out: {result['error']}")
                    del out[name]
                    continue
                if not result.get("ok"):
                    self.say(f"{measure.key} {name}: {result.get('error')}\n{result.get('trace', '')}")
                out[name].append(result)
                self._progress(measure, name, turn, result)
        for key in [key for key in self._seeds if measure.large]:
            shutil.rmtree(self._seeds.pop(key), ignore_errors=True)
        return out

    def _start_redis(self) -> None:
        """Start a Redis on the disk and one in memory, both of which write before they answer."""
        if executable() is None:
            return
        for folder in (self.disk, self.memory):
            server = RedisServer(folder / "redis")
            self._servers.append(server.start())
            (folder / URL_FILE).write_text(server.url, encoding="utf-8")

    def _progress(self, measure: Measure, name: str, turn: int, result: Result) -> None:
        shown = " ".join(f"{key}={value:.4g}" for key, value in result.items() if isinstance(value, float) and not isinstance(value, bool))
        self.say(f"[{turn + 1}/{self.repeats}] {measure.key} {name}: {shown} {'' if result.get('verified') else 'NOT VERIFIED'}")

    def _one(self, measure: Measure, name: str, turn: int) -> Result:
        if measure.kind == "import":
            if not turn:
                self._import(name)  # writes the byte code
            return self._import(name)
        arguments = measure.arguments | (measure.quick if self.quick else {})
        if measure.seed is not None:
            seeded = self._seed(measure, name)
            if isinstance(seeded, dict):
                return seeded
            folder = seeded
            if measure.workload == "fork":  # it writes, so it gets a store of its own
                folder = self._fresh(measure)
                shutil.copytree(seeded, folder)
        else:
            folder = self._fresh(measure)
        try:
            if measure.kind == "processes":
                return self._processes(name, folder, **arguments)
            if measure.kind == "follow":
                return self._follow(name, folder, **arguments)
            workload = "port_floor" if measure.workload == "port_append" and not name.startswith("turnfold") else measure.workload
            return self.child(name, workload, folder, arguments)
        finally:
            if folder not in self._seeds.values():
                shutil.rmtree(folder, ignore_errors=True)

    def _fresh(self, measure: Measure) -> Path:
        self._count += 1
        return (self.disk if measure.where == "disk" else self.memory) / f"run-{self._count}"

    def _seed(self, measure: Measure, name: str) -> Path | Result:
        assert measure.seed is not None
        key = f"{name} {json.dumps(measure.seed)}"
        if key not in self._seeds:
            folder = self.disk / f"seed-{len(self._seeds)}-{self._count}"
            workload = "seed" if "sizes" in measure.seed else "seed_list"
            began = time.monotonic()
            result = self.child(name, workload, folder, measure.seed, durable=False)
            if not result["ok"]:
                return result
            self.say(f"seeded {key} in {time.monotonic() - began:.1f} s")
            self._seeds[key] = folder
        return self._seeds[key]

    # ---- processes -------------------------------------------------------------------------------------------------------------------
    def start(self, name: str, workload: str, folder: Path, arguments: dict[str, Any], *, durable: bool = True) -> subprocess.Popen[str]:
        """Start a child."""
        task = {"contestant": name, "workload": workload, "folder": str(folder), "durable": durable, "arguments": arguments}
        server = self._places.environment(everyone()[name].SERVER, folder)
        return self._spawn([sys.executable, "-m", "benchmarks.child", json.dumps(task)], server)

    def _spawn(self, command: list[str], further: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        if self.realtime:
            command = ["chrt", "-r", "1", *command]
        path = os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")])
        env = {key: value for key, value in os.environ.items() if not key.startswith("TURNFOLD_") and key != "PYTHONDONTWRITEBYTECODE"}
        # Installed packages are imported from byte code; a source tree gets its own here, in the first run.
        env |= {
            "PYTHONPATH": path,
            "PYTHONPYCACHEPREFIX": str(self.memory / "bytecode"),
            "HOME": str(self.memory),
            "PYTHONHASHSEED": "0",
            "OPENAI_API_KEY": "none",
        } | dict(further or {})
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env, cwd=ROOT)

    def child(self, name: str, workload: str, folder: Path, arguments: dict[str, Any], *, durable: bool = True) -> Result:
        """Run a child to its end."""
        return self._result(self.start(name, workload, folder, arguments, durable=durable))

    def _result(self, process: subprocess.Popen[str], timeout_s: float = 900) -> Result:
        try:
            out, errors = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return {"ok": False, "error": f"no result within {timeout_s} s"}
        line = next((line for line in reversed(out.splitlines()) if line.startswith(MARK)), None)
        if line is None:
            missing = "No module named" in errors
            return {"ok": False, "error": (errors or out).strip()[-600:], "missing": missing}
        return dict(json.loads(line.removeprefix(MARK)))

    def _import(self, name: str) -> Result:
        self._count += 1
        folder = self.memory / f"run-{self._count}"
        folder.mkdir()
        code = everyone()[name].IMPORT.replace("{path}", str(folder))
        try:
            return self._result(self._spawn([sys.executable, "-c", _PROBE.format(code=code, mark=MARK)]))
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def _processes(self, name: str, folder: Path, *, writers: int, each: int) -> Result:
        result = self.child(name, "prepare_shared", folder, {})
        if not result["ok"]:
            return result
        start_at = time.time() + 5
        running = [
            self.start(name, "one_of_processes", folder, {"writer": writer, "each": each, "start_at": start_at})
            for writer in range(writers)
        ]
        ended = [self._result(process) for process in running]
        if not all(one["ok"] for one in ended):
            return next(one for one in ended if not one["ok"])
        wall_s = max(one["end"] for one in ended) - min(one["begin"] for one in ended)
        result = self.child(name, "check_shared", folder, {"writers": writers, "each": each})
        return result | {"per_s": writers * each / wall_s, "errors": sum(one["errors"] for one in ended)}

    def _follow(self, name: str, folder: Path, *, count: int) -> Result:
        result = self.child(name, "prepare_shared", folder, {})
        if not result["ok"]:
            return result
        writer_name = "raw-sqlite" if name == "raw-sqlite-inotify" else name
        keeper = self.start(name, "follow_read", folder, {"count": count})
        assert keeper.stdout is not None
        while (line := keeper.stdout.readline()) and not line.startswith("@@READY"):
            pass
        time.sleep(0.3)
        written = self.child(writer_name, "follow_write", folder, {"count": count})
        followed = self._result(keeper, timeout_s=60)
        if not (written["ok"] and followed["ok"]):
            return written if not written["ok"] else followed
        return following.latencies(written, followed) | {"ok": True}
