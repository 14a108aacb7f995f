"""Commits to logs: one log in a group, several logs in one transaction, and the rules that span a tenant.

Theory of operation. Commits to one session that wait while another is being synced go together into the next write and sync (the combiner).
Their lines are built one after the other, each against the log as the one before leaves it, written with one call and synced with one.

A commit that carries commits to other logs (``also``) takes all their locks in the order of their paths. The lines of the others are written
and synced first, each saying that it holds only if the session's log has, at a named place, the line of this transaction. Then that line is
written and synced: the commit point. Last, the others get a line that says so for ever. Whoever finds them without it (their writer died)
looks at the named place and knows.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Iterator, Sequence

import msgspec

from turnfold.core import checks
from turnfold.errors import InvalidInput, TurnfoldError
from turnfold.ids import new_id
from turnfold.model.commit import Commit, Committed
from turnfold.model.session import SessionKey
from turnfold.ports.store import Clock
from turnfold.stores._combiner import Combiner
from turnfold.stores._disk import as_turnfold_error, take_lock, unlock
from turnfold.stores.files.disk import OpenFile
from turnfold.stores.files.layout import relative_path
from turnfold.stores.files.lines import Line, WhenRow, encode_line
from turnfold.stores.files.log import SessionLog, Written
from turnfold.stores.files.staging import Staged, check_also, stage
from turnfold.stores.files.state import LogState

Result = Committed | Exception
OpenCount = Callable[[str, str | None], int]
WriteGroup = Callable[[SessionLog, Sequence[Commit]], list[Result]]


class OpenLog:
    """A session's log in this process, with the combiner that its writers share."""

    def __init__(self, log: SessionLog, write: WriteGroup) -> None:
        """Join them."""
        self.log = log
        self.combiner: Combiner[Commit, Committed] = Combiner(lambda commits: write(log, commits))


class Writer:
    """Writes commits."""

    def __init__(
        self,
        open_log_at: Callable[[str], OpenLog],
        open_count: OpenCount,
        *,
        clock: Clock,
        integrity_key: bytes | None,
        lock_wait_s: float,
    ) -> None:
        """Wire it.

        Args:
            open_log_at: Gives the log of a directory, relative to the root.
            open_count: Counts the open sessions of (tenant, owner).
            clock: The store's clock.
            integrity_key: HMAC key of the digests.
            lock_wait_s: How long to wait for another process.
        """
        self._open_log_at = open_log_at
        self._open_count = open_count
        self._clock = clock
        self._key = integrity_key
        self._lock_wait_s = lock_wait_s

    def commit(self, commit: Commit) -> Committed:
        """Write one commit."""
        opened = self._open_log(commit.key)
        genesis = commit.genesis
        if genesis is not None and genesis.owner_sessions_max is not None and not self.exists(opened.log):
            return self._create_counted(commit, opened)
        if commit.also:
            return self._commit_wide(commit)
        if commit.redacts or commit.prune:
            self.settle_targets(opened.log)
        result = opened.combiner.submit([commit])[0]
        if isinstance(result, Exception):
            raise result
        return result

    def commit_many(self, commits: Sequence[Commit]) -> list[Result]:
        """Write several commits; those to one log that need no other go together."""
        results: dict[int, Result] = {}
        groups: dict[SessionKey, list[int]] = {}
        for index, commit in enumerate(commits):
            counted = commit.genesis is not None and commit.genesis.owner_sessions_max is not None
            if counted or commit.also or commit.redacts or commit.prune:
                self._commit_groups(commits, groups, results)  # what stands before it is written before it
                groups = {}
                try:
                    results[index] = self.commit(commit)
                except TurnfoldError as error:
                    results[index] = error
            else:
                groups.setdefault(commit.key, []).append(index)
        self._commit_groups(commits, groups, results)
        return [results[index] for index in range(len(commits))]

    def _commit_groups(self, commits: Sequence[Commit], groups: dict[SessionKey, list[int]], results: dict[int, Result]) -> None:
        for key, members in groups.items():
            done = self._open_log(key).combiner.submit([commits[index] for index in members])
            results.update(zip(members, done, strict=True))

    def _open_log(self, key: SessionKey) -> OpenLog:
        return self._open_log_at(relative_path(key))

    def exists(self, log: SessionLog) -> bool:
        """Whether there is such a session now."""
        with log.lock:
            return log.refresh() is not None

    # ---- one log ---------------------------------------------------------------------------------------------------------------------
    def write(self, log: SessionLog, commits: Sequence[Commit], open_count: int = 0) -> list[Result]:
        """Write a group of commits to one log, each on its own terms."""
        try:
            if not log.take(create=any(commit.genesis is not None for commit in commits)):
                return [checks.not_found(commit.key.session_id) for commit in commits]
            try:
                return self._write_locked(log, commits, open_count)
            finally:
                log.release()
        except TurnfoldError as error:  # the log cannot be used at all
            return [error] * len(commits)
        except OSError as error:
            return [as_turnfold_error(error, log.path)] * len(commits)

    def _write_locked(self, log: SessionLog, commits: Sequence[Commit], open_count: int) -> list[Result]:
        with log.lock, _forgetting(log):
            log.refresh_locked()
            results, lines, members = self._stage_group(log, commits, open_count)
            if not lines:
                return results
            try:
                written = log.append(lines)
            except OSError as error:
                return _fail(results, members, as_turnfold_error(error, log.path))
        if written.line_count < len(lines):
            full = as_turnfold_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), log.path)
            results = _fail(results, members[written.line_count :], full)
        try:
            log.sync(written)  # readers go on meanwhile
        except OSError as error:
            return _fail(results, members, as_turnfold_error(error, log.path))
        if any(commit.redacts or commit.prune for commit in commits):
            with log.lock:
                log.refresh_locked()
        return results

    def _stage_group(self, log: SessionLog, commits: Sequence[Commit], open_count: int) -> tuple[list[Result], list[bytes], list[int]]:
        """Check and apply the commits one after the other; return their answers, the lines to write, and whose they are."""
        results: list[Result] = []
        lines: list[bytes] = []
        members: list[int] = []
        size = 0
        for index, commit in enumerate(commits):
            try:
                staged = self._stage(log, commit, open_count)
                if isinstance(staged, Committed):
                    results.append(staged)
                    continue
                staged.line.after = len(lines)
                line = _encode(staged)
            except TurnfoldError as error:
                results.append(error)
                continue
            if not lines:
                log.begin()
            log.add(staged, size)
            lines.append(line)
            members.append(index)
            size += len(line)
            results.append(staged.committed)
        return results, lines, members

    def _stage(self, log: SessionLog, commit: Commit, open_count: int = 0) -> Staged | Committed:
        try:
            staged = stage(
                commit,
                log.known,
                now_us=self._clock(),
                integrity_key=self._key,
                read=log.read,
                open_count=lambda: open_count,
            )
            if isinstance(staged, Staged):
                for ref, content in staged.parts:
                    log.parts.put(ref, content)
        except OSError as error:
            raise as_turnfold_error(error, log.path) from error
        except (TypeError, ValueError, OverflowError) as error:
            raise _not_json(error) from error
        return staged

    # ---- several logs ----------------------------------------------------------------------------------------------------------------
    def _commit_wide(self, commit: Commit, open_count: int = 0) -> Committed:
        """Write a commit and those that it carries, all or none."""
        check_also(commit)
        commits = {self._open_log(one.key).log.relative: one for one in (commit, *commit.also)}
        main = self._open_log(commit.key).log.relative
        with contextlib.ExitStack() as stack:
            logs = {path: self._hold(stack, path, create=one.genesis is not None) for path, one in sorted(commits.items())}
            for path, one in commits.items():
                if not logs[path].held:
                    raise checks.not_found(one.key.session_id)
            try:
                with _forgetting(*(held.log for held in logs.values())):
                    return self._write_wide(logs, commits, main, open_count)
            except OSError as error:
                raise as_turnfold_error(error, logs[main].log.path) from error

    def _hold(self, stack: contextlib.ExitStack, path: str, *, create: bool) -> _Held:
        """Take every lock of a log for as long as the stack lasts."""
        opened = self._open_log_at(path)
        stack.enter_context(opened.combiner.exclusive())
        held = opened.log.take(create=create)
        if held:
            stack.callback(opened.log.release)
        stack.enter_context(opened.log.lock)
        return _Held(opened.log, held)

    def _write_wide(self, logs: dict[str, _Held], commits: dict[str, Commit], main: str, open_count: int) -> Committed:
        staged: dict[str, Staged] = {}
        answer: Committed | None = None
        for path, held in logs.items():
            held.log.refresh_locked()
            one = self._stage(held.log, commits[path], open_count if path == main else 0)
            if isinstance(one, Staged):
                staged[path] = one
            if path == main:
                answer = one.committed if isinstance(one, Staged) else one
        assert answer is not None
        others = [path for path in staged if path != main]
        transaction = new_id() if main in staged and others else ""
        if main in staged:
            logs[main].log.begin()
        when = WhenRow(main, *logs[main].log.place)
        lines: dict[str, bytes] = {}
        for path, one in staged.items():
            if transaction:
                one.line.transaction = transaction
                one.line.when, one.line.targets = (when, ()) if path != main else (None, tuple(others))
            lines[path] = _encode(one)
        done: list[tuple[SessionLog, Written]] = []
        try:
            for path in [*others, *([main] if main in staged else [])]:
                log = logs[path].log
                log.begin()
                log.add(staged[path], 0)
                written = log.append([lines[path]])
                done.append((log, written))
                log.sync(written)
        except OSError:
            for log, written in reversed(done):  # the commit point first
                log.take_back(written)
            raise
        if transaction:
            with contextlib.suppress(OSError):  # it is committed; the next writer says so if this one cannot
                for path in others:
                    logs[path].log.write_line(Line(settled=transaction))
        if any(one.redacts or one.prune for one in commits.values()):
            for held in logs.values():
                held.log.refresh_locked()
        return answer

    def settle_targets(self, log: SessionLog) -> None:
        """Let the other logs of past transactions say for themselves that these were committed, before this log's lines move or go."""
        with log.lock:
            state = log.refresh()
            targets = sorted(state.targets) if state is not None else []
        for path in targets:
            opened = self._open_log_at(path)
            with opened.combiner.exclusive():
                if opened.log.take(create=False):
                    try:
                        with opened.log.lock:
                            opened.log.refresh_locked()
                    finally:
                        opened.log.release()

    @contextlib.contextmanager
    def holding(self, key: SessionKey, owner: str | None = None) -> Iterator[tuple[SessionLog, LogState]]:
        """Hold a log with everything in order, for a change that is no commit.

        Raises:
            SessionNotFound: There is no such session for this owner.
        """
        opened = self._open_log(key)
        log = opened.log
        with opened.combiner.exclusive():
            try:
                if not log.take(create=False):
                    raise checks.not_found(key.session_id)
                try:
                    with log.lock:
                        state = log.refresh_locked()
                        if state is None:
                            raise checks.not_found(key.session_id)
                        checks.check_owner(key.session_id, state.genesis.owner, owner)
                        try:
                            yield log, state
                        except TurnfoldError:
                            raise
                        except BaseException:
                            log.forget()
                            raise
                finally:
                    log.release()
            except OSError as error:
                raise as_turnfold_error(error, log.path) from error

    # ---- limits of an owner ----------------------------------------------------------------------------------------------------------
    def _create_counted(self, commit: Commit, opened: OpenLog) -> Committed:
        """Create a session while nobody else creates one in this tenant, so that the owner's limit holds exactly."""
        genesis = commit.genesis
        assert genesis is not None
        folder = opened.log.path.parent
        folder.mkdir(parents=True, exist_ok=True)
        lock = OpenFile(folder, os.O_RDONLY | os.O_DIRECTORY)
        take_lock(lock.fd, folder, self._lock_wait_s)
        try:
            count = self._open_count(commit.key.tenant, genesis.owner)
            if commit.also:
                return self._commit_wide(commit, count)
            with opened.combiner.exclusive():
                result = self.write(opened.log, [commit], count)[0]
        finally:
            unlock(lock.fd)
        if isinstance(result, Exception):
            raise result
        return result


class _Held(msgspec.Struct, frozen=True):
    """A log whose locks are held; its OS lock only where there is a directory."""

    log: SessionLog
    held: bool


@contextlib.contextmanager
def _forgetting(*logs: SessionLog) -> Iterator[None]:
    """Let nothing stay known that may not stand in the files, when something (Ctrl-C, say) gets in between."""
    try:
        yield
    except BaseException:
        for log in logs:
            log.forget()
        raise


def _encode(staged: Staged) -> bytes:
    try:
        return encode_line(staged.line, staged.rows)
    except (TypeError, ValueError, OverflowError) as error:
        raise _not_json(error) from error


def _not_json(error: Exception) -> TurnfoldError:
    """The error for what msgspec cannot encode: lone surrogates, foreign types in a run's data, numbers beyond 64 bits."""
    return InvalidInput(f"the commit cannot be written as JSON: {error}")


def _fail(results: list[Result], members: Sequence[int], error: Exception) -> list[Result]:
    """The answers, with an error for those whose lines are not written."""
    out = list(results)
    for index in members:
        out[index] = error
    return out
