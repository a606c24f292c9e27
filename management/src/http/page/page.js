'use strict';
// Shows /network.json. Names in it are other people's: they become text nodes and nothing else.

const SVG = 'http://www.w3.org/2000/svg';
const SHOWN_TALKERS = 8;
const $ = (id) => document.getElementById(id);

// How soon to ask again, in milliseconds, while the router has nothing to tell yet.
const SOON = 300;
// How old news are that are called old, in milliseconds.
const STALE = 10000;

// What was told last and before that, so that rates can be told.
let current = null;
let former = null;
let chosen = null;
let sorting = { key: 'address', descending: false };
let answered = 0;
const places = new Map();

function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

function drawn(name, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, name), attributes, children);
}

function fill(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

// --- numbers for people

const whole = (number) => number.toLocaleString('en');

function octets(number) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'];
  let unit = 0;
  while (number >= 999.5 && unit < units.length - 1) { number /= 1000; unit += 1; }
  return `${unit === 0 ? Math.round(number) : number.toPrecision(3)} ${units[unit]}`;
}

function rate(number) {
  return number === null ? '–' : `${octets(number)}/s`;
}

function span(seconds) {
  const parts = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's']];
  const at = parts.findIndex(([size]) => seconds >= size);
  if (at < 0) return '0 s';
  const [size, name] = parts[at];
  const [next, nextName] = parts[at + 1] || [0, ''];
  const rest = next ? Math.floor((seconds % size) / next) : 0;
  return `${Math.floor(seconds / size)} ${name}${rest ? ` ${rest} ${nextName}` : ''}`;
}

// --- services with their rates

// What the clients' side has carried; where no listener is known, the servers' side tells, the other way round.
function carried(service) {
  const add = (ports, key) => ports.reduce((sum, port) => sum + port[key], 0);
  return service.listeners.length
    ? { in: add(service.listeners, 'bytesIn'), out: add(service.listeners, 'bytesOut') }
    : { in: add(service.connectors, 'bytesOut'), out: add(service.connectors, 'bytesIn') };
}

function rows() {
  const before = new Map((former ? former.services : []).map((service) => [service.address, carried(service)]));
  const seconds = former ? (current.time - former.time) / 1000 : 0;
  return current.services.map((service) => {
    const now = carried(service);
    const old = before.get(service.address);
    // Counters that went back are of a router that began anew.
    const per = (key) => (old && seconds > 0 && now[key] >= old[key] ? (now[key] - old[key]) / seconds : null);
    const ports = service.listeners.length ? service.listeners : service.connectors;
    const sum = (key) => ports.reduce((total, port) => total + port[key], 0);
    return {
      service, address: service.address, where: service.listeners.length + service.connectors.length,
      open: sum('open'), opened: sum('opened'), rateIn: per('in'), rateOut: per('out'), total: now.in + now.out,
    };
  });
}

function port(kind, entry) {
  const mark = kind === 'connector' ? ['→', '', 'connector'] : entry.up ? ['●', 'up', 'listens'] : ['○', 'down', 'does not listen'];
  const item = element('li', {},
    element('span', { class: `mark ${mark[1]}`, title: mark[2], role: 'img', 'aria-label': mark[2] }, mark[0]),
    `${entry.router} `, element('small', {}, `${entry.name} ${entry.target}`));
  if (entry.message && !entry.up) item.append(element('small', {}, ` – ${entry.message}`));
  return item;
}

function matches(row, words) {
  const ports = [...row.service.listeners, ...row.service.connectors];
  const text = [row.address, ...ports.map((entry) => `${entry.router} ${entry.name} ${entry.target}`)].join(' ').toLowerCase();
  return words.every((word) => text.includes(word));
}

function showServices(all) {
  const words = $('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
  const { key, descending } = sorting;
  const order = (one, other) => {
    const [a, b] = [one[key] ?? -1, other[key] ?? -1];
    const by = typeof a === 'string' ? a.localeCompare(b) : a - b;
    return (descending ? -by : by) || one.address.localeCompare(other.address);
  };
  const body = $('services').tBodies[0];
  body.replaceChildren(...all.filter((row) => matches(row, words)).sort(order).map((row) => {
    const cell = (label, text) => element('td', { class: 'number', 'data-label': label }, text);
    const ports = element('ul', {},
      ...row.service.listeners.map((entry) => port('listener', entry)),
      ...row.service.connectors.map((entry) => port('connector', entry)));
    return element('tr', {}, element('td', {}, row.address), element('td', {}, ports),
      cell('Open', whole(row.open)), cell('Opened', whole(row.opened)),
      cell('From clients', rate(row.rateIn)), cell('To clients', rate(row.rateOut)), cell('Carried', octets(row.total)));
  }));
  if (!body.children.length) {
    body.append(element('tr', {}, element('td', { colspan: 7, class: 'hint' },
      all.length ? 'No service matches.' : 'There are no services yet.')));
  }
  for (const head of document.querySelectorAll('#services th')) {
    const is = head.dataset.key === key;
    head.setAttribute('aria-sort', is ? (descending ? 'descending' : 'ascending') : 'none');
  }
}

function showTalkers(all) {
  const rates = all.map((row) => ({ row, rate: (row.rateIn || 0) + (row.rateOut || 0) }));
  const talking = rates.filter((entry) => entry.rate > 0).sort((a, b) => b.rate - a.rate).slice(0, SHOWN_TALKERS);
  const most = talking.length ? talking[0].rate : 1;
  const items = talking.map(({ row, rate: now }) => element('li', {},
    drawn('svg', { 'aria-hidden': 'true', preserveAspectRatio: 'none', viewBox: '0 0 100 1' },
      drawn('rect', { width: Math.max(1, (100 * now) / most), height: 1 })),
    element('span', {}, row.address), element('span', { class: 'rate' }, rate(now))));
  const nothing = former ? 'Nobody says anything just now.' : 'Rates need a second look.';
  $('talkers').replaceChildren(...(items.length ? items : [element('li', { class: 'hint' }, nothing)]));
}

// --- problems and totals

function showProblems() {
  const items = current.problems.map((problem) => element('li', { class: problem.severity },
    element('span', { class: 'kind' }, problem.severity === 'error' ? 'Error' : 'Warning'),
    element('strong', {}, problem.router), problem.text));
  const none = element('li', { class: 'none' }, 'None that can be seen from here.');
  $('problem-list').replaceChildren(...(items.length ? items : [none]));
}

function showTotals(all) {
  const sum = (key) => all.reduce((total, row) => total + (row[key] || 0), 0);
  const silent = current.routers.filter((router) => !router.answered).length;
  const entries = [
    ['Routers', silent ? `${current.routers.length} (${silent} silent)` : current.routers.length],
    ['Links', current.links.length],
    ['Services', current.services.length],
    ['Open connections', whole(sum('open'))],
    ['Traffic', former ? rate(sum('rateIn') + sum('rateOut')) : '–'],
    ['Problems', current.problems.length],
  ];
  $('totals').replaceChildren(...entries.map(([name, value]) =>
    element('div', {}, element('dt', {}, name), element('dd', {}, String(value)))));
}

// --- the drawing

// Interior routers on a ring in the order of their names, edge routers outside beside theirs: a place is the same
// whatever else comes and goes, as far as that can be.
function layout(routers, links) {
  const wide = $('topology').clientWidth > 560;
  const [width, height] = wide ? [720, 400] : [360, 340];
  const edges = routers.filter((router) => router.mode === 'edge');
  const inner = routers.filter((router) => router.mode !== 'edge');
  const radius = (part) => [part * (width / 2 - 60), part * (height / 2 - 40)];
  const center = [width / 2, height / 2 - 6];
  const at = (angle, part) => {
    const [x, y] = radius(part);
    return [center[0] + x * Math.cos(angle), center[1] + y * Math.sin(angle)];
  };
  places.clear();
  const angles = new Map();
  inner.forEach((router, number) => {
    // Begins aslant, so that the names of two have room.
    const angle = -0.82 * Math.PI + (2 * Math.PI * number) / inner.length;
    angles.set(router.id, angle);
    places.set(router.id, inner.length === 1 ? center : at(angle, edges.length ? 0.55 : 0.9));
  });
  const byHost = new Map();
  for (const edge of edges) {
    const link = links.find((known) => known.role === 'edge' && known.ends[1] === edge.id && places.has(known.ends[0]));
    const host = link ? link.ends[0] : '';
    byHost.set(host, [...(byHost.get(host) || []), edge.id]);
  }
  for (const [host, ids] of byHost) {
    const room = inner.length > 1 ? (1.6 * Math.PI) / inner.length : 2 * Math.PI;
    ids.forEach((id, number) => {
      const spread = ids.length > 1 ? ((number + 0.5) / ids.length - 0.5) * room : -0.35;
      places.set(id, at((angles.get(host) ?? 0) + spread, 1));
    });
  }
  return [width, height];
}

function showTopology() {
  const svg = $('topology');
  const focused = document.activeElement && document.activeElement.dataset ? document.activeElement.dataset.router : null;
  const [width, height] = layout(current.routers, current.links);
  const lines = [];
  for (const link of current.links) {
    const [from, to] = link.ends.map((id) => places.get(id));
    if (!from || !to) continue;
    const what = `${link.ends[0]} – ${link.ends[1]}: ${link.role}${link.cost ? `, cost ${link.cost}` : ''}${link.encrypted ? ', encrypted' : ', not encrypted'}`;
    lines.push(drawn('line', {
      x1: from[0], y1: from[1], x2: to[0], y2: to[1], class: `${link.standby ? 'standby ' : ''}${link.encrypted ? '' : 'open'}`,
    }, drawn('title', {}, what)));
    if (link.cost && link.cost !== 1) {
      lines.push(drawn('text', { class: 'cost', x: (from[0] + to[0]) / 2, y: (from[1] + to[1]) / 2 + 4 }, String(link.cost)));
    }
  }
  const nodes = current.routers.filter((router) => places.has(router.id)).map((router) => {
    const [x, y] = places.get(router.id);
    const size = router.mode === 'edge' ? 10 : 15;
    const states = [router.mode, router.answered ? '' : 'silent', router.id === current.router ? 'here' : '',
      router.id === chosen ? 'chosen' : ''].filter(Boolean).join(' ');
    const name = router.id.length > 24 ? `${router.id.slice(0, 23)}…` : router.id;
    const label = `Router ${router.id}, ${router.mode}${router.answered ? '' : ', does not answer'}`;
    return drawn('g', {
      class: `router ${states}`, transform: `translate(${x} ${y})`, tabindex: 0, role: 'button', 'aria-label': label,
      'data-router': router.id, 'aria-pressed': String(router.id === chosen),
    }, drawn('title', {}, label), drawn('circle', { class: 'halo', r: size + 6 }), drawn('circle', { r: size }),
    drawn('text', { y: size + 18 }, name));
  });
  svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
  svg.replaceChildren(...lines, ...nodes);
  if (focused) nodes.find((node) => node.dataset.router === focused)?.focus({ preventScroll: true });
}

function showDetails() {
  const router = current.routers.find((known) => known.id === chosen);
  if (!router) {
    $('details').replaceChildren(element('p', { class: 'hint' }, 'Choose a router to see more of it.'));
    return;
  }
  const links = current.links.filter((link) => link.ends.includes(router.id));
  const others = links.map((link) => link.ends.find((id) => id !== router.id) || router.id);
  const entries = router.answered
    ? [['Version', router.version || '–'], ['Host', router.host || '–'], ['Up for', span(router.uptime)],
      ['Memory', octets(router.resident)], ['Connections', whole(router.connections)],
      ['Addresses', whole(router.addresses)], ['Deliveries', whole(router.deliveries)]]
    : [['State', 'does not answer']];
  entries.push(['Connected with', others.join(', ') || 'nobody']);
  $('details').replaceChildren(element('h3', {}, `${router.id} (${router.mode})`),
    element('dl', {}, ...entries.map(([name, value]) => element('div', {}, element('dt', {}, name), element('dd', {}, value)))));
}

// --- what happens

function show() {
  if (!current) return;
  const all = rows();
  document.title = `${current.problems.length ? `(${current.problems.length}) ` : ''}${current.router} – application network`;
  $('here').textContent = current.router;
  showTotals(all);
  showProblems();
  showTopology();
  showDetails();
  showTalkers(all);
  showServices(all);
  $('left-out').textContent = current.leftOut.length ? `Not shown: ${current.leftOut.join('; ')}.` : '';
}

function showState(text, bad) {
  const state = $('state');
  if (state.textContent !== text) state.textContent = text;
  state.classList.toggle('bad', bad);
}

function showAge() {
  const age = span(Math.round((Date.now() - answered) / 1000));
  showState(answered ? `No news for ${age}: what is shown is old` : 'The router does not answer', true);
}

async function look() {
  try {
    const answer = await fetch('/network.json', { cache: 'no-store', signal: AbortSignal.timeout(8000) });
    if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
    const told = await answer.json();
    if (!told) {
      if (answered && Date.now() - answered > STALE) showAge();
      return SOON;
    }
    answered = Date.now();
    if (!current || told.time !== current.time) {
      former = current;
      current = told;
      show();
    }
    showState(`Live, every ${Math.round(told.interval / 1000)} s`, false);
    return told.interval;
  } catch (error) {
    showAge();
    return 2000;
  }
}

async function watch() {
  for (;;) {
    const pause = document.hidden ? 2000 : await look();
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, pause);
      document.addEventListener('visibilitychange', () => { clearTimeout(timer); resolve(); }, { once: true });
    });
  }
}

function choose(event) {
  const node = event.target.closest('[data-router]');
  if (!node) return;
  chosen = chosen === node.dataset.router ? null : node.dataset.router;
  showTopology();
  showDetails();
}

$('topology').addEventListener('click', choose);
$('topology').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' || event.key === ' ') {
    event.preventDefault();
    choose(event);
  }
});
$('filter').addEventListener('input', () => { if (current) showServices(rows()); });
for (const head of document.querySelectorAll('#services th')) {
  head.querySelector('button').addEventListener('click', () => {
    const { key } = head.dataset;
    const numeric = head.classList.contains('number') || key === 'where';
    sorting = sorting.key === key ? { key, descending: !sorting.descending } : { key, descending: numeric };
    if (current) showServices(rows());
  });
}
window.addEventListener('resize', () => { if (current) showTopology(); });
watch();
