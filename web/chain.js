// SPDX-License-Identifier: Apache-2.0
// The audit log, recomputed here: the hash chain, the Merkle tree over it (RFC 9162) and the signature of a checkpoint.
// What is hashed: docs/design/kms-audit.md, include/cczoo/kms_audit.h.
import { bytes, hex, same, sha256, utf8 } from './dom.js';

function joined(...parts) {
  const out = new Uint8Array(parts.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}
function le64(text) {
  const b = new Uint8Array(8);
  new DataView(b.buffer).setBigInt64(0, BigInt(text), true);
  return b;
}
function leafData(line) {
  return joined(bytes(line.prev), le64(line.seq ?? '0'), le64(line.timeS ?? '0'), bytes(line.entry));
}

// The Merkle Tree Hash of any number of leaves, with one hash for each perfect subtree at the right end.
class Tree {
  size = 0;
  nodes = []; // [hash, leaves]
  async add(data) {
    let node = [await sha256(joined([0], data)), 1];
    while (this.nodes.length && this.nodes.at(-1)[1] === node[1]) {
      const left = this.nodes.pop();
      node = [await sha256(joined([1], left[0], node[0])), left[1] + node[1]];
    }
    this.nodes.push(node);
    this.size++;
  }
  async root() {
    let right = null;
    for (const [hash] of this.nodes.toReversed()) right = right ? await sha256(joined([1], hash, right)) : hash;
    return right ?? sha256(new Uint8Array());
  }
}

// Lines as they come, each checked against the one before it. `problem` stays once it is there.
export class Chain {
  constructor(afterSeq = 0n) {
    this.seq = afterSeq; // of the last line
    this.hash = afterSeq === 0n ? new Uint8Array(32) : null; // null: the line before the first one is not here
    this.count = 0;
    this.problem = '';
    this.tree = afterSeq === 0n ? new Tree() : null;
    this.first = null; // hash of line 1
    this.successors = []; // {key, by, signature}: keys that the key before them has signed in
  }
  async add(line) {
    if (this.problem) return false;
    const seq = BigInt(line.seq ?? '0');
    const data = leafData(line);
    const hash = await sha256(data);
    if (seq !== this.seq + 1n) this.problem = `line ${seq} came behind line ${this.seq}`;
    else if (!same(hash, bytes(line.hash))) this.problem = `line ${seq} does not have the hash that it says`;
    else if (this.hash && !same(this.hash, bytes(line.prev))) this.problem = `line ${seq} does not continue line ${this.seq}`;
    if (this.problem) return false;
    if (this.tree) {
      await this.tree.add(data);
      this.first ??= hash;
    }
    const entry = entryOf(line);
    if (entry.op === 'audit-key' && entry.signature) this.successors.push(entry);
    this.seq = seq;
    this.hash = hash;
    this.count++;
    return true;
  }
}

async function imported(spki) {
  const key = await crypto.subtle.importKey('spki', bytes(spki), { name: 'ECDSA', namedCurve: 'P-256' }, true, ['verify']);
  const { x, y } = await crypto.subtle.exportKey('jwk', key);
  return { spki, key, id: hex(await sha256(encoded(`{"crv":"P-256","kty":"EC","x":"${x}","y":"${y}"}`))) }; // RFC 7638
}
function encoded(text) {
  return new TextEncoder().encode(text);
}
function hasSigned({ key }, signature, text) {
  return crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, key, signature, encoded(text));
}
function unhex(text) {
  return Uint8Array.from(String(text).match(/../g) ?? [], (b) => parseInt(b, 16));
}

// Which of the server's keys may sign: those that were kept, and each that one of those has signed in (docs/reference/kms-audit.md, Another
// key). All, where none was kept.
async function signers(keys, kept, chain, origin) {
  const may = keys.filter((k) => !kept.length || kept.includes(k.spki));
  for (const s of chain.successors) {
    const by = may.find((k) => k.id === s.by), next = keys.find((k) => k.id === s.key && !may.includes(k));
    if (by && next && await hasSigned(by, unhex(s.signature), `cczoo kms audit key\n${origin}\n${s.by}\n${s.key}\n`)) may.push(next);
  }
  return may;
}

// Does the checkpoint say what this chain, complete from line 1, has? kept: public keys in base64, the only ones that count if there are some
// @return {problem, size, root, time, key, given: whether that key is one of those}
export async function checkCheckpoint(answer, chain, kept) {
  const lines = (answer.checkpoint ?? '').split('\n');
  const note = /^\u2014 (\S+) ([A-Za-z0-9+/]+=*)$/u.exec(lines[5] ?? '');
  const time = /^time (\S+)$/.exec(lines[3] ?? '');
  if (lines.length !== 7 || lines[4] !== '' || lines[6] !== '' || !note || !time || note[1] !== lines[0]) return { problem: 'the checkpoint is not in its form' };
  const out = { size: lines[1], root: hex(bytes(lines[2])), time: time[1], problem: '' };
  const keys = await Promise.all((answer.keys ?? []).map(imported));
  if (kept.length && !keys.some((k) => kept.includes(k.spki))) return { ...out, problem: 'the key that was given is none of those that sign' };
  for (const k of await signers(keys, kept, chain, lines[0])) {
    if (!await hasSigned(k, bytes(note[2]).slice(32), `${lines.slice(0, 4).join('\n')}\n`)) continue;
    out.key = hex(await sha256(bytes(k.spki)));
    out.given = kept.includes(k.spki);
  }
  if (!out.key) out.problem = kept.length ? 'neither the key that was given nor one that it signed in has signed the checkpoint' : 'no key of the KMS has signed the checkpoint';
  else if (!chain.first || lines[0] !== `cczoo.kms/audit/${hex(chain.first).slice(0, 32)}`) out.problem = 'the checkpoint is of another log';
  else if (BigInt(lines[1]) !== chain.seq) out.problem = `the checkpoint is over ${lines[1]} lines, and there are ${chain.seq}`;
  else if (out.root !== hex(await chain.tree.root())) out.problem = 'the checkpoint has another root than these lines';
  return out;
}

export function entryOf(line) {
  try {
    const e = JSON.parse(utf8(bytes(line.entry)));
    return e && typeof e === 'object' ? e : {};
  } catch {
    return {};
  }
}
