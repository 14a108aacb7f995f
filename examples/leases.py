"""Give one worker the exclusive right to write to a session, with a token that outlives no one."""

import turnfold as tf


def main() -> None:
    with tf.connect("memory://") as client:
        session = client.open("job-1")
        session.append(tf.user("Summarise the report"))

        lease = client.lease("job-1", "worker-a", ttl_s=30)
        print(f"{lease.holder} holds {lease.session_id} with fence {lease.fence}")
