-- Vouchers that were ordered under a reference, once. Ids and payments are keyed hashes of what the shop calls them; the codes are not here,
-- and cannot be found from what is.

-- amount: of each voucher. payment, voucher: of an order that a payment provider may reverse, which has one voucher. taken: what was reversed.
CREATE TABLE voucher_order (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    amount      INTEGER NOT NULL CHECK (amount > 0),
    count       INTEGER NOT NULL CHECK (count > 0),
    time        INTEGER NOT NULL,
    payment     BLOB    UNIQUE CHECK (length(payment) = 32),
    voucher     BLOB    REFERENCES voucher (key),
    taken       INTEGER NOT NULL DEFAULT 0 CHECK (taken >= 0 AND taken <= amount),
    CHECK ((payment IS NULL) = (voucher IS NULL)),
    CHECK (payment IS NULL OR count = 1)
) WITHOUT ROWID;

-- What the provider has taken back of a payment so far, whether or not its order is known yet. It only grows.
CREATE TABLE voucher_reversal (
    payment     BLOB    NOT NULL PRIMARY KEY CHECK (length(payment) = 32),
    total       INTEGER NOT NULL CHECK (total > 0)
) WITHOUT ROWID;
