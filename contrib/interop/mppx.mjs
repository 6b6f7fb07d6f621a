// The npm package `mppx` against a site that sells for Farthing: node mppx.mjs SITE SECRET FARTHING WALLET
// It reads and writes the 402, the credential, the receipt and Accept-Payment; the payment inside is made by the wallet's `answer`.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { Challenge, Credential, Expires, Method, Receipt, z } from 'mppx'
import { Mppx } from 'mppx/client'

const [site, secretKey, farthing, wallet] = process.argv.slice(2)

// What the wallet answers to a challenge, as this library wrote it again.
function pay(url, challenge) {
  const run = spawnSync(farthing, ['--wallet', wallet, '--json', 'answer', '--max-price', '0.05', url], {
    encoding: 'utf8',
    input: Challenge.serialize(challenge) + '\n',
  })
  assert.equal(run.status, 0, run.stderr)
  return JSON.parse(run.stdout).authorization
}
const send = (url, authorization) => fetch(url, { headers: { authorization } })
const code = async (response) => (await response.json()).code

// --- it reads our 402
let url = `${site}/articles/mppx-1`
const asked = await fetch(url)
assert.equal(asked.status, 402)
assert.equal(asked.headers.get('cache-control'), 'no-store')
const challenge = Challenge.fromResponse(asked)
assert.deepEqual([challenge.realm, challenge.method, challenge.intent], [new URL(site).host, 'farthing', 'charge'])
assert.equal(challenge.request.recipient, challenge.realm)
assert.equal(challenge.request.currency, 'eur/100000')
assert.equal(challenge.request.methodDetails.title, 'Zürich “für alle” – 1 € \\ "x"')
assert.equal(challenge.digest, undefined)
Expires.assert(challenge.expires, challenge.id)
// --- and computes the same id, which covers what it covers and not more
assert.ok(Challenge.verify(challenge, { secretKey }))
assert.ok(!Challenge.verify(challenge, { secretKey: secretKey + 'x' }))
for (const changed of [
  { realm: 'evil.example' },
  { expires: new Date(Date.parse(challenge.expires) + 1000).toISOString() },
  { request: { ...challenge.request, amount: '1' } },
  { opaque: challenge.opaque.slice(0, -1) },
]) {
  assert.ok(!Challenge.verify({ ...challenge, ...changed }, { secretKey }))
}
// --- and reads the refusal of another method
const other = await fetch(url, { headers: { 'accept-payment': 'stripe/charge, farthing/charge;q=0' } })
assert.deepEqual([other.status, other.headers.get('www-authenticate'), await code(other)], [402, null, 'method-not-accepted'])

// --- what it writes again is what we wrote: the wallet pays it, it reads the wallet's credential, we take it as it writes it
const ours = pay(url, challenge)
const read = Credential.deserialize(ours)
assert.ok(Challenge.verify(read.challenge, { secretKey }))
assert.deepEqual(Object.keys(read.payload).sort(), ['payment', 'salt'])
const theirs = Credential.serialize(Credential.from({ challenge, payload: read.payload }))
// --- changed, we refuse it
const dearer = { ...challenge, request: { ...challenge.request, amount: '400' } }
let refused = await send(url, Credential.serialize(Credential.from({ challenge: dearer, payload: read.payload })))
assert.deepEqual([refused.status, await code(refused)], [402, 'wrong-amount'])
refused = await send(`${site}/articles/mppx-2`, theirs)
assert.deepEqual([refused.status, await code(refused)], [402, 'wrong-resource'])
refused = await send(url, Credential.serialize(Credential.from({ challenge, payload: { signature: '0x' } })))
assert.deepEqual([refused.status, await code(refused)], [402, 'malformed-credential'])
const tempo = { ...challenge, method: 'tempo' }
refused = await send(url, Credential.serialize(Credential.from({ challenge: tempo, payload: read.payload })))
assert.deepEqual([refused.status, await code(refused)], [400, 'method-unsupported'])
// --- unchanged, we serve it, and it reads our receipt
const served = await send(url, theirs)
assert.deepEqual([served.status, served.headers.get('cache-control')], [200, 'private'])
assert.match(await served.text(), /^paid \/articles\/mppx-1 500 /)
const receipt = Receipt.fromResponse(served)
assert.deepEqual([receipt.status, receipt.method], ['success', 'farthing'])
assert.ok(Math.abs(Date.parse(receipt.timestamp) - Date.now()) < 60_000)
assert.match(receipt.reference, /^[A-Za-z0-9_-]{43}$/)

// --- a challenge that it makes itself under the site's secret is the site's own; the wallet has one payment a page on the way
const finish = spawnSync(farthing, ['--wallet', wallet, '--json', 'pay', '--yes', url], { encoding: 'utf8' })
assert.equal(JSON.parse(finish.stdout).kind, 'finished')
const { id: _, ...parameters } = challenge
const opaque = { ...JSON.parse(Buffer.from(challenge.opaque, 'base64url')), nonce: Buffer.alloc(16, 7).toString('base64url') }
const made = Challenge.from({ ...parameters, opaque: undefined, meta: opaque, secretKey })
assert.notEqual(made.id, challenge.id)
assert.equal((await send(url, pay(url, made))).status, 200)

// --- its whole client: 402, our wallet as its method, credential, page
const charge = Method.from({
  name: 'farthing',
  intent: 'charge',
  schema: {
    credential: { payload: z.object({ payment: z.string(), salt: z.string() }) },
    request: z.object({ amount: z.string(), currency: z.string(), recipient: z.string() }),
  },
})
url = `${site}/articles/mppx-3`
const method = Method.toClient(charge, { createCredential: async ({ challenge }) => pay(url, challenge) })
const client = Mppx.create({ methods: [method], polyfill: false })
const bought = await client.fetch(url)
assert.equal(bought.status, 200)
assert.match(await bought.text(), /^paid \/articles\/mppx-3 500 /)
assert.equal(Receipt.fromResponse(bought).method, 'farthing')
console.log('mppx: ok')
