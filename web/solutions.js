// SPDX-License-Identifier: Apache-2.0
// The solutions of this version, and how to run them.
import { chip, fill, h, table } from './dom.js';

export async function show(view) {
  const answer = await fetch('solutions.json', { credentials: 'same-origin', referrerPolicy: 'no-referrer' });
  const { solutions, planned } = await answer.json();
  const rows = [...solutions.map((s) => [s, true]), ...planned.filter((p) => !solutions.some((s) => s.number === p.number)).map((s) => [s, false])].sort((a, b) => a[0].number - b[0].number);
  fill(view.body, h('p', {}, 'Each runs on a machine with Debian 12, from the folder of the sources, without special hardware.'), table('Solutions', [
    ['No.', ([s]) => s.number],
    ['Solution', ([s]) => h('strong', {}, s.name)],
    ['Application', ([s]) => s.application],
    ['TEE', ([s]) => s.tee],
    ['Attestation', ([s]) => s.remote_attestation],
    ['Encryption', ([s]) => s.encryption],
    ['HE', ([s]) => s.he],
    ['TLS', ([s]) => s.tls],
    ['Run', ([s, runs]) => (runs ? h('code', { class: 'nowrap' }, `./demo ${s.number}`) : chip('quiet', 'planned'))],
    ['Read', ([s, runs]) => (runs ? h('code', { class: 'wrap' }, `solutions/${s.folder}/README.md`) : '')],
  ], rows, 'There is none.'));
}
