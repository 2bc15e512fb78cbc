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
    this.seq = seq;
    this.hash = hash;
    this.count++;
    return true;
  }
}

async function verifiedBy(keys, signature, text) {
  for (const spki of keys.toReversed()) {
    const key = await crypto.subtle.importKey('spki', bytes(spki), { name: 'ECDSA', namedCurve: 'P-256' }, false, ['verify']);
    if (await crypto.subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, key, signature, text)) return hex(await sha256(bytes(spki)));
  }
  return '';
}

// Does the checkpoint say what this chain, complete from line 1, has? @return {problem, size, root, time, key}
export async function checkCheckpoint(answer, chain) {
  const lines = (answer.checkpoint ?? '').split('\n');
  const note = /^\u2014 (\S+) ([A-Za-z0-9+/]+=*)$/u.exec(lines[5] ?? '');
  const time = /^time (\S+)$/.exec(lines[3] ?? '');
  if (lines.length !== 7 || lines[4] !== '' || lines[6] !== '' || !note || !time || note[1] !== lines[0]) return { problem: 'the checkpoint is not in its form' };
  const out = { size: lines[1], root: hex(bytes(lines[2])), time: time[1], problem: '' };
  const signed = new TextEncoder().encode(`${lines.slice(0, 4).join('\n')}\n`);
  out.key = await verifiedBy(answer.keys ?? [], bytes(note[2]).slice(32), signed);
  if (!out.key) out.problem = 'no key of the KMS has signed the checkpoint';
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
