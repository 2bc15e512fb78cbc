// SPDX-License-Identifier: Apache-2.0
// The console of the KMS in headless Chromium. Whatever the page logs as an error, each violation of its Content Security
// Policy and each request to anywhere else fails the test. Run by tests/integration/29-kms-console.sh.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, sign } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

const { RUN, ROOT, PORT, PICTURES, EVIL, WEB_MODULES, CHROMIUM } = process.env;
const { chromium } = createRequire(join(WEB_MODULES, 'x.js'))('playwright-core');
const ORIGIN = `https://127.0.0.1:${PORT}`, CONSOLE = `${ORIGIN}/console/`;
const VIEWS = ['feed', 'items', 'policies', 'approvals', 'audit', 'platform', 'solutions'];

function token(subject, seconds = 300) {
  const b64 = (x) => Buffer.from(JSON.stringify(x)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const text = `${b64({ alg: 'ES256', typ: 'JWT', kid: 'one' })}.${b64({ iss: 'https://issuer.example', aud: 'kms', sub: subject, iat: now, exp: now + seconds })}`;
  const key = createPrivateKey(readFileSync(`${RUN}/issuer.key`));
  return `${text}.${sign('sha256', Buffer.from(text), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`;
}

// ---------------------------------------------------------------- a page that is watched

const browser = await chromium.launch({ executablePath: CHROMIUM, headless: true, args: process.getuid() === 0 ? ['--no-sandbox'] : [] });
let problems = [];

// allowed: statuses of refusals that this page provokes; the browser logs each as an error of its own
async function open(who, options = {}, allowed = []) {
  const certificate = who && { origin: ORIGIN, certPath: `${RUN}/${who}.crt`, keyPath: `${RUN}/${who}.key` };
  const context = await browser.newContext({ ignoreHTTPSErrors: true, ...(certificate ? { clientCertificates: [certificate] } : {}), ...options });
  const page = await context.newPage();
  page.on('console', (m) => {
    const refused = /^Failed to load resource: the server responded with a status of (\d+)/.exec(m.text());
    if (['error', 'warning'].includes(m.type()) && !(refused && allowed.includes(Number(refused[1])))) problems.push(`console: ${m.text()}`);
  });
  page.on('pageerror', (e) => problems.push(`exception: ${e.message}`));
  page.on('dialog', (d) => {
    problems.push(`dialog: ${d.message()}`);
    d.dismiss();
  });
  page.on('request', (r) => r.url().startsWith(`${ORIGIN}/`) || problems.push(`request to ${r.url()}`));
  await page.addInitScript(() => {
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (e) => window.violations.push(`${e.violatedDirective} ${e.blockedURI}`));
  });
  return page;
}
async function checked(page) {
  problems.push(...(await page.evaluate(() => window.violations)).map((v) => `policy: ${v}`));
  const markup = await page.evaluate(() => [document.querySelectorAll('main img, main script, main iframe').length, localStorage.length, sessionStorage.length, document.cookie]);
  assert.deepEqual(markup, [0, 0, 0, ''], 'markup of the server, or something stored');
  assert.deepEqual(problems, []);
}
async function view(page, name) {
  await page.goto(`${CONSOLE}#/${name}`);
  await page.waitForSelector(`#nav a[aria-current][href="#/${name}"]`);
  await page.waitForFunction(() => document.querySelector('main > div') && !document.querySelector('main > div[aria-busy]') && !document.querySelector('main .quiet')?.textContent.startsWith('asking'));
}
const picture = (page, name) => page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true });
const text = (page, selector = 'main') => page.innerText(selector);
const active = (page, what) => page.evaluate(`document.activeElement.${what}`);
async function lied(page, method, fn) {
  await page.route(`**/v1/${method}`, async (route) => {
    const a = await route.fetch();
    const json = await a.json();
    fn(json, route.request().postDataJSON());
    await route.fulfill({ response: a, json });
  });
}
const refused = (page, method, status, where) => page.route(`**/v1/${method}`, (route) => route.fulfill({ status, json: { where, message: 'no' } }));
// Calls of a method that fit wait until they are let go. @return {asked: how many, go}
async function held(page, method, fits = () => true) {
  const out = { asked: 0 }, gate = new Promise((go) => { out.go = go; });
  await page.route(`**/v1/${method}`, async (route) => {
    if (fits(route.request().postDataJSON())) {
      out.asked++;
      await gate;
    }
    await route.continue();
  });
  return out;
}
// Whatever the page had asked and had in its hands before is done.
function settled(page) {
  return page.evaluate(() => fetch('/v1/Status', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: '{}' }).then((a) => a.text()));
}
async function until(condition) {
  for (const end = Date.now() + 30000; !condition();) {
    assert.ok(Date.now() < end, `never: ${condition}`);
    await new Promise((r) => { setTimeout(r, 20); });
  }
}

async function test(name, fn) {
  problems = [];
  try {
    await fn();
    console.log(`ok ${name}`);
  } catch (e) {
    console.log(`not ok ${name}`);
    throw e;
  }
}

// ---------------------------------------------------------------- tests

await test('what is served: headers, digests, nothing else', async () => {
  const page = await open('admin');
  const get = (path, headers = {}) => page.request.get(`${ORIGIN}${path}`, { headers, maxRedirects: 0 });
  for (const file of ['', 'main.js', 'console.css', 'icon.svg', 'solutions.json']) {
    const a = await get(`/console/${file}`), h = a.headers();
    assert.equal(a.status(), 200, file);
    assert.equal(h.etag, `"${createHash('sha256').update(await a.body()).digest('hex')}"`);
    assert.equal(h['cache-control'], 'no-cache');
    assert.equal(h['x-content-type-options'], 'nosniff');
    assert.equal(h['referrer-policy'], 'no-referrer');
    for (const part of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "require-trusted-types-for 'script'"]) assert.ok(h['content-security-policy'].split('; ').includes(part), part);
    assert.ok(!h['content-security-policy'].includes('unsafe'));
    assert.equal((await get(`/console/${file}`, { 'If-None-Match': h.etag })).status(), 304);
  }
  assert.equal((await get('/console')).headers().location, '/console/');
  for (const file of ['console.c', 'index.html', 'Main.js', 'main.js/', 'x%2f..%2fmain.js']) assert.equal((await get(`/console/${file}`)).status(), 404, file);
  assert.equal((await page.request.post(`${ORIGIN}/console/`, { data: '' })).status(), 405);
  assert.equal((await get('/v1/Status')).headers()['cache-control'], 'no-store');
  await page.context().close();
});

await test('requests of proposals are read as proto/kms.proto has them', async () => {
  const { REQUESTS } = await import(`data:text/javascript,${encodeURIComponent(readFileSync(`${ROOT}/web/request.js`, 'utf8').replace(/^import .*$/m, ''))}`);
  const proto = readFileSync(`${ROOT}/proto/kms.proto`, 'utf8');
  const methods = readFileSync(`${ROOT}/src/kms/methods.c`, 'utf8'); // of the table, those whose last member, guarded, is true
  const guarded = [...methods.matchAll(/\{"(\w+)",[^{}]*,\s*CCZI_KMS_ON_\w+,\s*true\}/g)].map(([, m]) => m);
  assert.deepEqual(Object.keys(REQUESTS).sort(), guarded.sort(), 'methods that can be proposed');
  for (const [method, fields] of Object.entries(REQUESTS)) {
    const message = new RegExp(`rpc ${method}\\((\\w+)\\)`).exec(proto)[1];
    const body = new RegExp(`message ${message} \\{([^}]*)\\}`).exec(proto)[1];
    const theirs = Object.fromEntries([...body.matchAll(/^ {2}(\w+) (\w+) = (\d+);/gm)].map(([, kind, name, number]) => [number, [name, kind]]));
    assert.deepEqual(fields, theirs, method);
  }
});

await test('every view, as an administrator', async () => {
  const page = await open('admin', { viewport: { width: 1280, height: 900 } });
  for (const name of VIEWS) {
    await view(page, name);
    await picture(page, `wide-${name}`);
    assert.ok(await page.isVisible('#banner.simulated'), 'banner');
    assert.match(await text(page, '#banner'), /^SIMULATED/);
    assert.equal(await page.locator('.failure').count(), 0, name);
    assert.equal(await page.locator('h1').count(), 1);
    assert.ok(!(await page.content()).includes('THE-VALUE-ITSELF') && !(await page.content()).includes(Buffer.from('THE-VALUE-ITSELF').toString('base64')), 'a value');
    await checked(page);
  }
  await page.evaluate(() => window.scrollTo(0, document.body.scrollHeight));
  assert.ok(await page.locator('#banner').evaluate((e) => e.getBoundingClientRect().top >= 0), 'the banner stays');
  await page.context().close();
});

await test('decisions: live, filtered, explained', async () => {
  const page = await open('admin', {}, [400]);
  await view(page, 'feed');
  assert.match(await text(page), /chain of \d+ lines recomputed here/);
  await page.selectOption('select[name=verdict]', 'reject');
  assert.ok(await page.locator('tbody tr').count() >= 1);
  assert.equal(await page.locator('tbody .chip.good').count(), 0);
  const row = page.locator('tbody tr', { hasText: 'policy:mrenclave' }).first();
  const decision = await row.locator('code').first().innerText();
  await row.getByRole('button').click();
  assert.match(await page.innerText('tr.open'), /expected\s+[0-9a-f]{64}/);
  await picture(page, 'wide-feed-open');
  await page.fill('input[name=filter]', 'no such thing');
  assert.match(await text(page), /Nothing fits the filter/);
  await page.fill('input[name=filter]', '');
  await page.fill('input[name=decision]', decision);
  await page.keyboard.press('Enter');
  await page.waitForSelector('.card');
  assert.match(await text(page, '.card'), new RegExp(`Why ${decision}[\\s\\S]*policy:mrenclave[\\s\\S]*expected\\s+[0-9a-f]{64}`));
  // a new one comes by itself
  await page.selectOption('select[name=verdict]', '');
  const other = await open('anne', {}, [400, 403, 404]);
  await view(other, 'feed');
  await page.evaluate(() => fetch('/v1/PutSecret', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ name: 'bad name <b>', value: 'AAAA' }) }));
  await page.locator('tr.open summary').focus();
  await page.evaluate(() => fetch('/v1/PutSecret', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ name: 'live/one', value: 'AAAA' }) }));
  for (const p of [page, other]) await p.waitForSelector('tbody tr:has-text("secret/live/one")', { timeout: 30000 });
  assert.equal(await page.evaluate(() => document.activeElement.closest('tr.open') && document.activeElement.textContent), 'The line itself', 'the focus stays in a row');
  await other.fill('input[name=decision]', 'D1000000');
  await other.keyboard.press('Enter');
  await other.waitForSelector('.failure:has-text("kms:decision")');
  for (const p of [page, other]) {
    await checked(p);
    await p.context().close();
  }
});

await test('decisions: paused and gone on with while an answer is on its way', async () => {
  const page = await open('admin');
  await view(page, 'feed');
  const tail = await held(page, 'AuditTail');
  await until(() => tail.asked);
  await page.request.post(`${ORIGIN}/v1/PutSecret`, { data: { name: 'live/paused', value: 'AAAA' } });
  await page.getByRole('button', { name: 'Pause' }).click();
  await page.getByRole('button', { name: 'Go on' }).click();
  await settled(page); // behind what the button asked
  assert.equal(tail.asked, 1, 'one at a time');
  tail.go();
  await page.waitForSelector('tbody tr:has-text("secret/live/paused")');
  await until(() => tail.asked > 1); // and it goes on
  await page.unrouteAll({ behavior: 'wait' });
  assert.match(await text(page), /chain of \d+ lines recomputed here/);
  await checked(page);
  await page.context().close();
});

await test('decisions: who may not see them does not ask again', async () => {
  const page = await open('olga', {}, [403]); // an operator: the status is hers, the log is not
  let asked = 0;
  page.on('request', (r) => { asked += r.url().endsWith('/AuditTail'); });
  await page.clock.install();
  await page.goto(CONSOLE);
  await page.waitForSelector('.failure:has-text("kms:role")');
  await page.clock.runFor(20000);
  await settled(page);
  assert.equal(asked, 1);
  await checked(page);
  await page.context().close();
});

await test('a token that ends while a view is open: who are you', async () => {
  for (const [name, method, click] of [['feed', 'AuditTail'], ['items', 'Describe', 'secret/db/password']]) {
    const page = await open('admin', {}, [401]);
    await view(page, name);
    await refused(page, method, 401, 'door:token-exp');
    if (click) await page.getByRole('button', { name: click }).click();
    await page.waitForSelector('.failure:has-text("door:token-exp")');
    assert.equal(await active(page, 'name'), 'token');
    await checked(page);
    await page.context().close();
  }
});

await test('keys, secrets, policies: the last click counts, Close gives the focus back, all versions', async () => {
  const page = await open('admin');
  await view(page, 'items');
  const first = page.getByRole('button', { name: 'secret/db/password' }), second = page.getByRole('button', { name: 'secret/team/token' });
  const describe = await held(page, 'Describe', (r) => r.item === 'secret/db/password');
  await first.click();
  await until(() => describe.asked);
  await second.click();
  await page.waitForSelector('.card h2:has-text("secret/team/token")');
  const late = page.waitForResponse('**/v1/Describe');
  describe.go();
  await (await late).finished();
  await settled(page);
  assert.match(await text(page, '.card h2'), /secret\/team\/token/);
  await page.getByRole('button', { name: 'Close' }).click();
  assert.equal(await page.locator('.card').count(), 0);
  assert.equal(await active(page, 'textContent'), 'secret/team/token');
  await page.unroute('**/v1/Describe');
  await lied(page, 'Describe', (a, r) => {
    a.items = [{ item: r.item, version: (r.afterVersion ?? 0) + 1 }];
    a.more = a.items[0].version < 3;
  });
  await first.click();
  await page.waitForSelector('.card h2');
  assert.deepEqual(await page.locator('.card tbody td[data-title=Version]').allInnerTexts(), ['1', '2', '3']);
  await checked(page);
  await page.context().close();
});

await test('keys, secrets, policies: metadata as text', async () => {
  const page = await open('admin', { viewport: { width: 1280, height: 900 } });
  await view(page, 'items');
  assert.ok((await text(page)).includes(EVIL), 'metadata is shown as it is');
  assert.match(await text(page), /secret\/team\/token\s+disabled/);
  await page.fill('input[name=filter]', 'password');
  assert.equal(await page.locator('tbody tr').count(), 1);
  await page.getByRole('button', { name: 'secret/db/password' }).click();
  await page.waitForSelector('.card h2');
  assert.ok((await text(page, '.card')).includes(EVIL));
  await picture(page, 'wide-item');
  // what would turn the text around, or hide in it
  await page.route('**/v1/List', async (route) => {
    const a = await route.fetch();
    const json = await a.json();
    json.items.find((i) => i.item === 'key/model').policy = '';
    json.items[0].metadata = Buffer.from('{"a":"x\u202egpj\u200b"}').toString('base64');
    await route.fulfill({ response: a, json });
  });
  await page.goto('about:blank');
  await view(page, 'items');
  assert.ok((await text(page)).includes('x\\u{202e}gpj\\u{200b}'), 'hidden characters');
  assert.match(await text(page), /key\/model\s+no default policy/); // its operations may have some
  await page.unroute('**/v1/List');
  await view(page, 'policies');
  assert.match(await text(page), /default of/i);
  await page.getByRole('button', { name: 'workload', exact: true }).click();
  await page.waitForSelector('.card pre');
  assert.match(await text(page, '.card'), /it is that of this text[\s\S]*mrenclave[\s\S]*On trial/);
  await page.getByRole('button', { name: 'Replay workloads' }).click();
  await page.waitForSelector('text=would block 1 and admit 1 of 2 workloads');
  await picture(page, 'wide-policy');
  await page.getByRole('button', { name: 'builds', exact: true }).click();
  await page.waitForSelector('.card:has-text("reference/builds")');
  assert.match(await text(page, '.card'), /it is that of this text[\s\S]*1\.0[\s\S]*no end[\s\S]*old[\s\S]*ended 2020-01-01T00:00:00Z/);
  await checked(page);
  await page.context().close();
});

await test('approvals: the request is shown, its digest is what is approved', async () => {
  const proposer = await open('admin', {}, [403]);
  await view(proposer, 'approvals');
  assert.ok((await text(proposer)).includes(`Anne ${EVIL}`), 'labels as text');
  assert.equal(await proposer.locator('article').count(), 5);
  await proposer.locator('article', { hasText: 'Proposal 3' }).getByRole('button', { name: 'Approve…' }).click();
  await proposer.getByRole('button', { name: 'Approve this digest' }).click();
  await proposer.waitForSelector('.failure:has-text("kms:approver-proposer")');
  assert.match(await text(proposer, '.failure'), /got\s+the proposer\s+expected\s+somebody else/);
  await picture(proposer, 'wide-approval-refused');
  await checked(proposer);
  await proposer.context().close();

  const page = await open('anne', { viewport: { width: 1280, height: 900 } });
  let sent = null;
  page.on('request', (r) => r.url().endsWith('/Approve') && (sent = r.postDataJSON()));
  await view(page, 'approvals');
  const one = page.locator('article', { hasText: 'Proposal 1' });
  assert.match(await one.innerText(), /PutPolicy[\s\S]*team\/server[\s\S]*replaces/);
  assert.match(await page.locator('article', { hasText: 'Proposal 2' }).innerText(), /auditor, approver/);
  assert.match(await one.locator('pre.changes').innerText(), /^ {2}\{\n[\s\S]*\n- +"mrenclave": "[0-9a-f]{64}",\n\+ +"mrenclave": "[0-9a-f]{64}",\n/);
  assert.match(await page.locator('article', { hasText: 'Proposal 5' }).locator('pre.changes').innerText(), /\n- +"mrenclave"[^\n]*\n\+ +"mrenclave"/);
  const digest = await one.locator('dd code').last().innerText();
  // keyboard only: to the button, Enter, Escape; Enter, Tab to Cancel; then for good
  await one.getByRole('button', { name: 'Approve…' }).focus();
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog[open]');
  await picture(page, 'wide-approve');
  await page.keyboard.press('Escape');
  await page.waitForSelector('dialog', { state: 'detached' });
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog[open]');
  await page.keyboard.press('Enter'); // once too often
  await page.waitForSelector('dialog', { state: 'detached' });
  assert.equal(sent, null);
  await page.keyboard.press('Enter');
  await page.waitForSelector('dialog[open]');
  await page.keyboard.press('Shift+Tab');
  assert.equal(await page.evaluate(() => document.activeElement.textContent), 'Approve this digest');
  await page.keyboard.press('Enter');
  await page.waitForFunction(() => document.querySelectorAll('main article').length === 4);
  assert.equal(Buffer.from(sent.sha256, 'base64').toString('hex'), digest);
  assert.equal(await active(page, 'id'), 'main', 'the focus, where the button is gone');
  await page.locator('article', { hasText: 'Proposal 2' }).getByRole('button', { name: 'Reject…' }).click();
  await page.locator('dialog').getByRole('button', { name: 'Reject' }).click();
  await page.waitForFunction(() => document.querySelectorAll('main article').length === 3);
  await page.locator('summary', { hasText: 'Decided (2)' }).click();
  await page.waitForSelector('article[aria-label="Proposal 1"]');
  assert.match(await page.locator('article[aria-label="Proposal 1"]').innerText(), /done/);
  await checked(page);
  await page.context().close();
});

await test('a proposal that is not what its digest says cannot be approved', async () => {
  const page = await open('anne');
  const change = (fn) => page.route('**/v1/ListProposals', async (route) => {
    const a = await route.fetch();
    const json = await a.json();
    fn(json.proposals);
    await route.fulfill({ response: a, json });
  });
  const bodies = [
    [(p) => { p.body = Buffer.concat([Buffer.from([0x0a, 3]), Buffer.from('web'), Buffer.from([0x10, 9])]).toString('base64'); }, /its digest is of another request/],
    [(p) => { p.body = Buffer.from([0x0a, 1, 0x78, 0x7a, 0]).toString('base64'); }, /does not know field 15 of SetQuorum/],
    [(p) => { p.body = Buffer.from([0x0a, 9, 0x78]).toString('base64'); }, /cut off/],
    [(p) => { p.body = Buffer.from([0x10, 1, 0x10, 0]).toString('base64'); }, /needed is there twice/],
    [(p) => { p.method = 'Destroy'; }, /does not know requests of Destroy/],
  ];
  for (const [fn, want] of bodies) {
    await change((list) => list.filter((p) => p.id === '4').forEach(fn));
    await page.goto('about:blank');
    await view(page, 'approvals');
    const card = page.locator('article[aria-label="Proposal 4"]');
    assert.match(await card.innerText(), want);
    assert.ok(await card.getByRole('button', { name: 'Approve…' }).isDisabled());
    await page.unroute('**/v1/ListProposals');
  }
  await page.route('**/v1/GetStaged', async (route) => {
    const a = await route.fetch();
    const json = await a.json();
    json.json = Buffer.from(`${Buffer.from(json.json, 'base64')} `).toString('base64');
    await route.fulfill({ response: a, json });
  });
  await page.goto('about:blank');
  await view(page, 'approvals');
  const rollout = page.locator('article[aria-label="Proposal 5"]');
  assert.match(await rollout.innerText(), /another policy is staged than the one that is proposed/);
  assert.ok(await rollout.getByRole('button', { name: 'Approve…' }).isDisabled());
  await checked(page);
  await page.context().close();
});

await test('approvals: what is in force cannot be read, or is not there', async () => {
  const page = await open('anne', {}, [404, 503]);
  for (const [status, where, want] of [[503, 'kms:busy', true], [404, 'kms:not-found', false]]) {
    await refused(page, 'GetPolicy', status, where);
    await page.goto('about:blank');
    await view(page, 'approvals');
    const card = page.locator('article[aria-label="Proposal 5"]');
    assert.match(await card.innerText(), /The policy as it would be/);
    assert.match(await card.innerText(), want ? /what is in force could not be read: kms:busy/ : /^(?![\s\S]*could not be read)/);
    await card.getByRole('button', { name: 'Approve…' }).click();
    assert.match(await text(page, 'dialog'), want ? /could not be read: kms:busy/ : /^(?![\s\S]*could not be read)/);
    await page.keyboard.press('Escape');
    await page.unroute('**/v1/GetPolicy');
  }
  await checked(page);
  await page.context().close();
});

await test('approvals: many that were decided are counted, and shown once', async () => {
  const page = await open('anne');
  await lied(page, 'ListProposals', (a) => {
    const done = a.proposals.find((p) => Number(p.state) !== 1);
    a.proposals = Array.from({ length: 300 }, (_, i) => ({ ...done, id: String(i + 1) }));
  });
  await view(page, 'approvals');
  await page.waitForSelector('summary:has-text("Decided (50 of 300)")');
  await page.evaluate(() => {
    const d = [...document.querySelectorAll('main details')].find((x) => x.textContent.startsWith('Decided'));
    d.open = true;
    for (let i = 0; i < 2; i++) d.dispatchEvent(new Event('toggle'));
  });
  await page.waitForSelector('article[aria-label="Proposal 251"]');
  assert.equal(await page.locator('article').count(), 50);
  await checked(page);
  await page.context().close();
});

await test('a key that could leave the KMS says so', async () => {
  const page = await open('admin');
  const text8 = (number, t) => [number << 3 | 2, t.length, ...Buffer.from(t)];
  const body = Buffer.from([...text8(1, 'leaves'), ...text8(2, 'aes-256-gcm'), 5 << 3, 1, 8 << 3, 0x80, 0xa3, 0x05]);
  const answer = await page.request.post(`${ORIGIN}/v1/Propose`, { data: { method: 'Generate', body: body.toString('base64') } });
  assert.equal(answer.status(), 200, await answer.text());
  await view(page, 'approvals');
  assert.match(await text(page, 'article[aria-label="Proposal 6"]'), /new key\s+leaves\s+kind\s+aes-256-gcm[\s\S]*YES: it is exportable\s+used without evidence\s+no\s+expires\s+never\s+rotated\s+every 86400 s/);
  // an answer is waited for: nothing can be pressed twice, and it is of this view alone
  const card = page.locator('article[aria-label="Proposal 6"]'), reject = await held(page, 'Reject');
  await card.getByRole('button', { name: 'Reject…' }).click();
  await page.locator('dialog').getByRole('button', { name: 'Reject' }).click();
  await until(() => reject.asked);
  assert.equal(await card.getByRole('button', { disabled: true }).count(), 2);
  await view(page, 'audit');
  await page.locator('summary', { hasText: 'A public key that you kept' }).click();
  await page.fill('textarea', 'mine');
  reject.go();
  await page.waitForFunction(() => document.getElementById('live').textContent === 'Proposal 6 was rejected.');
  await settled(page);
  assert.equal(await page.inputValue('textarea'), 'mine', 'another view is not opened anew');
  await checked(page);
  await page.context().close();
});

// A log as the KMS makes it: entries(origin, ids) -> JSON of line 2 and on; keys[signer] signs a checkpoint over it.
const sum = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest();
const signed = (key, message) => sign('sha256', Buffer.from(message), { key: key.privateKey, dsaEncoding: 'ieee-p1363' });
const spki = (key) => key.publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
function keyId(key) {
  const { x, y } = key.publicKey.export({ format: 'jwk' });
  return sum(Buffer.from(`{"crv":"P-256","kty":"EC","x":"${x}","y":"${y}"}`)).toString('hex');
}
function merkle(leaves) {
  if (leaves.length === 1) return sum(Buffer.from([0]), leaves[0]);
  let k = 1;
  while (k * 2 < leaves.length) k *= 2;
  return sum(Buffer.from([1]), merkle(leaves.slice(0, k)), merkle(leaves.slice(k)));
}
function madeLog(signer, keys, entries) {
  const lines = [], leaves = [];
  const add = (entry) => {
    const head = Buffer.alloc(16), prev = lines.length ? Buffer.from(lines.at(-1).hash, 'base64') : Buffer.alloc(32);
    head.writeBigInt64LE(BigInt(lines.length + 1));
    head.writeBigInt64LE(1700000000n, 8);
    leaves.push(Buffer.concat([prev, head, Buffer.from(JSON.stringify(entry))]));
    lines.push({ seq: String(lines.length + 1), timeS: '1700000000', prev: prev.toString('base64'), entry: Buffer.from(JSON.stringify(entry)).toString('base64'), hash: sum(leaves.at(-1)).toString('base64') });
  };
  add({ op: 'audit-key', verdict: 'accept', key: keyId(keys[0]) });
  const origin = `cczoo.kms/audit/${Buffer.from(lines[0].hash, 'base64').toString('hex').slice(0, 32)}`;
  for (const e of entries(origin)) add(e);
  const body = `${origin}\n${lines.length}\n${merkle(leaves).toString('base64')}\ntime 2026-01-01T00:00:00Z\n`;
  const blob = Buffer.concat([Buffer.from(keyId(signer), 'hex'), signed(signer, body)]).toString('base64');
  return { lines, checkpoint: { keys: keys.map(spki), checkpoint: `${body}\n\u2014 ${origin} ${blob}\n` } };
}

await test('the audit chain is recomputed, and what was changed is found', async () => {
  const page = await open('admin', { viewport: { width: 1280, height: 900 } });
  const verify = async () => {
    await page.getByRole('button', { name: 'Verify the whole log' }).click();
    await page.waitForFunction(() => document.querySelector('main [aria-live] .chip') && !document.querySelector('main [type=submit]').disabled);
    return text(page, 'main [aria-live] .chip');
  };
  await view(page, 'audit');
  assert.match(await verify(), /^✓ \d+ lines, each continues the one before/);
  await picture(page, 'wide-audit-verified');
  const lie = async (path, fn) => {
    await page.route(`**/v1/${path}`, async (route) => {
      const a = await route.fetch();
      const json = await a.json();
      fn(json);
      await route.fulfill({ response: a, json });
    });
    const said = await verify();
    await page.unroute(`**/v1/${path}`);
    return said;
  };
  const flip = (text64) => {
    const b = Buffer.from(text64, 'base64');
    b[b.length - 3] ^= 1;
    return b.toString('base64');
  };
  assert.match(await lie('AuditTail', (a) => { a.lines[2].entry = flip(a.lines[2].entry); }), /line 3 does not have the hash/);
  assert.match(await lie('AuditTail', (a) => { a.lines.splice(2, 1); }), /line 4 came behind line 2/);
  assert.match(await lie('AuditTail', (a) => { a.lines[2].timeS = String(Number(a.lines[2].timeS) - 60); }), /line 3 does not have the hash/);
  // with a hash of its own that fits, the next line does not
  const rewrite = (l) => {
    const le = (x) => {
      const b = Buffer.alloc(8);
      b.writeBigInt64LE(BigInt(x));
      return b;
    };
    l.entry = flip(l.entry);
    l.hash = createHash('sha256').update(Buffer.concat([Buffer.from(l.prev, 'base64'), le(l.seq), le(l.timeS), Buffer.from(l.entry, 'base64')])).digest('base64');
  };
  assert.match(await lie('AuditTail', (a) => rewrite(a.lines[2])), /line 4 does not continue line 3/);
  // the last line has no next one: this page has seen it, and the root tells one that has not
  assert.match(await lie('AuditTail', (a) => rewrite(a.lines.at(-1))), /line \d+ was another one when this page saw it before/);
  await page.reload();
  await view(page, 'audit');
  assert.match(await lie('AuditTail', (a) => rewrite(a.lines.at(-1))), /has another root than these lines/);
  assert.match(await lie('Checkpoint', (a) => { a.checkpoint = a.checkpoint.replace(/^time .*$/m, 'time 2020-01-01T00:00:00Z'); }), /no key of the KMS has signed/);
  assert.match(await lie('Checkpoint', (a) => { a.checkpoint = a.checkpoint.replace('cczoo.kms/audit/', 'cczoo.kms/audit/0'); }), /not in its form/);
  // an older copy of the store
  const old = await (await page.request.post(`${ORIGIN}/v1/Checkpoint`, { data: {} })).json();
  await page.request.post(`${ORIGIN}/v1/PutSecret`, { data: { name: 'live/two', value: 'AAAA' } });
  assert.match(await verify(), /^✓/);
  assert.match(await lie('Checkpoint', (a) => Object.assign(a, old)), /an older copy was put back/);
  // Decisions recomputes what it shows, too
  await page.route('**/v1/AuditTail', async (route) => {
    const a = await route.fetch();
    const json = await a.json();
    if (json.lines) json.lines[1].entry = flip(json.lines[1].entry);
    await route.fulfill({ response: a, json });
  });
  await view(page, 'feed');
  await page.waitForSelector('text=the chain is broken: line 2 does not have the hash that it says');
  await page.unroute('**/v1/AuditTail');
  await view(page, 'audit');
  await page.locator('summary', { hasText: 'A public key that you kept' }).click();
  const own = execFileSync('openssl', ['pkey', '-in', `${RUN}/anne.key`, '-pubout']).toString();
  await page.fill('textarea', own);
  assert.match(await verify(), /none of those that sign/);
  const theirs = createPublicKey({ key: Buffer.from(old.keys[0], 'base64'), format: 'der', type: 'spki' });
  await page.fill('textarea', theirs.export({ type: 'spki', format: 'pem' }));
  assert.match(await verify(), /^✓/);
  assert.match(await text(page, 'main [aria-live]'), /\(as given\)/);
  const tail = await (await page.request.post(`${ORIGIN}/v1/AuditTail`, { data: {} })).json();
  const named = tail.lines.map((l) => JSON.parse(Buffer.from(l.entry, 'base64'))).filter((e) => e.op === 'audit-key').map((e) => e.key);
  assert.deepEqual(named, [keyId({ publicKey: theirs })], 'ids of keys, as in the logs that are made here');
  await checked(page);
  await page.context().close();
});

await test('the audit chain: a public key that was kept is the one that signs, or signs the next one in', async () => {
  const page = await open('admin');
  const [kept, next, third] = [1, 2, 3].map(() => generateKeyPairSync('ec', { namedCurve: 'P-256' }));
  const pem = (key) => key.publicKey.export({ type: 'spki', format: 'pem' });
  const after = (by, to, as = by, of = null) => (origin) => ({ op: 'audit-key', verdict: 'accept', key: keyId(to), by: keyId(by), signature: signed(as, `cczoo kms audit key\n${of ?? origin}\n${keyId(by)}\n${keyId(to)}\n`).toString('hex') });
  const verified = async (signer, keys, lines, given) => {
    const log = madeLog(signer, keys, (origin) => lines.map((l) => l(origin)));
    await page.route('**/v1/Checkpoint', (route) => route.fulfill({ json: log.checkpoint }));
    await page.route('**/v1/AuditTail', (route) => route.fulfill({ json: { lines: log.lines.slice(Number(route.request().postDataJSON().afterSeq)) } }));
    await page.goto('about:blank');
    await view(page, 'audit');
    await page.locator('summary', { hasText: 'A public key that you kept' }).click();
    await page.fill('textarea', given);
    await page.getByRole('button', { name: 'Verify the whole log' }).click();
    await page.waitForSelector('main [aria-live] .chip');
    await page.unroute('**/v1/Checkpoint');
    await page.unroute('**/v1/AuditTail');
    return text(page, 'main [aria-live]');
  };
  const other = () => ({ op: 'other' });
  assert.match(await verified(next, [kept, next], [other], ''), /^✓ 2 lines(?![\s\S]*given)/);
  assert.match(await verified(next, [kept, next], [other], pem(kept)), /^✗ neither the key that was given nor one that it signed in/);
  assert.match(await verified(kept, [kept, next], [other], pem(kept)), /^✓ 2 lines[\s\S]*\(as given\)/);
  assert.match(await verified(next, [kept, next], [after(kept, next)], pem(kept)), /^✓ 2 lines[\s\S]*\(signed in by the one that was given\)/);
  assert.match(await verified(third, [kept, next, third], [after(kept, next), other, after(next, third)], pem(kept)), /^✓ 4 lines[\s\S]*\(signed in by/);
  assert.match(await verified(next, [kept, next], [after(kept, next), other], pem(next) + pem(third)), /^✓ 3 lines[\s\S]*\(as given\)/);
  // the new key signed itself in; a stranger did; it is for another log; the old one signs after the new one was kept
  assert.match(await verified(next, [kept, next, third], [after(third, next)], pem(kept)), /^✗ neither/);
  assert.match(await verified(next, [kept, next], [after(kept, next, next)], pem(kept)), /^✗ neither/);
  assert.match(await verified(next, [kept, next], [after(kept, next, kept, 'cczoo.kms/audit/0123456789abcdef0123456789abcdef')], pem(kept)), /^✗ neither/);
  assert.match(await verified(kept, [kept, next], [after(kept, next)], pem(next)), /^✗ neither/);
  assert.match(await verified(next, [next], [other], pem(kept)), /^✗ the key that was given is none of those/);
  await checked(page);
  await page.context().close();
});

await test('days left, and what text hides', async () => {
  const page = await open('admin');
  await view(page, 'solutions');
  const said = await page.evaluate(async () => {
    const { daysLeft, plain, utf8 } = await import('/console/dom.js');
    const of = (s) => {
      const e = daysLeft(Math.floor(Date.now() / 1000) + s);
      return `${e.className} ${e.textContent}`;
    };
    return [20 * 86400 + 60, 2 * 86400 + 60, 86400 - 60, 60, -60, -3 * 3600 - 60, -86400 - 60, -49 * 3600].map(of).concat(plain(utf8(new Uint8Array([0xef, 0xbb, 0xbf, 0x61]))));
  });
  assert.deepEqual(said, ['chip good 20 d left', 'chip warn 2 d left', 'chip warn less than a day left', 'chip warn less than a day left', 'chip bad over since less than an hour', 'chip bad over since 3 h', 'chip bad over since 1 d', 'chip bad over since 2 d', '\\u{feff}a']);
  await checked(page);
  await page.context().close();
});

await test('platforms: workloads, their state, days', async () => {
  const page = await open('admin');
  await page.route('**/v1/Status', async (route) => {
    const a = await route.fetch();
    await route.fulfill({ response: a, json: { ...await a.json(), collateralExpiresS: String(Math.floor(Date.now() / 1000) + 5 * 86400 + 60) } });
  });
  await view(page, 'platform');
  await page.waitForSelector('tbody tr');
  assert.match(await text(page), /5 d left/);
  assert.match(await text(page, 'tbody'), /UpToDate[\s\S]*SIMULATED/);
  await checked(page);
  await page.context().close();
});

await test('no simulation, no banner; no status, a question', async () => {
  for (const [json, want] of [[{ simulated: false }, null], [{}, null]]) {
    const page = await open('admin');
    await page.route('**/v1/Status', async (route) => {
      const a = await route.fetch();
      const s = { ...await a.json() };
      delete s.simulated;
      await route.fulfill({ response: a, json: { ...s, ...json } });
    });
    await view(page, 'items');
    assert.equal(await page.isVisible('#banner'), want !== null);
    await checked(page);
    await page.context().close();
  }
  const page = await open('bob', {}, [403]); // has a role in one namespace: the status is not his
  await view(page, 'items');
  assert.match(await text(page, '#banner'), /not known whether this KMS is simulated/);
  assert.match(await text(page), /secret\/team\/token/);
  assert.ok(!(await text(page)).includes('db/password'));
  await view(page, 'feed');
  assert.match(await text(page, '.failure'), /kms:role[\s\S]*got[\s\S]*expected[\s\S]*decision\s+D\d+/);
  await picture(page, 'failure');
  await checked(page);
  await page.context().close();
});

await test('who are you: nobody, a stranger, a token; forgotten with the page', async () => {
  const stranger = await open('stranger', {}, [403]);
  await stranger.goto(CONSOLE);
  await stranger.waitForSelector('.failure:has-text("kms:admin-unknown")');
  await checked(stranger);
  await stranger.context().close();
  const page = await open(null, {}, [401]);
  await page.goto(CONSOLE);
  await page.waitForSelector('.failure:has-text("door:auth-required")');
  await picture(page, 'sign-in');
  for (const bad of ['t\u00f6ken', '\u201ctoken\u201d', 'two words']) {
    await page.fill('input[name=token]', bad);
    await page.keyboard.press('Enter');
    await page.waitForSelector('.failure:has-text("console:token")');
    assert.equal(await page.inputValue('input[name=token]'), '');
  }
  await page.fill('input[name=token]', token('alice', -60));
  await page.keyboard.press('Enter');
  await page.waitForSelector('.failure:has-text("door:token-exp")');
  await page.fill('input[name=token]', token('alice'));
  await page.keyboard.press('Enter');
  await page.waitForSelector('tbody tr');
  assert.match(await text(page, '#who'), /by token/);
  await checked(page);
  await page.reload();
  await page.waitForSelector('.failure:has-text("door:auth-required")');
  await page.fill('input[name=token]', token('alice'));
  await page.keyboard.press('Enter');
  await page.waitForSelector('tbody tr');
  await page.getByRole('button', { name: 'Forget it' }).click();
  await page.waitForSelector('.failure:has-text("door:auth-required")');
  await checked(page);
  await page.context().close();
});

await test('what is no view opens Decisions', async () => {
  const page = await open('admin');
  for (const name of ['toString', '__proto__', 'nothing']) {
    await page.goto('about:blank');
    await page.goto(`${CONSOLE}#/${name}`);
    await page.waitForSelector('h1:has-text("Decisions")');
  }
  await checked(page);
  await page.context().close();
});

await test('keyboard: to the content, through the views', async () => {
  const page = await open('admin');
  await view(page, 'feed');
  await page.keyboard.press('Tab');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'skip');
  await page.keyboard.press('Enter');
  assert.equal(await page.evaluate(() => document.activeElement.id), 'main');
  for (const name of VIEWS.slice(1)) {
    await page.reload();
    await page.waitForSelector('h1');
    for (let i = 0; i < 20; i++) {
      await page.keyboard.press('Tab');
      if (await page.evaluate((n) => document.activeElement.getAttribute('href') === `#/${n}`, name)) break;
    }
    assert.notEqual(await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle), 'none', 'the focus is seen');
    await page.keyboard.press('Enter');
    await page.waitForSelector(`#nav a[aria-current][href="#/${name}"]`);
    assert.equal(await page.evaluate(() => document.activeElement.id), 'main', name);
  }
  await checked(page);
  await page.context().close();
});

await test('phones and the dark: no sideways scrolling, names for everything', async () => {
  for (const [scheme, width] of [['light', 360], ['dark', 320], ['dark', 768], ['light', 1160], ['dark', 1280]]) {
    const page = await open('admin', { viewport: { width, height: 740 }, colorScheme: scheme, hasTouch: width < 400 });
    for (const name of VIEWS) {
      await view(page, name);
      if (name === 'feed') await page.getByRole('button', { name: /^Details of/ }).first().click();
      if (name === 'audit') {
        await page.getByRole('button', { name: 'Verify the whole log' }).click();
        await page.waitForSelector('main [aria-live] .chip');
      }
      if (name === 'policies') {
        await page.getByRole('button', { name: 'workload', exact: true }).click();
        await page.waitForSelector('.card pre');
      }
      if (name === 'items') {
        await page.getByRole('button', { name: 'secret/db/password' }).click();
        await page.waitForSelector('.card h2');
      }
      await picture(page, `${scheme}-${width}-${name}`);
      const [have, want, culprit] = await page.evaluate(() => [document.documentElement.scrollWidth, window.innerWidth,
        [...document.querySelectorAll('main *')].filter((e) => !e.closest('thead') && e.getBoundingClientRect().right > window.innerWidth + 1).map((e) => `${e.tagName}.${e.className}: ${e.textContent.slice(0, 40)}`).slice(0, 3)]);
      assert.ok(have <= want, `${name} at ${width}: ${have} wide, ${culprit}`);
      assert.deepEqual(culprit, [], `${name} at ${width}`);
      const nameless = await page.evaluate(() => [...document.querySelectorAll('button, input, select, textarea, a')].filter((e) => !(e.textContent.trim() || e.getAttribute('aria-label') || e.labels?.length)).map((e) => e.outerHTML));
      assert.deepEqual(nameless, [], 'without a name');
      const dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
      assert.equal(dark === 'rgb(17, 22, 29)', scheme === 'dark');
    }
    await checked(page);
    await page.context().close();
  }
});

await test('the test would notice: markup, a script of elsewhere, storage', async () => {
  const page = await open('admin');
  await view(page, 'solutions');
  const outcome = await page.evaluate(() => {
    try {
      document.querySelector('main').innerHTML = '<img src=x>';
      return 'markup was taken';
    } catch (e) {
      return e.constructor.name;
    }
  });
  assert.equal(outcome, 'TypeError');
  await page.evaluate(() => {
    const i = document.createElement('img');
    i.src = 'https://elsewhere.invalid/x.png';
    document.body.append(i);
  });
  await page.waitForFunction(() => window.violations.some((v) => v.startsWith('img-src')));
  await assert.rejects(checked(page));
  problems = [];
  await page.context().close();
});

await browser.close();
