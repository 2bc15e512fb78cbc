// SPDX-License-Identifier: Apache-2.0
// POST /v1/<Method>, as whoever the browser's client certificate or the token says. The token is in this variable and
// nowhere else: it is gone with the page.
let token = '';

export class Refused extends Error {
  constructor(status, body) {
    super(body.message ?? `status ${status}`);
    this.status = status;
    for (const key of ['where', 'got', 'expected', 'hint', 'decision']) this[key] = typeof body[key] === 'string' ? body[key] : '';
    this.where ||= `HTTP ${status}`;
  }
}

export function setToken(text) {
  token = text;
}
export function hasToken() {
  return token !== '';
}

export async function call(method, body = {}) {
  const headers = { 'Content-Type': 'application/json' };
  if (token) headers.Authorization = `Bearer ${token}`;
  let answer;
  try {
    answer = await fetch(`/v1/${method}`, { method: 'POST', headers, body: JSON.stringify(body), cache: 'no-store', credentials: 'same-origin', redirect: 'error', referrerPolicy: 'no-referrer' });
  } catch (e) {
    throw new Refused(0, { where: 'console:connection', message: e.message, expected: 'an answer of this server', hint: 'is it running, and is its certificate trusted? A browser that was not given a client certificate may have to be restarted' });
  }
  const json = await answer.json().catch(() => null);
  if (!json || typeof json !== 'object') throw new Refused(answer.status, { where: 'console:answer', message: 'the answer is not JSON', hint: 'something between the browser and the KMS answers in its place' });
  if (!answer.ok) throw new Refused(answer.status, json);
  return json;
}

// Every page of a list. next(answer) -> the members of the next request.
export async function all(method, member, body, next) {
  const out = [];
  let request = body, state;
  for (let page = 0; page < 1000; page++) {
    const a = await call(method, request);
    if (page && a.state !== state) // of a replay: half of it was judged by something else
      throw new Refused(0, { where: 'kms:replay-changed', message: 'the policy in force, or reference values, changed meanwhile: run it again' });
    state = a.state;
    out.push(...(a[member] ?? []));
    if (!a.more || a.more === '0') return out;
    request = { ...body, ...next(a) };
  }
  throw new Refused(0, { where: 'console:pages', message: `${method} has more than 1000 pages` });
}
