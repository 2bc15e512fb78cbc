// SPDX-License-Identifier: Apache-2.0
// The TCB radar: how long the collateral is good, and in which state the platforms of workloads were.
import { all, call } from './api.js';
import { bytes, chip, daysLeft, facts, fill, h, hex, parsed, short, table, timeOf, utf8 } from './dom.js';

const UP_TO_DATE = new Set(['UpToDate']);
const DEAD = new Set(['Revoked', 'OutOfDate', 'OutOfDateConfigurationNeeded']);
function statusChip(s) {
  return s ? chip(UP_TO_DATE.has(s) ? 'good' : DEAD.has(s) ? 'bad' : 'warn', s) : chip('quiet', 'none');
}
function seconds(date) {
  const ms = typeof date === 'string' ? Date.parse(date) : NaN;
  return isNaN(ms) ? Number(date ?? 0) || 0 : ms / 1000;
}
function claimsOf(w) {
  return (w.claims && parsed(utf8(bytes(w.claims)))) || {};
}

const COLUMNS = [
  ['Status', ([w]) => [statusChip(w.status), w.simulated ? [' ', chip('warn', 'SIMULATED')] : '']],
  ['Workload', ([w]) => [w.tee ?? '', ' ', short(hex(bytes(w.measurement)))]],
  ['Policy', ([w]) => h('bdi', { class: 'wrap' }, w.policy ?? '')],
  ['TCB of', ([, c]) => (c.tcb_date ? h('time', {}, String(c.tcb_date).slice(0, 10)) : '–')],
  ['Collateral', ([, c]) => daysLeft(seconds(c.collateral_expires))],
  ['Advisories', ([, c]) => (Array.isArray(c.advisories) && c.advisories.length ? h('span', { class: 'wrap' }, c.advisories.join(', ')) : '–')],
  ['Accepted', ([w]) => w.accepted ?? '0'],
  ['Refused', ([w]) => w.refused ?? '0'],
  ['Last seen', ([w]) => timeOf(w.lastS)],
];

async function workloads(view, out) {
  try {
    const list = (await all('Workloads', 'workloads', { claims: true }, (a) => ({ after: a.next }))).map((w) => [w, claimsOf(w)]);
    const rank = ([w]) => (DEAD.has(w.status) ? 0 : UP_TO_DATE.has(w.status) ? 2 : 1);
    list.sort((a, b) => rank(a) - rank(b) || Number(b[0].lastS ?? 0) - Number(a[0].lastS ?? 0));
    fill(out, table('Workloads and their platforms, the worst first', COLUMNS, list, 'No workload was judged yet.'));
  } catch (e) {
    view.failed(out, e);
  }
}

export async function show(view) {
  const s = await call('Status');
  const out = h('div', {});
  fill(view.body,
    h('section', { class: 'card' }, h('h2', {}, 'Collateral'), h('p', { class: 'large' }, Number(s.collateralExpiresS ?? 0) ? daysLeft(s.collateralExpiresS) : chip('quiet', s.simulated ? 'none: evidence is simulated' : 'none')),
      h('p', { class: 'quiet' }, Number(s.collateralExpiresS ?? 0) ? ['The first part expires ', timeOf(s.collateralExpiresS), '; after that no workload is accepted until it is fetched anew.'] : 'No collateral of Intel or AMD is loaded.')),
    h('section', {}, h('h2', {}, 'This server'), facts([['version', s.version], ['TEE', s.tee], ['simulated', s.simulated ? 'yes' : 'no'], ['instance', h('code', {}, hex(bytes(s.instance)))], ['started', timeOf(s.startedS)], ['keys', s.keys ?? '0'], ['secrets', s.secrets ?? '0'], ['policies', s.policies ?? '0'], ['without a default policy', s.unbound ?? '0']])),
    h('section', {}, h('h2', {}, 'Workloads'), out));
  await workloads(view, out);
}
