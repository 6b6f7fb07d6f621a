-- What was said of a ledger that was restored from a backup, and what it may lack. Both engines take this text.

CREATE TABLE restored (
    id            BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    -- Whether it was made from a backup and no resynchronisation has ended since.
    pending       BIGINT NOT NULL CHECK (pending IN (0, 1)),
    -- When a resynchronisation ended last, Unix seconds.
    finished      BIGINT,
    -- The longest signed keyset list that was shown and goes on where this ledger's ends: how many keysets it has, and its frame as JSON.
    keysets       BIGINT NOT NULL CHECK (keysets >= 0),
    list          TEXT,
    CHECK ((keysets = 0) = (list IS NULL))
);

INSERT INTO restored (id, pending, finished, keysets, list) VALUES (1, 0, NULL, 0, NULL);
