"""Themes about getting messages from one side to the other."""

import hashlib
import struct
import threading

from proton import Delivery, Handler, Message
from proton.reactor import AtLeastOnce

from harness import Receiver, Sender, Worker, check, client_tls, tls_url, unique, wait, wait_for_consumers

STREAM_OCTETS = 20 * 1024 * 1024
CHUNK = bytes(range(256)) * 256
# Routers may hold a message back for completion up to 256 KiB.
HEAD_OCTETS = 1024 * 1024


def numbered(count):
    return [Message(body=number, properties={"number": number}) for number in range(count)]


def pass_in_order(args, count, presettled):
    address = unique("queue")
    receiver = Receiver(args.recv, address, count).start().wait_ready()
    sender = Sender(args.send, address, numbered(count), presettled).run()
    receiver.join()
    check(receiver.bodies() == list(range(count)), "messages lost or out of order")
    check(receiver.settled_on_arrival == (count if presettled else 0), "wrong settlement on arrival")
    return sender


def unsettled(args):
    sender = pass_in_order(args, 500, False)
    check(sender.states() == [Delivery.ACCEPTED] * 500, "not all accepted")


def presettled(args):
    # Fewer than the link capacity of 250: more could lawfully be dropped.
    pass_in_order(args, 200, True)


def many(args):
    sender = pass_in_order(args, 5000, False)
    check(sender.states() == [Delivery.ACCEPTED] * 5000, "not all accepted")


def anonymous(args):
    """One sender without target: each message goes where its `to` says, and nowhere if nobody is there."""
    addresses = [unique("queue"), unique("queue")]
    receivers = [Receiver(args.recv, address, 50).start().wait_ready() for address in addresses]
    local, remote = (1, 0) if args.send == args.recv else (0, 1)
    for address in addresses:
        wait_for_consumers(args.send, address, local, remote)
    messages = [Message(address=addresses[number % 2], body=number) for number in range(100)]
    messages.append(Message(address=unique("nobody"), body="lost"))
    sender = Sender(args.send, None, messages).run()
    for offset, receiver in enumerate(receivers):
        receiver.join()
        check(receiver.bodies() == list(range(offset, 100, 2)), "wrong messages at %s" % receiver.address)
    check(sender.states() == [Delivery.ACCEPTED] * 100 + [Delivery.RELEASED], "outcomes %s" % sender.states()[-3:])


class StreamReceiver(Worker):
    """Hashes a message as it arrives and tells when the first part of it is there."""

    def __init__(self, url, address):
        super().__init__(url, prefetch=0)
        self.address = address
        self.octets = 0
        self.digest = hashlib.sha256()
        self.started = threading.Event()

    def on_start(self, event):
        connection = self.connect(event.container)
        # A handler of its own, since the library's would wait for the whole message.
        self.link = event.container.create_receiver(connection, self.address, handler=StreamReceiver.Parts(self))

    class Parts(Handler):
        def __init__(self, worker):
            super().__init__()
            self.worker = worker

        def on_link_remote_open(self, event):
            event.link.flow(1)
            self.worker.ready.set()

        def on_delivery(self, event):
            worker, delivery = self.worker, event.delivery
            while delivery.pending:
                part = event.link.recv(delivery.pending)
                worker.octets += len(part)
                worker.digest.update(part)
                worker.started.set()
            if not delivery.partial:
                delivery.update(Delivery.ACCEPTED)
                delivery.settle()
                worker.finish()

    def describe(self):
        return "stream receiver with %d octets" % self.octets


class StreamSender(Worker):
    """Sends one message in pieces; goes on after the first megabyte only when the receiver has seen some of it."""

    def __init__(self, url, address, receiver_started):
        super().__init__(url)
        self.address = address
        self.receiver_started = receiver_started
        self.octets = 0
        self.digest = hashlib.sha256()
        self.outcome = None

    def on_start(self, event):
        connection = self.connect(event.container)
        self.link = event.container.create_sender(connection, self.address, options=AtLeastOnce())

    def on_sendable(self, event):
        if not self.octets:
            self.link.delivery("stream")
            self.put(b"\x00\x53\x75\xb0" + struct.pack(">I", STREAM_OCTETS))
            self.payload = 0
            while self.payload < HEAD_OCTETS:
                self.piece()
            self.on_timer_task(event)

    def put(self, part):
        self.link.stream(part)
        self.digest.update(part)
        self.octets += len(part)

    def piece(self):
        part = CHUNK[: STREAM_OCTETS - self.payload]
        self.payload += len(part)
        self.put(part)

    def on_timer_task(self, event):
        # Little is kept in the client, so a receiver that stalls stalls this sender.
        if self.receiver_started.is_set():
            while self.link.session.outgoing_bytes < 1 << 20 and self.payload < STREAM_OCTETS:
                self.piece()
        if self.payload < STREAM_OCTETS:
            event.container.schedule(0.001, self)
        else:
            self.link.advance()

    def on_settled(self, event):
        self.outcome = event.delivery.remote_state
        self.finish()

    def describe(self):
        return "stream sender after %d octets" % self.octets


def large_stream(args):
    """A message of 20 MB that the routers must pass on while it is still arriving."""
    address = unique("queue")
    receiver = StreamReceiver(args.recv, address).start().wait_ready()
    sender = StreamSender(args.send, address, receiver.started).start()
    wait(receiver.started, "the first part of the stream arrives before the rest is sent")
    sender.join()
    receiver.join()
    check(sender.outcome == Delivery.ACCEPTED, "outcome %s" % sender.outcome)
    check(receiver.octets == sender.octets, "%d of %d octets" % (receiver.octets, sender.octets))
    check(receiver.digest.digest() == sender.digest.digest(), "content changed")


def tls(args):
    """Clients that authenticate with certificates, sender and receiver on TLS listeners."""
    address = unique("queue")
    domain = client_tls(args.ca, args.certificate, args.key)
    receiver = Receiver(tls_url(args.recv_tls), address, 100)
    receiver.ssl_domain = domain
    receiver.start().wait_ready()
    sender = Sender(tls_url(args.send_tls), address, numbered(100))
    sender.ssl_domain = domain
    sender.run()
    receiver.join()
    check(receiver.bodies() == list(range(100)), "messages lost or out of order")


THEMES = [unsettled, presettled, many, anonymous, large_stream, tls]
