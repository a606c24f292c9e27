// Connections, links and a management client over rhea, with promises for everything a theme waits for.
'use strict';

const crypto = require('crypto');
const fs = require('fs');
const rhea = require('rhea');
const { WebSocket } = require('ws');

// Only bounds failing tests: nothing below waits a fixed time.
const PATIENCE_MS = 40000;

function check(condition, text) {
    if (!condition) throw new Error(text);
}

function same(actual, expected, what) {
    const [a, e] = [JSON.stringify(actual), JSON.stringify(expected)];
    check(a === e, `${what}: ${a.slice(0, 300)} instead of ${e.slice(0, 300)}`);
}

// An address that no other test uses. The prefix chooses the treatment that the routers are configured with.
function unique(prefix) {
    return `${prefix}.${crypto.randomBytes(6).toString('hex')}`;
}

// The first of `events` that `emitter` reports; rejects on errors of the connection and when patience runs out.
function next(emitter, events, what) {
    const connection = emitter.connection || emitter;
    return new Promise((resolve, reject) => {
        const timer = setTimeout(() => settle(reject, new Error(`gave up waiting: ${what}`)), PATIENCE_MS);
        const names = [].concat(events);
        const fatal = ['disconnected', 'connection_error', 'session_error', 'receiver_error', 'sender_error'];
        const unexpected = fatal.filter((name) => !names.includes(name));
        const arrive = (context) => settle(resolve, context);
        const fail = (context) => {
            const link = context.receiver || context.sender;
            const error = (link && link.error) || context.connection.error || context.error || 'connection lost';
            settle(reject, new Error(`${what}: ${error}`));
        };
        function settle(action, value) {
            clearTimeout(timer);
            names.forEach((name) => emitter.removeListener(name, arrive));
            unexpected.forEach((name) => connection.removeListener(name, fail));
            action(value);
        }
        names.forEach((name) => emitter.on(name, arrive));
        unexpected.forEach((name) => connection.on(name, fail));
    });
}

// How all connections of the process are made.
const settings = { overWebSocket: false };

async function connect(url, tls) {
    const [host, port] = url.split(':');
    const options = { host, port: Number(port), reconnect: false, container_id: unique('rhea') };
    const security = tls && {
        rejectUnauthorized: true, ca: [fs.readFileSync(tls.ca)], cert: fs.readFileSync(tls.certificate),
        key: fs.readFileSync(tls.key),
    };
    if (tls) {
        Object.assign(options, security, {
            transport: 'tls', host: 'localhost', servername: 'localhost', username: undefined,
            enable_sasl_external: true,
        });
    }
    if (settings.overWebSocket) {
        const address = tls ? `wss://localhost:${port}` : `ws://${url}`;
        if (tls) {
            // rhea offers EXTERNAL by itself only where it has made the TLS connection.
            options.sasl_mechanisms = rhea.sasl.client_mechanisms();
            options.sasl_mechanisms.enable_external();
        }
        options.connection_details = rhea.websocket_connect(WebSocket)(address, ['amqp'], security || {});
    }
    const connection = rhea.create_container().connect(options);
    // Errors are reported through `next`; without a listener rhea would throw them.
    connection.on('error', () => {});
    await next(connection, 'connection_open', `connection to ${url}`);
    return connection;
}

async function close(...connections) {
    for (const connection of connections) {
        const closed = next(connection, ['connection_close', 'disconnected'], 'end of connection');
        connection.close();
        await closed;
    }
}

async function openReceiver(connection, options) {
    const receiver = connection.open_receiver(options);
    await next(receiver, 'receiver_open', `receiver of ${options.source && options.source.address}`);
    return receiver;
}

async function openSender(connection, options) {
    const sender = connection.open_sender(options);
    await next(sender, 'sender_open', `sender to ${options.target && options.target.address}`);
    return sender;
}

// Collects messages; `until(count)` waits for that many. `verdict(delivery, message)` settles, else all are accepted.
class Collector {
    static async open(connection, address, { verdict, credit = 1000, onMessage } = {}) {
        const collector = new Collector();
        const automatic = !verdict;
        collector.messages = [];
        collector.settledOnArrival = 0;
        collector.receiver = connection.open_receiver({
            source: { address }, credit_window: credit, autoaccept: automatic, autosettle: automatic,
        });
        collector.receiver.on('message', (context) => {
            collector.messages.push(context.message);
            collector.settledOnArrival += context.delivery.remote_settled ? 1 : 0;
            if (verdict) verdict(context.delivery, context.message);
            if (onMessage) onMessage(context);
        });
        await next(collector.receiver, 'receiver_open', `receiver of ${address}`);
        return collector;
    }

    async until(count) {
        while (this.messages.length < count) {
            await next(this.receiver, 'message', `message ${this.messages.length + 1} of ${count}`);
        }
        return this.messages;
    }

    bodies() {
        return this.messages.map((message) => message.body);
    }
}

// Sends all messages as credit allows and, unless they are pre-settled, waits for the outcome of each.
async function sendAll(connection, address, messages, { presettled = false } = {}) {
    const sender = await openSender(connection, {
        target: address ? { address } : {}, snd_settle_mode: presettled ? 1 : 0, autosettle: true,
        treat_modified_as_released: false,
    });
    const outcomes = [];
    const indices = new Map();
    for (const outcome of ['accepted', 'released', 'rejected', 'modified']) {
        sender.on(outcome, (context) => {
            outcomes[indices.get(context.delivery.id)] = { outcome, state: context.delivery.remote_state };
        });
    }
    let settled = 0;
    sender.on('settled', () => { settled += 1; });
    for (let sent = 0; sent < messages.length;) {
        if (!sender.sendable()) await next(sender, 'sendable', `credit for message ${sent}`);
        while (sent < messages.length && sender.sendable()) {
            const delivery = sender.send(messages[sent]);
            indices.set(delivery.id, sent);
            sent += 1;
        }
    }
    while (!presettled && settled < messages.length) await next(sender, 'settled', `outcome ${settled}`);
    return outcomes;
}

class Management {
    static async open(url) {
        const management = new Management();
        management.connection = await connect(url);
        management.replies = await openReceiver(management.connection, { source: { dynamic: true }, credit_window: 10 });
        management.senders = new Map();
        return management;
    }

    // Rows of an entity type, as objects.
    async query(kind, router) {
        const node = router ? `_topo/0/${router}/$management` : '$management';
        if (!this.senders.has(node)) {
            const sender = await openSender(this.connection, { target: { address: node } });
            if (!sender.sendable()) await next(sender, 'sendable', `credit from ${node}`);
            this.senders.set(node, sender);
        }
        const answered = next(this.replies, 'message', `reply of ${node}`);
        this.senders.get(node).send({
            reply_to: this.replies.source.address, correlation_id: '1',
            application_properties: { operation: 'QUERY', entityType: `io.skupper.router.${kind}` },
            body: rhea.types.wrap_map({ attributeNames: [] }),
        });
        const { message } = await answered;
        const status = message.application_properties.statusCode;
        check(status === 200, `query of ${kind}: ${status} ${message.application_properties.statusDescription}`);
        const names = message.body.attributeNames;
        return message.body.results.map((row) => Object.fromEntries(names.map((name, i) => [name, row[i]])));
    }

    close() {
        return close(this.connection);
    }
}

// Waits until the router knows that many local consumers of the address and routers with consumers.
async function waitForConsumers(url, address, local, remote) {
    const management = await Management.open(url);
    const deadline = Date.now() + PATIENCE_MS;
    for (;;) {
        const rows = (await management.query('router.address')).filter((row) => row.name === `M${address}`);
        const seen = rows.map((row) => [row.subscriberCount, row.remoteCount]);
        if (JSON.stringify(seen) === JSON.stringify([[local, remote]])) break;
        check(Date.now() < deadline, `${address} has ${JSON.stringify(seen)}, not ${[local, remote]}`);
        await new Promise((resolve) => setTimeout(resolve, 20)); // only spaces the queries
    }
    await management.close();
}

module.exports = {
    settings, check, same, unique, next, connect, close, openReceiver, openSender, Collector, sendAll, Management,
    waitForConsumers,
};
