//! The shipped stores against the conformance suite.

use farthing_verifier::store::{MemoryStore, RedbStore, StoreError, conformance};

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

#[tokio::test]
async fn a_redb_file_serves_one_store_and_its_owner_only() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store.redb");
    let store = RedbStore::open(&file).unwrap();
    assert_eq!(RedbStore::open(&file).err(), Some(StoreError::Unavailable));
    drop(store);
    assert!(RedbStore::open(&file).is_ok());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    std::fs::write(directory.path().join("garbage"), b"not a database").unwrap();
    assert!(RedbStore::open(directory.path().join("garbage")).is_err());
}
