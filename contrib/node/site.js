'use strict';
// A publisher in Node: node site.js SETTINGS PORT. The settings say what costs how much; the page stands below.

const fs = require('node:fs');
const http = require('node:http');
const { Verifier } = require('./farthing.js');

const [settings, port] = process.argv.slice(2);
const verifier = new Verifier(fs.readFileSync(settings, 'utf8'));

async function answer(request, response) {
  let decision;
  try {
    decision = await verifier.decide(request.method, request.url, request.rawHeaders);
  } catch {
    // Nothing is decided: nothing is served, free pages neither.
    response.writeHead(503, { 'Cache-Control': 'no-store', 'Retry-After': '5' }).end();
    return;
  }
  response.setHeader('Content-Type', 'text/plain; charset=utf-8');
  // In place of the page's own, and a name may stand there more than once: a page and a pass have a challenge each.
  for (const [name] of decision.headers) response.removeHeader(name);
  for (const [name, value] of decision.headers) response.appendHeader(name, value);
  if (decision.decision !== 'serve') {
    response.writeHead(decision.status).end(decision.body);
    return;
  }
  const payment = decision.payment;
  // A credential may come for a page that is free meanwhile: it is money all the same.
  const given = request.headers.authorization ?? '';
  const authorization = payment || /(^|,)\s*payment\s/i.test(given) ? '' : given;
  if (!payment) response.setHeader('Cache-Control', 'public, max-age=60');
  const paid = payment ? `${payment.state} ${payment.amount} reread=${payment.reread}` : 'free';
  response.end(`page ${decodeURIComponent(request.url.split('?')[0])} ${paid} authorization=${authorization}\n`);
}

const server = http.createServer(answer).listen(Number(port), '127.0.0.1');
process.on('SIGTERM', () => {
  server.close(() => verifier.close());
  server.closeAllConnections();
});
