-- Tokens in the order in which they came back, for the filters that verifiers follow: 8 bytes each, those of one transaction together, but
-- never across a multiple of 1,024. number: how many came back before. time: of the transaction.
CREATE TABLE spent_log (
    keyset      INTEGER NOT NULL REFERENCES keyset (number),
    number      INTEGER NOT NULL CHECK (number >= 0),
    time        INTEGER NOT NULL,
    marks       BLOB    NOT NULL CHECK (length(marks) > 0 AND length(marks) % 8 = 0),
    PRIMARY KEY (keyset, number)
) WITHOUT ROWID;
