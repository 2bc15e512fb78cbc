// SPDX-License-Identifier: Apache-2.0
// Elements, and how values are shown. Texts become text nodes and nothing else: there is no way from here to markup.

// Characters that nobody sees, or that turn the order of others around, as what they are.
const HIDDEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\u{e0000}-\u{e007f}]/gu;
export function plain(value) {
  return String(value).replace(HIDDEN, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
}

// h('td', {class: 'x', onclick: f}, 'text', node, [more])
export function h(name, attributes, ...children) {
  const e = document.createElement(name);
  for (const [key, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) e.addEventListener(key.slice(2), value);
    else if (key === 'value') e.value = value;
    else e.setAttribute(key, value === true ? '' : plain(value));
  }
  put(e, children);
  return e;
}
export function put(parent, ...children) {
  for (const c of children.flat(Infinity)) {
    if (c === undefined || c === null || c === false) continue;
    parent.append(c instanceof Node ? c : document.createTextNode(plain(c)));
  }
  return parent;
}
export function fill(parent, ...children) {
  parent.replaceChildren();
  return put(parent, ...children);
}

export function say(text) {
  document.getElementById('live').textContent = plain(text);
}

// ---------------------------------------------------------------- bytes and numbers

export function bytes(base64) {
  const text = atob(base64 ?? '');
  return Uint8Array.from(text, (c) => c.charCodeAt(0));
}
export function base64(array) {
  let text = '';
  for (const b of array) text += String.fromCharCode(b);
  return btoa(text);
}
export function hex(array) {
  return Array.from(array, (b) => b.toString(16).padStart(2, '0')).join('');
}
export function same(a, b) {
  return a.length === b.length && a.every((x, i) => x === b[i]);
}
export async function sha256(array) {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', array));
}
// Bytes that should be text; those that are not are shown as hex.
export function utf8(array) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(array);
  } catch {
    return `hex ${hex(array)}`;
  }
}
export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

// ---------------------------------------------------------------- values

const DAY_S = 86400;
export function when(seconds) {
  const s = Number(seconds ?? 0);
  if (!s) return '';
  const d = new Date(s * 1000);
  return isNaN(d) ? String(seconds) : `${d.toISOString().slice(0, 19).replace('T', ' ')}Z`;
}
export function timeOf(seconds) {
  const text = when(seconds);
  return text ? h('time', { datetime: text.replace(' ', 'T') }, text) : 'never';
}
// How long it is still good: words and a class, never the colour alone.
export function daysLeft(seconds) {
  const s = Number(seconds ?? 0);
  if (!s) return h('span', { class: 'quiet' }, 'no date');
  const left = s - Date.now() / 1000, days = Math.floor(Math.abs(left) / DAY_S), hours = Math.floor(Math.abs(left) / 3600);
  const kind = left <= 0 ? 'bad' : days < 14 ? 'warn' : 'good';
  const text = left > 0 ? days ? `${days} d left` : 'less than a day left' : `over since ${days ? `${days} d` : hours ? `${hours} h` : 'less than an hour'}`;
  return h('span', { class: `chip ${kind}`, title: when(s) }, text);
}
export function chip(kind, text) {
  return h('span', { class: `chip ${kind}` }, text);
}
// The beginning of something long; the whole is in the title.
export function short(text, size = 12) {
  if (text.length <= size + 4) return h('code', {}, text);
  return h('code', { class: 'short', title: text }, `${text.slice(0, size)}…`);
}

// ---------------------------------------------------------------- parts

// What a click asks for, in `out`: the last click counts, whichever answer is the last to come. ask(close) -> what is shown; close is a button
// that gives the focus back to where it was asked. @return whether it was shown
const asked = new WeakMap();
export async function answered(view, out, ask, words = 'asking…') {
  const mine = {}, opener = document.activeElement;
  const close = h('button', { type: 'button', onclick: () => {
    fill(out);
    (opener !== document.body && opener?.isConnected ? opener : document.getElementById('main')).focus();
  } }, 'Close');
  asked.set(out, mine);
  fill(out, h('p', { class: 'quiet' }, words));
  try {
    const content = await ask(close);
    if (asked.get(out) !== mine) return false;
    fill(out, content);
    out.querySelector('h2[tabindex]')?.focus();
    return true;
  } catch (e) {
    if (asked.get(out) === mine) view.failed(out, e);
    return false;
  }
}

// columns: [[title, row => content]]. On narrow screens rows become cards, and titles stand before their
// values; the roles are what tables lose by that.
export function table(caption, columns, rows, empty, kind) {
  if (!rows.length) return h('p', { class: 'quiet' }, empty);
  return h('table', { role: 'table', class: kind }, h('caption', { class: 'unseen' }, caption),
    h('thead', { role: 'rowgroup' }, h('tr', { role: 'row' }, columns.map(([title]) => h('th', { scope: 'col', role: 'columnheader' }, title)))),
    h('tbody', { role: 'rowgroup' }, rows.map((row) => h('tr', { role: 'row' }, columns.map(([title, show]) => cell(title, show(row)))))));
}
function cell(title, content) {
  return h('td', { role: 'cell', 'data-title': title, class: content === '' && 'empty' }, h('div', {}, content));
}
// [[name, value]]; what is empty is left out.
export function facts(list) {
  return h('dl', {}, list.filter(([, v]) => v !== '' && v !== undefined && v !== null && v !== false).map(([k, v]) => h('div', {}, h('dt', {}, k), h('dd', {}, v))));
}
export function failure(e) {
  return h('div', { class: 'failure', role: 'alert' }, h('strong', {}, e.where ?? 'failed'),
    facts([['message', e.message], ['got', e.got], ['expected', e.expected], ['hint', e.hint], ['decision', e.decision], ['status', e.status]]));
}
export function field(label, input) {
  return h('label', { class: 'field' }, h('span', {}, label), input);
}
// Asks with a dialog of the browser's: focus stays in it, Escape closes it, and Enter pressed once too often cancels. @return whether it was confirmed
export function confirmed(title, content, yes, kind) {
  return new Promise((done) => {
    const d = h('dialog', { 'aria-label': title }, h('h2', {}, title), content,
      h('div', { class: 'row' }, h('button', { type: 'button', class: kind, onclick: () => d.close('yes') }, yes), h('button', { type: 'button', autofocus: true, onclick: () => d.close('') }, 'Cancel')));
    d.addEventListener('close', () => {
      d.remove();
      done(d.returnValue === 'yes');
    });
    document.body.append(d);
    d.showModal();
  });
}
