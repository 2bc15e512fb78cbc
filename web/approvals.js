// SPDX-License-Identifier: Apache-2.0
// Who may do what, and what waits for approvals. An approval carries the digest of what is shown, computed here.
import { all, call } from './api.js';
import { base64, bytes, chip, confirmed, facts, fill, h, hex, same, say, sha256, short, table, timeOf, utf8 } from './dom.js';
import { changes, inspected, namespaceName, roleNames } from './request.js';

const STATES = ['', 'open', 'done', 'rejected', 'expired'];

function nameOf(roles, id) {
  const found = roles.find((r) => r.label && same(bytes(r.principal), id));
  return found ? [h('bdi', {}, found.label), ' ', short(hex(id))] : short(hex(id));
}

// What is in force, '' if there is none; seen.unread says that it could not be read, which is not the same.
async function current(method, seen) {
  try {
    return utf8(bytes((await call(method === 'PutReference' ? 'GetReference' : 'GetPolicy', { name: seen.message.name ?? seen.message.policy ?? '' })).json));
  } catch (e) {
    if (e.where !== 'kms:not-found') seen.unread = `could not be read: ${e.where}`;
    return '';
  }
}

function difference(list) {
  const line = ([sign, text]) => h(sign === '+' ? 'ins' : sign === '-' ? 'del' : 'span', {}, `${sign} ${text}\n`);
  return h('details', { open: true }, h('summary', {}, 'What changes'), h('pre', { tabindex: '0', class: 'changes' }, list.map(line)));
}

async function decide(p, seen, method, buttons, out, view) {
  const approve = method === 'Approve';
  const yes = await confirmed(`${approve ? 'Approve' : 'Reject'} proposal ${p.id}?`, [facts([['method', p.method], ...seen.list, ['what is in force', seen.unread]]), facts([['digest', h('code', {}, hex(seen.digest))]])], approve ? 'Approve this digest' : 'Reject', approve ? 'good' : 'bad');
  if (!yes) return;
  const focused = document.activeElement, waiting = buttons.filter((b) => !b.disabled);
  for (const b of waiting) b.disabled = true;
  try {
    const a = await call(method, approve ? { id: p.id, sha256: base64(seen.digest) } : { id: p.id });
    say(approve ? a.done ? `Proposal ${p.id} was executed.` : `Approved: ${a.approvals} of ${a.needed}.` : `Proposal ${p.id} was rejected.`);
    view.again();
  } catch (e) {
    for (const b of waiting) b.disabled = false;
    if (document.activeElement === document.body) focused.focus();
    view.failed(out, e);
    out.scrollIntoView({ block: 'nearest' });
  }
}

// A roll-out names what is staged by its digest: the text of that.
async function addStaged(seen) {
  try {
    const json = bytes((await call('GetStaged', { policy: seen.message.policy ?? '' })).json);
    if (same(await sha256(json), seen.message.sha256 ?? [])) seen.text = utf8(json);
    else seen.problem = 'another policy is staged than the one that is proposed';
  } catch (e) {
    seen.problem = `what is staged cannot be read: ${e.where}`;
  }
}

async function card(p, roles, view) {
  const seen = await inspected(p);
  const out = h('div', {});
  const isOpen = Number(p.state) === 1;
  if (isOpen && p.method === 'RollOut' && !seen.problem) await addStaged(seen);
  const old = isOpen && seen.text ? await current(p.method, seen) : '';
  const list = old && changes(old, seen.text), what = p.method === 'PutReference' ? 'set' : 'policy';
  const button = (method, kind, disabled) => h('button', { type: 'button', class: kind, disabled, onclick: () => decide(p, seen, method, buttons, out, view) }, `${method}…`);
  const buttons = isOpen ? [button('Approve', 'good', seen.problem !== ''), button('Reject', 'bad', false)] : [];
  return h('article', { class: 'card', 'aria-label': `Proposal ${p.id}` },
    h('h3', {}, `Proposal ${p.id}: ${p.method} `, chip(isOpen ? 'warn' : 'quiet', STATES[Number(p.state)] ?? '?')),
    facts([...seen.list, ['namespace', seen.list.some(([k]) => k === 'namespace') ? '' : namespaceName(p.namespace)], ['proposed by', nameOf(roles, bytes(p.proposer))], ['proposed', timeOf(p.createdS)], ['open until', timeOf(p.expiresS)],
      ['approvals', [`${(p.approvers ?? []).length} of ${p.needed ?? 0} `, (p.approvers ?? []).map((a) => ['· ', nameOf(roles, bytes(a)), ' '])]], ['digest', h('code', {}, hex(seen.digest))]]),
    list && difference(list),
    seen.text && h('details', { open: isOpen && !list }, h('summary', {}, `The ${what} as it would be`), h('pre', { tabindex: '0' }, seen.text)),
    old && h('details', {}, h('summary', {}, `The ${what} as it is`), h('pre', { tabindex: '0' }, old)),
    seen.problem ? h('p', {}, chip('bad', `cannot be approved here: ${seen.problem}`)) : null,
    seen.unread && h('p', {}, chip('warn', `what is in force ${seen.unread}`)),
    isOpen && h('div', { class: 'row' }, buttons), out);
}

export async function show(view) {
  const [r, proposals] = await Promise.all([call('ListRoles'), all('ListProposals', 'proposals', {}, (a) => ({ afterId: a.more }))]);
  const roles = r.roles ?? [];
  const open = proposals.filter((p) => Number(p.state) === 1), rest = proposals.filter((p) => Number(p.state) !== 1).reverse();
  const cards = [];
  for (const p of open) cards.push(await card(p, roles, view));
  const old = h('div', {}), shown = rest.slice(0, 50);
  let started = false;
  fill(view.body,
    h('section', {}, h('h2', {}, 'Waiting'), cards.length ? cards : h('p', { class: 'quiet' }, 'Nothing waits for an approval.')),
    rest.length > 0 && h('details', { ontoggle: async (e) => {
      if (!e.target.open || started) return;
      started = true;
      for (const p of shown) old.append(await card(p, roles, view));
    } }, h('summary', {}, `Decided (${shown.length < rest.length ? `${shown.length} of ` : ''}${rest.length})`), old),
    h('section', {}, h('h2', {}, 'Approvals needed'), table('Approvals needed, by namespace', [
      ['Namespace', (q) => h('bdi', {}, namespaceName(q.namespace))],
      ['Approvals', (q) => q.needed ?? 0],
    ], r.quorums ?? [], 'Changes need no approval anywhere.')),
    h('section', {}, h('h2', {}, 'Roles'), table('Roles', [
      ['Who', (x) => h('bdi', { class: 'wrap' }, x.label || '–')],
      ['Principal', (x) => short(hex(bytes(x.principal)), 16)],
      ['Kind', (x) => (x.kind ? 'token' : 'key')],
      ['Namespace', (x) => h('bdi', {}, namespaceName(x.namespace))],
      ['Roles', (x) => roleNames(x.roles)],
    ], roles, 'There is no role that you may see.')));
}
