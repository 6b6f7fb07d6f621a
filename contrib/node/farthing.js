'use strict';
// The Farthing verifier in a Node backend, in process, over the C library `libfarthing_verifier` and the package koffi.
//
//     const verifier = new Verifier(fs.readFileSync('verifier.toml', 'utf8'));
//     const decision = await verifier.decide('GET', '/articles/one?page=2', request.rawHeaders);
//     decision.decision === 'serve'   serve it, with decision.headers
//     else                            send decision.status, decision.headers and decision.body as they are
//
// A call runs on a thread of Node's pool while it waits for the mint (UV_THREADPOOL_SIZE, 4 if not set).

const koffi = require('koffi');

const ABI_VERSION = 1;

koffi.struct('FarthingText', { bytes: 'void *', length: 'size_t' });

/** A call that did nothing. `code` is stable; after it, serve nothing. */
class FarthingError extends Error {
  constructor(status, code, title) {
    super(`${title} (${code})`);
    this.status = status;
    this.code = code;
  }
}

function load(path) {
  const library = koffi.load(path || process.env.FARTHING_LIBRARY || 'libfarthing_verifier.so');
  if (library.func('uint32_t farthing_abi_version()')() !== ABI_VERSION) {
    throw new FarthingError(null, 'abi-version', 'the library is of another version');
  }
  const asking = (name) => library.func(`int32_t farthing_${name}(uint64_t, const void *, size_t, _Inout_ FarthingText *)`);
  const telling = (name) => library.func(`int32_t farthing_${name}(uint64_t, _Inout_ FarthingText *)`);
  return {
    open: library.func('int32_t farthing_open(const void *, size_t, _Out_ uint64_t *, _Inout_ FarthingText *)'),
    close: library.func('int32_t farthing_close(uint64_t)'),
    free: library.func('void farthing_text_free(_Inout_ FarthingText *)'),
    decide: asking('decide'),
    check: asking('check'),
    refund: asking('refund'),
    proofs: telling('proofs'),
    ready: telling('ready'),
    metrics: telling('metrics'),
  };
}

/** A verifier that is open. Settings are a text in TOML or JSON, or an object: the sidecar's (docs/publisher.md). */
class Verifier {
  #library;
  #handle;

  constructor(settings, library) {
    this.#library = load(library);
    const bytes = Buffer.from(typeof settings === 'string' ? settings : JSON.stringify(settings));
    const handle = [0];
    const text = { bytes: null, length: 0 };
    this.#take(this.#library.open(bytes, bytes.length, handle, text), text);
    this.#handle = handle[0];
  }

  /** Copies a text and gives it back. */
  #take(status, text) {
    const answer = text.bytes === null ? '' : Buffer.from(koffi.decode(text.bytes, 'uint8_t', Number(text.length))).toString();
    this.#library.free(text);
    if (status !== 0) {
      const why = answer === '' ? { code: 'bad-argument', title: 'a bad argument' } : JSON.parse(answer);
      throw new FarthingError(status, why.code, why.title);
    }
    return answer;
  }

  #call(function_, ...values) {
    const text = { bytes: null, length: 0 };
    return new Promise((resolve, reject) => {
      function_.async(this.#handle, ...values, text, (error, status) => {
        try {
          if (error) throw error;
          resolve(this.#take(status, text));
        } catch (failure) {
          reject(failure);
        }
      });
    });
  }

  async #ask(function_, method, url, rawHeaders) {
    const headers = [];
    for (let at = 0; at < rawHeaders.length; at += 2) headers.push([rawHeaders[at], rawHeaders[at + 1]]);
    const question = Buffer.from(JSON.stringify({ method, url, headers }));
    return JSON.parse(await this.#call(function_, question, question.length));
  }

  /** Decides about a request. `url` is path and query as the reader spelled them, `rawHeaders` as Node's requests have them. */
  async decide(method, url, rawHeaders = []) {
    const decision = await this.#ask(this.#library.decide, method, url, rawHeaders);
    if (decision.decision !== 'serve' && decision.decision !== 'answer') {
      throw new FarthingError(null, 'unknown-decision', 'the library is of another version');
    }
    return decision;
  }

  /** Checks a request's payment and changes nothing. It is no payment: serve for `decide` alone. */
  check(method, url, rawHeaders = []) {
    return this.#ask(this.#library.check, method, url, rawHeaders);
  }

  /** Gives a payment back. Status 5: ask again; 6: it will not be done. */
  async refund(reference) {
    const bytes = Buffer.from(reference);
    return JSON.parse(await this.#call(this.#library.refund, bytes, bytes.length));
  }

  /** The double-spend proofs kept. */
  async proofs() {
    return JSON.parse(await this.#call(this.#library.proofs)).proofs;
  }

  /** Throws unless payments can be decided now. */
  async ready() {
    await this.#call(this.#library.ready);
  }

  /** Counters for Prometheus. */
  metrics() {
    return this.#call(this.#library.metrics);
  }

  /** Waits for what is on its way and lets go of the data. Closing twice does nothing. */
  close() {
    this.#library.close(this.#handle);
  }
}

module.exports = { Verifier, FarthingError };
