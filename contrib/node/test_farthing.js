'use strict';
// The module against the library, without readers: node test_farthing.js SETTINGS REFERENCE. Exits non-zero at the first difference.

const assert = require('node:assert');
const fs = require('node:fs');
const { Verifier, FarthingError } = require('./farthing.js');

const settings = fs.readFileSync(process.argv[2], 'utf8');
const reference = process.argv[3];
const failsWith = (code) => (error) => error instanceof FarthingError && error.code === code;

async function main() {
  assert.throws(() => new Verifier('nonsense'), failsWith('bad-settings'));
  const verifier = new Verifier(settings);
  assert.throws(() => new Verifier(settings), failsWith('bad-settings'), 'one process at a time uses the data');
  await verifier.ready();
  assert.strictEqual((await verifier.decide('GET', '/')).decision, 'serve');
  assert.deepStrictEqual(await verifier.check('GET', '/'), { decision: 'found', payment: null });
  assert.strictEqual((await verifier.decide('GET', '/articles//one')).status, 400);

  const asked = Array.from({ length: 160 }, () => verifier.decide('GET', '/articles/one', ['Accept', '*/*', 'Cookie', 'a\u00e9\n']));
  const challenges = (await Promise.all(asked)).map((decision) => {
    assert.strictEqual(decision.status, 402);
    return Object.fromEntries(decision.headers)['www-authenticate'];
  });
  assert.strictEqual(new Set(challenges).size, 160);
  assert.match(await verifier.metrics(), /^farthing_verifier_challenge_total 320$/m);

  const refunded = { payment: reference, amount: '500', state: 'refunded' };
  assert.deepStrictEqual(await verifier.refund(reference), refunded);
  assert.deepStrictEqual(await verifier.refund(reference), refunded);
  await assert.rejects(verifier.refund('A'.repeat(43)), failsWith('payment-unknown'));
  await assert.rejects(verifier.refund('?'), failsWith('bad-argument'));
  assert.strictEqual((await verifier.proofs()).length, 1);
  verifier.close();
  verifier.close();
  await assert.rejects(verifier.ready(), failsWith('closed'));
  new Verifier(settings).close();
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
