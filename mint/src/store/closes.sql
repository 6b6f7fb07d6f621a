-- Closes of the books, one a day: every booking belongs to one close, by its number. Both engines take this text.

CREATE TABLE close_run (
    number        BIGINT NOT NULL PRIMARY KEY CHECK (number > 0),
    first_booking BIGINT NOT NULL UNIQUE CHECK (first_booking > 0),
    last_booking  BIGINT NOT NULL UNIQUE,
    time          BIGINT NOT NULL,
    -- The last day, UTC, that had ended; in days since 1970.
    day           BIGINT NOT NULL,
    -- SHA-256, in hexadecimal.
    digest        TEXT   NOT NULL CHECK (length(digest) = 64),
    CHECK (last_booking >= first_booking)
);

-- The accounts that moved. balance: after the close; of every other account, what its last close says.
CREATE TABLE close_total (
    close         BIGINT NOT NULL REFERENCES close_run (number),
    account       TEXT   NOT NULL,
    debit         BIGINT NOT NULL CHECK (debit >= 0),
    credit        BIGINT NOT NULL CHECK (credit >= 0),
    balance       BIGINT NOT NULL,
    PRIMARY KEY (close, account)
);

CREATE INDEX close_total_account ON close_total (account, close);
