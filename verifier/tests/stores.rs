//! The shipped stores against the conformance suite.

#[cfg(feature = "postgres")]
mod postgres;

#[cfg(feature = "postgres")]
use std::time::Duration;

use farthing_protocol::proof::KeysetId;
use farthing_verifier::store::{Decision, MemoryStore, PaymentState, Prune, RedbStore, Store, StoreError, conformance};

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_store_conforms() {
    conformance::run(async || MemoryStore::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redb_store_conforms() {
    let directory = tempfile::tempdir().unwrap();
    let mut count = 0;
    conformance::run(async || {
        count += 1;
        RedbStore::open(directory.path().join(format!("{count}.redb"))).unwrap()
    })
    .await;
    let file = directory.path().join("durable.redb");
    conformance::run_durable(async || RedbStore::open(&file).unwrap()).await;
}

/// `open` opens the same store each time, after the one before was dropped; `answers` counts what it then keeps.
async fn no_answer_stays<S: Store>(open: impl AsyncFn() -> S, answers: impl AsyncFn() -> u64) {
    let store = std::sync::Arc::new(open().await);
    conformance::fill(&store, 0..130, 2, 1).await;
    let all = store.kept(None, None, 1_000).await.unwrap();
    drop(store);
    assert_eq!((answers().await, all.len()), (3, 130), "one an answer, not a payment");
    let store = open().await;
    // Half of them are given back, the others forgotten, some of each answer.
    let given_back = |state: PaymentState| all.iter().step_by(2).map(move |kept| Decision { payment: kept.payment, state: state.clone() });
    store.decide(given_back(PaymentState::Refunded).collect(), None, Some(vec![8])).await.unwrap();
    store.decide(given_back(PaymentState::Settled).collect(), None, Some(vec![9])).await.unwrap();
    drop(store);
    assert_eq!(answers().await, 3, "no answer is kept that settles nothing");
    let store = open().await;
    let forgotten = store.prune(Prune::new(vec![KeysetId([7; 32])], 3_000, 1_000)).await.unwrap();
    assert!(forgotten.payments == 130 && forgotten.next.is_none());
    // Nobody keeps what it says of a payment that is not there.
    let unknown = Decision { payment: all[0].payment, state: PaymentState::Settled };
    assert_eq!(store.decide(vec![unknown], None, Some(vec![1])).await, Ok(vec![None]));
    drop(store);
    assert_eq!(answers().await, 0);
}

#[tokio::test]
async fn no_answer_stays_in_redb_without_a_payment() {
    use redb::{ReadableDatabase, ReadableTableMetadata, TableDefinition};

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.redb");
    let answers = async || {
        let database = redb::Database::open(&file).unwrap();
        let table = TableDefinition::<u64, (u64, [u8; 32], &[u8])>::new("kept-answers");
        database.begin_read().unwrap().open_table(table).unwrap().len().unwrap()
    };
    no_answer_stays(async || RedbStore::open(&file).unwrap(), answers).await;
}

#[tokio::test]
async fn a_redb_file_serves_one_store_and_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.redb");
    let store = RedbStore::open(&file).unwrap();
    assert!(!store.is_shared());
    assert_eq!(RedbStore::open(&file).err(), Some(StoreError::InUse));
    drop(store);
    assert!(RedbStore::open(&file).is_ok());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let before = directory.path().join("before.redb");
    let transaction = redb::Database::create(&before).unwrap().begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<&str, u64>::new("numbers")).unwrap().insert("layout", 1).unwrap();
    transaction.commit().unwrap();
    assert_eq!(RedbStore::open(&before).err(), Some(StoreError::OtherLayout));
    let other = directory.path().join("other.redb");
    let transaction = redb::Database::create(&other).unwrap().begin_write().unwrap();
    transaction.open_table(redb::TableDefinition::<&str, u64>::new("claimed")).unwrap().insert("payment", 1).unwrap();
    transaction.commit().unwrap();
    assert_eq!(RedbStore::open(&other).err(), Some(StoreError::Corrupt), "a table of the same name that holds something else");
    std::fs::write(directory.path().join("garbage"), b"not a database").unwrap();
    assert!(RedbStore::open(directory.path().join("garbage")).is_err());
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn the_postgres_store_conforms() {
    use farthing_verifier::store::PostgresStore;

    let Some(server) = postgres::Server::start() else { return };
    conformance::run(async || PostgresStore::open(&server.database()).await.unwrap()).await;
    let place = server.database();
    // What was held before the restart is free at once.
    conformance::run_durable(async || PostgresStore::open(&place).await.unwrap().lease(Duration::ZERO)).await;
    let place = server.database();
    conformance::run_shared(async || PostgresStore::open(&place).await.unwrap()).await;
    // What a database undoes at the strictest level is tried again.
    let place = format!("{}&options=-cdefault_transaction_isolation%3Dserializable", server.database());
    conformance::run_shared(async || PostgresStore::open(&place).await.unwrap()).await;
    assert_eq!(PostgresStore::open("postgres://127.0.0.1:1/nothing").await.err(), Some(StoreError::Unavailable));
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn no_answer_stays_in_postgres_without_a_payment() {
    use farthing_verifier::store::PostgresStore;
    use sqlx::Connection;

    let Some(server) = postgres::Server::start() else { return };
    let place = server.database();
    let answers = async || {
        let mut connection = sqlx::PgConnection::connect(&place).await.unwrap();
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM answers").fetch_one(&mut connection).await.unwrap();
        u64::try_from(count).unwrap()
    };
    no_answer_stays(async || PostgresStore::open(&place).await.unwrap(), answers).await;
}

#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_may_forget_is_refused_and_one_that_dies_serves_nothing() {
    use farthing_verifier::store::PostgresStore;

    let Some(mut server) = postgres::Server::start() else { return };
    let place = server.database();
    let store = PostgresStore::open(&place).await.unwrap();
    assert!(store.is_shared());
    let forgetful = format!("{place}&options=-csynchronous_commit%3Doff");
    assert_eq!(PostgresStore::open(&forgetful).await.err(), Some(StoreError::NotDurable));
    server.kill();
    assert_eq!(store.totals().await, Err(StoreError::Unavailable));
}
