-- Amounts and counts are smallest units and tokens; times are Unix seconds. Every row is reached by its primary key. Wide rows with random
-- keys keep their rowid, so that they are appended and only their keys are spread (decision 43).

CREATE TABLE mint (
    id          INTEGER PRIMARY KEY CHECK (id = 1),
    ledger      BLOB    NOT NULL CHECK (length(ledger) = 16),
    sequence    INTEGER NOT NULL CHECK (sequence >= 0),
    time        INTEGER NOT NULL,
    sold        INTEGER NOT NULL CHECK (sold >= 0),
    keysets     BLOB    NOT NULL,
    -- How often an operator has told the mint the time.
    clock       INTEGER NOT NULL DEFAULT 0
);

-- state: 1 open, 2 closing, 3 closed; it only grows. retired: when an operator stopped the issuing early. pruned: its rows of `spent` are gone.
CREATE TABLE keyset (
    number        INTEGER PRIMARY KEY,
    id            BLOB    NOT NULL UNIQUE,
    deposit_until INTEGER NOT NULL,
    state         INTEGER NOT NULL DEFAULT 1 CHECK (state IN (1, 2, 3)),
    retired       INTEGER,
    pruned        INTEGER NOT NULL DEFAULT 0 CHECK (pruned = 0 OR (pruned = 1 AND state = 3))
);

CREATE TRIGGER keyset_one_way BEFORE UPDATE ON keyset
WHEN new.state < old.state OR new.pruned < old.pruned OR (old.retired IS NOT NULL AND new.retired IS NOT old.retired)
     OR new.id <> old.id OR new.deposit_until <> old.deposit_until
BEGIN SELECT raise(ABORT, 'a keyset goes one way'); END;

CREATE TABLE counter (
    keyset       INTEGER NOT NULL REFERENCES keyset (number),
    denomination INTEGER NOT NULL CHECK (denomination > 0),
    issued       INTEGER NOT NULL CHECK (issued >= 0),
    redeemed     INTEGER NOT NULL CHECK (redeemed >= 0),
    frozen       INTEGER NOT NULL CHECK (frozen IN (0, 1)),
    PRIMARY KEY (keyset, denomination),
    CHECK (redeemed <= issued)
) WITHOUT ROWID;

CREATE TABLE voucher (
    key         BLOB    NOT NULL PRIMARY KEY,
    balance     INTEGER NOT NULL CHECK (balance >= 0)
) WITHOUT ROWID;

CREATE TABLE publisher (
    name        TEXT    NOT NULL PRIMARY KEY,
    balance     INTEGER NOT NULL CHECK (balance >= 0),
    key         BLOB    CHECK (length(key) = 32)
) WITHOUT ROWID;

-- state: 1 booked, 2 cancelled. The first row of an id stays.
CREATE TABLE session (
    id          BLOB    NOT NULL PRIMARY KEY,
    state       INTEGER NOT NULL CHECK (state IN (1, 2)),
    digest      BLOB,
    response    BLOB,
    time        INTEGER NOT NULL,
    CHECK ((state = 1) = (digest IS NOT NULL)),
    CHECK ((state = 1) = (response IS NOT NULL))
);

-- What a wallet with only its seed needs of a booked session, beside the response. number counts the booked sessions of a keyset from 0;
-- 64 of them are a bucket. outputs: denomination (8 bytes, big-endian), A, B of each.
CREATE TABLE recorded (
    keyset      INTEGER NOT NULL REFERENCES keyset (number),
    number      INTEGER NOT NULL CHECK (number >= 0),
    session     BLOB    NOT NULL,
    recovery    BLOB    NOT NULL CHECK (length(recovery) = 32),
    outputs     BLOB    NOT NULL CHECK (length(outputs) % 72 = 0),
    PRIMARY KEY (keyset, number)
) WITHOUT ROWID;

-- Hash(A, B) of every commitment that was ever answered.
CREATE TABLE commitment (
    row         BLOB    NOT NULL PRIMARY KEY
) WITHOUT ROWID;

-- token: keyset number (4 bytes), denomination (8), P (32), big-endian. kind: 1 payment, 2 session of a refresh.
CREATE TABLE spent (
    token       BLOB    NOT NULL PRIMARY KEY,
    kind        INTEGER NOT NULL CHECK (kind IN (1, 2)),
    spent_by    BLOB    NOT NULL
) WITHOUT ROWID;

-- state: 1 settled, 2 refunded, 3 reclaimed, never back. change is what is left to be taken, in any state; taken says whether it was.
CREATE TABLE payment (
    id          BLOB    NOT NULL PRIMARY KEY,
    publisher   TEXT    NOT NULL REFERENCES publisher (name),
    amount      INTEGER NOT NULL CHECK (amount > 0),
    change      INTEGER NOT NULL CHECK (change >= 0),
    taken       INTEGER NOT NULL CHECK (taken IN (0, 1)),
    state       INTEGER NOT NULL CHECK (state IN (1, 2, 3)),
    side        BLOB    NOT NULL,
    time        INTEGER NOT NULL
);

CREATE INDEX payment_change_due ON payment (change) WHERE change > 0 AND taken = 0;
CREATE INDEX payment_refund_due ON payment (amount) WHERE state = 2;
