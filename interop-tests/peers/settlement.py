"""Themes about outcomes, credit and the fate of deliveries when a link goes."""

import threading

from proton import Condition, Delivery, Message

from harness import Receiver, Sender, Worker, check, unique, wait


def outcomes(args):
    """Every outcome a receiver can give reaches the sender."""
    def verdict(delivery, message):
        if message.body == "rejected":
            delivery.local.condition = Condition("test:refused", "not today", {"code": 7})
        if message.body == "modified here":
            delivery.local.failed = True
            delivery.local.undeliverable = True
        states = {
            "accepted": Delivery.ACCEPTED,
            "rejected": Delivery.REJECTED,
            "released": Delivery.RELEASED,
            "modified": Delivery.MODIFIED,
            "modified here": Delivery.MODIFIED,
        }
        delivery.update(states[message.body])
        delivery.settle()

    address = unique("queue")
    bodies = ["accepted", "rejected", "released", "modified", "modified here"]
    receiver = Receiver(args.recv, address, len(bodies), verdict).start().wait_ready()
    sender = Sender(args.send, address, [Message(body=body) for body in bodies]).run()
    receiver.join()
    expected = [Delivery.ACCEPTED, Delivery.REJECTED, Delivery.RELEASED, Delivery.MODIFIED, Delivery.MODIFIED]
    check(sender.states() == expected, "outcomes %s" % sender.states())
    condition = sender.outcomes[1][1]
    check(condition and condition.name == "test:refused", "condition %s" % condition)
    check(condition.description == "not today", "description %s" % condition.description)
    check(condition.info and list(condition.info.values()) == [7], "info %s" % condition.info)
    # The router reports a failed delivery in every modified outcome; the rest is the receiver's word.
    check(not sender.outcomes[3][3], "undeliverable-here invented")
    check(sender.outcomes[4][2] and sender.outcomes[4][3], "modified without its fields")


class Drainer(Worker):
    """Gives credit, takes what comes, drains the rest; twice."""

    def __init__(self, url, address):
        super().__init__(url, prefetch=0)
        self.address = address
        self.bodies = []
        self.drained = []

    def on_start(self, event):
        self.link = event.container.create_receiver(self.connect(event.container), self.address)

    def on_link_opened(self, event):
        self.link.flow(10)
        self.ready.set()

    def on_message(self, event):
        self.bodies.append(event.message.body)
        if len(self.bodies) in (3, 5):
            # Only now: what was sent before must have arrived before the credit is taken back.
            self.link.drain(0)

    def on_link_flow(self, event):
        if self.link.drain_mode and not self.link.credit and not self.link.draining():
            self.link.drain_mode = False
            self.drained.append(len(self.bodies))
            if len(self.drained) == 2:
                self.finish()
            else:
                self.link.flow(10)

    def describe(self):
        return "drainer with %s, drained after %s" % (self.bodies, self.drained)


def drain(args):
    address = unique("queue")
    drainer = Drainer(args.recv, address).start().wait_ready()
    Sender(args.send, address, [Message(body=number) for number in range(3)]).run()
    Sender(args.send, address, [Message(body=number) for number in range(3, 5)]).run()
    drainer.join()
    check(drainer.bodies == [0, 1, 2, 3, 4], "messages %s" % drainer.bodies)
    check(drainer.drained == [3, 5], "drained after %s" % drainer.drained)


class Holder(Worker):
    """Takes messages without settling them, and ends its link, session or connection when it holds enough."""

    def __init__(self, url, address, credit, ending):
        super().__init__(url, prefetch=0, auto_accept=False, auto_settle=False)
        self.address = address
        self.credit = credit
        self.ending = ending
        self.held = 0
        self.answered = threading.Event()

    def on_start(self, event):
        self.link = event.container.create_receiver(self.connect(event.container), self.address)

    def on_link_opened(self, event):
        self.link.flow(self.credit)
        self.ready.set()

    def on_message(self, event):
        self.held += 1
        if self.held < self.credit:
            return
        if self.ending == "link":
            self.link.close()
        elif self.ending == "session":
            self.link.session.close()
        else:
            self.finish()

    def on_link_closed(self, event):
        self.answered.set()

    def on_session_closed(self, event):
        self.answered.set()

    def on_connection_closed(self, event):
        self.answered.set()

    def describe(self):
        return "holder of %d messages that ends its %s" % (self.held, self.ending)


def link_close(args):
    """Messages at a receiver that goes without a verdict count as failed; those that never left are released."""
    for ending in ("link", "session", "connection"):
        for excess in (0, 3):
            address = unique("queue")
            holder = Holder(args.recv, address, 5, ending).start().wait_ready()
            sender = Sender(args.send, address, [Message(body=number) for number in range(5 + excess)]).run()
            expected = [Delivery.MODIFIED] * 5 + [Delivery.RELEASED] * excess
            check(sender.states() == expected, "%s closed: outcomes %s" % (ending, sender.states()))
            # The C router leaves the detach of a link with waiting messages unanswered, so that is not asked for.
            if ending != "link" or not excess:
                wait(holder.answered, "the router answers the end of the %s" % ending)
            if ending != "connection":
                holder.end()


class Suspender(Worker):
    """Detaches its link without closing it, which the router does not support."""

    def __init__(self, url, address):
        super().__init__(url)
        self.address = address
        self.condition = None
        self.closed = threading.Event()

    def on_start(self, event):
        self.link = event.container.create_receiver(self.connect(event.container), self.address)

    def on_link_opened(self, event):
        self.link.detach()

    def on_connection_error(self, event):
        self.condition = event.connection.remote_condition
        self.closed.set()
        self.finish()


def suspend(args):
    suspender = Suspender(args.recv, unique("queue")).start()
    wait(suspender.closed, "the router closes the connection of a link that detaches without closing")
    suspender.join()
    condition = suspender.condition
    check(condition.name == "amqp:not-implemented", "condition %s" % condition)
    check(condition.description == "Link detach/reattach not supported", "description %s" % condition.description)


THEMES = [outcomes, drain, link_close, suspend]
