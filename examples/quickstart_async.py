"""The same names with ``await``: many sessions at once on one event loop."""

import asyncio
import tempfile
from pathlib import Path

import turnfold as tf


async def talk(client: tf.AsyncClient, name: str) -> int:
    session = await client.open(name, agent="support")
    for turn in range(10):
        await session.append(tf.user(f"question {turn}"))
        await session.append(tf.assistant(f"answer {turn}"))
    return len(await session.messages())


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{Path(folder) / 'agent.db'}"
        async with tf.connect_async(url) as client:
            # Appends of several tasks that meet at the store are written to disk together.
            counts = await asyncio.gather(*(talk(client, f"user-{number}") for number in range(8)))
            print(f"{len(counts)} sessions, {sum(counts)} messages")

            page = await client.sessions(agent="support", limit=3)
            for info in page:
                print(f"  {info.id}: {info.message_count} messages, {info.status}")
            print(f"  … and more: {page.cursor is not None}")


if __name__ == "__main__":
    asyncio.run(main())
