// What must hold between rhea clients, whichever routers are between them. The same themes as for Proton.
'use strict';

const crypto = require('crypto');
const rhea = require('rhea');
const {
    check, same, unique, next, connect, close, openReceiver, openSender, Collector, sendAll, Management,
    waitForConsumers,
} = require('./harness');

const range = (count) => Array.from({ length: count }, (_, number) => number);
const outcomesOf = (results) => results.map(({ outcome }) => outcome);
const numbered = (count) => range(count).map((body) => ({ body, application_properties: { number: body } }));

async function passInOrder(args, count, { presettled = false, tls } = {}) {
    const address = unique('queue');
    const near = await connect(tls ? args.sendTls : args.send, tls);
    const far = await connect(tls ? args.recvTls : args.recv, tls);
    const collector = await Collector.open(far, address);
    const results = await sendAll(near, address, numbered(count), { presettled });
    await collector.until(count);
    same(collector.bodies(), range(count), 'messages');
    same(collector.settledOnArrival, presettled ? count : 0, 'settled on arrival');
    if (!presettled) same(outcomesOf(results), range(count).map(() => 'accepted'), 'outcomes');
    await close(near, far);
}

const themes = {
    unsettled: (args) => passInOrder(args, 500),
    // Fewer than the link capacity of 250: more could lawfully be dropped.
    presettled: (args) => passInOrder(args, 200, { presettled: true }),
    many: (args) => passInOrder(args, 5000),
    tls: (args) => passInOrder(args, 100, { tls: args }),

    // A message of 20 MB in one piece.
    async large_stream(args) {
        const address = unique('queue');
        const [near, far] = [await connect(args.send), await connect(args.recv)];
        const collector = await Collector.open(far, address);
        const content = crypto.randomBytes(20 * 1024 * 1024);
        const [result] = await sendAll(near, address, [{ body: rhea.message.data_section(content) }]);
        await collector.until(1);
        same(result.outcome, 'accepted', 'outcome');
        check(collector.messages[0].body.content.equals(content), 'content changed');
        await close(near, far);
    },

    // One sender without target: each message goes where its `to` says, and nowhere if nobody is there.
    async anonymous(args) {
        const addresses = [unique('queue'), unique('queue')];
        const [near, far] = [await connect(args.send), await connect(args.recv)];
        const collectors = [await Collector.open(far, addresses[0]), await Collector.open(far, addresses[1])];
        const [local, remote] = args.send === args.recv ? [1, 0] : [0, 1];
        for (const address of addresses) await waitForConsumers(args.send, address, local, remote);
        const messages = range(100).map((body) => ({ to: addresses[body % 2], body }));
        messages.push({ to: unique('nobody'), body: 'lost' });
        const results = await sendAll(near, null, messages);
        for (const [offset, collector] of collectors.entries()) {
            await collector.until(50);
            same(collector.bodies(), range(100).filter((body) => body % 2 === offset), 'messages');
        }
        same(outcomesOf(results), [...range(100).map(() => 'accepted'), 'released'], 'outcomes');
        await close(near, far);
    },

    // Every outcome a receiver can give reaches the sender.
    async outcomes(args) {
        const address = unique('queue');
        const [near, far] = [await connect(args.send), await connect(args.recv)];
        const verdicts = {
            accepted: (delivery) => delivery.accept(),
            rejected: (delivery) => delivery.reject({ condition: 'test:refused', description: 'not today' }),
            released: (delivery) => delivery.release(),
            modified: (delivery) => delivery.modified({ delivery_failed: true, undeliverable_here: true }),
        };
        const names = Object.keys(verdicts);
        const collector = await Collector.open(far, address, {
            verdict: (delivery, message) => verdicts[message.body](delivery),
        });
        const results = [];
        // One at a time: rhea merges the dispositions of two neighbours whose outcomes differ.
        for (const body of names) results.push(...await sendAll(near, address, [{ body }]));
        await collector.until(names.length);
        same(outcomesOf(results), names, 'outcomes');
        const { error } = results[1].state;
        same([error.condition, error.description], ['test:refused', 'not today'], 'error');
        same([results[3].state.delivery_failed, results[3].state.undeliverable_here], [true, true], 'modified');
        await close(near, far);
    },

    // Credit that is not used is given back when the receiver drains, twice.
    async drain(args) {
        const address = unique('queue');
        const [near, far] = [await connect(args.send), await connect(args.recv)];
        const collector = await Collector.open(far, address, { credit: 0 });
        let expected = 0;
        for (const batch of [3, 2]) {
            collector.receiver.drain = false; // rhea would ask for a drain ever after
            collector.receiver.add_credit(10);
            await sendAll(near, address, range(batch).map((offset) => ({ body: expected + offset })));
            expected += batch;
            await collector.until(expected);
            const drained = next(collector.receiver, 'receiver_drained', `drain after ${expected}`);
            collector.receiver.drain_credit();
            await drained;
            same(collector.receiver.credit, 0, 'credit after the drain');
        }
        same(collector.bodies(), range(5), 'messages');
        await close(near, far);
    },

    // Messages at a receiver that goes without a verdict count as failed; those that never left are released.
    async link_close(args) {
        for (const ending of ['link', 'connection']) {
            const address = unique('queue');
            const [near, far] = [await connect(args.send), await connect(args.recv)];
            const collector = await Collector.open(far, address, { credit: 0, verdict: () => {} });
            collector.receiver.add_credit(5);
            const sending = sendAll(near, address, numbered(8));
            await collector.until(5);
            if (ending === 'link') collector.receiver.close();
            else await close(far);
            const expected = [...range(5).map(() => 'modified'), ...range(3).map(() => 'released')];
            same(outcomesOf(await sending), expected, `outcomes after the end of the ${ending}`);
            if (ending === 'link') await close(far);
            await close(near);
        }
        // A link without waiting messages: the end is answered.
        const far = await connect(args.recv);
        const receiver = await openReceiver(far, { source: { address: unique('queue') } });
        const answered = next(receiver, 'receiver_close', 'answer to the end of the link');
        receiver.close();
        await answered;
        await close(far);
    },

    // Links that detach without closing are not supported, and the client is told.
    async suspend(args) {
        const far = await connect(args.recv);
        const receiver = await openReceiver(far, { source: { address: unique('queue') } });
        const refused = next(far, 'connection_error', 'refusal of a suspended link');
        receiver.detach();
        const { connection } = await refused;
        same(connection.error.condition, 'amqp:not-implemented', 'condition');
        same(connection.error.description, 'Link detach/reattach not supported', 'description');
    },

    // Each of three receivers gets every message.
    async multicast(args) {
        const address = unique('multicast');
        const [near, far] = [await connect(args.send), await connect(args.recv)];
        const collectors = [];
        for (let index = 0; index < 3; index += 1) collectors.push(await Collector.open(far, address));
        await waitForConsumers(args.recv, address, 3, 0);
        if (args.send !== args.recv) await waitForConsumers(args.send, address, 0, 1);
        const results = await sendAll(near, address, numbered(100));
        for (const collector of collectors) {
            await collector.until(100);
            same(collector.bodies(), range(100), 'messages');
        }
        same(outcomesOf(results), range(100).map(() => 'accepted'), 'outcomes');
        await close(near, far);
    },

    // A receiver at the sender's own router gets everything; equal receivers take turns.
    async closest(args) {
        const address = unique('closest');
        const [near, far] = [await connect(args.send), await connect(args.recv)];
        const collectors = [await Collector.open(near, address), await Collector.open(far, address)];
        const twoRouters = args.send !== args.recv;
        await waitForConsumers(args.send, address, twoRouters ? 1 : 2, twoRouters ? 1 : 0);
        await sendAll(near, address, numbered(100));
        same(collectors.map(({ messages }) => messages.length), twoRouters ? [100, 0] : [50, 50], 'spread');
        await close(near, far);
    },

    // Receivers that are equally slow get about equally much, wherever they are.
    async balanced(args) {
        const address = unique('balanced');
        const [near, far] = [await connect(args.send), await connect(args.recv)];
        const held = [];
        const hold = { verdict: (delivery) => held.push(delivery) };
        const collectors = [await Collector.open(near, address, hold), await Collector.open(far, address, hold)];
        const twoRouters = args.send !== args.recv;
        await waitForConsumers(args.send, address, twoRouters ? 1 : 2, twoRouters ? 1 : 0);
        const sending = sendAll(near, address, numbered(100));
        const total = () => collectors[0].messages.length + collectors[1].messages.length;
        while (total() < 100) {
            await Promise.race(collectors.map(({ receiver }) => next(receiver, 'message', `${total()} held`)));
        }
        const spread = collectors.map(({ messages }) => messages.length);
        check(Math.min(...spread) >= 40, `spread ${spread}`);
        held.forEach((delivery) => delivery.accept());
        same(outcomesOf(await sending), range(100).map(() => 'accepted'), 'outcomes');
        await close(near, far);
    },

    async request_reply(args) {
        const address = unique('queue');
        const [near, far] = [await connect(args.send), await connect(args.recv)];
        const replies = await openSender(far, { target: {} });
        await Collector.open(far, address, {
            onMessage: ({ message }) => replies.send({
                to: message.reply_to, correlation_id: message.correlation_id, body: message.body.toUpperCase(),
            }),
        });
        const answers = await openReceiver(near, { source: { dynamic: true } });
        const requests = await openSender(near, { target: { address } });
        if (!requests.sendable()) await next(requests, 'sendable', 'credit for requests');
        for (let number = 0; number < 50; number += 1) {
            const answered = next(answers, 'message', `answer ${number}`);
            requests.send({ reply_to: answers.source.address, correlation_id: number, body: `question ${number}` });
            const { message } = await answered;
            same([message.correlation_id, message.body], [number, `QUESTION ${number}`], 'answer');
        }
        await close(near, far);
    },

    // The usual types, on every router, from either end.
    async query(args) {
        const ids = args.routers.split(',');
        for (const url of [args.send, args.recv]) {
            const management = await Management.open(url);
            for (const id of [undefined, ...ids]) {
                for (const kind of ['router', 'listener', 'connection', 'router.link', 'router.address', 'log']) {
                    const rows = await management.query(kind, id);
                    check(rows.length > 0, `no ${kind} at ${id}`);
                    check(rows.every((row) => row.identity), `${kind} without identity at ${id}`);
                    if (id && kind === 'router') same(rows[0].id, id, 'router id');
                }
            }
            await management.close();
        }
    },
};

module.exports = themes;
