//! A publisher without axum and without the layer:
//! `cargo run -p farthing-verifier --example plain -- 127.0.0.1:8801 MINT MINT_KEY DATA`

mod server;

use std::path::PathBuf;

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::group::Point;
use farthing_verifier::store::RedbStore;
use farthing_verifier::{ChallengeSecret, Verifier, VerifierConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, mint, key, data] = arguments.as_slice() else { return Err("four arguments: NAME MINT MINT_KEY DATA".into()) };
    let key: [u8; 32] = Base64UrlUnpadded::decode_vec(key).ok().and_then(|bytes| bytes.try_into().ok()).ok_or("not a root key")?;
    let data = PathBuf::from(data);
    std::fs::create_dir_all(&data)?;

    let secret = ChallengeSecret::load_or_create(&data.join("challenge-secret"))?;
    let config = VerifierConfig::new(name.clone(), mint.parse()?, Point::from_bytes(key)?, secret);
    let verifier = Verifier::open(config, RedbStore::open(data.join("claims.redb"))?).await?;
    let listener = tokio::net::TcpListener::bind(name).await?;
    println!("http://{name}/articles/one costs half a cent");
    Ok(server::serve(listener, verifier).await?)
}
