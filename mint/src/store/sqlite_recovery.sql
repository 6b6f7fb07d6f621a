-- By what a booked session is found whose outputs are claimed because their denominations are frozen. committed: the hash of its outputs'
-- recovery secrets' hashes, sent when it opened. number: of its row of `recorded`.
CREATE TABLE recoverable (
    recovery     BLOB    NOT NULL CHECK (length(recovery) = 32),
    keyset       INTEGER NOT NULL REFERENCES keyset (number),
    number       INTEGER NOT NULL CHECK (number >= 0),
    committed    BLOB    NOT NULL CHECK (length(committed) = 32),
    PRIMARY KEY (recovery, keyset, number)
) WITHOUT ROWID;

-- Tokens of frozen denominations whose value was paid back for their sessions, beside what `counter` says was redeemed.
CREATE TABLE repaid (
    keyset       INTEGER NOT NULL,
    denomination INTEGER NOT NULL,
    tokens       INTEGER NOT NULL CHECK (tokens > 0),
    PRIMARY KEY (keyset, denomination),
    FOREIGN KEY (keyset, denomination) REFERENCES counter (keyset, denomination)
) WITHOUT ROWID;
