"""Themes about which receivers get a message."""

from proton import Delivery, Message

from harness import Receiver, Sender, Worker, check, unique, wait_for_consumers, wait_until


def multicast(args):
    """Each of three receivers gets every message."""
    address = unique("multicast")
    receivers = [Receiver(args.recv, address, 100).start().wait_ready() for _ in range(3)]
    wait_for_consumers(args.recv, address, local=3)
    if args.send != args.recv:
        wait_for_consumers(args.send, address, remote=1)
    sender = Sender(args.send, address, [Message(body=number) for number in range(100)]).run()
    for receiver in receivers:
        receiver.join()
        check(receiver.bodies() == list(range(100)), "a copy is lost or out of order")
    check(sender.states() == [Delivery.ACCEPTED] * 100, "not all accepted")


class Counter(Receiver):
    """A receiver that stays until it is told to end."""

    def __init__(self, url, address, verdict=None):
        super().__init__(url, address, -1, verdict)


def closest(args):
    """A receiver at the sender's own router gets everything; equal receivers take turns."""
    address = unique("closest")
    two_routers = args.send != args.recv
    near = Counter(args.send, address).start().wait_ready()
    other = Counter(args.recv, address).start().wait_ready()
    wait_for_consumers(args.send, address, *((1, 1) if two_routers else (2, 0)))
    sender = Sender(args.send, address, [Message(body=number) for number in range(100)]).run()
    near.end()
    other.end()
    check(sender.states() == [Delivery.ACCEPTED] * 100, "not all accepted")
    spread = [len(near.messages), len(other.messages)]
    check(spread == ([100, 0] if two_routers else [50, 50]), "spread %s" % spread)


class Holder(Counter):
    """Takes messages and leaves the verdict open."""

    def __init__(self, url, address):
        super().__init__(url, address, verdict=lambda delivery, message: None)


def balanced(args):
    """Receivers that are equally slow get about equally much, wherever they are."""
    address = unique("balanced")
    holders = [Holder(url, address).start().wait_ready() for url in (args.send, args.recv)]
    local, remote = (1, 1) if args.send != args.recv else (2, 0)
    wait_for_consumers(args.send, address, local, remote)
    sender = Sender(args.send, address, [Message(body=number) for number in range(100)]).start()
    wait_until(lambda: sum(len(holder.messages) for holder in holders) == 100, "all messages are held")
    spread = sorted(len(holder.messages) for holder in holders)
    sender.end()
    for holder in holders:
        holder.end()
    check(spread[0] >= 40, "spread %s" % spread)


class Server(Worker):
    """Answers requests at their reply address over a sender without target."""

    def __init__(self, url, address):
        super().__init__(url)
        self.address = address

    def on_start(self, event):
        connection = self.connect(event.container)
        self.link = event.container.create_receiver(connection, self.address)
        self.replies = event.container.create_sender(connection, None)

    def on_link_opened(self, event):
        if event.link.is_receiver:
            self.ready.set()

    def on_message(self, event):
        request = event.message
        reply = Message(address=request.reply_to, correlation_id=request.correlation_id, body=request.body.upper())
        self.replies.send(reply)


class Client(Worker):
    """Sends requests one after another with a dynamic reply address."""

    def __init__(self, url, address, count):
        super().__init__(url)
        self.address = address
        self.count = count
        self.answers = []

    def on_start(self, event):
        connection = self.connect(event.container)
        self.requests = event.container.create_sender(connection, self.address)
        self.link = event.container.create_receiver(connection, None, dynamic=True)

    def on_link_opened(self, event):
        if event.link == self.link:
            check(self.link.remote_source.address, "no dynamic address")
            self.ask()

    def ask(self):
        number = len(self.answers)
        self.requests.send(
            Message(reply_to=self.link.remote_source.address, correlation_id=number, body="question %d" % number))

    def on_message(self, event):
        self.answers.append((event.message.correlation_id, event.message.body))
        if len(self.answers) < self.count:
            self.ask()
        else:
            self.finish()


def request_reply(args):
    address = unique("queue")
    server = Server(args.recv, address).start().wait_ready()
    client = Client(args.send, address, 50).start()
    client.join()
    server.end()
    expected = [(number, "QUESTION %d" % number) for number in range(50)]
    check(client.answers == expected, "answers %s" % client.answers[:3])


THEMES = [multicast, closest, balanced, request_reply]
