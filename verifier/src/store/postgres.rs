//! The shared store: PostgreSQL, or what speaks its language, for a publisher with several backends.
//!
//! ```text
//! claim:   payment, spent keys, challenge, outbox row, amounts at risk    one transaction of unique inserts
//! outbox:  an entry is held by the instance that claimed or took it; another takes it when the lease has run out
//! ```
//!
//! A transaction that the database undoes because of another is tried again. Whatever else fails is an error: nobody knows whether the
//! write happened, the verifier serves nothing, and the reader's retry finds out.

use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use farthing_protocol::amount::Amount;
use farthing_protocol::proof::PaymentId;
use farthing_protocol::wire::{Bytes, DoubleSpendFrame, Frame, LedgerMark};
use rand::RngExt;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Row};

use super::codec::decode_deposit;
use super::postgres_codec::CLAIMED_AT;
use super::postgres_rows::{self as rows, Failure, Outcome, Tried, bytes, unsigned};
use super::{
    Claim, ClaimOutcome, Decision, Document, KeptAnswer, KeptDeposit, OutboxEntry, PaymentRecord, PaymentState, Prune, Pruned, Store,
    StoreError, Totals, UsedChallenge, proof_key,
};

/// The layout in `postgres.sql`.
const LAYOUT_VERSION: i64 = 1;

/// How often a transaction is tried that the database undoes because of others.
const ATTEMPTS: u32 = 12;

/// How long a request may take, waiting for a connection and tries included.
const PATIENCE: Duration = Duration::from_secs(10);

/// Connections to the database.
const CONNECTIONS: u32 = 16;

/// How long an outbox entry is left to the instance that holds it, if not set.
const LEASE: Duration = Duration::from_mins(1);

/// A durable store that several processes share: one spent set for all backends of a publisher.
///
/// # Security
/// Who reads the database learns which token paid for which article and can write challenges with any price; who writes it can have
/// tokens taken twice. Give it a database and a user of its own, and TLS (`sslmode=verify-full`) where it leaves the machine. With
/// asynchronous replication a fail-over forgets the last claims: in settle-first mode the mint still refuses what was spent.
pub struct PostgresStore {
    pool: PgPool,
    /// Who this instance is among those that share the outbox; another one after each start.
    holder: [u8; 16],
    lease: Duration,
    /// The latest claim known to be in the database: most claims need not touch the row all share.
    latest_claim: AtomicU64,
}

/// Does a request until the database does not undo it any more, within [`PATIENCE`].
macro_rules! attempt {
    ($request:expr) => {{
        let tries = async {
            for attempt in 0..ATTEMPTS {
                match $request.await {
                    Ok(done) => return Ok(done),
                    Err(Failure::Retry) => pause(attempt).await,
                    Err(Failure::Store(error)) => return Err(error),
                }
            }
            Err(StoreError::Unavailable)
        };
        tokio::time::timeout(PATIENCE, tries).await.unwrap_or(Err(StoreError::Unavailable))
    }};
}

/// Longer from try to try, and not the same for all who were in one another's way.
async fn pause(attempt: u32) {
    let most = (2_u64 << attempt.min(8)).min(250);
    let pause = rand::rng().random_range(0..=most);
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

impl PostgresStore {
    /// Connects and makes the tables that are missing: `postgres://user:password@host/database?sslmode=verify-full`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if there is no such database or it cannot be used, [`StoreError::NotDurable`] if it confirms before its
    /// disk does, [`StoreError::Corrupt`] if the tables are of another layout.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        let options = PgConnectOptions::from_str(url).map_err(|_| StoreError::Unavailable)?;
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(PATIENCE);
        let pool = pool.connect_with(options.disable_statement_logging()).await.map_err(|_| StoreError::Unavailable)?;
        let store = Self { pool, holder: rand::random(), lease: LEASE, latest_claim: AtomicU64::new(0) };
        attempt!(store.set_up())?;
        Ok(store)
    }

    /// How long what an instance hands in is left to it before another hands it in; a minute if not set. Longer than the mint's time-out, or
    /// payments are handed in twice, which costs requests and no money.
    #[must_use]
    pub const fn lease(mut self, lease: Duration) -> Self {
        self.lease = lease;
        self
    }

    async fn set_up(&self) -> Outcome<()> {
        for setting in ["SHOW synchronous_commit", "SHOW fsync"] {
            // A database without the setting always waits.
            let row = sqlx::query(setting).fetch_optional(&self.pool).await.ok().flatten();
            if row.is_some_and(|row| row.try_get::<String, _>(0).is_ok_and(|value| value == "off")) {
                return Err(StoreError::NotDurable.into());
            }
        }
        sqlx::raw_sql(include_str!("postgres.sql")).execute(&self.pool).await?;
        let row = sqlx::query("SELECT value FROM numbers WHERE name = 'layout'").fetch_one(&self.pool).await?;
        if row.try_get::<i64, _>(0)? == LAYOUT_VERSION { Ok(()) } else { Err(StoreError::Corrupt.into()) }
    }

    async fn try_claim(&self, claim: &Claim) -> Outcome<ClaimOutcome> {
        let mut transaction = self.pool.begin().await?;
        let claimed_at = claim.record.claimed_at;
        let tried = rows::claim(&mut transaction, claim, &self.holder, self.lease.as_secs_f64()).await?;
        if matches!(tried, Tried::Claimed) {
            let is_later = claimed_at > self.latest_claim.load(Ordering::Relaxed);
            if is_later {
                rows::raise_latest_claim(&mut transaction, claimed_at).await?;
            }
            transaction.commit().await?;
            self.latest_claim.fetch_max(claimed_at, Ordering::Relaxed);
            return Ok(ClaimOutcome::Claimed);
        }
        transaction.rollback().await?;
        let mut connection = self.pool.acquire().await?;
        // Gone since: the next try finds out.
        let there = |record: Option<PaymentRecord>| record.ok_or(Failure::Retry);
        match tried {
            Tried::Known => Ok(ClaimOutcome::Known(there(rows::record(&mut connection, &claim.payment.0).await?)?)),
            Tried::Conflict => Ok(ClaimOutcome::Conflict(there(rows::holder_of(&mut connection, &claim.list).await?)?)),
            Tried::ChallengeUsed => Ok(ClaimOutcome::ChallengeUsed),
            Tried::LimitReached | Tried::Claimed => Ok(ClaimOutcome::LimitReached),
        }
    }

    async fn try_decide(
        &self,
        decisions: &[Decision],
        mark: Option<LedgerMark>,
        answer: Option<&[u8]>,
    ) -> Outcome<Vec<Option<PaymentState>>> {
        let mut transaction = self.pool.begin().await?;
        let states = rows::decide(&mut transaction, decisions, mark, answer).await?;
        transaction.commit().await?;
        Ok(states)
    }

    async fn try_prune(&self, prune: &Prune) -> Outcome<Pruned> {
        let mut transaction = self.pool.begin().await?;
        let pruned = rows::prune(&mut transaction, prune).await?;
        transaction.commit().await?;
        Ok(pruned)
    }

    async fn try_outbox(&self, after: &[u8], limit: i64) -> Outcome<Vec<OutboxEntry>> {
        // Whoever else takes the same rows waits for this statement, and then finds them held.
        let taken = sqlx::query(
            "UPDATE outbox SET holder = $1, held_until = CURRENT_TIMESTAMP + $4 * INTERVAL '1 second' WHERE payment IN \
             (SELECT payment FROM outbox WHERE payment > $2 AND (holder = $1 OR held_until <= CURRENT_TIMESTAMP) ORDER BY payment LIMIT $3) \
             AND (holder = $1 OR held_until <= CURRENT_TIMESTAMP) RETURNING payment, deposit",
        )
        .bind(self.holder.as_slice())
        .bind(after)
        .bind(limit)
        .bind(self.lease.as_secs_f64())
        .fetch_all(&self.pool)
        .await?;
        let entry = |row| Ok(OutboxEntry { payment: PaymentId(bytes(row, 0)?), deposit: decode_deposit(row.try_get(1)?)? });
        let mut entries = taken.iter().map(entry).collect::<Outcome<Vec<_>>>()?;
        entries.sort_unstable_by_key(|entry| entry.payment);
        Ok(entries)
    }

    async fn try_kept(&self, after: &[u8], since: Option<&LedgerMark>, limit: i64) -> Outcome<Vec<KeptDeposit>> {
        let found = sqlx::query(
            "SELECT payment, deposit, ledger, sequence FROM kept WHERE payment > $1 \
             AND ($2::BYTEA IS NULL OR ledger IS NULL OR ledger <> $2 OR sequence > $3) ORDER BY payment LIMIT $4",
        )
        .bind(after)
        .bind(since.map(|mark| mark.ledger.0.to_vec()))
        // Nothing above can be kept.
        .bind(since.map(|mark| i64::try_from(mark.sequence).unwrap_or(i64::MAX)))
        .bind(limit)
        .fetch_all(&self.pool)
        .await?;
        found
            .iter()
            .map(|row| {
                let sequence: Option<i64> = row.try_get(3)?;
                let mark = match sequence {
                    Some(sequence) => Some(LedgerMark { ledger: Bytes(bytes(row, 2)?), sequence: unsigned(sequence)? }),
                    None => None,
                };
                Ok(KeptDeposit { payment: PaymentId(bytes(row, 0)?), deposit: decode_deposit(row.try_get(1)?)?, mark })
            })
            .collect()
    }

    async fn try_kept_answer(&self, payment: PaymentId) -> Outcome<Option<KeptAnswer>> {
        let mut transaction = self.pool.begin().await?;
        let kept = rows::kept_answer(&mut transaction, &payment.0).await?;
        transaction.commit().await?;
        Ok(kept)
    }

    async fn try_mark(&self) -> Outcome<Option<LedgerMark>> {
        let newest = sqlx::query("SELECT ledger, sequence FROM ledgers ORDER BY place DESC LIMIT 1").fetch_optional(&self.pool).await?;
        newest.map(|row| Ok(LedgerMark { ledger: Bytes(bytes(&row, 0)?), sequence: unsigned(row.try_get(1)?)? })).transpose()
    }

    async fn try_totals(&self) -> Outcome<Totals> {
        let row = sqlx::query(
            "SELECT (SELECT value FROM numbers WHERE name = 'outstanding'), (SELECT COUNT(*) FROM outbox), \
             (SELECT value FROM numbers WHERE name = 'latest-claim')",
        )
        .fetch_one(&self.pool)
        .await?;
        let number = |column: usize| unsigned(row.try_get(column)?);
        Ok(Totals { outstanding: Amount::from_units(number(0)?), undecided: number(1)?, latest_claim: number(2)? })
    }

    async fn try_oldest_undecided(&self) -> Outcome<Option<u64>> {
        // Many were claimed in the same second. Places are counted from one.
        let (from, length) = (i32::try_from(CLAIMED_AT.start + 1), i32::try_from(CLAIMED_AT.len()));
        let query = "SELECT DISTINCT SUBSTRING(record FROM $1 FOR $2) FROM outbox JOIN payments ON payments.payment = outbox.payment";
        let query = sqlx::query(query).bind(from.unwrap_or(i32::MAX)).bind(length.unwrap_or(0));
        let rows = query.fetch_all(&self.pool).await?;
        let times = rows.iter().map(|row| Ok(u64::from_le_bytes(bytes(row, 0)?))).collect::<Outcome<Vec<_>>>()?;
        Ok(times.into_iter().min())
    }

    async fn try_payment(&self, payment: PaymentId) -> Outcome<Option<PaymentRecord>> {
        rows::record(&mut *self.pool.acquire().await?, &payment.0).await
    }

    async fn try_use_challenge(&self, challenge: UsedChallenge) -> Outcome<bool> {
        rows::use_challenge(&mut *self.pool.acquire().await?, challenge.expires, &challenge.id).await
    }

    async fn try_load(&self, document: Document) -> Outcome<Option<Vec<u8>>> {
        let row = sqlx::query("SELECT bytes FROM documents WHERE name = $1").bind(document.name()).fetch_optional(&self.pool).await?;
        row.map(|row| Ok(row.try_get(0)?)).transpose()
    }

    async fn try_save(&self, document: Document, bytes: &[u8]) -> Outcome<()> {
        let insert = sqlx::query("INSERT INTO documents (name, bytes) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET bytes = $2");
        insert.bind(document.name()).bind(bytes).execute(&self.pool).await?;
        Ok(())
    }

    async fn try_save_first(&self, document: Document, bytes: &[u8]) -> Outcome<Vec<u8>> {
        let insert = sqlx::query("INSERT INTO documents (name, bytes) VALUES ($1, $2) ON CONFLICT DO NOTHING");
        insert.bind(document.name()).bind(bytes).execute(&self.pool).await?;
        self.try_load(document).await?.ok_or(Failure::Retry)
    }

    async fn try_keep_proof(&self, proof: &DoubleSpendFrame) -> Outcome<()> {
        let insert = sqlx::query("INSERT INTO proofs (token, proof) VALUES ($1, $2) ON CONFLICT DO NOTHING");
        insert.bind(proof_key(proof).as_slice()).bind(proof.to_bytes()).execute(&self.pool).await?;
        Ok(())
    }

    async fn try_proofs(&self) -> Outcome<Vec<DoubleSpendFrame>> {
        let rows = sqlx::query("SELECT proof FROM proofs ORDER BY token").fetch_all(&self.pool).await?;
        let proof =
            |row: &sqlx::postgres::PgRow| DoubleSpendFrame::from_bytes(row.try_get(0)?).map_err(|_| Failure::Store(StoreError::Corrupt));
        rows.iter().map(proof).collect()
    }

    async fn try_prune_challenges(&self, now: i64) -> Outcome<()> {
        sqlx::query("DELETE FROM challenges WHERE expires < $1").bind(now).execute(&self.pool).await?;
        Ok(())
    }
}

/// No id is as short: it stands before all of them.
fn id_before(after: Option<PaymentId>) -> Vec<u8> {
    after.map_or_else(Vec::new, |id| id.0.to_vec())
}

fn rows_at_most(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

impl Store for PostgresStore {
    fn is_shared(&self) -> bool {
        true
    }

    async fn claim(&self, claim: Claim) -> Result<ClaimOutcome, StoreError> {
        attempt!(self.try_claim(&claim))
    }

    async fn payment(&self, payment: PaymentId) -> Result<Option<PaymentRecord>, StoreError> {
        attempt!(self.try_payment(payment))
    }

    async fn use_challenge(&self, challenge: UsedChallenge) -> Result<bool, StoreError> {
        attempt!(self.try_use_challenge(challenge))
    }

    async fn decide(
        &self,
        decisions: Vec<Decision>,
        mark: Option<LedgerMark>,
        answer: Option<Vec<u8>>,
    ) -> Result<Vec<Option<PaymentState>>, StoreError> {
        attempt!(self.try_decide(&decisions, mark, answer.as_deref()))
    }

    async fn outbox(&self, after: Option<PaymentId>, limit: usize) -> Result<Vec<OutboxEntry>, StoreError> {
        attempt!(self.try_outbox(&id_before(after), rows_at_most(limit)))
    }

    async fn kept(&self, after: Option<PaymentId>, since: Option<LedgerMark>, limit: usize) -> Result<Vec<KeptDeposit>, StoreError> {
        attempt!(self.try_kept(&id_before(after), since.as_ref(), rows_at_most(limit)))
    }

    async fn kept_answer(&self, payment: PaymentId) -> Result<Option<KeptAnswer>, StoreError> {
        attempt!(self.try_kept_answer(payment))
    }

    async fn mark(&self) -> Result<Option<LedgerMark>, StoreError> {
        attempt!(self.try_mark())
    }

    async fn oldest_undecided(&self) -> Result<Option<u64>, StoreError> {
        attempt!(self.try_oldest_undecided())
    }

    async fn totals(&self) -> Result<Totals, StoreError> {
        attempt!(self.try_totals())
    }

    async fn load(&self, document: Document) -> Result<Option<Vec<u8>>, StoreError> {
        attempt!(self.try_load(document))
    }

    async fn save(&self, document: Document, bytes: Vec<u8>) -> Result<(), StoreError> {
        attempt!(self.try_save(document, &bytes))
    }

    async fn save_first(&self, document: Document, bytes: Vec<u8>) -> Result<Vec<u8>, StoreError> {
        attempt!(self.try_save_first(document, &bytes))
    }

    async fn keep_proof(&self, proof: DoubleSpendFrame) -> Result<(), StoreError> {
        attempt!(self.try_keep_proof(&proof))
    }

    async fn proofs(&self) -> Result<Vec<DoubleSpendFrame>, StoreError> {
        attempt!(self.try_proofs())
    }

    async fn prune_challenges(&self, now: u64) -> Result<(), StoreError> {
        let now = i64::try_from(now).unwrap_or(i64::MAX);
        attempt!(self.try_prune_challenges(now))
    }

    async fn prune(&self, prune: Prune) -> Result<Pruned, StoreError> {
        attempt!(self.try_prune(&prune))
    }
}
