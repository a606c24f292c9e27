"""Themes of clients that are held to rules: the router at `--send` lets them in, the one at `--recv` does not."""

from proton import ConnectionException, Delivery, Message
from proton.utils import BlockingConnection, LinkDetached, SendException

from harness import PATIENCE, Failure, Receiver, Sender, check


def refused_link(attach, condition):
    """The attach is refused."""
    try:
        attach()
    except LinkDetached as error:
        check(error.condition == condition, "detached with %s" % error.condition)
        check("link disallowed by local policy" in str(error), str(error))
        return
    raise Failure("a link is there that is not allowed")


def rejected(sender, message):
    """The message is rejected."""
    try:
        sender.send(message)
    except SendException as error:
        check(error.state == Delivery.REJECTED, "state %s" % error.state)
        return
    raise Failure("a message was taken that is not allowed")


class Dismissed(Sender):
    """Stays until the router closes the connection."""

    condition = None

    def on_settled(self, event):
        self.settled += 1

    def on_connection_remote_close(self, event):
        # Proton keeps this condition to itself, to connect again.
        self.condition = event.connection.remote_condition
        self.finish()


def policed(args):
    """Connections, links and messages beyond the rules are refused, those within them are not."""
    try:
        BlockingConnection(args.recv, timeout=PATIENCE)
        raise Failure("a connection is there that is not allowed")
    except ConnectionException as error:
        check("connection disallowed by local policy" in str(error), str(error))

    receiver = Receiver(args.send, "orders", 3).start().wait_ready()
    connection = BlockingConnection(args.send, timeout=PATIENCE)
    check(connection.conn.transport.remote_max_frame_size == 4096, "another frame size")
    check(connection.conn.transport.remote_channel_max == 6, "another number of sessions")
    refused_link(lambda: connection.create_sender("elsewhere"), "amqp:unauthorized-access")
    refused_link(lambda: connection.create_receiver("elsewhere"), "amqp:unauthorized-access")
    refused_link(lambda: connection.create_receiver(None, dynamic=True), "amqp:unauthorized-access")

    named = connection.create_sender("orders")
    check(named.link.remote_max_message_size == 20000, "max-message-size %s" % named.link.remote_max_message_size)
    named.send(Message(body="one", user_id=b"anonymous"))
    rejected(named, Message(body="stranger", user_id=b"somebody else"))
    anonymous = connection.create_sender(None)
    anonymous.send(Message(body="two", address="orders"))
    rejected(anonymous, Message(body="astray", address="elsewhere"))
    # Two is all there may be; one that goes makes room.
    refused_link(lambda: connection.create_sender("orders", name="third"), "amqp:resource-limit-exceeded")
    anonymous.close()
    connection.create_sender("orders", name="third").send(Message(body="three"))
    connection.close()
    receiver.join()
    check(receiver.bodies() == ["one", "two", "three"], "received %s" % receiver.bodies())

    large = Dismissed(args.send, "orders", [Message(body="x" * 50000)])
    late = Receiver(args.send, "orders", 1).start().wait_ready()
    large.run()
    check(large.condition.name == "amqp:connection:forced", "closed with %s" % large.condition)
    check(large.condition.description == "Message size exceeded", "closed with %s" % large.condition)
    check(large.outcomes[0][0] == Delivery.REJECTED, "outcome %s" % large.outcomes)
    check(large.outcomes[0][1].name == "amqp:link:message-size-exceeded", "condition %s" % large.outcomes[0][1])
    Sender(args.send, "orders", [Message(body="small")]).run()
    late.join()
    check(late.bodies() == ["small"], "received %s" % late.bodies())


THEMES = [policed]
