"""Put your own event types into the log: they are kept, paged, followed and verified like any other."""

import msgspec

import turnfold as tf


class OrderShipped(msgspec.Struct):
    """A payload of your own; a dict does as well."""

    order: int
    carrier: str
    weight_g: int


def shipped(order: OrderShipped, *, by: str) -> tf.NewEvent:
    return tf.NewEvent(type="shop.order_shipped", data=order, actor=by, visibility="none")


def main() -> None:
    with tf.connect("memory://") as client:
        session = client.open("order-4711")
        session.append(tf.user("Where is my parcel?"))
        session.append([shipped(OrderShipped(4711, "DHL", 850), by="warehouse"), tf.assistant("It left the warehouse today.")])
        session.append(tf.NewEvent(type="shop.rated", data={"stars": 5}, actor="alice", visibility="none"))

        for event in session.events(types=["shop.order_shipped", "shop.rated"]):
            print(f"seq {event.seq}  {event.type:<20} by {event.actor:<10} {event.data}")

        order = msgspec.json.decode(session.events(types=["shop.order_shipped"])[0].data_raw, type=OrderShipped)
        print(f"typed again: {order}")

        # visibility="none" keeps an event out of what models and people see; the log has it all the same.
        print("messages:", [message.text for message in session.messages()])
        print("verified:", client.verify("order-4711").event_count, "events")


if __name__ == "__main__":
    main()
