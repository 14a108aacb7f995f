"""Keep sessions in PostgreSQL: two programs, one database, each hearing at once what the other wrote."""

import os
import threading
import uuid

import turnfold as tf

SERVER = os.environ.get("TURNFOLD_TEST_POSTGRES", "postgresql://root@127.0.0.1:5432/postgres")


def listen(url: str, after: int, ready: threading.Event) -> None:
    """What a program on another machine would do."""
    with tf.connect(url) as client:
        ready.set()
        for event in client.open("shared").follow(after=after, wait_s=5):
            print(f"  the other one hears: {event.data['parts'][0]['content']}")
            if event.data["parts"][0]["content"] == "Bye.":
                return


def main() -> None:
    schema = f"example_{uuid.uuid4().hex[:8]}"  # a store of its own, which goes at the end
    url = f"{SERVER}?schema={schema}"
    try:
        client = tf.connect(url)
    except tf.StoreUnavailable as error:
        print(f"skipped, no PostgreSQL here (TURNFOLD_TEST_POSTGRES names one): {error}")
        return
    with client:
        session = client.open("shared")
        after = session.append(tf.user("Is anybody there?")).last_seq
        ready = threading.Event()
        other = threading.Thread(target=listen, args=(url, after, ready))
        other.start()
        ready.wait()
        for text in ("Hello!", "Bye."):
            session.append(tf.assistant(text))
        other.join()
        print("found:", [hit.session_id for hit in client.search("anybody there").items])
        print("survives a power loss:", "durable_on_ack" in client.store.capabilities)
    drop(schema)


def drop(schema: str) -> None:
    import psycopg

    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


if __name__ == "__main__":
    main()
