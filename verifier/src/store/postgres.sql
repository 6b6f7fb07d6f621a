-- A verifier's store for several instances. Keys and columns only, so that what speaks PostgreSQL's language can hold it.
CREATE TABLE IF NOT EXISTS payments (payment BYTEA PRIMARY KEY, record BYTEA NOT NULL);
-- One row a token: keyset, denomination (big-endian) and key, so that a keyset's rows stand together.
CREATE TABLE IF NOT EXISTS spent (token BYTEA PRIMARY KEY, payment BYTEA NOT NULL);
CREATE TABLE IF NOT EXISTS challenges (expires BIGINT NOT NULL, id BYTEA NOT NULL, PRIMARY KEY (expires, id));
-- What the mint has yet to decide, and which instance asks it, until when.
CREATE TABLE IF NOT EXISTS outbox (payment BYTEA PRIMARY KEY, deposit BYTEA NOT NULL, holder BYTEA NOT NULL, held_until TIMESTAMPTZ NOT NULL);
-- What the mint has booked, for a mint that is restored from a backup.
CREATE TABLE IF NOT EXISTS kept (payment BYTEA PRIMARY KEY, deposit BYTEA NOT NULL, ledger BYTEA, sequence BIGINT);
-- What the mint has signed about them, by SHA-256, each with the number of payments that keep it.
CREATE TABLE IF NOT EXISTS answers (answer BYTEA PRIMARY KEY, bytes BYTEA NOT NULL, payments BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS ledgers (ledger BYTEA PRIMARY KEY, place BIGINT NOT NULL UNIQUE, sequence BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS documents (name TEXT PRIMARY KEY, bytes BYTEA NOT NULL);
CREATE TABLE IF NOT EXISTS proofs (token BYTEA PRIMARY KEY, proof BYTEA NOT NULL);
CREATE TABLE IF NOT EXISTS at_risk (window_start BIGINT PRIMARY KEY, amount BIGINT NOT NULL);
CREATE TABLE IF NOT EXISTS numbers (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
INSERT INTO numbers (name, value) VALUES ('outstanding', 0), ('latest-claim', 0), ('layout', 1) ON CONFLICT DO NOTHING;
