-- What is known of a ledger that was restored from a backup. Both engines take this text.

CREATE TABLE resync (
    id            BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    -- The highest sequence that a verifier has shown; it only grows.
    shown         BIGINT NOT NULL CHECK (shown >= 0),
    -- When the resynchronisation began that is under way, Unix seconds.
    began         BIGINT,
    -- The value of tokens that came back and were issued after the backup.
    recovered     BIGINT NOT NULL CHECK (recovered >= 0),
    -- How much more of that may come back after a resynchronisation.
    allowance     BIGINT NOT NULL CHECK (allowance >= 0)
);

INSERT INTO resync (id, shown, began, recovered, allowance) VALUES (1, 0, NULL, 0, 0);
