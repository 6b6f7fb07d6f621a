//! The interface as C uses it, with a real mint behind it. What readers pay through it is tested from Python and Node (contrib/embed.sh).
#![allow(unsafe_code)]

use std::path::Path;
use std::ptr;

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_mint::{InitOptions, Mint, MintOptions};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use crate::calls::FarthingStatus as Status;
use crate::exports::tests::panicking;
use crate::exports::*;
use crate::memory::FarthingText;

const NONE: FarthingText = FarthingText { bytes: ptr::null_mut(), length: 0 };

/// Calls, and takes the text as C would.
fn text_of(act: impl FnOnce(*mut FarthingText) -> Status) -> (Status, String) {
    let mut text = NONE;
    let status = act(&raw mut text);
    let copied = if text.bytes.is_null() {
        String::new()
    } else {
        // SAFETY: the library wrote both.
        let slice = unsafe { std::slice::from_raw_parts(text.bytes, text.length) };
        std::str::from_utf8(slice).unwrap().to_owned()
    };
    for _ in 0..2 {
        // SAFETY: what the library wrote, and then nothing.
        unsafe { farthing_text_free(&raw mut text) };
        assert!(text.bytes.is_null() && text.length == 0);
    }
    (status, copied)
}

fn json_of(found: &(Status, String)) -> Value {
    serde_json::from_str(&found.1).unwrap_or_else(|_| panic!("no JSON: {found:?}"))
}

fn open(settings: &str) -> (Status, u64, String) {
    let mut number = 7;
    // SAFETY: a text, and two places.
    let (status, text) = text_of(|text| unsafe { farthing_open(settings.as_ptr(), settings.len(), &raw mut number, text) });
    (status, number, text)
}

fn decide(number: u64, question: &str) -> (Status, String) {
    // SAFETY: a text and a place.
    text_of(|text| unsafe { farthing_decide(number, question.as_ptr(), question.len(), text) })
}

fn check(number: u64, question: &str) -> (Status, String) {
    // SAFETY: a text and a place.
    text_of(|text| unsafe { farthing_check(number, question.as_ptr(), question.len(), text) })
}

fn get(url: &str, headers: &[(&str, &str)]) -> String {
    json!({ "method": "GET", "url": url, "headers": headers }).to_string()
}

/// A mint that serves, and the settings of a site that trusts it.
fn mint(directory: &Path) -> (Runtime, Value) {
    let runtime = Runtime::new().unwrap();
    let data = directory.join("mint");
    let (url, root) = runtime.block_on(async {
        Mint::init(&data, InitOptions::default()).await.unwrap();
        let mint = Mint::open(&data, MintOptions::default()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (url, root) = (format!("http://{}", listener.local_addr().unwrap()), mint.root());
        tokio::spawn(async move { mint.serve(listener, std::future::pending()).await });
        (url, root)
    });
    let settings = json!({
        "publisher": "127.0.0.1:8801", "mint": url, "mint_key": Base64UrlUnpadded::encode_string(root.as_bytes()),
        "data": directory.join("site"), "allowed_origins": ["https://reader.example"],
        "rules": [{ "path": "/articles/*", "price": "0.005", "title": "An article" }, { "path": "/**", "free": true }],
    });
    (runtime, settings)
}

#[test]
fn from_eight_threads_each_gets_its_own_challenge() {
    let directory = tempfile::tempdir().unwrap();
    let (_mint, settings) = mint(directory.path());
    let (status, number, text) = open(&settings.to_string());
    assert!(status == Status::Ok && number != 0 && text.is_empty(), "{text}");
    // SAFETY: a place.
    assert_eq!(text_of(|text| unsafe { farthing_ready(number, text) }), (Status::Ok, String::new()));

    let challenge = |_| {
        let answer = json_of(&decide(number, &get("/articles/one", &[("Cookie", "\u{7f}\n"), ("Accept", "application/json")])));
        assert_eq!((&answer["decision"], &answer["status"]), (&json!("answer"), &json!(402)));
        assert_eq!(serde_json::from_str::<Value>(answer["body"].as_str().unwrap()).unwrap()["code"], "payment-required");
        let headers = answer["headers"].as_array().unwrap();
        headers.iter().find(|header| header[0] == "www-authenticate").unwrap()[1].as_str().unwrap().to_owned()
    };
    let mut challenges: Vec<String> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| (0..10).map(challenge).collect::<Vec<_>>())).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    challenges.sort();
    challenges.dedup();
    assert_eq!(challenges.len(), 80);
    // SAFETY: a place.
    let (_, metrics) = text_of(|text| unsafe { farthing_metrics(number, text) });
    assert!(metrics.contains("\nfarthing_verifier_challenge_total 80\n"), "{metrics}");
    assert!(metrics.contains("\nfarthing_verifier_undecided_payments 0\n"));
    assert!(metrics.contains("\nfarthing_verifier_undecided_oldest_seconds 0\n"));

    // Closed while others still ask: each gets an answer or is told, and the data is free afterwards.
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let (status, text) = decide(number, &get("/articles/one", &[]));
                    assert!(matches!(status, Status::Ok | Status::Closed), "{text}");
                }
            });
        }
        assert_eq!(farthing_close(number), Status::Ok);
    });
    assert_eq!(farthing_close(number), Status::Closed);
    assert_eq!(decide(number, &get("/", &[])).0, Status::Closed);
    let (status, again, text) = open(&settings.to_string());
    assert!(status == Status::Ok && again > number, "{text}");
    assert_eq!(farthing_close(again), Status::Ok);
}

#[test]
fn what_is_free_ambiguous_malformed_or_from_another_page() {
    let directory = tempfile::tempdir().unwrap();
    let (_mint, settings) = mint(directory.path());
    let (_, number, _) = open(&settings.to_string());
    let free = json!({ "decision": "serve", "payment": null, "headers": [] });
    assert_eq!(json_of(&decide(number, &get("/about", &[]))), free);
    assert_eq!(json_of(&check(number, &get("/about", &[]))), json!({ "decision": "found", "payment": null }));
    for (url, headers, status, code) in [
        ("/articles//one", &[][..], 400, "path-ambiguous"),
        ("/articles/one", &[("authorization", "Payment abc")], 402, "malformed-credential"),
        ("/articles/one", &[("authorization", "Payment a"), ("Authorization", "Payment b")], 402, "malformed-credential"),
        ("/articles/one", &[("authorization", "Payment \n")], 400, "request-undescribed"),
        ("/articles/one", &[("accept-payment", "stripe/charge")], 402, "method-not-accepted"),
    ] {
        for answer in [json_of(&decide(number, &get(url, headers))), json_of(&check(number, &get(url, headers)))] {
            assert_eq!((&answer["decision"], &answer["status"]), (&json!("answer"), &json!(status)));
            assert_eq!(serde_json::from_str::<Value>(answer["body"].as_str().unwrap()).unwrap()["code"], code);
        }
    }
    let page = json_of(&decide(number, &get("/articles/one", &[("accept", "text/html"), ("origin", "https://reader.example")])));
    assert!(page["body"].as_str().unwrap().starts_with("<!DOCTYPE html>"));
    assert!(page["headers"].as_array().unwrap().contains(&json!(["access-control-allow-origin", "https://reader.example"])));
    let headers = [("origin", "https://reader.example"), ("access-control-request-method", "GET")];
    let preflight = json!({ "method": "OPTIONS", "url": "/articles/one", "headers": headers }).to_string();
    assert_eq!(json_of(&decide(number, &preflight))["status"], 204);

    // SAFETY: texts and places.
    let refund = |reference: &str| text_of(|text| unsafe { farthing_refund(number, reference.as_ptr(), reference.len(), text) });
    assert_eq!(json_of(&refund("nonsense"))["code"], "bad-argument");
    let unknown = refund(&"A".repeat(43));
    assert_eq!((unknown.0, json_of(&unknown)["code"].as_str()), (Status::Refused, Some("payment-unknown")));
    // SAFETY: a place.
    assert_eq!(text_of(|text| unsafe { farthing_proofs(number, text) }).1, "{\"proofs\":[]}");
    assert_eq!(farthing_close(number), Status::Ok);
}

#[test]
#[expect(clippy::multiple_unsafe_ops_per_block, reason = "one call after the other, all with the same promise")]
fn bad_pointers_lengths_and_texts_are_errors() {
    let (mut text, mut number) = (NONE, 7);
    let byte = [b'{'];
    // SAFETY: nulls where null is allowed to be an error, and places.
    unsafe {
        assert_eq!(farthing_open(ptr::null(), 0, &raw mut number, &raw mut text), Status::BadArgument);
        farthing_text_free(&raw mut text);
        assert_eq!(farthing_open(byte.as_ptr(), 1, ptr::null_mut(), &raw mut text), Status::BadArgument);
        farthing_text_free(&raw mut text);
        assert_eq!(farthing_open(byte.as_ptr(), 1, &raw mut number, ptr::null_mut()), Status::BadArgument);
        // A length that no text has is refused before anything is read.
        assert_eq!(farthing_decide(1, byte.as_ptr(), usize::MAX, &raw mut text), Status::BadArgument);
        farthing_text_free(&raw mut text);
        assert_eq!(farthing_ready(1, ptr::null_mut()), Status::BadArgument);
        farthing_text_free(ptr::null_mut());
        let wrong = [0xff_u8];
        assert_eq!(farthing_decide(1, wrong.as_ptr(), 1, &raw mut text), Status::BadArgument);
        farthing_text_free(&raw mut text);
    }
    assert_eq!(number, 0);
    assert_eq!(farthing_close(0), Status::Closed);
    assert_eq!((decide(u64::MAX, "{}").0, farthing_abi_version()), (Status::Closed, FARTHING_ABI_VERSION));
    for settings in ["", "{", "publisher = 1", "{\"publisher\":\"news.example\"}"] {
        let (status, number, text) = open(settings);
        assert_eq!((status, number), (Status::BadSettings, 0), "{settings}: {text}");
    }
    let directory = tempfile::tempdir().unwrap();
    let (_mint, mut settings) = mint(directory.path());
    settings["lisen"] = json!("/a");
    assert!(open(&settings.to_string()).2.contains("lisen"), "a misspelt setting is named");
    settings.as_object_mut().unwrap().remove("lisen");
    // What only a sidecar reads may stay in its file.
    settings["listen"] = json!("unix:/a");
    let (status, number, text) = open(&settings.to_string());
    assert_eq!(status, Status::Ok, "{text}");
    for question in ["", "[]", "{\"method\":\"GET\"}", "{\"method\":\"GET\",\"url\":\"/a\",\"body\":\"\"}"] {
        assert_eq!(decide(number, question).0, Status::BadArgument);
    }
    // One verifier at a time uses the data.
    assert_eq!(open(&settings.to_string()).0, Status::BadSettings);
    assert_eq!(farthing_close(number), Status::Ok);
}

#[test]
fn no_panic_gets_past_the_border() {
    let (status, text) = text_of(panicking);
    assert_eq!((status, text.as_str()), (Status::Defect, "{\"code\":\"defect\",\"title\":\"a defect of the library\"}"));
}

/// To write the header anew: `FARTHING_WRITE_HEADER=1 cargo test -p farthing-ffi`.
#[test]
fn the_header_is_what_the_code_says() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    let sources = ["calls.rs", "exports.rs", "memory.rs"].into_iter();
    let builder = sources.fold(cbindgen::Builder::new().with_config(config), |builder, name| builder.with_src(root.join("src").join(name)));
    let mut written = Vec::new();
    builder.generate().unwrap().write(&mut written);
    let (written, file) = (String::from_utf8(written).unwrap(), root.join("include/farthing.h"));
    if std::env::var_os("FARTHING_WRITE_HEADER").is_some() {
        std::fs::write(&file, &written).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap_or_default(), written, "{} is stale", file.display());
}
