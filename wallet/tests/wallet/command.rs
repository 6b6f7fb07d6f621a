//! The `farthing` command as a person or a script uses it.

use std::path::PathBuf;
use std::process::Output;

use crate::stage::Stage;
use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};

/// Runs `farthing --json` on the wallet of this directory.
async fn farthing(wallet: PathBuf, arguments: &[&str]) -> Output {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    tokio::task::spawn_blocking(move || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_farthing"));
        command.arg("--json").arg("--wallet").arg(wallet).args(arguments).output().unwrap()
    })
    .await
    .unwrap()
}

fn answer(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn error(output: &Output) -> Value {
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    serde_json::from_slice::<Value>(&output.stderr).unwrap()["error"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_readers_day() {
    let stage = Stage::set().await;
    let wallet = stage.wallet_directory();
    let (mint, key) = (stage.mint_url.to_string(), Base64UrlUnpadded::encode_string(stage.mint.root().as_bytes()));
    let key = format!("--mint-key={key}");
    assert_eq!(error(&farthing(wallet.clone(), &["balance"]).await)["code"], "wallet-missing");
    assert_eq!(answer(&farthing(wallet.clone(), &["init", "--mint", &mint, &key]).await), json!({ "currency": "eur/100000" }));
    assert_eq!(error(&farthing(wallet.clone(), &["init", "--mint", &mint, &key]).await)["code"], "wallet-exists");
    for wrong in ["x", "-x", "--mint"] {
        let init = ["init", "--mint", &mint, "--mint-key", wrong];
        assert_eq!(error(&farthing(wallet.clone(), &init).await)["code"], "bad-mint-key", "a key may begin with a hyphen");
    }

    let voucher = stage.voucher(10_000).await.expose_secret();
    let mistyped = [&voucher[..voucher.len() - 1], if voucher.ends_with('7') { "8" } else { "7" }].concat();
    assert_eq!(error(&farthing(wallet.clone(), &["topup", &mistyped]).await)["code"], "voucher-mistyped");
    assert_eq!(error(&farthing(wallet.clone(), &["topup", "fv-123"]).await)["code"], "voucher-malformed");
    assert_eq!(answer(&farthing(wallet.clone(), &["topup", &voucher]).await), json!({ "added": 10_000, "currency": "eur/100000" }));
    assert_eq!(error(&farthing(wallet.clone(), &["topup", &voucher]).await)["code"], "voucher-empty");

    let url = stage.url("/articles/500").to_string();
    // Nobody at the terminal and no --yes: the answer is no.
    assert_eq!(error(&farthing(wallet.clone(), &["pay", &url]).await)["code"], "declined");
    assert_eq!(error(&farthing(wallet.clone(), &["pay", "--yes", "--max-price", "0.00499", &url]).await)["code"], "too-expensive");
    assert_eq!(error(&farthing(wallet.clone(), &["pay", "--yes", "--max-price", "5e-1", &url]).await)["code"], "bad-amount");
    let paid = answer(&farthing(wallet.clone(), &["pay", "--yes", "--max-price", "0.005", &url]).await);
    assert_eq!((&paid["kind"], &paid["amount"], &paid["body"]), (&json!("paid"), &json!(500), &json!("the article")));
    let again = answer(&farthing(wallet.clone(), &["pay", &url]).await);
    assert_eq!((&again["kind"], &again["amount"]), (&json!("read-again"), &json!(0)));
    let tip = answer(&farthing(wallet.clone(), &["pay", "--yes", "--amount", "0.00077", stage.url("/tips").as_str()]).await);
    assert_eq!(tip["amount"], 77);
    answer(&farthing(wallet.clone(), &["refresh"]).await);

    let balance = answer(&farthing(wallet.clone(), &["balance"]).await);
    assert_eq!(balance["spendable"], 10_000 - 577);
    let history = farthing(wallet.clone(), &["history"]).await;
    let rows = answer(&history);
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert_eq!((&rows[0]["url"], &rows[0]["status"]["state"]), (&json!(url), &json!("delivered")));
    // What is shown is no money: neither keys nor the credential that was sent.
    let text = String::from_utf8_lossy(&history.stdout).into_owned();
    assert!(!text.contains("secret") && !text.contains("authorization") && !text.contains("Payment "));
}

/// Runs `farthing --json` with a line on its standard input.
async fn farthing_with(wallet: PathBuf, arguments: &[&str], line: &str) -> Output {
    use std::io::Write;
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let line = line.to_owned();
    tokio::task::spawn_blocking(move || {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_farthing"));
        command.arg("--json").arg("--wallet").arg(wallet).args(arguments);
        let pipe = std::process::Stdio::piped;
        let mut child = command.stdin(pipe()).stdout(pipe()).stderr(pipe()).spawn().unwrap();
        writeln!(child.stdin.take().unwrap(), "{line}").unwrap();
        child.wait_with_output().unwrap()
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wallet_written_down_and_typed_in_again() {
    let stage = Stage::set().await;
    let (first, second) = (stage.wallet_directory(), stage.directory.path().join("second"));
    let key = format!("--mint-key={}", Base64UrlUnpadded::encode_string(stage.mint.root().as_bytes()));
    let mint = stage.mint_url.to_string();
    answer(&farthing(first.clone(), &["init", "--mint", &mint, &key]).await);
    answer(&farthing(first.clone(), &["topup", &stage.voucher(700).await.expose_secret()]).await);
    let url = stage.url("/articles/500").to_string();
    assert_eq!(error(&farthing(first.clone(), &["reclaim", &url]).await)["code"], "nothing-paid");
    answer(&farthing(first.clone(), &["pay", "--yes", &url]).await);
    assert_eq!(error(&farthing(first.clone(), &["reclaim", &url]).await)["peer"], "reclaim-unavailable");
    answer(&farthing(first.clone(), &["refresh"]).await);
    let shown = answer(&farthing(first.clone(), &["seed"]).await);
    let seed = shown["seed"].as_str().unwrap().to_uppercase().replace('-', " ");

    let restore = ["restore", "--mint", &mint, &key];
    assert_eq!(error(&farthing_with(second.clone(), &restore, "fs00").await)["code"], "bad-seed");
    assert_eq!(error(&farthing_with(first, &restore, &seed).await)["code"], "wallet-exists");
    let found = answer(&farthing_with(second.clone(), &restore, &seed).await);
    assert_eq!(found["refreshed"], 200);
    assert_eq!(answer(&farthing(second, &["balance"]).await)["spendable"], 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_program_pays_with_the_wallet() {
    let stage = Stage::set().await;
    let wallet = stage.wallet_directory();
    let (mint, key) = (stage.mint_url.to_string(), Base64UrlUnpadded::encode_string(stage.mint.root().as_bytes()));
    answer(&farthing(wallet.clone(), &["init", "--mint", &mint, &format!("--mint-key={key}")]).await);
    answer(&farthing(wallet.clone(), &["topup", &stage.voucher(10_000).await.expose_secret()]).await);

    let (url, other) = (stage.url("/articles/500").to_string(), stage.url("/articles/400").to_string());
    let client = reqwest::Client::new();
    let refused = client.get(&url).send().await.unwrap();
    let challenge = refused.headers()["www-authenticate"].to_str().unwrap().to_owned();
    let lines = format!("Basic realm=\"x\"\n{challenge}\n");
    let ask = |url: &str, most: &str, lines: &str| {
        let (wallet, url, most, lines) = (wallet.clone(), url.to_owned(), most.to_owned(), lines.to_owned());
        async move { farthing_with(wallet, &["answer", "--max-price", &most, &url], &lines).await }
    };
    // What is not this page's challenge, or too dear, costs nothing.
    assert_eq!(error(&ask(&other, "0.01", &lines).await)["code"], "offer-refused");
    assert_eq!(error(&ask(&url, "0.004", &lines).await)["code"], "too-expensive");
    assert_eq!(error(&ask(&url, "0.01", "").await)["code"], "offer-refused");
    assert_eq!(error(&ask(&url, "0.01", "\u{7f}\n").await)["code"], "offer-refused");
    assert_eq!(answer(&farthing(wallet.clone(), &["balance"]).await)["spendable"], 10_000);

    let authorization = answer(&ask(&url, "0.01", &lines).await)["authorization"].as_str().unwrap().to_owned();
    assert_eq!(error(&ask(&url, "0.01", &lines).await)["code"], "payment-unfinished");
    let served = client.get(&url).header("authorization", &authorization).send().await.unwrap();
    assert_eq!((served.status().as_u16(), served.text().await.unwrap().as_str()), (200, "the article"));
    // The wallet learns of it with the same bytes, and pays nothing more.
    let finished = answer(&farthing(wallet.clone(), &["pay", &url]).await);
    assert_eq!((&finished["kind"], &finished["amount"]), (&json!("finished"), &json!(500)));
    answer(&farthing(wallet.clone(), &["refresh"]).await);
    assert_eq!(answer(&farthing(wallet.clone(), &["balance"]).await)["spendable"], 9_500);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_kept_shown_and_checked_by_anybody() {
    let stage = Stage::set().await;
    let wallet = stage.wallet_directory();
    let (mint, key) = (stage.mint_url.to_string(), Base64UrlUnpadded::encode_string(stage.mint.root().as_bytes()));
    answer(&farthing(wallet.clone(), &["init", "--mint", &mint, &format!("--mint-key={key}")]).await);
    answer(&farthing(wallet.clone(), &["topup", &stage.voucher(10_000).await.expose_secret()]).await);
    let url = stage.url("/articles/500").to_string();
    assert_eq!(error(&farthing(wallet.clone(), &["receipt", "show", &url]).await)["code"], "nothing-paid");
    answer(&farthing(wallet.clone(), &["pay", "--yes", &url]).await);
    let shown = answer(&farthing(wallet.clone(), &["receipt", "show", &url]).await);
    assert_eq!((&shown["amount"], &shown["settled"], &shown["resource"]), (&json!(500), &json!(true), &json!(url)));
    assert_eq!(shown["publisher"], stage.publisher);
    assert_eq!(shown["access_until"].as_u64().unwrap() - shown["paid_at"].as_u64().unwrap(), 3_600);
    assert_eq!(answer(&farthing(wallet, &["history"]).await)[0]["receipt"], json!({ "settled": true, "another_key": false }));

    // Whoever is shown it asks the mint for the key, and needs no wallet.
    let registry = stage.mint_url.join(&format!("/v1/publishers/{}", stage.publisher)).unwrap();
    let registered: Value = reqwest::get(registry).await.unwrap().json().await.unwrap();
    let (file, key) = (stage.directory.path().join("receipt.json"), registered["key"].as_str().unwrap().to_owned());
    let verify = async |receipt: &Value, key: &str| {
        std::fs::write(&file, receipt.to_string()).unwrap();
        let key = format!("--key={key}");
        farthing(stage.directory.path().join("none"), &["receipt", "verify", file.to_str().unwrap(), &key]).await
    };
    assert_eq!(answer(&verify(&shown, &key).await), shown);
    assert_eq!(error(&verify(&shown, "other").await)["code"], "receipt-invalid");
    assert_eq!(error(&verify(&json!([]), &key).await)["code"], "receipt-invalid");
    for (field, changed) in [
        ("amount", json!(5_000)),
        ("resource", json!(stage.url("/articles/400").as_str())),
        ("publisher", json!("blog.example")),
        ("paid_at", json!(1)),
        ("access_until", json!(9_999_999_999_u64)),
        ("settled", json!(false)),
        ("payment", json!(Base64UrlUnpadded::encode_string(&[1; 32]))),
        ("proof", json!(Base64UrlUnpadded::encode_string(&[1; 64]))),
    ] {
        let mut forged = shown.clone();
        forged[field] = changed;
        assert_eq!(error(&verify(&forged, &key).await)["code"], "receipt-invalid", "{field}");
    }
}
