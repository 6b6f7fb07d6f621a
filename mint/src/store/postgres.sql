-- Amounts and counts are smallest units and tokens; times are Unix seconds. Every row is reached by its primary key.
-- What goes one way does so by the conditions of the statements in `sql/`: nothing here needs a trigger or a stored procedure.

CREATE TABLE mint (
    id          BIGINT  PRIMARY KEY CHECK (id = 1),
    ledger      BYTEA   NOT NULL CHECK (length(ledger) = 16),
    sequence    BIGINT  NOT NULL CHECK (sequence >= 0),
    time        BIGINT  NOT NULL,
    sold        BIGINT  NOT NULL CHECK (sold >= 0),
    keysets     BYTEA   NOT NULL,
    -- How often an operator has told the mint the time.
    clock       BIGINT  NOT NULL DEFAULT 0
);

-- state: 1 open, 2 closing, 3 closed; it only grows. retired: when an operator stopped the issuing early. pruned: its rows of `spent` are gone.
CREATE TABLE keyset (
    number        BIGINT  PRIMARY KEY,
    id            BYTEA   NOT NULL UNIQUE,
    deposit_until BIGINT  NOT NULL,
    state         BIGINT  NOT NULL DEFAULT 1 CHECK (state IN (1, 2, 3)),
    retired       BIGINT,
    pruned        BIGINT  NOT NULL DEFAULT 0 CHECK (pruned = 0 OR (pruned = 1 AND state = 3))
);

CREATE TABLE counter (
    keyset       BIGINT  NOT NULL REFERENCES keyset (number),
    denomination BIGINT  NOT NULL CHECK (denomination > 0),
    issued       BIGINT  NOT NULL CHECK (issued >= 0),
    redeemed     BIGINT  NOT NULL CHECK (redeemed >= 0),
    frozen       BIGINT  NOT NULL CHECK (frozen IN (0, 1)),
    PRIMARY KEY (keyset, denomination),
    CHECK (redeemed <= issued)
);

CREATE TABLE voucher (
    key         BYTEA   NOT NULL PRIMARY KEY,
    balance     BIGINT  NOT NULL CHECK (balance >= 0)
);

CREATE TABLE publisher (
    name        TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    balance     BIGINT  NOT NULL CHECK (balance >= 0),
    key         BYTEA   CHECK (length(key) = 32)
);

-- state: 1 booked, 2 cancelled. The first row of an id stays.
CREATE TABLE session (
    id          BYTEA   NOT NULL PRIMARY KEY,
    state       BIGINT  NOT NULL CHECK (state IN (1, 2)),
    digest      BYTEA,
    response    BYTEA,
    time        BIGINT  NOT NULL,
    CHECK ((state = 1) = (digest IS NOT NULL)),
    CHECK ((state = 1) = (response IS NOT NULL))
);

-- What a wallet with only its seed needs of a booked session, beside the response. number counts the booked sessions of a keyset from 0;
-- 64 of them are a bucket. outputs: denomination (8 bytes, big-endian), A, B of each.
CREATE TABLE recorded (
    keyset      BIGINT  NOT NULL REFERENCES keyset (number),
    number      BIGINT  NOT NULL CHECK (number >= 0),
    session     BYTEA   NOT NULL,
    recovery    BYTEA   NOT NULL CHECK (length(recovery) = 32),
    outputs     BYTEA   NOT NULL CHECK (length(outputs) % 72 = 0),
    PRIMARY KEY (keyset, number)
);

-- By what a booked session is found whose outputs are claimed because their denominations are frozen. committed: the hash of its outputs'
-- recovery secrets' hashes, sent when it opened. number: of its row of `recorded`.
CREATE TABLE recoverable (
    recovery     BYTEA   NOT NULL CHECK (length(recovery) = 32),
    keyset       BIGINT  NOT NULL REFERENCES keyset (number),
    number       BIGINT  NOT NULL CHECK (number >= 0),
    committed    BYTEA   NOT NULL CHECK (length(committed) = 32),
    PRIMARY KEY (recovery, keyset, number)
);

-- Tokens of frozen denominations whose value was paid back for their sessions, beside what `counter` says was redeemed.
CREATE TABLE repaid (
    keyset       BIGINT  NOT NULL,
    denomination BIGINT  NOT NULL,
    tokens       BIGINT  NOT NULL CHECK (tokens > 0),
    PRIMARY KEY (keyset, denomination),
    FOREIGN KEY (keyset, denomination) REFERENCES counter (keyset, denomination)
);

-- Hash(A, B) of every commitment that was ever answered.
CREATE TABLE commitment (
    row         BYTEA   NOT NULL PRIMARY KEY
);

-- token: keyset number (4 bytes), denomination (8), P (32), big-endian. kind: 1 payment, 2 session of a refresh.
CREATE TABLE spent (
    token       BYTEA   NOT NULL PRIMARY KEY,
    kind        BIGINT  NOT NULL CHECK (kind IN (1, 2)),
    spent_by    BYTEA   NOT NULL
);

-- Tokens in the order in which they came back, for the filters that verifiers follow: 8 bytes each, those of one transaction together, but
-- never across a multiple of 1,024. number: how many came back before. time: of the transaction.
CREATE TABLE spent_log (
    keyset      BIGINT  NOT NULL REFERENCES keyset (number),
    number      BIGINT  NOT NULL CHECK (number >= 0),
    time        BIGINT  NOT NULL,
    marks       BYTEA   NOT NULL CHECK (length(marks) > 0 AND length(marks) % 8 = 0),
    PRIMARY KEY (keyset, number)
);

-- state: 1 settled, 2 refunded, 3 reclaimed, never back. change is what is left to be taken, in any state; taken says whether it was.
CREATE TABLE payment (
    id          BYTEA   NOT NULL PRIMARY KEY,
    publisher   TEXT COLLATE "C" NOT NULL REFERENCES publisher (name),
    amount      BIGINT  NOT NULL CHECK (amount > 0),
    change      BIGINT  NOT NULL CHECK (change >= 0),
    taken       BIGINT  NOT NULL CHECK (taken IN (0, 1)),
    state       BIGINT  NOT NULL CHECK (state IN (1, 2, 3)),
    side        BYTEA   NOT NULL,
    time        BIGINT  NOT NULL
);

CREATE INDEX payment_change_due ON payment (change) WHERE change > 0 AND taken = 0;
CREATE INDEX payment_refund_due ON payment (amount) WHERE state = 2;

-- The books: every movement of money once more, as double entry. One booking is one committed transaction, and has at most one row an
-- account: what was debited and what was credited in it. Bookings balance, are written whole, and never change.

CREATE TABLE booking (
    number      BIGINT  PRIMARY KEY,
    time        BIGINT  NOT NULL
);

CREATE TABLE entry (
    booking     BIGINT  NOT NULL,
    account     TEXT COLLATE "C" NOT NULL,
    debit       BIGINT  NOT NULL CHECK (debit >= 0),
    credit      BIGINT  NOT NULL CHECK (credit >= 0),
    PRIMARY KEY (booking, account),
    CHECK (debit > 0 OR credit > 0)
);

-- Where a publisher is paid: JSON.
CREATE TABLE payee (
    publisher   TEXT COLLATE "C" NOT NULL PRIMARY KEY REFERENCES publisher (name),
    details     TEXT COLLATE "C" NOT NULL
);

-- debtor: JSON, as it was when the run was booked. written: whether its files were once complete.
CREATE TABLE payout_run (
    id          TEXT COLLATE "C" NOT NULL PRIMARY KEY,
    booking     BIGINT  NOT NULL UNIQUE,
    time        BIGINT  NOT NULL,
    debtor      TEXT COLLATE "C" NOT NULL,
    written     BIGINT  NOT NULL DEFAULT 0 CHECK (written IN (0, 1))
);

-- credited = fee + amount; payee: JSON, as it was when the run was booked.
CREATE TABLE payout (
    run         TEXT COLLATE "C" NOT NULL REFERENCES payout_run (id),
    publisher   TEXT COLLATE "C" NOT NULL REFERENCES publisher (name),
    credited    BIGINT  NOT NULL,
    fee         BIGINT  NOT NULL CHECK (fee >= 0),
    amount      BIGINT  NOT NULL CHECK (amount > 0),
    payee       TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (run, publisher),
    CHECK (credited = fee + amount)
);

-- Vouchers that were ordered under a reference, once. Ids and payments are keyed hashes of what the shop calls them; the codes are not here,
-- and cannot be found from what is.

-- amount: of each voucher. payment, voucher: of an order that a payment provider may reverse, which has one voucher. taken: what was reversed.
CREATE TABLE voucher_order (
    id          BYTEA   NOT NULL PRIMARY KEY CHECK (length(id) = 32),
    amount      BIGINT  NOT NULL CHECK (amount > 0),
    count       BIGINT  NOT NULL CHECK (count > 0),
    time        BIGINT  NOT NULL,
    payment     BYTEA   UNIQUE CHECK (length(payment) = 32),
    voucher     BYTEA   REFERENCES voucher (key),
    taken       BIGINT  NOT NULL DEFAULT 0 CHECK (taken >= 0 AND taken <= amount),
    CHECK ((payment IS NULL) = (voucher IS NULL)),
    CHECK (payment IS NULL OR count = 1)
);

-- What the provider has taken back of a payment so far, whether or not its order is known yet. It only grows.
CREATE TABLE voucher_reversal (
    payment     BYTEA   NOT NULL PRIMARY KEY CHECK (length(payment) = 32),
    total       BIGINT  NOT NULL CHECK (total > 0)
);

-- The mint processes that serve on this ledger. address: where the others reach it; seen: when it was last heard of.
CREATE TABLE instance (
    id          BYTEA   NOT NULL PRIMARY KEY CHECK (length(id) = 4),
    address     TEXT    NOT NULL,
    seen        BIGINT  NOT NULL
);
