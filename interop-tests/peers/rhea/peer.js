// Runs one theme against routers that are up: node peer.js THEME --send HOST:PORT --recv HOST:PORT ...
'use strict';

const { parseArgs } = require('util');
const harness = require('./harness');
const themes = require('./themes');

const text = { type: 'string' };
const { values, positionals: [theme] } = parseArgs({
    allowPositionals: true,
    options: {
        send: text, recv: text, 'send-tls': text, 'recv-tls': text, ca: text, certificate: text, key: text,
        routers: text, websocket: { type: 'boolean' },
    },
});
harness.settings.overWebSocket = values.websocket;
const args = { ...values, sendTls: values['send-tls'], recvTls: values['recv-tls'] };

if (!themes[theme]) {
    console.error(`themes: ${Object.keys(themes).join(' ')}`);
    process.exit(2);
}
themes[theme](args).then(
    () => { console.log('ok', theme); process.exit(0); },
    (error) => { console.error(error.stack); process.exit(1); },
);
