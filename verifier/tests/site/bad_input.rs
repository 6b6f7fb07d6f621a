//! Everything a credential can have wrong: each its own code, and nothing is claimed.

use std::sync::atomic::Ordering;

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::Unit;
use farthing_protocol::http::Credential;
use farthing_protocol::wire::{Bytes, Frame, PaymentFrame, RereadFrame};
use farthing_verifier::store::MemoryStore;
use farthing_verifier::{ChallengeSecret, VerifierConfig, VerifierError};
use mpp::{Base64UrlJson, PaymentChallenge, PaymentCredential};
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::site::{
    PATIENCE, Plan, Reader, Sent, Site, credential, echoed, loop_of, pay, pay_to, payment_credential, reopen, request_of, secret,
};
use crate::stand_in::StandIn;
use crate::world::{DAY, NOW, World, announce_in};

const ARTICLE: &str = "/articles/one";

struct Bad {
    mint: StandIn,
    site: Site<MemoryStore>,
    reader: Reader,
    rng: StdRng,
}

impl Bad {
    async fn new(number: u64) -> Self {
        let (mint, site, reader) = loop_of(number).await;
        Self { mint, site, reader, rng: StdRng::seed_from_u64(number) }
    }

    async fn challenge(&self) -> PaymentChallenge {
        self.reader.challenge(&self.site.url(ARTICLE)).await
    }

    async fn sent(&mut self, denominations: &[u64]) -> (PaymentChallenge, Sent) {
        let challenge = self.challenge().await;
        let tokens = self.mint.books().world.tokens(denominations);
        let sent = pay(&challenge, tokens, None, &mut self.rng);
        (challenge, sent)
    }

    async fn refused(&self, header: &str, status: u16, problem: &str, code: &str) {
        let reply = self.reader.get_with(&self.site.url(ARTICLE), header).await;
        assert_eq!(reply.status.as_u16(), status, "{code}: {}", reply.body);
        assert_eq!(reply.problem(), (problem.into(), code.into()));
    }

    /// Nothing was claimed, deposited or served by all of that.
    async fn untouched(self) {
        assert_eq!((self.mint.handed_in(), self.site.served()), (0, 0));
        assert_eq!(self.site.verifier.totals().await.unwrap().undecided, 0);
        assert_eq!(self.site.verifier.statistics().claim, 0);
    }
}

#[tokio::test]
async fn unreadable_credentials() {
    let mut bad = Bad::new(20).await;
    let (challenge, sent) = bad.sent(&[500]).await;
    for header in ["Payment x", "Payment", "payment e30", "Payment !!!", &format!("Payment {}", "A".repeat(40_000))] {
        let reply = bad.reader.get_with(&bad.site.url(ARTICLE), header).await;
        // A bare scheme carries nothing: that is a request without payment.
        let expected = if header == "Payment" { "payment-required" } else { "malformed-credential" };
        assert_eq!(reply.code(), expected, "{}", header.get(..10).unwrap_or(header));
    }
    let two = [("authorization", sent.header.as_str()), ("authorization", sent.header.as_str())];
    let reply = bad.reader.send(http::Method::GET, &bad.site.url(ARTICLE), &two).await;
    assert_eq!(reply.code(), "malformed-credential", "two credentials");
    for payload in [
        serde_json::json!({}),
        serde_json::json!({"payment": "AA"}),
        serde_json::json!({"payment": "AA", "salt": "AA"}),
        serde_json::json!({"payment": "AA==", "salt": "A".repeat(43)}),
        serde_json::json!({"payment": 1, "salt": 2}),
        serde_json::json!({"payment": "AA", "salt": "AA", "reread": "AA"}),
        serde_json::json!({"reread": "*"}),
        serde_json::json!([]),
    ] {
        let header = mpp::format_authorization(&PaymentCredential::new(challenge.to_echo(), payload)).unwrap();
        bad.refused(&header, 402, "malformed-credential", "malformed-credential").await;
    }
    let mut other = challenge.clone();
    other.method = "stripe".into();
    bad.refused(&payment_credential(&other, b"", &[0; 32]), 400, "method-unsupported", "method-unsupported").await;
    let mut other = challenge;
    other.intent = "session".into();
    bad.refused(&payment_credential(&other, b"", &[0; 32]), 400, "method-unsupported", "method-unsupported").await;
    bad.untouched().await;
}

#[tokio::test]
async fn unreadable_frames() {
    let mut bad = Bad::new(21).await;
    let (challenge, sent) = bad.sent(&[500]).await;
    let good = sent.payment.to_frame().to_bytes();
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = good.clone();
        change(&mut bytes);
        payment_credential(&challenge, &bytes, &sent.salt)
    };
    let cases = [
        (with(&|bytes| bytes.truncate(bytes.len() - 1)), "frame-truncated"),
        (with(&Vec::clear), "frame-truncated"),
        (with(&|bytes| bytes.push(0)), "frame-trailing-bytes"),
        (with(&|bytes| bytes.resize(9_000, 0)), "frame-too-long"),
        (with(&|bytes| bytes[0] = 2), "frame-unknown-version"),
        (with(&|bytes| bytes[1] = 2), "frame-wrong-kind"),
        // The number of keysets: a gigabyte of them.
        (with(&|bytes| bytes[18..26].copy_from_slice(&(1_u64 << 30).to_le_bytes())), "frame-truncated"),
    ];
    for (header, code) in cases {
        bad.refused(&header, 402, "invalid-payload", code).await;
    }
    let reread = Credential::Reread { reread: Base64UrlUnpadded::encode_string(&[1, 2, 3]) };
    bad.refused(&credential(&challenge, &reread), 402, "invalid-payload", "frame-truncated").await;
    bad.untouched().await;
}

#[tokio::test]
async fn payments_that_do_not_hold() {
    let mut bad = Bad::new(22).await;
    let (challenge, sent) = bad.sent(&[200, 500]).await;
    let with = |change: &dyn Fn(&mut PaymentFrame)| {
        let mut frame = sent.payment.to_frame();
        change(&mut frame);
        payment_credential(&challenge, &frame.to_bytes(), &sent.salt)
    };
    let payload = "invalid-payload";
    let cases = [
        (with(&|frame| frame.tokens.tokens.clear()), payload, "payment-empty"),
        (with(&|frame| frame.tokens.tokens.push(frame.tokens.tokens[1].clone())), payload, "payment-duplicate-token"),
        (with(&|frame| frame.tokens.tokens.swap(0, 1)), payload, "payment-not-sorted"),
        (with(&|frame| frame.tokens.tokens = vec![frame.tokens.tokens[0].clone(); 25]), payload, "payment-too-many-tokens"),
        (with(&|frame| frame.tokens.keysets.push(Bytes([255; 32]))), payload, "payment-not-sorted"),
        (with(&|frame| frame.tokens.tokens[0].keyset = 1), payload, "payment-keyset-index"),
        (with(&|frame| frame.tokens.tokens[0].denomination = 0), payload, "payment-zero-amount"),
        (with(&|frame| frame.tokens.tokens[0].denomination = u64::MAX), payload, "payment-not-sorted"),
        (with(&|frame| frame.tokens.tokens[1].denomination = u64::MAX), payload, "payment-overflow"),
        (with(&|frame| frame.tokens.tokens[0].signature.s = Bytes([255; 32])), payload, "payment-non-canonical-scalar"),
        (with(&|frame| frame.tokens.tokens[0].signature.t = Bytes([0; 32])), payload, "payment-zero-scalar"),
        (with(&|frame| frame.proof.u = Bytes([255; 32])), payload, "payment-non-canonical-scalar"),
        // Worth less than the price.
        (with(&|frame| frame.tokens.tokens.truncate(1)), "payment-insufficient", "payment-insufficient"),
        // Another amount than asked.
        (with(&|frame| frame.amount = 499), "payment-insufficient", "wrong-amount"),
        (with(&|frame| frame.amount = 501), "payment-insufficient", "wrong-amount"),
        (with(&|frame| frame.deposit_by -= 3_600), "payment-expired", "deposit-by-too-soon"),
    ];
    for (header, problem, code) in cases {
        bad.refused(&header, 402, problem, code).await;
    }
    bad.untouched().await;
}

#[tokio::test]
async fn payments_that_are_forged() {
    let mut bad = Bad::new(23).await;
    let (challenge, sent) = bad.sent(&[500]).await;
    let with = |change: &dyn Fn(&mut PaymentFrame)| {
        let mut frame = sent.payment.to_frame();
        change(&mut frame);
        payment_credential(&challenge, &frame.to_bytes(), &sent.salt)
    };
    let cases = [
        (with(&|frame| frame.tokens.tokens[0].signature.s.0[0] ^= 1), "invalid-signature"),
        (with(&|frame| frame.tokens.tokens[0].denomination = 1_000), "invalid-signature"),
        (with(&|frame| frame.tokens.tokens[0].denomination = 777), "unknown-denomination"),
        (with(&|frame| frame.tokens.keysets[0].0[0] ^= 1), "unknown-keyset"),
        (with(&|frame| frame.proof.u.0[0] ^= 1), "invalid-proof"),
        (with(&|frame| frame.proof.t = Bytes([0; 32])), "invalid-point"),
        (with(&|frame| frame.tokens.tokens[0].key = Bytes([0; 32])), "invalid-point"),
        (with(&|frame| frame.tokens.tokens[0].signature.r = Bytes([255; 32])), "invalid-point"),
        (payment_credential(&challenge, &sent.payment.to_frame().to_bytes(), &[7; 32]), "invalid-proof"),
    ];
    for (header, code) in cases {
        bad.refused(&header, 402, "verification-failed", code).await;
    }
    // Made out to somebody else.
    let tokens = bad.mint.books().world.tokens(&[500]);
    let deposit_by = request_of(&challenge).method_details.deposit_by;
    let stolen = pay_to(&challenge, "evil.example", deposit_by, tokens, None, &mut bad.rng);
    bad.refused(&stolen.header, 402, "verification-failed", "invalid-proof").await;
    // None of that has used the challenge up.
    let reply = bad.reader.get_with(&bad.site.url(ARTICLE), &sent.header).await;
    assert_eq!(reply.status, 200);
}

#[tokio::test]
async fn challenges_of_others_and_of_other_times() {
    let mut bad = Bad::new(24).await;
    let (challenge, sent) = bad.sent(&[500]).await;
    let (_, early) = bad.sent(&[500]).await;
    // A relayed challenge: another site's, under the name of that site, or under ours.
    let (other_mint, other, _) = loop_of(25).await;
    let foreign = bad.reader.challenge(&other.url(ARTICLE)).await;
    let relayed = pay(&foreign, other_mint.books().world.tokens(&[500]), None, &mut bad.rng);
    bad.refused(&relayed.header, 402, "invalid-challenge", "wrong-publisher").await;
    let mut renamed = foreign.clone();
    renamed.realm.clone_from(&bad.site.name);
    let relayed = pay(&renamed, other_mint.books().world.tokens(&[500]), None, &mut bad.rng);
    bad.refused(&relayed.header, 402, "invalid-challenge", "wrong-publisher").await;

    // Every field is covered: by the HMAC, or because it is never sent.
    let alter = |change: &dyn Fn(&mut PaymentChallenge)| {
        let mut altered = challenge.clone();
        change(&mut altered);
        altered
    };
    let cheaper = |change: &dyn Fn(&mut serde_json::Value)| {
        alter(&|altered| {
            let mut request = altered.request.decode_value().unwrap();
            change(&mut request);
            altered.request = Base64UrlJson::from_value(&request).unwrap();
        })
    };
    let cases = [
        alter(&|altered| altered.id = "x".into()),
        alter(&|altered| altered.id = Base64UrlUnpadded::encode_string(&[0; 32])),
        alter(&|altered| altered.expires = Some("2099-01-01T00:00:00Z".into())),
        alter(&|altered| altered.expires = None),
        alter(&|altered| altered.opaque = None),
        alter(&|altered| altered.opaque = Some(Base64UrlJson::from_raw("e30"))),
        alter(&|altered| altered.description = Some("free".into())),
        alter(&|altered| altered.digest = Some("sha-256=AAAA".into())),
        alter(&|altered| altered.header = Some("Payment-Authorization".into())),
        cheaper(&|request| request["methodDetails"]["access"] = 1_000_000_000.into()),
        cheaper(&|request| request["externalId"] = "other".into()),
        cheaper(&|request| request["surplus"] = 1.into()),
        cheaper(&|request| request["amount"] = "1".into()),
        cheaper(&|request| request["currency"] = "usd/100".into()),
    ];
    for altered in cases {
        // Paid as asked, even if little is asked.
        let request: Option<farthing_protocol::http::ChargeRequest> = altered.request.decode().ok();
        let amount = request.as_ref().map_or(500, |request| request.amount.parse().unwrap());
        let deposit_by = request_of(&challenge).method_details.deposit_by;
        let tokens = bad.mint.books().world.tokens(&[500]);
        let paid = pay_to(&altered, &bad.site.name, deposit_by, tokens, Some(amount), &mut bad.rng);
        bad.refused(&paid.header, 402, "invalid-challenge", "challenge-unknown").await;
    }
    let elsewhere = cheaper(&|request| request["recipient"] = "evil.example".into());
    let paid = pay(&elsewhere, bad.mint.books().world.tokens(&[500]), None, &mut bad.rng);
    bad.refused(&paid.header, 402, "invalid-challenge", "wrong-publisher").await;

    // A cheap article's challenge for a dear one.
    let dear = bad.reader.get_with(&bad.site.url("/dear/one"), &sent.header).await;
    assert_eq!(dear.problem(), ("invalid-challenge".into(), "wrong-resource".into()));

    // Too late, and from a clock that ran ahead.
    bad.site.set_clock(NOW + 300);
    bad.refused(&sent.header, 402, "payment-expired", "challenge-expired").await;
    bad.site.set_clock(NOW - DAY - 1);
    bad.refused(&sent.header, 402, "payment-expired", "challenge-expired").await;
    // A day beyond the lifetime, and no more: instances may be configured differently.
    bad.site.set_clock(NOW - DAY);
    let early = bad.reader.get_with(&bad.site.url(ARTICLE), &early.header).await;
    assert_eq!(early.status, 200);
    bad.site.set_clock(NOW + 299);
    assert_eq!(bad.reader.get_with(&bad.site.url(ARTICLE), &sent.header).await.status, 200);
}

/// Named attack: forged token on a fast path.
#[tokio::test]
async fn a_paid_payment_is_no_way_in_for_a_forged_one() {
    let mut bad = Bad::new(29).await;
    let (challenge, sent) = bad.sent(&[500]).await;
    assert_eq!(bad.reader.get_with(&bad.site.url(ARTICLE), &sent.header).await.status, 200);
    let (handed_in, served) = (bad.mint.handed_in(), bad.site.served());
    // A payment id is over neither signatures nor proof: who has seen statement and list makes a payment of the same id, with nothing in
    // it. What was paid is served again without curve work only if all of its bytes are the same.
    let forged = |change: &dyn Fn(&mut PaymentFrame)| {
        let mut frame = sent.payment.to_frame();
        change(&mut frame);
        payment_credential(&challenge, &frame.to_bytes(), &sent.salt)
    };
    bad.refused(&forged(&|frame| frame.tokens.tokens[0].signature.s.0[0] ^= 1), 402, "verification-failed", "invalid-signature").await;
    bad.refused(&forged(&|frame| frame.proof.u.0[0] ^= 1), 402, "verification-failed", "invalid-proof").await;
    assert_eq!((bad.mint.handed_in(), bad.site.served()), (handed_in, served));
    // The true one is served as often as it comes.
    assert_eq!(bad.reader.get_with(&bad.site.url(ARTICLE), &sent.header).await.status, 200);
}

/// Named attack: clock forward and back.
#[tokio::test]
async fn a_clock_set_back_revives_nothing() {
    let mut bad = Bad::new(26).await;
    let (_, early) = bad.sent(&[500]).await;
    bad.site.set_clock(NOW + 1_000);
    let (_, late) = bad.sent(&[500]).await;
    assert_eq!(bad.reader.get_with(&bad.site.url(ARTICLE), &late.header).await.status, 200);
    bad.site.set_clock(NOW);
    bad.refused(&early.header, 402, "payment-expired", "challenge-expired").await;
    assert_eq!(bad.site.verifier.now(), NOW + 1_000);
    // A jump ahead claims nothing, so it leaves nothing behind.
    bad.site.set_clock(NOW + 1_000 * DAY);
    let (_, ahead) = bad.sent(&[500]).await;
    bad.refused(&ahead.header, 402, "verification-failed", "refused-keyset-closed").await;
    bad.site.set_clock(NOW + 2_000);
    assert_eq!(bad.site.verifier.now(), NOW + 2_000);
}

#[tokio::test]
async fn keysets_before_after_and_in_other_units() {
    let mut world = World::new(27);
    let World { list, root, rng, .. } = &mut world;
    let (_, later) = crate::world::announce(list, 0, 10 * DAY, root, rng);
    let (_, dollars) = announce_in(list, Unit::new("usd", 5).unwrap(), 0, DAY, root, rng);
    let tokens =
        [world.tokens(&[500]), world.tokens(&[500]), world.tokens_of(1, &later, &[500, 500]), world.tokens_of(2, &dollars, &[500])];
    let (mint, url) = StandIn::start(world).await;
    let root = mint.books().world.root();
    let site = Plan::new(&url, root).await.open(MemoryStore::new()).await;
    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(27));
    let [first, also_first, mut second, third] = tokens;
    let article = site.url(ARTICLE);
    let cases = [
        (NOW, third, Some("refused-mixed-units")),
        // The second keyset begins on day 10; a minute of a slow clock is forgiven.
        (10 * DAY - 61, second.split_off(1), Some("refused-keyset-closed")),
        (10 * DAY - 60, second, None),
        (60 * DAY, first, Some("refused-keyset-closed")),
    ];
    for (time, tokens, code) in cases {
        // Claims raise the clock for good: the late case comes last.
        site.set_clock(time);
        if time < NOW && code.is_some() {
            assert_eq!(site.verifier.now(), time);
        }
        let sent = pay(&reader.challenge(&article).await, tokens, None, &mut rng);
        let reply = reader.get_with(&article, &sent.header).await;
        match code {
            Some(code) => assert_eq!(reply.problem(), ("verification-failed".into(), code.into()), "{time}"),
            None => assert_eq!(reply.status, 200, "{time}: {}", reply.body),
        }
    }
    site.set_clock(60 * DAY - 1);
    let sent = pay(&reader.challenge(&article).await, also_first, None, &mut rng);
    assert_eq!(reader.get_with(&article, &sent.header).await.status, 200);
    assert_eq!(mint.credited(), 2);
}

#[tokio::test]
async fn secrets_are_rotated() {
    let (mint, url) = StandIn::start(World::new(28)).await;
    let root = mint.books().world.root();
    let (reader, mut rng) = (Reader::new(), StdRng::seed_from_u64(28));
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("store");
    let plan = Plan::new(&url, root).await;
    let address = plan.listener.local_addr().unwrap();
    let site = plan.open(reopen(&file).await).await;
    let article = site.url(ARTICLE);
    let mut sent = Vec::new();
    for _ in 0..3 {
        let tokens = mint.books().world.tokens(&[500]);
        sent.push(pay(&reader.challenge(&article).await, tokens, None, &mut rng).header);
    }
    assert_eq!(reader.get_with(&article, &sent[0]).await.status, 200);
    site.close().await;
    for (config, expected) in [
        (Box::new(|config: VerifierConfig| config.previous_secret(secret(1))) as Box<dyn Fn(_) -> _>, [200, 200, 402]),
        (Box::new(|config: VerifierConfig| config), [200, 200, 402]),
    ] {
        let mut plan = Plan::on(tokio::net::TcpListener::bind(address).await.unwrap(), &url, root);
        plan.config =
            config(VerifierConfig::new(plan.name.clone(), url.clone(), root, secret(2)).clock(plan.clock.clone()).mint_timeout(PATIENCE));
        let site = plan.open(reopen(&file).await).await;
        // What was paid is finished under any secret; a first payment needs one that is known.
        for (header, status) in sent.iter().zip(expected).take(2) {
            assert_eq!(reader.get_with(&article, header).await.status.as_u16(), status);
        }
        if site.verifier.statistics().claim == 0 {
            assert_eq!(reader.get_with(&article, &sent[2]).await.code(), "challenge-unknown");
        }
        site.close().await;
    }
}

#[tokio::test]
async fn configurations_that_cannot_work() {
    let world = World::new(29);
    let config = |publisher: &str, mint: &str| VerifierConfig::new(publisher, mint.parse().unwrap(), world.root(), secret(1));
    for (publisher, mint) in [
        ("", "https://mint.example"),
        ("News.example", "https://mint.example"),
        ("news|example", "https://mint.example"),
        ("news.example\"", "https://mint.example"),
        ("news.example/path", "https://mint.example"),
        ("news.example:443", "https://mint.example"),
        ("news.example", "http://mint.example"),
        ("news.example", "https://user:secret@mint.example"),
        ("news.example", "https://mint.example/?a=b"),
        ("news.example", "ftp://mint.example"),
    ] {
        let opened = farthing_verifier::Verifier::open(config(publisher, mint), MemoryStore::new()).await;
        assert!(matches!(opened.err(), Some(VerifierError::Config(_))), "{publisher} {mint}");
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    let secret = ChallengeSecret::load_or_create(&file).unwrap();
    assert_eq!(format!("{secret:?}"), "ChallengeSecret(..)");
    let written = std::fs::read_to_string(&file).unwrap();
    ChallengeSecret::load_or_create(&file).unwrap();
    assert_eq!(std::fs::read_to_string(&file).unwrap(), written, "a secret is kept");
    std::fs::write(&file, "short").unwrap();
    assert!(ChallengeSecret::load_or_create(&file).is_err());
}

/// Named attack: tokens, URLs or addresses in logs.
#[tokio::test]
async fn nothing_that_is_printed_says_anything() {
    let mut bad = Bad::new(30).await;
    let (challenge, sent) = bad.sent(&[500]).await;
    let reread = RereadFrame { payment: Bytes(sent.id.0), proof: sent.payment.to_frame().proof };
    let _ = (echoed(&challenge), reread.to_bytes());
    let resource = bad.site.verifier.resource(&http::Method::GET, &"/articles/secret".parse().unwrap());
    assert_eq!(format!("{resource:?}"), "Resource(GET, ..)");
    let offer = farthing_verifier::Offer {
        price: farthing_verifier::Price::Fixed(farthing_protocol::amount::Amount::from_units(500)),
        title: "Title".into(),
        external_id: "id".into(),
        access: std::time::Duration::ZERO,
    };
    let refused = bad.site.verifier.authorize(&sent.header, &resource, &offer).await.unwrap_err();
    assert_eq!(format!("{refused:?}"), "Refused(wrong-resource)");
    assert_eq!(bad.site.clock.0.load(Ordering::SeqCst), NOW);
}
