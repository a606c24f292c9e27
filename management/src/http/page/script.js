'use strict';
// Shows network.json. Names in it are other people's: they become text nodes and nothing else.

const SVG = 'http://www.w3.org/2000/svg';
const POLL = 2000;
// While there is no document yet.
const HASTE = 400;
const ANSWER_LIMIT = 5000;
const ROWS_AT_A_TIME = 300;
const REMEMBERED_RATES = 60;

const $ = (id) => document.getElementById(id);

const page = {
  told: null, // the last document
  heard: 0, // when the router answered last
  renewed: 0, // when it told something new
  failed: false, // it did not, the last time
  chosen: null,
  sorting: { key: 'address', descending: false },
  rows: ROWS_AT_A_TIME,
  rates: new Map(), // by service, the newest last
  places: new Map(), // of routers in the drawing
  width: 0,
};

// --- elements, which are changed only where something has changed: so nothing loses the focus, and nothing jumps

function element(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

function drawn(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

function filled(node, attributes, children) {
  setAll(node, attributes);
  node.append(...children);
  return node;
}

function setAll(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) set(node, name, value);
}

function set(node, name, value) {
  if (value === null || value === undefined) node.removeAttribute(name);
  else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

function say(node, text) {
  const words = String(text);
  if (node.textContent !== words) node.textContent = words;
}

// The children of a node, one for each item, in their order.
const kept = new WeakMap();
function keep(parent, items, keyOf, make, update) {
  const known = kept.get(parent) ?? new Map();
  const next = new Map();
  for (const item of items) {
    const key = keyOf(item);
    if (next.has(key)) continue;
    const node = known.get(key) ?? make(item);
    known.delete(key);
    next.set(key, node);
    update(node, item);
  }
  for (const node of known.values()) node.remove();
  let at = parent.firstChild;
  for (const node of next.values()) {
    while (at && at !== node && !isOne(next, at)) at = at.nextSibling;
    if (at === node) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
  kept.set(parent, next);
}

function isOne(nodes, wanted) {
  for (const node of nodes.values()) if (node === wanted) return true;
  return false;
}

// --- numbers for people

const whole = (number) => (number ?? 0).toLocaleString('en');

function octets(number) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB', 'EB'];
  let unit = 0;
  let size = number;
  while (size >= 999.5 && unit < units.length - 1) { size /= 1000; unit += 1; }
  const digits = unit === 0 || size >= 100 ? 0 : size >= 10 ? 1 : 2;
  return `${size.toFixed(digits)} ${units[unit]}`;
}

const rate = (number) => `${octets(number)}/s`;

function span(seconds) {
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const at = parts.findIndex(([size]) => seconds >= size);
  if (at < 0) return '0 s';
  const [size, name] = parts[at];
  const [next, nextName] = parts[at + 1] ?? [0, ''];
  const rest = next ? Math.floor((seconds % size) / next) : 0;
  return `${Math.floor(seconds / size)} ${name}${rest ? ` ${rest} ${nextName}` : ''}`;
}

const counted = (number, one, many) => `${whole(number)} ${number === 1 ? one : many}`;

const clock = (time) => new Date(time).toLocaleTimeString('en-GB');

// --- the drawing

const STATES = { up: '', waiting: 'not asked yet', silent: 'does not answer', gone: 'gone' };
const BOX = { height: 46, margin: 14, least: 118, own: 132, most: 176 };

function shortName(id) {
  const letters = [...id];
  return letters.length > 20 ? `${letters.slice(0, 19).join('')}…` : id;
}

// About, as it has to be known before anything is drawn.
function boxWidth(id) {
  const width = [...shortName(id)].reduce((sum, letter) => sum + (letter.codePointAt(0) > 0x2e80 ? 14 : 7.6), 28);
  return Math.min(BOX.most, Math.max(id === page.told.router ? BOX.own : BOX.least, width));
}

// Places for routers. Where nothing says otherwise they stay where they are, and the same network always looks the same.
function arrange(ids, pairs, width) {
  const former = page.width === width ? page.places : new Map();
  const fresh = ids.filter((id) => !former.has(id));
  const isNew = fresh.length > 0.3 * ids.length;
  const next = new Map(ids.map((id) => [id, new Set()]));
  for (const [one, other] of pairs) { next.get(one).add(other); next.get(other).add(one); }
  const spots = isNew ? around(ids, next, width) : beside(ids, fresh, next, former, width);
  const free = new Set(isNew ? ids : fresh);
  const boxes = ids.map((id) => ({ id, ...spots.get(id), width: boxWidth(id), fixed: !free.has(id) }));
  if (free.size) {
    settle(boxes, pairs, width);
    separate(boxes, width);
  }
  const top = Math.min(...boxes.map((box) => box.y)) - BOX.height / 2 - BOX.margin;
  const shift = top < 0 || isNew ? -top : 0;
  page.places = new Map(boxes.map((box) => [box.id, { x: box.x, y: box.y + shift, width: box.width }]));
  page.width = width;
  const bottom = Math.max(...[...page.places.values()].map((place) => place.y));
  return bottom + BOX.height / 2 + BOX.margin;
}

// On a ring, neighbours beside each other.
function around(ids, next, width) {
  const order = [];
  const seen = new Set();
  const visit = (first) => {
    const waiting = [first];
    while (waiting.length) {
      const id = waiting.pop();
      if (seen.has(id)) continue;
      seen.add(id);
      order.push(id);
      waiting.push(...[...next.get(id)].sort().reverse());
    }
  };
  // From the ends of lines inwards.
  [...ids].sort((a, b) => next.get(a).size - next.get(b).size || (a < b ? -1 : 1)).forEach(visit);
  const { wide, tall } = cell(order.length, width);
  const across = Math.max(60, Math.min(width / 2 - 90, 0.25 * wide * order.length));
  const down = Math.max(0.6 * across, (0.6 * order.length * wide * tall) / width / 2);
  const at = (number) => Math.PI + (2 * Math.PI * number) / order.length;
  return new Map(order.map((id, number) => [id, order.length === 1
    ? { x: width / 2, y: 0 }
    : { x: width / 2 + across * Math.cos(at(number)), y: down * Math.sin(at(number)) }]));
}

// New ones beside those that they are next to.
function beside(ids, fresh, next, former, width) {
  const spots = new Map(ids.filter((id) => former.has(id)).map((id) => [id, { ...former.get(id) }]));
  const low = Math.max(0, ...[...spots.values()].map((spot) => spot.y));
  fresh.forEach((id, number) => {
    const friend = [...next.get(id)].sort().find((known) => spots.has(known));
    const angle = 2.4 * number + 0.6;
    spots.set(id, friend
      ? { x: spots.get(friend).x + 120 * Math.cos(angle), y: spots.get(friend).y + 90 * Math.sin(angle) }
      : { x: width / 2 + 40 * Math.cos(angle), y: low + 90 });
  });
  return spots;
}

// The room of a router, the less the more there are.
function cell(count, width) {
  const columns = Math.max(2, Math.floor(width / 155));
  return count <= 2 * columns ? { wide: Math.min(210, width / 2.2), tall: 108 } : { wide: width / columns, tall: 92 };
}

// Neighbours attract each other, and all keep their distance, from the walls too.
function settle(boxes, pairs, width) {
  const index = new Map(boxes.map((box, at) => [box.id, at]));
  const { wide, tall } = cell(boxes.length, width);
  const rounds = boxes.length > 120 ? 120 : 300;
  for (let round = 0; round < rounds; round += 1) {
    const heat = 30 * (1 - round / rounds) + 0.5;
    const moves = boxes.map((box) => {
      const [left, right] = [box.x, width - box.x].map((room) => Math.max(0, 1 - room / wide));
      return { x: 25 * (left - right) + (width / 2 - box.x) * 0.01, y: -box.y * 0.01 };
    });
    for (let one = 0; one < boxes.length; one += 1) {
      for (let other = one + 1; other < boxes.length; other += 1) {
        const dx = (boxes[one].x - boxes[other].x) / wide || 0.01 * (one - other);
        const dy = (boxes[one].y - boxes[other].y) / tall || 0.005 * (other - one);
        const square = Math.max(0.02, dx * dx + dy * dy);
        if (square > 5) continue;
        const force = 8 / square;
        moves[one].x += dx * force; moves[one].y += dy * force;
        moves[other].x -= dx * force; moves[other].y -= dy * force;
      }
    }
    for (const pair of pairs) {
      const [one, other] = pair.map((id) => index.get(id));
      const dx = (boxes[other].x - boxes[one].x) / wide;
      const dy = (boxes[other].y - boxes[one].y) / tall;
      const pull = 7 * (Math.hypot(dx, dy) - 0.95);
      moves[one].x += dx * pull; moves[one].y += dy * pull;
      moves[other].x -= dx * pull; moves[other].y -= dy * pull;
    }
    boxes.forEach((box, at) => {
      if (box.fixed) return;
      const far = Math.hypot(moves[at].x, moves[at].y) || 1;
      const step = Math.min(far, heat) / far;
      box.x += moves[at].x * step;
      box.y += moves[at].y * step;
      within(box, width);
    });
  }
}

function within(box, width) {
  const room = box.width / 2 + BOX.margin;
  box.x = width <= 2 * room ? width / 2 : Math.min(width - room, Math.max(room, box.x));
}

// No box covers another one.
function separate(boxes, width) {
  for (let round = 0; round < 200; round += 1) {
    let moved = false;
    for (let one = 0; one < boxes.length; one += 1) {
      for (let other = one + 1; other < boxes.length; other += 1) {
        const [a, b] = [boxes[one], boxes[other]];
        if (a.fixed && b.fixed) continue;
        const across = (a.width + b.width) / 2 + 24 - Math.abs(a.x - b.x);
        const down = BOX.height + 26 - Math.abs(a.y - b.y);
        if (across <= 0 || down <= 0) continue;
        moved = true;
        const share = a.fixed || b.fixed ? 1 : 0.5;
        // Where the sides are near there is no other way than down.
        const along = across < down && width > 2.5 * (a.width + b.width) ? 'x' : 'y';
        const by = (along === 'x' ? across : down) * share + 0.1;
        const sign = a[along] < b[along] || (a[along] === b[along] && a.id < b.id) ? 1 : -1;
        if (!a.fixed) a[along] -= sign * by;
        if (!b.fixed) b[along] += sign * by;
        within(a, width);
        within(b, width);
      }
    }
    if (!moved) return;
  }
}

// A line between two routers, bent where it would pass behind a third one.
function lineBetween(link) {
  const [from, to] = link.ends.map((id) => page.places.get(id));
  const hits = (place) => place !== from && place !== to && near(place, from, to);
  const middle = { x: (from.x + to.x) / 2, y: (from.y + to.y) / 2 };
  // Lines that cross in their middle keep their costs apart.
  const aside = { x: from.x + 0.42 * (to.x - from.x), y: from.y + 0.42 * (to.y - from.y) };
  const behind = [...page.places.values()].find(hits);
  if (!behind) return { path: `M${from.x} ${from.y}L${to.x} ${to.y}`, label: aside };
  const length = Math.hypot(to.x - from.x, to.y - from.y) || 1;
  const normal = { x: (from.y - to.y) / length, y: (to.x - from.x) / length };
  const side = (behind.x - middle.x) * normal.x + (behind.y - middle.y) * normal.y > 0 ? -1 : 1;
  const reach = side * (Math.abs(normal.y) > 0.7 ? 95 : 190);
  const inside = (x) => Math.min(page.width - BOX.margin, Math.max(BOX.margin, x));
  const bend = { x: inside(middle.x + normal.x * reach), y: middle.y + normal.y * reach };
  return {
    path: `M${from.x} ${from.y}Q${bend.x} ${bend.y} ${to.x} ${to.y}`,
    label: { x: (middle.x + bend.x) / 2, y: (middle.y + bend.y) / 2 },
  };
}

// Whether a line passes through a box.
function near(place, from, to) {
  for (let part = 1; part < 24; part += 1) {
    const x = from.x + ((to.x - from.x) * part) / 24;
    const y = from.y + ((to.y - from.y) * part) / 24;
    if (Math.abs(x - place.x) < place.width / 2 + 6 && Math.abs(y - place.y) < BOX.height / 2 + 6) return true;
  }
  return false;
}

function problemsOf(id) {
  return page.told.problems.filter((problem) => problem.router === id).length;
}

function describe(router) {
  const state = STATES[router.state] || 'answers';
  const problems = problemsOf(router.id);
  const own = router.id === page.told.router ? ', this router' : '';
  const links = page.told.links.filter((link) => link.ends.includes(router.id)).length;
  return `${router.id}, ${router.mode} router${own}, ${state}, ${counted(links, 'link', 'links')}, ${counted(problems, 'problem', 'problems')}`;
}

function describeLink(link) {
  const parts = [link.role, link.cost === null ? '' : `cost ${link.cost}`, link.connections > 1 ? `${link.connections} connections` : '',
    link.encrypted === null ? '' : link.encrypted ? 'encrypted' : 'not encrypted', link.active ? '' : 'standby', link.up ? '' : 'not there any more'];
  return parts.filter(Boolean).join(', ');
}

function showTopology() {
  const { routers, links } = page.told;
  const ids = routers.map((router) => router.id);
  const known = new Set(ids);
  const lines = links.filter((link) => link.ends.every((id) => known.has(id)));
  const width = Math.max(280, $('drawing').clientWidth);
  const isSame = page.width === width && ids.length === page.places.size && ids.every((id) => page.places.has(id));
  if (!isSame && ids.length) {
    const height = Math.max(260, arrange(ids, lines.map((link) => link.ends), width));
    setAll($('topology'), { width, height, viewBox: `0 0 ${width} ${height}` });
  }
  keep($('links'), lines, (link) => JSON.stringify(link.ends),
    () => drawn('g', {}, drawn('path'), drawn('text', { class: 'cost' }), drawn('title')),
    (node, link) => {
      const { path, label } = lineBetween(link);
      const [line, cost, title] = node.children;
      const classes = ['link', link.up ? '' : 'down', link.active ? '' : 'standby', link.encrypted === false ? 'open' : '',
        link.ends.includes(page.chosen) ? 'chosen' : ''];
      set(node, 'class', classes.filter(Boolean).join(' '));
      set(line, 'd', path);
      setAll(cost, { x: label.x, y: label.y + 4 });
      say(cost, link.cost ?? '');
      say(title, `${link.ends[0]} – ${link.ends[1]}: ${describeLink(link)}`);
    });
  keep($('routers'), routers, (router) => router.id, makeRouter, updateRouter);
}

function makeRouter(router) {
  return drawn('g', { tabindex: 0, role: 'button', 'data-router': router.id, 'aria-controls': 'details' },
    drawn('rect', { height: BOX.height, y: -BOX.height / 2 }), drawn('text', { class: 'name', y: -2 }), drawn('text', { class: 'kind', y: 14 }),
    drawn('title'));
}

function updateRouter(node, router) {
  const place = page.places.get(router.id);
  const [box, name, kind, title] = node.children;
  const isOwn = router.id === page.told.router;
  const isAbsent = router.state === 'silent' || router.state === 'gone';
  const classes = ['router', router.mode, isOwn ? 'own' : '', isAbsent ? 'absent' : '', router.id === page.chosen ? 'chosen' : ''];
  setAll(node, {
    class: classes.filter(Boolean).join(' '), transform: `translate(${place.x} ${place.y})`,
    'aria-label': describe(router), 'aria-expanded': String(router.id === page.chosen),
  });
  setAll(box, { x: -place.width / 2, width: place.width, rx: router.mode === 'edge' ? BOX.height / 2 : 8 });
  say(name, shortName(router.id));
  say(kind, STATES[router.state] || (isOwn ? `${router.mode}, this router` : router.mode));
  say(title, describe(router));
}

// --- details, and routers as a table

function facts(router) {
  const state = STATES[router.state] ? `${STATES[router.state]} for ${span(router.since)}` : 'answers';
  const known = (value, shown) => (value === null || value === '' ? '–' : shown(value));
  return [
    ['State', state], ['Version', known(router.version, String)], ['Host', known(router.host, String)],
    ['Up for', known(router.uptime, span)], ['Memory', known(router.resident, octets)],
    ['AMQP clients', known(router.clients, whole)], ['TCP connections', known(router.flows, whole)],
  ];
}

function linksOf(id) {
  return page.told.links.filter((link) => link.ends.includes(id))
    .map((link) => ({ other: link.ends.find((end) => end !== id), link }));
}

function showDetails() {
  const panel = $('details');
  const router = page.told.routers.find((known) => known.id === page.chosen);
  if (!router) {
    keep(panel, ['hint'], String, () => element('p', { class: 'hint' }, 'Choose a router to see more of it.'), () => {});
    return;
  }
  keep(panel, [router], (chosen) => `of ${chosen.id}`,
    () => element('div', {}, element('h3'), element('dl'), element('ul')),
    (node) => {
      const [title, list, links] = node.children;
      say(title, `${router.id} (${router.mode})`);
      showFacts(list, facts(router));
      keep(links, linksOf(router.id), ({ other }) => other, () => element('li', {}, element('strong'), element('span')),
        (item, { other, link }) => { say(item.firstChild, other); say(item.lastChild, `: ${describeLink(link)}`); });
    });
}

function showFacts(list, entries) {
  keep(list, entries, ([name]) => name, ([name]) => element('div', {}, element('dt', {}, name), element('dd')),
    (node, [, value]) => say(node.lastChild, value));
}

function showRouterTable() {
  const body = $('router-table').tBodies[0];
  keep(body, page.told.routers, (router) => router.id, () => element('tr', {}, element('th', { scope: 'row' }), element('td'), element('td'),
    element('td'), element('td'), element('td', { class: 'number' }), element('td', { class: 'number' }), element('td')),
  (row, router) => {
    const [state, version, host, uptime, memory] = facts(router).map(([, value]) => value);
    const links = linksOf(router.id).map(({ other, link }) => (link.cost === null ? other : `${other} (${link.cost})`)).join(', ');
    [router.id, router.mode, state, version, host, uptime, memory, links].forEach((text, at) => say(row.children[at], text));
  });
}

function choose(id, isKey) {
  page.chosen = page.chosen === id ? null : id;
  showTopology();
  showDetails();
  const router = page.told.routers.find((known) => known.id === page.chosen);
  // Whoever does not see it is told; the focus stays in the drawing.
  say($('said'), isKey && router ? `Details: ${facts(router).map((entry) => entry.join(' ')).join(', ')}` : '');
}

// --- totals, problems, talkers

function showTotals() {
  const { routers, links, services, problems, talkers } = page.told;
  const ends = services.flatMap((service) => service.ends);
  const absent = routers.filter((router) => router.state === 'silent' || router.state === 'gone').length;
  const open = services.reduce((sum, service) => sum + summary(service).open, 0);
  const carried = talkers.reduce((sum, talker) => sum + talker.toServers + talker.toClients, 0);
  showFacts($('totals'), [
    ['Routers', absent ? `${routers.length} (${absent} absent)` : routers.length], ['Links', links.filter((link) => link.up).length],
    ['Services', services.length], ['Listeners, connectors', ends.length], ['Open connections', whole(open)],
    ['Traffic', rate(carried)], ['Problems', problems.length],
  ]);
}

function showProblems() {
  const none = [{ severity: 'none', router: '', text: 'None that can be seen from here.' }];
  const { problems } = page.told;
  keep($('problem-list'), problems.length ? problems : none, (problem) => JSON.stringify(problem),
    ({ severity, router, text }) => (severity === 'none'
      ? element('li', { class: 'none' }, text)
      : element('li', { class: severity }, element('span', { class: 'severity' }, severity === 'error' ? 'Error' : 'Warning'),
        ' ', element('strong', {}, router), ' ', text)), () => {});
}

const total = (talker) => talker.toServers + talker.toClients;

function rememberRates() {
  const now = new Map(page.told.talkers.map((talker) => [talker.address, total(talker)]));
  for (const address of page.rates.keys()) if (!now.has(address)) now.set(address, 0);
  for (const [address, octetsPerSecond] of now) {
    const past = [...(page.rates.get(address) ?? []), octetsPerSecond].slice(-REMEMBERED_RATES);
    if (past.some((number) => number > 0)) page.rates.set(address, past);
    else page.rates.delete(address);
  }
}

function curve(address) {
  const past = page.rates.get(address) ?? [];
  const most = Math.max(1, ...past);
  return past.map((number, at) => `${80 - 1.35 * (past.length - 1 - at)},${(18 - (16 * number) / most).toFixed(1)}`).join(' ');
}

function showTalkers() {
  const { talkers } = page.told;
  const most = talkers.length ? total(talkers[0]) : 1;
  const none = [{ address: null }];
  keep($('talkers'), talkers.length ? talkers : none, (talker) => (talker.address === null ? 'none' : `of ${talker.address}`),
    (talker) => (talker.address === null
      ? element('li', { class: 'none' }, 'Nobody says anything just now.')
      : element('li', {}, element('span', { class: 'bar' }), element('span', { class: 'name' }, talker.address),
        drawn('svg', { width: 80, height: 20, viewBox: '0 0 80 20', 'aria-hidden': 'true' }, drawn('polyline')),
        element('span', { class: 'rate' }))),
    (node, talker) => {
      if (talker.address === null) return;
      const [bar, , spark, shown] = node.children;
      bar.style.width = `${Math.max(1, (100 * total(talker)) / most)}%`;
      set(spark.firstChild, 'points', curve(talker.address));
      set(shown, 'title', `${rate(talker.toServers)} to servers, ${rate(talker.toClients)} to clients`);
      say(shown, rate(total(talker)));
    });
}

// --- services

const FIGURES = [['open', 'Open', whole], ['opened', 'Opened', whole], ['received', 'Received', octets], ['sent', 'Sent', octets],
  ['receivedRate', 'Receiving', rate], ['sentRate', 'Sending', rate]];

// What the clients of a service do; where no listener is known, what its servers do, the other way round.
function summary(service) {
  const listeners = service.ends.filter((end) => end.kind === 'listener');
  const counted_ = listeners.length ? listeners : service.ends;
  const sum = (key) => counted_.reduce((all, end) => all + end[key], 0);
  const [near, far, nearRate, farRate] = listeners.length
    ? ['received', 'sent', 'receivedRate', 'sentRate'] : ['sent', 'received', 'sentRate', 'receivedRate'];
  return {
    address: service.address, ends: service.ends.length, down: listeners.filter((end) => end.up === false).length,
    listeners: listeners.length, open: sum('open'), opened: sum('opened'),
    received: sum(near), sent: sum(far), receivedRate: sum(nearRate), sentRate: sum(farRate),
  };
}

function status(end) {
  const tls = end.tls ? ', TLS' : '';
  if (end.old) return ['quiet', 'not known: the router does not answer'];
  if (end.up === false) return ['down', end.message ? `down: ${end.message}` : 'down'];
  if (end.up === true) return ['up', `up${tls}`];
  return ['quiet', end.kind === 'connector' ? `on demand${tls}` : 'not told'];
}

function matches(service, words) {
  const ends = service.ends.map((end) => `${end.router} ${end.name} ${end.target} ${end.kind}`);
  const text = [service.address, ...ends].join(' ').toLowerCase();
  return words.every((word) => text.includes(word));
}

function sorted(services) {
  const { key, descending } = page.sorting;
  const by = services.map((service) => ({ service, sums: summary(service) }));
  const order = (one, other) => {
    const [a, b] = [one.sums[key], other.sums[key]];
    const difference = typeof a === 'string' ? a.localeCompare(b) : a - b;
    return (descending ? -difference : difference) || one.service.address.localeCompare(other.service.address);
  };
  return by.sort(order);
}

function showServices() {
  const words = $('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
  const found = sorted(page.told.services.filter((service) => matches(service, words)));
  let room = page.rows;
  const shown = found.filter(({ service }) => { room -= service.ends.length; return room + service.ends.length > 0; });
  const table = $('service-table');
  keep(table, ['head', ...shown], (item) => (item === 'head' ? 'head' : `of ${item.service.address}`),
    (item) => (item === 'head' ? table.tHead : element('tbody')),
    (node, item) => { if (item !== 'head') showService(node, item); });
  const nothing = page.told.services.length ? 'No service matches.' : 'There are no services.';
  say($('no-service'), shown.length ? '' : nothing);
  $('more').hidden = shown.length === found.length;
  for (const head of table.querySelectorAll('th[data-key]')) {
    const is = head.dataset.key === page.sorting.key;
    set(head, 'aria-sort', is ? (page.sorting.descending ? 'descending' : 'ascending') : 'none');
  }
}

function showService(body, { service, sums }) {
  const ends = service.ends.map((end) => ({ end, key: JSON.stringify([end.kind, end.router, end.name, end.target]) }));
  // Listeners first.
  ends.sort((one, other) => (one.end.kind === other.end.kind ? 0 : one.end.kind === 'listener' ? -1 : 1));
  keep(body, [{ key: 'sum' }, ...ends], ({ key }) => key, makeRow, (row, { end }) => {
    const [name, ...cells] = row.children;
    const figures = cells.splice(-FIGURES.length);
    const state = cells.pop();
    if (end) {
      say(name, `${end.kind} ${end.name}`);
      say(cells[0], end.router);
      say(cells[1], end.target);
      const [kind, text] = status(end);
      set(state, 'class', `wide ${kind}`);
      say(state, text);
    } else {
      say(name, service.address || '(several addresses)');
      const connectors = sums.ends - sums.listeners;
      const parts = [sums.listeners ? counted(sums.listeners, 'listener', 'listeners') : 'no listener',
        connectors ? counted(connectors, 'connector', 'connectors') : 'no connector'];
      set(state, 'class', sums.down || !connectors ? 'wide down' : 'wide quiet');
      say(state, `${parts.join(', ')}${sums.down ? `, ${sums.down} down` : ''}`);
    }
    FIGURES.forEach(([key, , shown], at) => say(figures[at], shown((end ?? sums)[key])));
  });
}

function makeRow({ end }) {
  const figures = FIGURES.map(([, label]) => element('td', { class: 'number', 'data-label': label }));
  const cells = end
    ? [element('td', { class: 'wide where', 'data-label': 'Router' }), element('td', { class: 'wide target' }), element('td')]
    : [element('td', { colspan: 3 })];
  return element('tr', { class: end ? 'end' : 'service' }, element('th', { scope: end ? 'row' : 'rowgroup' }), ...cells, ...figures);
}

// --- what happens

function show() {
  const { told } = page;
  const prefix = told.problems.length ? `(${told.problems.length}) ` : '';
  document.title = `${prefix}${told.router} – application network`;
  say($('here'), told.router);
  showTotals();
  showProblems();
  showTopology();
  showDetails();
  showRouterTable();
  showTalkers();
  showServices();
  say($('left-out'), told.leftOut.length ? `Not shown: ${told.leftOut.join('; ')}.` : '');
}

// What is shown is as good as this says.
function showState() {
  const now = Date.now();
  const limit = page.told ? Math.max(10000, 3 * page.told.period) : 10000;
  let [state, text, age] = ['', 'Asking the routers…', ''];
  if (page.heard && now - page.heard > 2 * POLL + ANSWER_LIMIT / 2) {
    [state, text] = ['bad', `No answer since ${clock(page.heard)}, what is shown is old`];
  } else if (!page.heard && page.failed) {
    [state, text] = ['bad', 'The router does not answer'];
  } else if (page.told && now - page.renewed > limit) {
    [state, text] = ['bad', `Nothing new since ${clock(page.renewed)}, what is shown is old`];
  } else if (page.told) {
    [state, text] = ['live', `Live, every ${Math.round(page.told.period / 1000)} s`];
    age = `· ${span(Math.round((now - page.renewed) / 1000))} ago`;
  }
  set($('state').parentElement, 'class', `state ${state}`);
  say($('state'), text);
  say($('age'), age);
  document.body.classList.toggle('stale', state === 'bad' && page.told !== null);
}

async function look() {
  try {
    const answer = await fetch('network.json', { cache: 'no-store', signal: AbortSignal.timeout(ANSWER_LIMIT) });
    if (!answer.ok) throw new Error(`status ${answer.status}`);
    const told = await answer.json();
    [page.heard, page.failed] = [Date.now(), false];
    if (told.number > 0 && told.time !== page.told?.time) {
      [page.told, page.renewed] = [told, page.heard];
      rememberRates();
      show();
    }
  } catch {
    page.failed = true;
  }
  showState();
}

async function watch() {
  for (;;) {
    if (!document.hidden) await look();
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, page.told || page.failed ? POLL : HASTE);
      document.addEventListener('visibilitychange', () => { clearTimeout(timer); resolve(); }, { once: true });
    });
  }
}

function routerAt(event) {
  return event.target.closest('[data-router]')?.dataset.router;
}

$('topology').addEventListener('click', (event) => {
  const id = routerAt(event);
  if (id !== undefined) choose(id, false);
});
$('topology').addEventListener('keydown', (event) => {
  const id = routerAt(event);
  if (id === undefined) return;
  if (event.key === 'Enter' || event.key === ' ') {
    event.preventDefault();
    choose(id, true);
  } else if (event.key === 'Escape' && page.chosen !== null) {
    choose(page.chosen, true);
  }
});
$('filter').addEventListener('input', () => { if (page.told) showServices(); });
$('more').addEventListener('click', () => { page.rows += ROWS_AT_A_TIME; showServices(); });
for (const head of document.querySelectorAll('#service-table th[data-key]')) {
  head.querySelector('button').addEventListener('click', () => {
    const { key } = head.dataset;
    const is = page.sorting.key === key;
    page.sorting = { key, descending: is ? !page.sorting.descending : key !== 'address' };
    if (page.told) showServices();
  });
}
new ResizeObserver(() => { if (page.told) showTopology(); }).observe($('drawing'));
setInterval(showState, 1000);
watch();
