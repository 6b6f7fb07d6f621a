"""The stable codes, and the one exception that carries them.

`spec/errors.md` says what each code means. Nothing here is raised for a mistake of the calling code: those are plain assertions.
"""

FRAME = ["frame-too-long", "frame-truncated", "frame-trailing-bytes", "frame-unknown-version", "frame-wrong-kind",
         "frame-malformed", "frame-non-canonical"]
GROUP = ["non-canonical-point", "identity-point", "non-canonical-scalar", "zero-scalar"]
PAYMENT = ["payment-empty", "payment-too-many-tokens", "payment-duplicate-token", "payment-not-sorted", "payment-keyset-index",
           "payment-zero-amount", "payment-overflow", "payment-insufficient", "payment-non-canonical-scalar",
           "payment-zero-scalar", "payment-recipient-too-long"]
PROOF = ["unknown-keyset", "unknown-denomination", "invalid-point", "invalid-signature", "invalid-proof", "empty-batch"]
EVIDENCE = ["evidence-same-payment", "evidence-not-shared", "evidence-invalid-list", "evidence-invalid-signature",
            "evidence-invalid-proof", "evidence-unknown-key"]
KEYSET = ["keyset-wrong-root", "keyset-invalid-signature", "keyset-invalid-key", "keyset-repeated-key",
          "keyset-invalid-denominations", "keyset-invalid-unit", "keyset-invalid-windows", "keyset-published-late",
          "keyset-too-many-issuing", "keyset-empty-list", "keyset-shortened", "keyset-forked"]
ISSUE = ["issue-count-mismatch", "issue-output-count", "issue-invalid-denominations", "issue-amount-mismatch",
         "issue-invalid-funding", "issue-invalid-recovery", "issue-invalid-proof", "issue-invalid-encoding", "issue-repeated-commitment",
         "issue-invalid-response", "issue-unusable-blinding"]
ANSWER = ["answer-count-mismatch", "answer-invalid-signature", "answer-wrong-change", "answer-unrelated-proof"]
REFUND = ["refund-publisher-too-long", "refund-invalid-encoding", "refund-invalid-proof"]
RESTORE = ["restore-wrong-bucket", "restore-too-many-sessions", "restore-output-count", "restore-invalid-denominations",
           "restore-not-sorted"]
USE = ["use-no-keys", "use-too-many-keys", "use-duplicate-token", "use-invalid-amount", "use-invalid-key", "use-key-mismatch",
       "use-count-mismatch"]
VOUCHER = ["voucher-malformed", "voucher-mistyped"]
REFUSAL = ["refused-malformed", "refused-unknown-publisher", "refused-unknown-keyset", "refused-late", "refused-keyset-closed",
           "refused-invalid-signature", "refused-invalid-proof", "refused-refreshed", "refused-frozen", "refused-mixed-units"]
REFUND_REFUSAL = ["refund-unknown-payment", "refund-paid-out"]
HTTP = ["malformed-credential"]

ALL = FRAME + GROUP + PAYMENT + PROOF + EVIDENCE + KEYSET + ISSUE + ANSWER + REFUND + RESTORE + USE + VOUCHER + REFUSAL + REFUND_REFUSAL + HTTP


class Refused(Exception):
    """An input that must not be accepted, with the code a conforming implementation reports."""

    def __init__(self, code):
        assert code in ALL, code
        super().__init__(code)
        self.code = code


def recode(code, call, *arguments):
    """Runs `call`; whatever it refuses is refused with `code` instead."""
    try:
        return call(*arguments)
    except Refused:
        raise Refused(code) from None
