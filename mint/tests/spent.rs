//! The filters of spent tokens, over HTTP.

mod common;

use base64ct::Encoding;
use common::World;
use farthing_mint::key_text;
use farthing_protocol::filter::{SpentMark, SpentSegment};
use farthing_protocol::settle::Outcome;
use http::StatusCode;
use serde_json::Value;
use sha2::{Digest, Sha256};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

async fn index(world: &World) -> (String, Value) {
    let answer = world.http.get("/v1/spent/0", &[]).await;
    assert_eq!(answer.status, StatusCode::OK);
    let tag = answer.headers["etag"].to_str().unwrap().to_owned();
    assert_eq!(world.http.get("/v1/spent/0", &[("if-none-match", &tag)]).await.status, StatusCode::NOT_MODIFIED);
    (tag, serde_json::from_slice(&answer.body).unwrap())
}

async fn segment(world: &World, listed: &Value) -> SpentSegment {
    let answer = world.http.get(&format!("/v1/spent/0/{}", listed["digest"].as_str().unwrap()), &[]).await;
    assert_eq!((answer.status, answer.headers["cache-control"].to_str().unwrap()), (StatusCode::OK, "public, max-age=31536000, immutable"));
    let digest = <[u8; 32]>::from(Sha256::digest(&answer.body));
    assert_eq!(listed["digest"], base64ct::Base64UrlUnpadded::encode_string(&digest));
    SpentSegment::from_bytes(&answer.body).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_came_back_is_in_the_filter_at_every_process() {
    let mut world = World::new().await;
    world.mint.add_publisher("news.example").await.unwrap();
    assert_eq!(index(&world).await.1, serde_json::json!({"count": 0, "segments": []}));
    let tokens = world.tokens(&[100, 200, 500]).await;
    let deposit = world.pay(tokens, "news.example", 700).0;
    let unspent = world.tokens(&[100]).await.remove(0);
    assert!(matches!(world.deposit(&[&deposit]).await[0], Outcome::Credited { .. }));
    world.hands.forward(60);
    world.mint.publish_filters().await.unwrap();
    let (tag, listed) = index(&world).await;
    assert_eq!((listed["count"].as_u64(), listed["segments"].as_array().unwrap().len()), (Some(3), 1));
    let first = segment(&world, &listed["segments"][0]).await;
    assert_eq!((first.keyset(), first.range()), (world.keyset().id(), (0, 3)));
    assert!(deposit.spending().list().iter().all(|spent| first.may_hold(SpentMark::of(spent))));

    // Nothing new: the same index, whoever made it.
    world.hands.forward(60);
    world.mint.publish_filters().await.unwrap();
    assert_eq!(index(&world).await.0, tag);
    world.reopen().await;
    world.mint.publish_filters().await.unwrap();
    assert_eq!(index(&world).await.0, tag, "made again from the ledger");

    // The short segment is replaced, and given out once more to who had its name.
    let late = world.pay(vec![unspent], "news.example", 100).0;
    world.deposit(&[&late]).await;
    world.hands.forward(60);
    world.mint.publish_filters().await.unwrap();
    let (_, next) = index(&world).await;
    assert_eq!(segment(&world, &next["segments"][0]).await.range(), (0, 4));
    assert_eq!(segment(&world, &listed["segments"][0]).await.range(), (0, 3));
    for path in ["/v1/spent/7", "/v1/spent/00"] {
        assert_eq!(world.http.get(path, &[]).await.code(), "not-found");
    }
    let unknown = format!("/v1/spent/0/{}", key_text(&world.root));
    assert_eq!(world.http.get(&unknown, &[]).await.code(), "segment-unknown");
}

/// Tokens of the long segment.
const LONG: u64 = 1 << 16;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_segment_is_kept_outside_memory_and_leaves_no_file() {
    let world = World::new().await;
    let marks: Vec<[u8; SpentMark::SIZE]> = (0..LONG).map(|number| number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes()).collect();
    let mut ledger = SqliteConnectOptions::new().filename(world.ledger_path()).connect().await.unwrap();
    let mut writing = ledger.begin_with("BEGIN IMMEDIATE").await.unwrap();
    for (number, row) in marks.chunks(1_024).enumerate() {
        sqlx::query("INSERT INTO spent_log (keyset, number, time, marks) VALUES (0, ?, ?, ?)")
            .bind(i64::try_from(1_024 * number).unwrap())
            .bind(i64::try_from(world.now()).unwrap())
            .bind(row.as_flattened())
            .execute(&mut *writing)
            .await
            .unwrap();
    }
    writing.commit().await.unwrap();
    ledger.close().await.unwrap();
    let files =
        || std::fs::read_dir(world.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect::<std::collections::BTreeSet<_>>();
    let before = files();

    world.hands.forward(60);
    world.mint.publish_filters().await.unwrap();
    let (_, listed) = index(&world).await;
    assert_eq!((listed["count"].as_u64(), listed["segments"].as_array().unwrap().len()), (Some(LONG), 1));
    let (first, second) = tokio::join!(segment(&world, &listed["segments"][0]), segment(&world, &listed["segments"][0]));
    assert_eq!((first.range(), second.range()), ((0, LONG), (0, LONG)));
    assert!(marks.iter().all(|mark| first.may_hold(SpentMark::from_bytes(*mark))));
    assert_eq!(files(), before);
}
