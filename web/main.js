// SPDX-License-Identifier: Apache-2.0
// Who is here, which view is open, and the banner.
import { call, hasToken, setToken } from './api.js';
import { failure, field, fill, h, say } from './dom.js';
import * as approvals from './approvals.js';
import * as audit from './audit.js';
import * as feed from './feed.js';
import * as items from './items.js';
import * as platform from './platform.js';
import * as solutions from './solutions.js';

const VIEWS = {
  feed: ['Decisions', feed.show],
  items: ['Keys and secrets', items.showItems],
  policies: ['Policies', items.showPolicies],
  approvals: ['Roles and approvals', approvals.show],
  audit: ['Audit chain', audit.show],
  platform: ['Platforms', platform.show],
  solutions: ['Solutions', solutions.show],
};
const main = document.getElementById('main');
let open = null; // {stop}: ends what a view does by itself

// ---------------------------------------------------------------- banner

function banner(simulated) {
  const b = document.getElementById('banner');
  if (simulated === false) {
    b.hidden = true;
    return;
  }
  b.hidden = false;
  b.className = simulated ? 'simulated' : 'unknown';
  b.textContent = simulated ? 'SIMULATED: evidence comes from a software TEE and proves nothing' : 'It is not known whether this KMS is simulated: its status could not be read.';
}

// Each refusal is a line in the audit log: who may not read the status is not asked for it again and again.
let unreadable = false;
async function lookAround() {
  if (unreadable) return null;
  try {
    const s = await call('Status');
    banner(s.simulated === true);
    return null;
  } catch (e) {
    banner(undefined);
    unreadable = e.status === 403;
    return e;
  }
}

// ---------------------------------------------------------------- who

function who(refused) {
  const w = document.getElementById('who');
  if (hasToken()) fill(w, 'by token ', h('button', { type: 'button', class: 'small', onclick: () => leave() }, 'Forget it'));
  else fill(w, refused ? 'not signed in ' : 'by certificate ', h('button', { type: 'button', class: 'small', onclick: () => signIn() }, 'Use a token'));
}
function leave() {
  setToken('');
  say('The token is forgotten.');
  start();
}

const TOKEN = /^[A-Za-z0-9._~+/=-]+$/; // RFC 6750; the browser would not send others, and not say why
function signIn(e) {
  stop();
  const input = h('input', { type: 'password', autocomplete: 'off', autocapitalize: 'off', spellcheck: 'false', name: 'token', required: true });
  const form = h('form', { onsubmit: (ev) => {
    ev.preventDefault();
    const text = input.value.trim();
    input.value = '';
    if (!TOKEN.test(text)) {
      signIn({ where: 'console:token', message: 'this is not a token', expected: 'letters, digits and . _ ~ + / = -', hint: 'copy it again, in one piece and without quotes' });
      return;
    }
    setToken(text);
    start();
  } }, field('Bearer token of your identity provider', input), h('button', { type: 'submit' }, 'Use it'));
  fill(main, h('h1', {}, 'Who are you?'), e && failure(e),
    h('section', {}, h('h2', {}, 'A client certificate'), h('p', {}, 'The browser asks which one to show when it connects. Its key needs a role in this KMS. How to import it: docs/reference/kms-console.md.'),
      h('button', { type: 'button', onclick: () => {
        setToken('');
        start();
      } }, 'Try again with the certificate')),
    h('section', {}, h('h2', {}, 'A token'), h('p', {}, 'It is kept in the memory of this page until the page is closed, and is stored nowhere.'), form));
  document.title = 'Who are you? · CCZoo KMS';
  input.focus();
}

// ---------------------------------------------------------------- views

function stop() {
  open?.stop?.();
  open = null;
}

function mark(name) {
  for (const a of document.querySelectorAll('#nav a')) {
    if (a.getAttribute('href') === `#/${name}`) {
      a.setAttribute('aria-current', 'page');
      a.scrollIntoView({ block: 'nearest', inline: 'nearest' });
    } else a.removeAttribute('aria-current');
  }
}

async function go(focus) {
  const asked = location.hash.slice(2), name = Object.hasOwn(VIEWS, asked) ? asked : 'feed';
  const [title, show] = VIEWS[name];
  stop();
  mark(name);
  document.title = `${title} · CCZoo KMS`;
  const body = h('div', { 'aria-busy': 'true' }, h('p', { class: 'quiet' }, 'asking…'));
  fill(main, h('h1', {}, title), body);
  if (focus) main.focus();
  const mine = { stop: null, ended: false };
  mine.stop = () => {
    mine.ended = true;
    mine.end?.();
  };
  open = mine;
  // also of calls that come later: a token ends while a view is open
  const failed = (out, e) => {
    if (mine.ended) return;
    if (e.status === 401) {
      who(true);
      signIn(e);
    } else fill(out, failure(e));
  };
  try {
    await show({ body, ended: () => mine.ended, atEnd: (fn) => { mine.end = fn; }, again: () => mine.ended || go(true), failed });
  } catch (e) {
    failed(body, e);
  } finally {
    body.removeAttribute('aria-busy');
  }
}

async function start() {
  unreadable = false;
  const e = await lookAround();
  who(e?.status === 401);
  if (e?.status === 401 || e?.where === 'kms:admin-unknown') signIn(e);
  else await go(false);
}

window.addEventListener('hashchange', () => go(true));
document.getElementById('skip').addEventListener('click', (e) => {
  e.preventDefault();
  main.focus();
});
setInterval(() => document.hidden || lookAround(), 60000);
start();
