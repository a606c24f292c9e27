"""Senders, receivers and a management client over Proton, each running in a thread of its own."""

import threading
import time
import uuid

from proton import Endpoint, Message, SSLDomain
from proton.handlers import MessagingHandler
from proton.reactor import ApplicationEvent, AtMostOnce, Container, EventInjector
from proton.utils import BlockingConnection, SyncRequestResponse

# Only bounds failing tests: nothing below waits a fixed time.
PATIENCE = 40.0


class Failure(Exception):
    """A theme did not hold."""


def check(condition, text):
    if not condition:
        raise Failure(text)


def wait(event, what):
    check(event.wait(PATIENCE), "gave up waiting: " + what)


def unique(prefix):
    """An address that no other test uses. The prefix chooses the treatment that the routers are configured with."""
    return "%s.%s" % (prefix, uuid.uuid4().hex[:12])


class Worker(MessagingHandler):
    """One connection, driven by its own thread until `finished` is set or something fails."""

    def __init__(self, url, **options):
        super().__init__(**options)
        self.url = url
        self.ssl_domain = None
        self.ready = threading.Event()
        self.error = None
        self.connection = None
        self._container = Container(self)
        # The only way to reach a container from another thread.
        self._injector = EventInjector()
        self._container.selectable(self._injector)
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self):
        self._thread.start()
        return self

    def _run(self):
        try:
            self._container.run()
        except Exception as error:  # any failure must reach the test's thread
            self.error = self.error or error
        finally:
            self.ready.set()

    def join(self):
        """Waits for the orderly end and reports what went wrong on the way."""
        self._thread.join(PATIENCE)
        if self.error:
            raise self.error
        check(not self._thread.is_alive(), "%s did not finish" % self.describe())

    def wait_ready(self):
        wait(self.ready, "%s is ready" % self.describe())
        if self.error:
            raise self.error
        return self

    def describe(self):
        return type(self).__name__

    def connect(self, container):
        options = {"ssl_domain": self.ssl_domain} if self.ssl_domain else {}
        # One attempt: a router that drops the connection must not go unnoticed.
        self.connection = container.connect(self.url, reconnect=False, **options)
        return self.connection

    def finish(self):
        """Ends the connection in an orderly way, from the worker's own thread."""
        self._injector.close()
        self.connection.close()

    def end(self):
        """Ends the connection in an orderly way, from another thread, and waits for it."""
        self._injector.trigger(ApplicationEvent("end_requested"))
        self.join()

    def on_end_requested(self, event):
        self.finish()

    def fail(self, text):
        self.error = self.error or Failure("%s: %s" % (self.describe(), text))
        self.finish()

    def on_link_error(self, event):
        self.fail("link error %s" % event.link.remote_condition)

    def on_connection_error(self, event):
        self.fail("connection error %s" % event.connection.remote_condition)

    def on_transport_error(self, event):
        self.error = self.error or Failure("transport error %s" % event.transport.condition)

    def on_disconnected(self, event):
        closed = event.connection.state & Endpoint.LOCAL_CLOSED
        if not closed:
            self.error = self.error or Failure("%s: connection lost" % self.describe())


class Receiver(Worker):
    """Collects `expected` messages, then closes. `verdict` settles a delivery; the default accepts."""

    def __init__(self, url, address, expected, verdict=None, credit=1000):
        super().__init__(url, prefetch=credit, auto_accept=verdict is None)
        self.address = address
        self.expected = expected
        self.verdict = verdict
        self.messages = []
        self.settled_on_arrival = 0

    def describe(self):
        return "receiver of %s with %d of %d messages" % (self.address, len(self.messages), self.expected)

    def on_start(self, event):
        self.link = event.container.create_receiver(self.connect(event.container), self.address)

    def on_link_opened(self, event):
        self.ready.set()

    def on_message(self, event):
        self.messages.append(event.message)
        self.settled_on_arrival += event.delivery.settled
        if self.verdict:
            self.verdict(event.delivery, event.message)
        if len(self.messages) == self.expected:
            self.finish()

    def bodies(self):
        return [message.body for message in self.messages]


class Sender(Worker):
    """Sends messages as credit allows and, if they are unsettled, waits for all outcomes."""

    def __init__(self, url, address, messages, presettled=False):
        super().__init__(url, auto_settle=True)
        self.address = address
        self.messages = messages
        self.presettled = presettled
        self.sent = 0
        self.outcomes = {}
        self.settled = 0
        self._indices = {}

    def describe(self):
        return "sender to %s, sent %d, settled %d of %d" % (self.address, self.sent, self.settled, len(self.messages))

    def on_start(self, event):
        options = AtMostOnce() if self.presettled else None
        self.link = event.container.create_sender(self.connect(event.container), self.address, options=options)

    def on_sendable(self, event):
        self.ready.set()
        while self.link.credit and self.sent < len(self.messages):
            delivery = self.link.send(self.messages[self.sent])
            self._indices[delivery.tag] = self.sent
            self.sent += 1
        if self.presettled and self.sent == len(self.messages):
            self.finish()

    def on_delivery(self, event):
        if event.link.is_sender and event.delivery.updated:
            index = self._indices[event.delivery.tag]
            remote = event.delivery.remote
            self.outcomes[index] = (event.delivery.remote_state, remote.condition, remote.failed, remote.undeliverable)

    def on_settled(self, event):
        self.settled += 1
        if self.settled == len(self.messages):
            self.finish()

    def states(self):
        return [self.outcomes[index][0] for index in sorted(self.outcomes)]

    def run(self):
        self.start()
        self.join()
        return self


class Management:
    """Requests to the management node of a router, or through it to another one's."""

    def __init__(self, url):
        self.connection = BlockingConnection(url, timeout=PATIENCE)
        self.clients = {}

    def query(self, kind, router=None):
        """Rows of an entity type, as maps."""
        node = "_topo/0/%s/$management" % router if router else "$management"
        if node not in self.clients:
            self.clients[node] = SyncRequestResponse(self.connection, node)
        properties = {"operation": "QUERY", "entityType": "io.skupper.router." + kind}
        reply = self.clients[node].call(Message(properties=properties, body={"attributeNames": []}))
        status = reply.properties["statusCode"], reply.properties["statusDescription"]
        check(status[0] == 200, "query of %s at %s: %s" % (kind, node, status))
        return [dict(zip(reply.body["attributeNames"], row)) for row in reply.body["results"]]

    def close(self):
        self.connection.close()


def wait_for_consumers(url, address, local=0, remote=0):
    """Waits until the router at `url` knows that many local consumers of the address and routers with consumers."""
    management = Management(url)
    deadline = time.monotonic() + PATIENCE
    try:
        while True:
            rows = [row for row in management.query("router.address") if row["name"] == "M" + address]
            seen = [(row["subscriberCount"], row["remoteCount"]) for row in rows]
            if seen == [(local, remote)]:
                return
            check(time.monotonic() < deadline, "%s has %s, not %s" % (address, seen, [(local, remote)]))
            time.sleep(0.02)  # only spaces the queries
    finally:
        management.close()


def wait_until(condition, what):
    """For conditions of another thread that announce themselves nowhere."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        check(time.monotonic() < deadline, "gave up waiting: " + what)
        time.sleep(0.005)


def client_tls(ca, certificate, key):
    domain = SSLDomain(SSLDomain.MODE_CLIENT)
    domain.set_trusted_ca_db(ca)
    domain.set_credentials(certificate, key, None)
    domain.set_peer_authentication(SSLDomain.VERIFY_PEER_NAME)
    return domain


def tls_url(address):
    """The URL for a listener with TLS: by name, since Proton compares no addresses with certificates."""
    return "amqps://localhost:" + address.rpartition(":")[2]
