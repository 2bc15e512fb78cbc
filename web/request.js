// SPDX-License-Identifier: Apache-2.0
// What a proposal would do: its request is protobuf, and is read here, so that an approver sees the bytes that the digest is
// about, and nothing that somebody says about them. Messages: proto/kms.proto (tests/web compares).
import { bytes, hex, same, sha256, utf8, when } from './dom.js';

const ROLES = ['auditor', 'operator', 'author', 'approver', 'client'];
export function roleNames(bits) {
  const n = Number(bits ?? 0);
  const names = ROLES.filter((_, i) => n & (1 << i));
  if (n >> ROLES.length) names.push(`bits ${n >> ROLES.length << ROLES.length}`);
  return names.join(', ') || 'none';
}
export function namespaceName(ns) {
  return ns === '*' ? 'all (*)' : ns === '' || ns === undefined ? 'names without one' : ns;
}

// number: [name, kind]
export const REQUESTS = {
  PutPolicy: { 1: ['name', 'string'], 2: ['json', 'bytes'], 3: ['replace', 'bool'] },
  Bind: { 1: ['item', 'string'], 2: ['policy', 'string'], 3: ['op', 'string'] },
  Delete: { 1: ['target', 'string'], 2: ['version', 'uint32'], 3: ['recovery_s', 'uint32'], 4: ['no_recovery', 'bool'] },
  SetRole: { 1: ['namespace', 'string'], 2: ['principal', 'bytes'], 3: ['roles', 'uint32'], 4: ['kind', 'uint32'], 5: ['label', 'string'] },
  SetQuorum: { 1: ['namespace', 'string'], 2: ['needed', 'uint32'] },
  Generate: { 1: ['name', 'string'], 2: ['kind', 'string'], 3: ['ops', 'string'], 4: ['policy', 'string'], 5: ['exportable', 'bool'], 6: ['unattested_insecure', 'bool'], 7: ['expires_s', 'int64'], 8: ['rotate_every_s', 'int64'], 9: ['names', 'string'] },
  SetDoors: { 1: ['item', 'string'], 2: ['version', 'uint32'], 3: ['key_bound', 'bool'] },
  PutReference: { 1: ['name', 'string'], 2: ['json', 'bytes'], 3: ['replace', 'bool'] },
  DeleteReference: { 1: ['name', 'string'] },
  SetExpiry: { 1: ['name', 'string'], 2: ['expires_s', 'int64'] },
  RollOut: { 1: ['policy', 'string'], 2: ['sha256', 'bytes'] },
};

class Reader {
  constructor(array) {
    this.array = array;
    this.at = 0;
  }
  varint() {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      if (this.at >= this.array.length) throw new Error('cut off');
      const b = this.array[this.at++];
      value |= BigInt(b & 0x7f) << shift;
      if (!(b & 0x80)) return value;
    }
    throw new Error('a number that is too long');
  }
  piece() {
    const size = Number(this.varint());
    if (size > this.array.length - this.at) throw new Error('cut off');
    this.at += size;
    return this.array.subarray(this.at - size, this.at);
  }
}

// @return {name: value}; throws if there is anything that could not be shown
export function decoded(method, array) {
  const shape = REQUESTS[method];
  if (!shape) throw new Error(`the console does not know requests of ${method}`);
  const r = new Reader(array);
  const out = {};
  while (r.at < array.length) {
    const tag = Number(r.varint());
    const [name, kind] = shape[tag >> 3] ?? [];
    if (!name) throw new Error(`the console does not know field ${tag >> 3} of ${method}`);
    if (name in out) throw new Error(`${name} is there twice`);
    const text = kind === 'string' || kind === 'bytes';
    if ((tag & 7) !== (text ? 2 : 0)) throw new Error(`${name} has another type`);
    const value = text ? r.piece() : r.varint();
    out[name] = kind === 'string' ? utf8(value) : kind === 'bool' ? value !== 0n : value;
  }
  return out;
}

// The words of what would be executed: [[name, text]], and the policy's text if there is one.
export function explained(method, m) {
  const list = {
    PutPolicy: () => [['policy', m.name], [m.replace ? 'replaces' : 'adds', m.replace ? 'the policy of that name' : 'a policy']],
    Bind: () => (m.op ? [['item', m.item], ['operation', m.op], ['allowed under', m.policy || 'the policy of the key, as other operations']]
      : [['item', m.item], ['released, and used, under', m.policy || 'no policy: to nobody']]),
    Delete: () => [['removes', m.target], ['version', m.version ? String(m.version) : 'all'], ['recovery', m.no_recovery ? 'none: destroyed at once' : m.recovery_s ? `${m.recovery_s} s` : 'as usual']],
    SetRole: () => [['namespace', namespaceName(m.namespace)], ['roles', roleNames(m.roles)], ['principal', hex(m.principal ?? [])], ['kind', m.kind ? 'subject of a token' : 'key'], ['label', m.label]],
    SetQuorum: () => [['namespace', namespaceName(m.namespace)], ['approvals needed', m.needed ? String(m.needed) : 'none: changes would not need approval any more']],
    Generate: () => [['new key', m.name], ['kind', m.kind], ['operations', m.ops || 'all of its kind'], ['policy', m.policy || 'none'],
      ['leaves the KMS', m.exportable ? 'YES: it is exportable' : 'no'], ['used without evidence', m.unattested_insecure ? 'YES: by clients' : 'no'],
      ...(m.names ? [['issues certificates for', m.names]] : []), ['expires', when(m.expires_s) || 'never'], ['rotated', m.rotate_every_s ? `every ${m.rotate_every_s} s` : 'by hand']],
    SetDoors: () => [['item', m.item], ['version', String(m.version ?? 0)], ['evidence that is bound to a key, and not fresh', m.key_bound ? 'IS ENOUGH' : 'is not enough']],
    PutReference: () => [['reference values', m.name], [m.replace ? 'another version' : 'adds', m.replace ? 'in force at once for every policy that names the set' : 'a set']],
    DeleteReference: () => [['deletes', `reference/${m.name}`]],
    SetExpiry: () => [['key', m.name], ['may be used, and leave if it may leave, until', when(m.expires_s) || 'for ever']],
    RollOut: () => [['policy', m.policy], ['digest of what is staged', hex(m.sha256 ?? [])]],
  }[method]();
  return { list, text: method === 'PutPolicy' || method === 'PutReference' ? utf8(m.json ?? new Uint8Array()) : '' };
}

// What one policy has and the other has not, line by line: [[' ' | '+' | '-', line]]; null if that cannot be said. The longest common
// subsequence of both as JSON with one thing a line.
const LINES_MAX = 1500;
export function changes(before, after) {
  let a, b;
  try {
    [a, b] = [before, after].map((t) => JSON.stringify(JSON.parse(t), null, 2).split('\n'));
  } catch {
    return null;
  }
  if (a.length > LINES_MAX || b.length > LINES_MAX) return null;
  const same = Array.from({ length: a.length + 1 }, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) same[i][j] = a[i] === b[j] ? same[i + 1][j + 1] + 1 : Math.max(same[i + 1][j], same[i][j + 1]);
  }
  const out = [];
  let i = 0, j = 0;
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      out.push([' ', a[i++]]);
      j++;
    } else if (j === b.length || (i < a.length && same[i + 1][j] >= same[i][j + 1])) out.push(['-', a[i++]]);
    else out.push(['+', b[j++]]);
  }
  return out;
}

// SHA-256("cczoo kms proposal" 0 method 0 body), from what is shown
export async function digest(method, array) {
  const head = new TextEncoder().encode(`cczoo kms proposal\0${method}\0`);
  const all = new Uint8Array(head.length + array.length);
  all.set(head);
  all.set(array, head.length);
  return sha256(all);
}
// @return {problem, digest, message, list, text} of a proposal
export async function inspected(p) {
  const body = bytes(p.body);
  const sum = await digest(p.method ?? '', body);
  const out = { problem: '', digest: sum, message: {}, list: [], text: '' };
  try {
    out.message = decoded(p.method, body);
    Object.assign(out, explained(p.method, out.message));
    if (!same(sum, bytes(p.sha256))) out.problem = 'its digest is of another request';
  } catch (e) {
    out.problem = e.message;
  }
  return out;
}
