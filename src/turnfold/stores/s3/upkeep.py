"""What is done beside commits: purging what was deleted, checking that everything named is there."""

from __future__ import annotations

from turnfold.errors import TurnfoldError
from turnfold.model.query import CheckReport
from turnfold.model.session import SessionKey
from turnfold.stores.s3 import names
from turnfold.stores.s3.house import House
from turnfold.stores.s3.manifest import Manifest, decode_manifest


def purge(house: House, key: SessionKey) -> None:
    """Remove everything that belongs to incarnations of a session that are gone."""
    state = house.session(key).fresh()
    living = None if state is None or state.deleted_at_us is not None else names.data(key, state.incarnation)
    gone = [item.key for item in house.bucket.objects(names.all_data(key)) if living is None or not item.key.startswith(living)]
    house.bucket.delete(gone)
    house.segments.cache.drop(gone)


def named_by(manifest: Manifest) -> set[str]:
    """The names of the objects that a manifest refers to, but for parts that only its base names."""
    out = {ref.name for ref in manifest.segments}
    if manifest.base:
        out.add(manifest.base)
    return out


def check(house: House) -> CheckReport:
    """Compare what manifests name with what is there."""
    problems: list[str] = []
    facts: dict[str, str | int | float | bool] = {"url": house.bucket.location.url}
    sizes = {item.key: item.size_bytes for item in house.bucket.objects("")}
    keys = [key for key in sizes if key.startswith(names.MANIFESTS)]
    named: set[str] = set()
    session_count = event_count = 0

    def read(key: str) -> Manifest | str | None:
        try:
            found = house.bucket.get(key)
            return None if found is None else decode_manifest(found.body, key)
        except TurnfoldError as error:
            return error.message

    for name, manifest in zip(keys, house.parallel(read, keys), strict=True):
        if isinstance(manifest, str):
            problems.append(manifest)
        if not isinstance(manifest, Manifest) or manifest.deleted_at_us is not None:
            continue
        folder = names.data(SessionKey(manifest.tenant, manifest.session_id), manifest.incarnation)
        session_count += 1
        event_count += manifest.fixed.last_seq
        here = {folder + one for one in named_by(manifest)}
        problems += [f"{name} names {one}, which is not there" for one in sorted(here - sizes.keys())]
        named |= here
    facts.update(session_count=session_count, event_count=event_count, object_count=len(sizes), size_bytes=sum(sizes.values()))
    return CheckReport(tuple(problems), facts)
