// The Farthing verifier for programs in any language: docs/publisher.md, "From another language". Written by cbindgen: do not edit.

#ifndef FARTHING_H
#define FARTHING_H

#include <stddef.h>
#include <stdint.h>

// The version of this interface. A program compares it with what `farthing_abi_version` says: another number is another interface.
#define FARTHING_ABI_VERSION 1

// How a call ended. Zero is success; after anything else nothing may be served.
enum FarthingStatus
#if defined(__cplusplus) || __STDC_VERSION__ >= 202311L
  : int32_t
#endif // defined(__cplusplus) || __STDC_VERSION__ >= 202311L
 {
  // It was done.
  FARTHING_STATUS_OK = 0,
  // A pointer is null, a length is out of bounds, or a text is not UTF-8 or not the JSON that is asked for.
  FARTHING_STATUS_BAD_ARGUMENT = 1,
  // The settings do not fit, or their data cannot be opened; another process may be using it.
  FARTHING_STATUS_BAD_SETTINGS = 2,
  // The number is no verifier that is open.
  FARTHING_STATUS_CLOSED = 3,
  // The process was forked after the verifier was opened: open one in each process.
  FARTHING_STATUS_FORKED = 4,
  // The disk or the mint cannot be asked now. Nothing is lost: ask again.
  FARTHING_STATUS_UNAVAILABLE = 5,
  // It will not be done, for the reason in the text.
  FARTHING_STATUS_REFUSED = 6,
  // A defect of the library. Close the verifier, open it again, and report it.
  FARTHING_STATUS_DEFECT = 7,
};
#ifndef __cplusplus
#if __STDC_VERSION__ >= 202311L
typedef enum FarthingStatus FarthingStatus;
#else
typedef int32_t FarthingStatus;
#endif // __STDC_VERSION__ >= 202311L
#endif // __cplusplus

// A text in UTF-8 that the library has written, without a zero byte at its end. `bytes` is null if there is none. Give it back with
// `farthing_text_free`, and with nothing else.
typedef struct FarthingText {
  // Its first byte, or null.
  uint8_t *bytes;
  // How many bytes it has.
  size_t length;
} FarthingText;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// The version of this interface in the library that was loaded.
uint32_t farthing_abi_version(void);

// Opens a verifier and writes its number to `verifier`, or 0.
//
// `settings` is the text of a configuration in TOML, or in JSON if it begins with a brace: the sidecar's, whose `listen`, `proxy`,
// `trusted_peers`, `peers_may_refund`, `metrics` and `log` are not looked at. Its `data` directory is used by one verifier of one process
// at a time; with `store = "postgres"` verifiers of any number of processes share the database. A mint that cannot be reached is no
// failure.
//
// # Safety
// `settings` points to `settings_length` bytes that do not change during the call. `verifier` and `text` may be written to. On failure
// `text` is `{"code":"..","title":".."}`, otherwise there is none; give it back with `farthing_text_free`.
FarthingStatus farthing_open(const uint8_t *settings, size_t settings_length, uint64_t *verifier, struct FarthingText *text);

// Ends a verifier: waits for what is on its way to the mint and lets go of its data. Calls of other threads that use it are finished
// first, and the last of them does the waiting. What is undecided waits for the next start.
//
// Returns `FARTHING_STATUS_OK`, or `FARTHING_STATUS_CLOSED` if it was closed before.
FarthingStatus farthing_close(uint64_t verifier);

// Decides about a request: checks its payment, claims it and has the mint book it.
//
// `request` is `{"method":"GET","url":"/a?b","headers":[["authorization","Payment .."],..]}`: the path and query just as the reader
// spelled them, and all headers or those that matter (`authorization`, `accept`, `accept-payment`, `origin` and
// `access-control-request-method`). With `FARTHING_STATUS_OK`, `text` is one of
//
//     {"decision":"serve","payment":null,"headers":[]}                                       it is free
//     {"decision":"serve","payment":{"reference":"..","state":"settled","amount":"500","change":"0","reread":false},
//      "headers":[["payment-receipt",".."],["cache-control","private"]]}                     serve it with these headers
//     {"decision":"answer","status":402,"headers":[..],"body":".."}                          send this as it is
//
// After any other status, and after anything else in `text`, serve nothing (503). The call takes as long as the mint's answer.
//
// # Safety
// `request` points to `request_length` bytes that do not change during the call. `text` may be written to; give it back with
// `farthing_text_free`.
FarthingStatus farthing_decide(uint64_t verifier, const uint8_t *request, size_t request_length, struct FarthingText *text);

// Checks a request's payment and changes nothing: `{"decision":"found","payment":{..}}`, with null for what is free, or the answer that
// `farthing_decide` would give. It is no payment: serve for `farthing_decide` alone.
//
// # Safety
// As `farthing_decide`.
FarthingStatus farthing_check(uint64_t verifier, const uint8_t *request, size_t request_length, struct FarthingText *text);

// Gives a payment back, by its reference: `{"payment":"..","amount":"500","state":"refunded"}`. Asking twice changes nothing.
// `FARTHING_STATUS_REFUSED` says in `text` why not; after `FARTHING_STATUS_UNAVAILABLE` ask again.
//
// # Safety
// `reference` points to `reference_length` bytes that do not change during the call. `text` may be written to; give it back with
// `farthing_text_free`.
FarthingStatus farthing_refund(uint64_t verifier, const uint8_t *reference, size_t reference_length, struct FarthingText *text);

// The double-spend proofs kept: `{"proofs":["..",..]}`, each what `farthing-verifier evidence verify` reads.
//
// # Safety
// `text` may be written to; give it back with `farthing_text_free`.
FarthingStatus farthing_proofs(uint64_t verifier, struct FarthingText *text);

// `FARTHING_STATUS_OK` if payments can be decided now. On failure `text` says why, otherwise there is none.
//
// # Safety
// `text` may be written to; give it back with `farthing_text_free`.
FarthingStatus farthing_ready(uint64_t verifier, struct FarthingText *text);

// Counters and sums as text for Prometheus. Nothing in it is about anybody.
//
// # Safety
// `text` may be written to; give it back with `farthing_text_free`.
FarthingStatus farthing_metrics(uint64_t verifier, struct FarthingText *text);

// Gives a text back to the library and leaves none in its place. Null, and a place without a text, are fine.
//
// # Safety
// `text` is null or points to what a function of this library wrote, unchanged, and no other thread uses it.
void farthing_text_free(struct FarthingText *text);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* FARTHING_H */
