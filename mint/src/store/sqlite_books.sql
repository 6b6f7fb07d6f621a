-- The books: every movement of money once more, as double entry. One booking is one committed transaction, and has at most one row an
-- account: what was debited and what was credited in it. Bookings balance, are written whole, and never change.

CREATE TABLE booking (
    number      INTEGER PRIMARY KEY,
    time        INTEGER NOT NULL
);

CREATE TABLE entry (
    booking     INTEGER NOT NULL REFERENCES booking (number) DEFERRABLE INITIALLY DEFERRED,
    account     TEXT    NOT NULL,
    debit       INTEGER NOT NULL CHECK (debit >= 0),
    credit      INTEGER NOT NULL CHECK (credit >= 0),
    PRIMARY KEY (booking, account),
    CHECK (debit > 0 OR credit > 0)
) WITHOUT ROWID;

-- The entries come first, so that the booking seals them.
CREATE TRIGGER booking_balances BEFORE INSERT ON booking
WHEN (SELECT coalesce(sum(debit) - sum(credit), 1) FROM entry WHERE booking = new.number) <> 0
BEGIN SELECT raise(ABORT, 'a booking balances'); END;

CREATE TRIGGER entry_before_booking BEFORE INSERT ON entry WHEN EXISTS (SELECT 1 FROM booking WHERE number = new.booking)
BEGIN SELECT raise(ABORT, 'a booking is written whole'); END;

CREATE TRIGGER booking_stays BEFORE UPDATE ON booking BEGIN SELECT raise(ABORT, 'a booking stays'); END;
CREATE TRIGGER booking_kept BEFORE DELETE ON booking BEGIN SELECT raise(ABORT, 'a booking stays'); END;
CREATE TRIGGER entry_stays BEFORE UPDATE ON entry BEGIN SELECT raise(ABORT, 'an entry stays'); END;
CREATE TRIGGER entry_kept BEFORE DELETE ON entry BEGIN SELECT raise(ABORT, 'an entry stays'); END;

-- Where a publisher is paid: JSON.
CREATE TABLE payee (
    publisher   TEXT    NOT NULL PRIMARY KEY REFERENCES publisher (name),
    details     TEXT    NOT NULL
) WITHOUT ROWID;

-- debtor: JSON, as it was when the run was booked. written: whether its files were once complete.
CREATE TABLE payout_run (
    id          TEXT    NOT NULL PRIMARY KEY,
    booking     INTEGER NOT NULL UNIQUE REFERENCES booking (number) DEFERRABLE INITIALLY DEFERRED,
    time        INTEGER NOT NULL,
    debtor      TEXT    NOT NULL,
    written     INTEGER NOT NULL DEFAULT 0 CHECK (written IN (0, 1))
) WITHOUT ROWID;

-- credited = fee + amount; payee: JSON, as it was when the run was booked.
CREATE TABLE payout (
    run         TEXT    NOT NULL REFERENCES payout_run (id),
    publisher   TEXT    NOT NULL REFERENCES publisher (name),
    credited    INTEGER NOT NULL,
    fee         INTEGER NOT NULL CHECK (fee >= 0),
    amount      INTEGER NOT NULL CHECK (amount > 0),
    payee       TEXT    NOT NULL,
    PRIMARY KEY (run, publisher),
    CHECK (credited = fee + amount)
) WITHOUT ROWID;

CREATE TRIGGER payout_stays BEFORE UPDATE ON payout BEGIN SELECT raise(ABORT, 'a payout stays'); END;
CREATE TRIGGER payout_kept BEFORE DELETE ON payout BEGIN SELECT raise(ABORT, 'a payout stays'); END;
