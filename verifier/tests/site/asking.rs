//! A backend that asks the sidecar by itself, with a real mint.

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_mint::{InitOptions, Mint};
use farthing_verifier::sidecar::{self, Settings};
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::json;
use tokio::net::TcpListener;

use crate::real_mint::RealMint;
use crate::site::{Reader, Reply, free_address, listening, pay, reread};

#[tokio::test(flavor = "multi_thread")]
async fn a_check_changes_nothing_and_only_settling_serves() {
    let directory = tempfile::tempdir().unwrap();
    let data = directory.path().join("mint");
    Mint::init(&data, InitOptions::default()).await.unwrap();
    let mint = RealMint::serve(&data, TcpListener::bind("127.0.0.1:0").await.unwrap()).await;
    let name = free_address().await;
    mint.mint.add_publisher(&name).await.unwrap();
    let metrics = free_address().await;
    let written = format!(
        "listen = \"{name}\"\nmetrics = \"{metrics}\"\nproxy = \"nginx\"\ntrusted_peers = [\"127.0.0.1\"]\npublisher = \"{name}\"\nmint = \"{}\"\n\
         mint_key = \"{}\"\ndata = \"{}\"\n[[rules]]\npath = \"/articles/*\"\nprice = \"0.005\"\ntitle = \"One\"\n\
         access = 3600\n[[rules]]\npath = \"/**\"\nfree = true\n",
        mint.url,
        Base64UrlUnpadded::encode_string(mint.mint.root().as_bytes()),
        directory.path().join("data").display(),
    );
    let file = directory.path().join("verifier.toml");
    std::fs::write(&file, &written).unwrap();
    tokio::spawn(sidecar::serve(Settings::load(&file).unwrap(), std::future::pending()));
    listening(&name).await;

    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(93));
    let ask = async |verb: &str, path: &str, authorization: Option<&str>| -> Reply {
        let question = json!({ "method": "GET", "url": path, "authorization": authorization });
        reader.post_json(&format!("http://{name}/v1/{verb}"), &question).await
    };
    let state = |reply: &Reply| (reply.status.as_u16(), reply.json()["state"].as_str().unwrap_or_default().to_owned());
    let one = "/articles/one";
    for verb in ["verify", "settle"] {
        assert_eq!(ask(verb, one, None).await.problem(), ("payment-required".into(), "payment-required".into()));
        assert_eq!(state(&ask(verb, "/about", None).await), (200, "none".into()));
        assert_eq!(ask(verb, "/articles//one", None).await.code(), "path-ambiguous");
        assert_eq!(ask(verb, one, Some("Payment nonsense")).await.problem().1, "malformed-credential");
        let url = format!("http://{name}/v1/{verb}");
        for question in
            [json!({ "method": "GET" }), json!({ "method": "GET", "url": one, "more": 1 }), json!([]), json!("x".repeat(99_999))]
        {
            let reply = reader.post_json(&url, &question).await;
            assert_eq!((reply.status.as_u16(), reply.code().as_str()), (400, "request-undescribed"));
        }
    }

    let (tokens, _) = mint.tokens(&[500, 500], &mut rng).await;
    let mut tokens = tokens.into_iter();
    let token = tokens.next().unwrap();
    let copied = vec![crate::world::copy(&token)];
    let sent = pay(&ask("settle", one, None).await.challenge(), vec![token], None, &mut rng);
    let reference = Base64UrlUnpadded::encode_string(&sent.id.0);
    for _ in 0..2 {
        let found = ask("verify", one, Some(&sent.header)).await;
        assert_eq!(state(&found), (200, "unclaimed".into()), "{}", found.body);
        assert!(found.json()["receipt"].is_null() && found.json()["reference"] == reference.as_str());
    }
    assert_eq!(ask("verify", "/articles/two", Some(&sent.header)).await.problem().1, "wrong-resource");
    assert_eq!(mint.balance(&name).await, 0, "a check asks no mint");
    for _ in 0..2 {
        let settled = ask("settle", one, Some(&sent.header)).await;
        assert_eq!(state(&settled), (200, "settled".into()), "{}", settled.body);
        assert_eq!(mpp::parse_receipt(settled.json()["receipt"].as_str().unwrap()).unwrap().reference, reference);
        assert_eq!((settled.json()["amount"].as_str(), settled.json()["change"].as_str()), (Some("500"), Some("0")));
    }
    assert_eq!(mint.balance(&name).await, 500);
    assert_eq!(state(&ask("verify", one, Some(&sent.header)).await), (200, "settled".into()));

    // The same token again holds in itself: only the claim finds out.
    let cheat = pay(&ask("settle", one, None).await.challenge(), copied, None, &mut rng);
    assert_eq!(state(&ask("verify", one, Some(&cheat.header)).await), (200, "unclaimed".into()));
    let refused = ask("settle", one, Some(&cheat.header)).await;
    assert_eq!(refused.problem(), ("verification-failed".into(), "double-spend".into()));
    assert!(refused.json()["proof"].is_string());

    // A check leaves the challenge of a reread unused, settling uses it.
    let again = reread(&ask("settle", one, None).await.challenge(), sent.id, &sent.used, &mut rng);
    assert_eq!(ask("verify", one, Some(&again)).await.json()["reread"], true);
    assert_eq!(ask("settle", one, Some(&again)).await.json()["reread"], true);
    assert_eq!(ask("settle", one, Some(&again)).await.problem().1, "challenge-unknown");
    assert_eq!(mint.balance(&name).await, 500);

    // What cannot be delivered stays the reader's; no peer gives it back unless the configuration says so.
    let release = async |body: serde_json::Value| reader.post_json(&format!("http://{name}/v1/release"), &body).await;
    let told = release(json!({ "reference": reference })).await;
    assert_eq!(told.json(), json!({ "payment": reference, "amount": "500", "state": "settled" }));
    let refused = release(json!({ "reference": reference, "refund": true })).await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (403, "refund-not-allowed"));
    assert_eq!(mint.balance(&name).await, 500);
    let unknown = release(json!({ "reference": Base64UrlUnpadded::encode_string(&[9; 32]) })).await;
    assert_eq!((unknown.status.as_u16(), unknown.code().as_str()), (404, "payment-unknown"));
    for (question, code) in
        [(json!({ "reference": "x" }), "bad-request"), (json!({}), "request-undescribed"), (json!([]), "request-undescribed")]
    {
        let reply = release(question).await;
        assert_eq!((reply.status.as_u16(), reply.code().as_str()), (400, code));
    }

    let told = reader.get(&format!("http://{metrics}/metrics")).await;
    assert_eq!((told.status.as_u16(), &told.headers["content-type"]), (200, &"text/plain; version=0.0.4; charset=utf-8".parse().unwrap()));
    for line in [
        "farthing_verifier_events_total{event=\"claim\"} 1",
        "farthing_verifier_events_total{event=\"conflict\"} 1",
        "farthing_verifier_refusals_total{code=\"double-spend\"} 1",
        "farthing_verifier_double_spend_proofs 1",
        "farthing_verifier_undecided_payments 0",
        "farthing_verifier_undecided_oldest_seconds 0",
        "farthing_verifier_outstanding_units 0",
        "farthing_verifier_keysets_trusted 1",
        "farthing_verifier_duration_seconds_count{step=\"claim\"} 2",
    ] {
        assert!(told.body.lines().any(|found| found == line), "{line} in\n{}", told.body);
    }
    // Every label is a name of ours, every value a number; neither article nor payment nor address.
    for line in told.body.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok() && name.bytes().all(|byte| byte.is_ascii_lowercase() || b"_-{}=\"".contains(&byte)), "{line}");
    }
    assert!(!told.body.contains("farthing_verifier_filter"), "settle-first follows none");
    assert!(!told.body.contains(&reference) && !told.body.contains("articles"));
    assert_eq!(reader.get(&format!("http://{name}/metrics")).await.status, 404);
    mint.stop().await;
}
