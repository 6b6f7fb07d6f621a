//! Reading again what was paid for: by the same keys, for the same article, within its time, once for each challenge.

use farthing_protocol::proof::PaymentId;
use http::Method;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::site::{loop_of, pay, reread};
use crate::stand_in::Fault;
use crate::world::{DAY, NOW};

#[tokio::test]
async fn what_was_paid_is_read_again_for_a_day() {
    let (mint, site, reader) = loop_of(40).await;
    let mut rng = StdRng::seed_from_u64(40);
    let (one, two) = (site.url("/articles/one"), site.url("/articles/two"));
    let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[1_000]), None, &mut rng);
    assert_eq!(reader.get_with(&one, &sent.header).await.status, 200);

    let challenge = reader.challenge(&one).await;
    let again = reread(&challenge, sent.id, &sent.used, &mut rng);
    let reply = reader.get_with(&one, &again).await;
    assert_eq!((reply.status.as_u16(), reply.body.as_str()), (200, "again /articles/one"));
    assert_eq!(reply.receipt().extensions["change"], "500");
    assert_eq!(mint.handed_in(), 1, "it costs nothing");
    let refused = |code: &str| ("verification-failed".to_owned(), code.to_owned());
    assert_eq!(
        reader.get_with(&one, &again).await.problem(),
        ("invalid-challenge".into(), "challenge-unknown".into()),
        "one challenge, one reading"
    );

    // The first payment's bytes on a fresh challenge are no proof, nor are other keys.
    let other = pay(&reader.challenge(&two).await, mint.books().world.tokens(&[500]), None, &mut rng);
    assert_eq!(reader.get_with(&two, &other.header).await.status, 200);
    let challenge = reader.challenge(&one).await;
    let foreign = reread(&challenge, sent.id, &other.used, &mut rng);
    assert_eq!(reader.get_with(&one, &foreign).await.problem(), refused("invalid-proof"));
    let elsewhere = reread(&challenge, other.id, &other.used, &mut rng);
    assert_eq!(reader.get_with(&one, &elsewhere).await.problem(), refused("reread-unknown"), "paid for another article");
    let unknown = reread(&challenge, PaymentId([1; 32]), &sent.used, &mut rng);
    assert_eq!(reader.get_with(&one, &unknown).await.problem(), refused("reread-unknown"));
    let elsewhere = reread(&reader.challenge(&two).await, sent.id, &sent.used, &mut rng);
    assert_eq!(reader.get_with(&one, &elsewhere).await.problem(), ("invalid-challenge".into(), "wrong-resource".into()));
    // None of them has used the challenge up.
    let honest = reread(&challenge, sent.id, &sent.used, &mut rng);
    site.set_clock(NOW + 300);
    assert_eq!(reader.get_with(&one, &honest).await.problem(), ("payment-expired".into(), "challenge-expired".into()));
    site.set_clock(NOW + 299);
    assert_eq!(reader.get_with(&one, &honest).await.status, 200);
    // A challenge that was read with pays nothing.
    let paid = pay(&challenge, mint.books().world.tokens(&[500]), None, &mut rng);
    assert_eq!(reader.get_with(&one, &paid.header).await.code(), "challenge-unknown");

    for (time, status) in [(NOW + DAY - 1, 200), (NOW + DAY, 402)] {
        site.set_clock(time);
        let again = reread(&reader.challenge(&one).await, sent.id, &sent.used, &mut rng);
        let reply = reader.get_with(&one, &again).await;
        assert_eq!(reply.status.as_u16(), status);
        if status == 402 {
            assert_eq!(reply.problem(), refused("access-expired"));
        }
    }
}

#[tokio::test]
async fn what_was_refused_or_is_undecided_is_not_read_again() {
    let (mint, site, reader) = loop_of(41).await;
    let mut rng = StdRng::seed_from_u64(41);
    let one = site.url("/articles/one");
    mint.fail_always(Some(Fault::Unavailable));
    let sent = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut rng);
    assert_eq!(reader.get_with(&one, &sent.header).await.code(), "mint-unavailable");
    let again = reread(&reader.challenge(&one).await, sent.id, &sent.used, &mut rng);
    assert_eq!(reader.get_with(&one, &again).await.code(), "reread-unknown");
    mint.fail_always(Some(Fault::Refuse(farthing_protocol::settle::Refusal::Late)));
    assert_eq!(reader.insist(&one, &sent.header).await.code(), "refused-late");
    let again = reread(&reader.challenge(&one).await, sent.id, &sent.used, &mut rng);
    assert_eq!(reader.get_with(&one, &again).await.code(), "reread-unknown");
    assert_eq!(site.served(), 0);
}

#[tokio::test]
async fn only_a_page_is_read_again_and_by_no_method_paid_for_another() {
    let (mint, site, reader) = loop_of(42).await;
    let (one, mut rng) = (site.url("/articles/one"), StdRng::seed_from_u64(42));
    let got = pay(&reader.challenge(&one).await, mint.books().world.tokens(&[500]), None, &mut rng);
    assert_eq!(reader.get_with(&one, &got.header).await.status, 200);
    let asked = async || reader.send(Method::POST, &one, &[]).await.challenge();
    let challenge = asked().await;
    assert_eq!(crate::site::request_of(&challenge).method_details.access, 0, "its reader is told so");
    let posted = pay(&challenge, mint.books().world.tokens(&[500]), None, &mut rng);
    let send = async |header: &str| reader.send(Method::POST, &one, &[("authorization", header)]).await;
    assert_eq!(send(&posted.header).await.status, 200);
    // Whichever was the dearer one: neither opens the other, nor itself again.
    for sent in [&got, &posted] {
        let again = reread(&asked().await, sent.id, &sent.used, &mut rng);
        assert_eq!(send(&again).await.code(), "reread-unknown");
    }
    let again = reread(&reader.challenge(&one).await, posted.id, &posted.used, &mut rng);
    assert_eq!(reader.get_with(&one, &again).await.code(), "access-expired");
    let again = reread(&reader.challenge(&one).await, got.id, &got.used, &mut rng);
    assert_eq!(reader.get_with(&one, &again).await.status, 200);
}
