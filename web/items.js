// SPDX-License-Identifier: Apache-2.0
// Keys, secrets and policies: what is known about them. Values are nowhere in the API that the console uses.
import { all, call } from './api.js';
import { answered, bytes, chip, facts, field, fill, h, hex, parsed, same, sha256, short, table, timeOf, utf8 } from './dom.js';

const byName = (a) => (a.next ? { next: a.next } : { after: a.items.at(-1).item });

function state(i) {
  const now = Date.now() / 1000;
  if (Number(i.deleteAfterS ?? 0)) return [chip('bad', 'deleted'), ' may be destroyed from ', timeOf(i.deleteAfterS)];
  if (i.disabled) return chip('warn', 'disabled');
  if (Number(i.expiresS ?? 0) && Number(i.expiresS) <= now) return chip('warn', 'expired');
  if (i.policy) return chip('good', 'active');
  return chip('quiet', i.item.startsWith('key/') ? 'no default policy' : 'released to nobody'); // operations of a key have policies of their own
}
function metadata(i) {
  const text = i.metadata ? utf8(bytes(i.metadata)) : '';
  return text ? h('bdi', { class: 'wrap' }, text) : '';
}

const VERSIONS = [
  ['Version', (i) => i.version ?? 0],
  ['State', state],
  ['Kind', (i) => i.alg ?? 'secret'],
  ['Created', (i) => timeOf(i.createdS)],
  ['Expires', (i) => timeOf(i.expiresS)],
  ['Metadata', metadata],
];

function describe(view, item, out) {
  return answered(view, out, async (close) => {
    const versions = await all('Describe', 'items', { item }, (a) => ({ afterVersion: a.items.at(-1).version }));
    const head = h('h2', { tabindex: '-1' }, h('bdi', {}, item));
    return h('section', { class: 'card' }, head, table(`Versions of ${item}`, VERSIONS, versions, 'It has no version.'), close);
  });
}

export async function showItems(view) {
  const items = (await all('List', 'items', {}, byName)).filter((i) => !i.item.startsWith('policy/'));
  const out = h('div', {}), list = h('div', {});
  const filter = h('input', { type: 'search', name: 'filter', autocomplete: 'off', oninput: () => draw(), placeholder: 'name, policy, metadata' });
  const columns = [
    ['Name', (i) => h('button', { type: 'button', class: 'link', onclick: () => describe(view, i.item, out) }, h('bdi', { class: 'wrap' }, i.item))],
    ['State', state],
    ['Version', (i) => i.version ?? 0],
    ['Kind', (i) => i.alg ?? 'secret'],
    ['Policy', (i) => (i.policy ? h('bdi', { class: 'wrap' }, i.policy) : '–')],
    ['Created', (i) => timeOf(i.createdS)],
    ['Expires', (i) => timeOf(i.expiresS)],
    ['Metadata', metadata],
  ];
  function draw() {
    const text = filter.value.trim().toLowerCase();
    const some = items.filter((i) => !text || `${i.item} ${i.policy ?? ''} ${i.metadata ? utf8(bytes(i.metadata)) : ''}`.toLowerCase().includes(text));
    fill(list, table('Keys and secrets', columns, some, items.length ? 'Nothing fits the filter.' : 'There is nothing that you may see.'));
  }
  fill(view.body, h('form', { class: 'row', onsubmit: (e) => e.preventDefault() }, field('Filter', filter)), out, list,
    h('p', { class: 'quiet' }, 'Values are never shown: only attested workloads that a policy accepts get them.'));
  draw();
}

// ---------------------------------------------------------------- policies

function pretty(text) {
  const p = parsed(text);
  return p === null ? text : JSON.stringify(p, null, 2);
}

async function onTrial(name) {
  try {
    return await call('GetStaged', { policy: name });
  } catch (e) {
    if (e.where === 'kms:not-staged') return null;
    throw e;
  }
}

function replay(view, name, out) {
  return answered(view, out, async () => {
    const list = await all('Replay', 'workloads', { policy: name }, (a) => ({ after: a.next }));
    const blocks = list.filter((w) => w.now && !w.then), admits = list.filter((w) => !w.now && w.then);
    return [h('p', {}, chip(blocks.length ? 'bad' : 'good', `would block ${blocks.length} and admit ${admits.length} of ${list.length} workloads`)),
      table('Workloads that would fare otherwise', [
        ['Workload', (w) => short(hex(bytes(w.workload?.measurement)))],
        ['TEE', (w) => w.workload?.tee ?? ''],
        ['Then', (w) => chip(w.then ? 'good' : 'bad', w.then ? '✓ accept' : '✗ reject')],
        ['Rule', (w) => w.rule ?? ''],
        ['Where', (w) => w.where ?? ''],
        ['Got', (w) => h('bdi', { class: 'wrap' }, w.got ?? '')],
        ['Expected', (w) => h('bdi', { class: 'wrap' }, w.expected ?? '')],
      ], [...blocks, ...admits], 'Nobody would fare otherwise.')];
  }, 'trying it on those that were judged…');
}

function policy(view, name, out) {
  return answered(view, out, async (close) => {
    const [p, s] = await Promise.all([call('GetPolicy', { name }), onTrial(name)]);
    const json = bytes(p.json), sum = await sha256(json), tried = h('div', {});
    const head = h('h2', { tabindex: '-1' }, h('bdi', {}, `policy/${name}`));
    return h('section', { class: 'card' }, head,
      facts([['digest', h('code', {}, hex(sum))], ['recomputed', same(sum, bytes(p.sha256)) ? chip('good', 'it is that of this text') : chip('bad', 'the server says another one')]]),
      h('pre', { tabindex: '0', 'aria-label': 'Policy' }, pretty(utf8(json))),
      s && h('section', {}, h('h3', {}, 'On trial'), facts([['ends', timeOf(s.endsS)], ['would accept', s.wouldAccept ?? '0'], ['would refuse', s.wouldRefuse ?? '0'], ['digest', h('code', {}, hex(bytes(s.sha256)))]]),
        h('pre', { tabindex: '0', 'aria-label': 'Staged policy' }, pretty(utf8(bytes(s.json)))), h('button', { type: 'button', onclick: () => replay(view, name, tried) }, 'Replay workloads'), tried),
      close);
  });
}

// ---------------------------------------------------------------- reference values

function reference(view, name, out) {
  return answered(view, out, async (close) => {
    const r = await call('GetReference', { name });
    const json = bytes(r.json), sum = await sha256(json), set = parsed(utf8(json));
    const head = h('h2', { tabindex: '-1' }, h('bdi', {}, `reference/${name}`));
    return h('section', { class: 'card' }, head,
      facts([['version', r.version ?? 0], ['put', timeOf(r.createdS)], ['digest', h('code', {}, hex(sum))], ['recomputed', same(sum, bytes(r.sha256)) ? chip('good', 'it is that of this text') : chip('bad', 'the server says another one')]]),
      table(`Values of ${name}`, [
        ['Name', (v) => h('bdi', { class: 'wrap' }, String(v.name ?? ''))],
        ['Value', (v) => h('code', { class: 'wrap' }, String(v.value ?? ''))],
        ['State', (v) => (v.until ? (Date.parse(v.until) <= Date.now() ? chip('quiet', `ended ${v.until}`) : chip('warn', `until ${v.until}`)) : chip('good', 'no end'))],
      ], Array.isArray(set?.values) ? set.values : [], 'It has no values.'),
      close);
  });
}

function references(view, sets, out) {
  return h('section', {}, h('h2', {}, 'Reference values'), table('Reference values', [
    ['Name', (r) => h('button', { type: 'button', class: 'link', onclick: () => reference(view, r.name, out) }, h('bdi', { class: 'wrap' }, r.name))],
    ['Version', (r) => r.version ?? 0],
    ['Values', (r) => `${r.values ?? 0} of ${r.valueSize ?? 0} bytes`],
    ['Put', (r) => timeOf(r.createdS)],
  ], sets, 'There is no set of reference values that you may see.'));
}

export async function showPolicies(view) {
  const [listed, staged, sets] = await Promise.all([all('List', 'items', {}, byName), all('ListStaged', 'staged', {}, (a) => ({ after: a.staged.at(-1).policy })),
    all('ListReferences', 'references', {}, (a) => ({ after: a.references.at(-1).name }))]);
  const policies = listed.filter((i) => i.item.startsWith('policy/')).map((i) => i.item.slice(7));
  const trial = new Map(staged.map((s) => [s.policy, s]));
  const out = h('div', {});
  const uses = (name) => listed.filter((i) => i.policy === name && !i.item.startsWith('policy/')).length;
  fill(view.body, out, table('Policies', [
    ['Name', (n) => h('button', { type: 'button', class: 'link', onclick: () => policy(view, n, out) }, h('bdi', { class: 'wrap' }, n))],
    ['Default of', (n) => `${uses(n)} items`],
    ['On trial', (n) => {
      const s = trial.get(n);
      return s ? [chip(s.ended ? 'quiet' : 'warn', s.ended ? 'trial over' : 'staged'), ` would accept ${s.wouldAccept ?? 0}, refuse ${s.wouldRefuse ?? 0}`] : '–';
    }],
  ], policies, 'There is no policy that you may see.'), references(view, sets, out));
}
