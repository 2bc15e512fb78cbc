// SPDX-License-Identifier: Apache-2.0
// Is the audit log whole? Everything is fetched and recomputed here; the server is not asked for its opinion.
import { call } from './api.js';
import { Chain, checkCheckpoint } from './chain.js';
import { bytes, chip, facts, field, fill, h, hex, say, timeOf } from './dom.js';

// What this page has seen of the log: an answer with less, or with other lines, is of another log. It lives as long as the page.
const seen = new Map(); // seq -> hash, hex
function remembered(chain) {
  seen.set(String(chain.seq), hex(chain.hash));
}

async function fetchAll(chain, until, progress, view) {
  const known = new Map(seen);
  while (chain.seq < until && !chain.problem && !view.ended()) {
    const a = await call('AuditTail', { afterSeq: String(chain.seq) });
    if (!(a.lines ?? []).length) {
      chain.problem = `lines behind ${chain.seq} are not there`;
      return;
    }
    for (const line of a.lines) {
      if (chain.seq === until || !await chain.add(line)) break;
      const before = known.get(String(chain.seq));
      if (before && before !== hex(chain.hash)) chain.problem = `line ${chain.seq} was another one when this page saw it before`;
    }
    progress.value = Number(chain.seq);
  }
}

// kept: public keys, each the base64 of its PEM
async function verify(out, kept, view) {
  const progress = h('progress', { 'aria-label': 'Lines recomputed', max: '1' });
  const chain = new Chain();
  try {
    const checkpoint = await call('Checkpoint');
    const until = BigInt(checkpoint.checkpoint?.split('\n')[1] ?? '0');
    progress.max = Math.max(1, Number(until));
    fill(out, h('p', { class: 'quiet' }, `recomputing ${until} lines…`), progress);
    await fetchAll(chain, until, progress, view);
    if (view.ended()) return;
    for (const s of seen.keys()) if (!chain.problem && BigInt(s) > until) chain.problem = `this page has seen line ${s}, and the log ends at ${until}: an older copy was put back`;
    const c = chain.problem ? { problem: chain.problem } : await checkCheckpoint(checkpoint, chain, kept);
    if (!c.problem) remembered(chain);
    fill(out, h('p', {}, c.problem ? chip('bad', `✗ ${c.problem}`) : chip('good', `✓ ${chain.count} lines, each continues the one before`)),
      facts([['recomputed by', 'this browser (SHA-256, WebCrypto)'], ['last hash', chain.hash ? h('code', {}, hex(chain.hash)) : ''], ['root', c.root ? h('code', {}, c.root) : ''], ['signed at', c.time], ['signed by', c.key ? [h('code', {}, c.key), c.given ? ' (as given)' : kept.length ? ' (signed in by the one that was given)' : ''] : '']]),
      h('details', {}, h('summary', {}, 'The checkpoint: keep it elsewhere'), h('pre', { tabindex: '0' }, checkpoint.checkpoint ?? '')));
    say(c.problem ? `The log is not sound: ${c.problem}` : `${chain.count} lines verified`);
  } catch (e) {
    view.failed(out, e);
  }
}

export async function show(view) {
  const s = await call('Status');
  const out = h('div', { 'aria-live': 'polite' });
  const key = h('textarea', { rows: '4', name: 'key', spellcheck: 'false', placeholder: '-----BEGIN PUBLIC KEY-----' });
  fill(view.body, facts([['lines', s.auditSeq ?? '0'], ['last hash, as the server says', h('code', {}, hex(bytes(s.auditSha256)))], ['server started', timeOf(s.startedS)]]),
    h('p', {}, 'All lines are fetched and hashed again in this browser: the chain, the Merkle tree over it, and the signature of a checkpoint. The keys come from the server unless you give the one that you kept. A copy that was kept elsewhere tells more: ', h('code', {}, 'cczoo kms audit verify'), '.'),
    h('form', { onsubmit: async (e) => {
      e.preventDefault();
      const button = e.submitter;
      button.disabled = true;
      await verify(out, key.value.split(/-----[A-Z ]+-----/).map((k) => k.replace(/\s/g, '')).filter(Boolean), view);
      button.disabled = false;
    } }, h('details', {}, h('summary', {}, 'A public key that you kept'), field('PEM, of cczoo kms audit keys', key)), h('button', { type: 'submit' }, 'Verify the whole log')), out);
}
