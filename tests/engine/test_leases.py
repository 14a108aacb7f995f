"""Handles that write under a lease."""

import pytest

import turnfold as tf


@pytest.fixture(autouse=True)
def _with_a_job(client: tf.Client) -> None:
    client.open("job").append(tf.user("begin"))


def test_a_handle_opened_with_the_lease_writes_and_others_do_not(client: tf.Client) -> None:
    mine = client.open("job", lease=client.lease("job", "a"))
    mine.append(tf.user("mine"))
    mine.state["step"] = 1
    mine.checkpoint("here")
    with pytest.raises(tf.LeaseLost):
        client.open("job").append(tf.user("yours"))
    assert [message.text for message in mine.messages()] == ["begin", "mine"]


def test_branches_of_such_a_handle_write_under_the_lease_too(client: tf.Client) -> None:
    mine = client.open("job", lease=client.lease("job", "a"))
    mine.fork("try").append(tf.user("on a branch"))
    mine.restore(2)
    mine.append(tf.user("after going back"))
    assert mine.messages()[-1].text == "after going back"


def test_a_lease_that_was_taken_again_refuses_the_older_fence(client: tf.Client) -> None:
    older = client.open("job", lease=client.lease("job", "a"))
    newer = client.open("job", lease=client.lease("job", "a"))
    newer.append(tf.user("newer"))
    with pytest.raises(tf.LeaseLost):
        older.append(tf.user("older"))


def test_a_released_lease_lets_everybody_write_and_renewing_it_fails(client: tf.Client) -> None:
    lease = client.lease("job", "a")
    assert client.renew_lease(lease, ttl_s=60).expires_at_us > lease.expires_at_us
    client.release_lease(lease)
    client.release_lease(lease)
    client.open("job").append(tf.user("yours"))
    with pytest.raises(tf.LeaseLost):
        client.renew_lease(lease)


def test_a_lease_opens_its_own_session_only(client: tf.Client) -> None:
    lease = client.lease("job", "a")
    with pytest.raises(tf.InvalidInput):
        client.open("other", lease=lease)
    client.delete("job")
    with pytest.raises(tf.SessionNotFound):
        client.open("job", lease=lease)
