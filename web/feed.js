// SPDX-License-Identifier: Apache-2.0
// The live feed of decisions: the end of the audit log, its chain recomputed as it comes.
import { call } from './api.js';
import { Chain, entryOf } from './chain.js';
import { answered, bytes, chip, facts, field, fill, h, hex, plain, put, say, table, timeOf, utf8 } from './dom.js';

const FIRST = 200n, KEPT = 1000, SHOWN = 100, EVERY_MS = 3000;

function peerText(p) {
  if (!p || typeof p !== 'object') return '';
  if (p.kind !== 'workload') return p.role ? `${p.kind} (${p.role})` : String(p.kind ?? '');
  return `${p.tee ?? ''} ${(p.mrenclave ?? p.mrtd ?? p.measurement ?? '').slice(0, 12)}…`;
}
function reason(e) {
  return e.verdict === 'reject' ? `${e.where ?? ''}: ${e.got || e.reason || ''}` : e.rule ?? e.detail ?? '';
}
function verdictChip(v) {
  return v === 'accept' ? chip('good', '✓ accept') : v === 'reject' ? chip('bad', '✗ reject') : chip('quiet', v ?? '?');
}

function more(row) {
  const { line, entry } = row;
  const box = h('div', { class: 'more' });
  const peer = entry.peer && typeof entry.peer === 'object' ? Object.entries(entry.peer).map(([k, v]) => [`peer ${k}`, String(v)]) : [];
  put(box, facts([['decision', `D${line.seq}`], ['policy', entry.policy], ['policy digest', entry.policy_sha256], ['rule', entry.rule], ['grace until', entry.grace_until], ['where', entry.where], ['got', entry.got], ['expected', entry.expected], ['reason', entry.reason],
    ['staged policy says', entry.staged ? JSON.stringify(entry.staged) : ''], ...peer, ['hash', hex(bytes(line.hash))]]),
  h('details', {}, h('summary', {}, 'The line itself'), h('pre', { tabindex: '0' }, utf8(bytes(line.entry)))));
  return box;
}

const COLUMNS = [
  ['Verdict', (r) => verdictChip(r.entry.verdict)],
  ['Decision', (r) => h('code', {}, `D${r.line.seq}`)],
  ['Time', (r) => timeOf(r.line.timeS)],
  ['What', (r) => [h('strong', {}, r.entry.op ?? '?'), ' ', r.entry.item && h('bdi', { class: 'wrap' }, r.entry.item)]],
  ['Who', (r) => peerText(r.entry.peer) && h('bdi', {}, peerText(r.entry.peer))],
  ['Rule or reason', (r) => reason(r.entry) && h('bdi', { class: 'wrap' }, reason(r.entry))],
  ['', (r) => h('button', { type: 'button', class: 'small', 'aria-expanded': r.open ? 'true' : 'false', 'aria-label': `Details of D${r.line.seq}`, onclick: r.toggle }, r.open ? 'Less' : 'More')],
];

function matches(row, verdict, text) {
  if (verdict && row.entry.verdict !== verdict) return false;
  return !text || row.search.includes(text);
}

async function why(view, id, out) {
  let d;
  const shown = await answered(view, out, async (close) => {
    d = await call('Why', { id });
    return h('section', { class: 'card' }, h('h2', {}, `Why ${d.id}`), verdictChip(d.verdict),
      facts([['time', timeOf(d.timeS)], ['method', d.op], ['item', d.item], ['version', d.version], ['policy', d.policy], ['policy digest', d.policySha256], ['rule', d.rule], ['grace until', d.graceUntil], ['where', d.where], ['got', d.got], ['expected', d.expected], ['reason', d.reason]]),
      close);
  });
  if (shown) say(`${d.id}: ${d.verdict}`);
}

export async function show(view) {
  const status = await call('Status');
  const end = BigInt(status.auditSeq ?? '0');
  const chain = new Chain(end > FIRST ? end - FIRST : 0n);
  const rows = [];
  let paused = false, busy = false, timer = 0;
  const list = h('div', {}), state = h('p', { role: 'status' }), trouble = h('div', {}), answer = h('div', {});
  const verdict = h('select', { name: 'verdict', onchange: () => draw() }, h('option', { value: '' }, 'all'), h('option', { value: 'accept' }, 'accepted'), h('option', { value: 'reject' }, 'rejected'));
  const filter = h('input', { type: 'search', name: 'filter', autocomplete: 'off', oninput: () => draw(), placeholder: 'item, rule, reason, measurement' });
  const id = h('input', { type: 'text', name: 'decision', autocomplete: 'off', pattern: 'D[0-9]+', placeholder: 'D17', required: true, size: '8' });
  const pause = h('button', { type: 'button', 'aria-pressed': 'false', onclick: () => {
    paused = !paused;
    pause.setAttribute('aria-pressed', String(paused));
    pause.textContent = paused ? 'Go on' : 'Pause';
    if (!paused) next();
  } }, 'Pause');

  function draw() {
    const text = filter.value.trim().toLowerCase();
    const some = rows.filter((r) => matches(r, verdict.value, text));
    const part = some.slice(-SHOWN).reverse();
    const focused = list.contains(document.activeElement) ? document.activeElement : null, label = focused?.getAttribute('aria-label');
    fill(list, table('Decisions, newest first', COLUMNS, part, rows.length ? 'Nothing fits the filter.' : 'There is no decision yet.', 'feed'));
    const body = list.querySelector('tbody');
    part.forEach((r, i) => {
      if (r.open) body?.children[i + part.slice(0, i).filter((x) => x.open).length].after(h('tr', { class: 'open', role: 'row' }, h('td', { role: 'cell', colspan: COLUMNS.length }, r.more ??= more(r))));
    });
    // opened rows are the same elements again, buttons are new ones
    (focused?.isConnected ? focused : label && list.querySelector(`[aria-label="${CSS.escape(label)}"]`))?.focus({ preventScroll: true });
    fill(state, chain.problem ? chip('bad', `the chain is broken: ${chain.problem}`) : chip('good', `chain of ${chain.count} lines recomputed here`), ` ${part.length} of ${rows.length} shown`);
  }
  async function take(lines) {
    for (const line of lines) {
      if (!await chain.add(line)) break;
      const entry = entryOf(line);
      const row = { line, entry, open: false, search: plain(`d${line.seq} ${JSON.stringify(entry)}`).toLowerCase() };
      row.toggle = () => {
        row.open = !row.open;
        draw();
      };
      rows.push(row);
    }
    rows.splice(0, Math.max(0, rows.length - KEPT));
  }
  async function next() {
    clearTimeout(timer);
    if (busy || view.ended() || paused) return; // one at a time: a second one would put the same lines behind each other
    busy = true;
    try {
      for (let again = !document.hidden; again && !view.ended();) {
        const a = await call('AuditTail', { afterSeq: String(chain.seq) });
        const before = chain.count;
        await take(a.lines ?? []);
        again = a.more === true && !chain.problem;
        if (chain.count !== before || chain.problem) draw();
        if (before && chain.count > before) say(`${chain.count - before} new decisions`);
      }
      fill(trouble);
    } catch (e) {
      view.failed(trouble, e);
      if (e.status === 401 || e.status === 403) return; // each refusal is a line of the audit log
    } finally {
      busy = false;
    }
    if (!view.ended() && !paused && !chain.problem) timer = setTimeout(next, EVERY_MS);
  }
  view.atEnd(() => clearTimeout(timer));
  fill(view.body, h('form', { class: 'row', onsubmit: (e) => e.preventDefault() }, field('Verdict', verdict), field('Filter', filter), pause),
    h('form', { class: 'row', onsubmit: (e) => {
      e.preventDefault();
      why(view, id.value.trim(), answer);
    } }, field('Decision', id), h('button', { type: 'submit' }, 'Why?')), answer, trouble, state, list);
  draw();
  await next();
}
