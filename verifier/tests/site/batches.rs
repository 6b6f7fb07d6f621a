//! Payments that arrive together share a check and nothing else.

use farthing_protocol::wire::{Bytes, Frame};
use farthing_verifier::store::MemoryStore;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::site::{Plan, Reader, pay, payment_credential};
use crate::stand_in::StandIn;
use crate::world::World;

/// More than one group holds, so that some wait.
const READERS: usize = 96;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_at_once_each_gets_its_own_answer() {
    crowd().await;
}

/// All of them are ready before the first is checked: the groups are as large as they get.
#[tokio::test(flavor = "current_thread")]
async fn of_many_on_one_thread_each_gets_its_own_answer() {
    crowd().await;
}

async fn crowd() {
    let (mint, address) = StandIn::start(World::new(70)).await;
    let root = mint.books().world.root();
    let (site, reader) = (Plan::new(&address, root).await.open(MemoryStore::new()).await, Reader::new());
    let url = site.url("/articles/crowded");
    let mut rng = StdRng::seed_from_u64(70);
    let tokens = mint.books().world.tokens(&[500; READERS]);
    let mut headers = Vec::new();
    for (index, token) in tokens.into_iter().enumerate() {
        let challenge = reader.challenge(&url).await;
        let sent = pay(&challenge, vec![token], None, &mut rng);
        let mut frame = sent.payment.to_frame();
        // Every eighth is forged, one way or the other.
        match index % 16 {
            3 => frame.proof.u.0[0] ^= 1,
            11 => frame.tokens.tokens[0].signature.s.0[0] ^= 1,
            15 => frame.proof.t = Bytes([0; 32]),
            _ => {}
        }
        headers.push(payment_credential(&challenge, &frame.to_bytes(), &sent.salt));
    }
    let offer = farthing_verifier::Offer {
        price: farthing_verifier::Price::Fixed(farthing_protocol::amount::Amount::from_units(500)),
        title: "Crowded".into(),
        external_id: "crowded".into(),
        access: std::time::Duration::from_hours(1),
    };
    let resource = site.verifier.resource(&http::Method::GET, &"/articles/crowded".parse().unwrap());
    let running: Vec<_> = headers
        .iter()
        .map(|header| {
            let (verifier, resource, offer, header) = (site.verifier.clone(), resource.clone(), offer.clone(), header.clone());
            tokio::spawn(async move { verifier.authorize(&header, &resource, &offer).await })
        })
        .collect();
    // Readers who hang up in the middle take nothing from the others, and may come back.
    for gone in running.iter().skip(5).step_by(16) {
        gone.abort();
    }
    for (index, answer) in running.into_iter().enumerate() {
        let Ok(answer) = answer.await else {
            assert_eq!(index % 16, 5, "only who hung up has no answer");
            continue;
        };
        match (index % 16, answer) {
            (3 | 11 | 15, Err(refused)) => {
                let codes = ["invalid-proof", "invalid-signature", "invalid-point"];
                let expected = codes[[3, 11, 15].iter().position(|at| *at == index % 16).unwrap()];
                assert_eq!(refused.code(), expected, "payment {index}");
            }
            (3 | 11 | 15, Ok(_)) => panic!("a forged payment was served"),
            (_, Ok(paid)) => assert!(paid.is_settled()),
            (_, Err(refused)) => panic!("payment {index} holds and was refused: {refused}"),
        }
    }
    for (index, header) in headers.iter().enumerate().skip(5).step_by(16) {
        let paid = site.verifier.authorize(header, &resource, &offer).await;
        assert!(paid.is_ok(), "payment {index} comes again after its reader hung up");
    }
    assert_eq!(mint.credited(), READERS - READERS / 16 * 3);
}
