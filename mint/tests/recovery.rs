//! Recovery over HTTP: a leaked key, honest holders, and whoever has the key.

mod common;

use common::{World, copy};
use farthing_mint::signer::KeyFile;
use farthing_protocol::amount::Amount;
use farthing_protocol::issue::FundingKeys;
use farthing_protocol::proof::{SpendKey, SpentKey};
use farthing_protocol::recovery::{Recovery, SessionOrigin};
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::settle::Outcome;
use farthing_protocol::snowblind::{Blinding, SigningContext, commit};
use farthing_protocol::token::{OwnedToken, OwnedTokens, Token, UsedTokens};
use farthing_protocol::wire::{Bytes, ClaimBody, FundingBody, IssueResponseFrame, OpenRequestFrame};
use http::StatusCode;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

/// Changes the session's hash, its leaves, or what is claimed of it.
type Change<'a> = &'a dyn Fn(&mut [u8; 32], &mut Vec<Bytes<32>>, &mut Vec<ClaimBody>);

/// Tokens of one session, and the index of its first output.
struct Bought {
    tokens: Vec<OwnedToken>,
    denominations: Vec<Amount>,
    first_index: u64,
}

impl Bought {
    async fn new(world: &mut World, denominations: &[u64]) -> Self {
        let first_index = world.next_index;
        let tokens = world.tokens(denominations).await;
        Self { tokens, denominations: denominations.iter().copied().map(Amount::from_units).collect(), first_index }
    }

    fn origin<'a>(&'a self, world: &'a World) -> SessionOrigin<'a> {
        let keyset = world.keyset().id();
        SessionOrigin { root: &world.root, keyset, denominations: &self.denominations, first_index: self.first_index }
    }

    /// The claim on some outputs, and the tokens whose keys prove it.
    fn claim(&self, world: &World, positions: &[u8]) -> (UsedTokens, Recovery) {
        let token = |position: &u8| &self.tokens[usize::from(*position)];
        let places: Vec<_> = positions.iter().map(|position| (*position, *token(position).token().spent_key())).collect();
        let claim = Recovery::new(&world.seed, &self.origin(world), &places).unwrap();
        (OwnedTokens::new(positions.iter().map(|position| copy(token(position))).collect()).unwrap().retire(), claim)
    }
}

/// A token made with a stolen key, for a spend key of the thief's.
fn counterfeit(world: &mut World, denomination: u64) -> OwnedToken {
    let stolen = KeyFile::from_json(&std::fs::read(world.path().join("keys.json")).unwrap()).unwrap();
    let key = &stolen.keysets[0].keys.iter().find(|(have, _)| have.units() == denomination).unwrap().1;
    let context = SigningContext::new(&world.keyset().id().0, denomination, key.public());
    let (nonces, commitment) = commit(&farthing_protocol::group::Point::second_generator(), &mut world.rng).unwrap();
    let spend_key = SpendKey::generate(&mut world.rng);
    let p = spend_key.public().to_bytes();
    let (pending, challenge) = Blinding::generate(&mut world.rng).challenge(&context, key.public(), &commitment, &p).unwrap();
    let signature = pending.unblind(&nonces.respond(key, &challenge)).unwrap();
    let spent_key = SpentKey { keyset: world.keyset().id(), denomination: Amount::from_units(denomination), key: p };
    OwnedToken::new(Token::new(spent_key, signature), spend_key).unwrap()
}

async fn freeze(world: &World, denomination: u64) {
    world.mint.freeze_denomination(0, Amount::from_units(denomination)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn honest_holders_are_paid_back_although_counterfeits_came_first() {
    let mut world = World::new().await;
    world.mint.add_publisher("blog.example").await.unwrap();
    let bought = Bought::new(&mut world, &[200, 500, 500]).await;
    for expected in [true, true, false] {
        let forged = counterfeit(&mut world, 500);
        let (forged, _) = world.pay(vec![forged], "blog.example", 500);
        assert_eq!(matches!(world.deposit(&[&forged]).await[0], Outcome::Credited { .. }), expected, "up to what was issued");
    }
    let answer = world.http.get("/v1/frozen", &[]).await;
    assert!(String::from_utf8_lossy(&answer.body).contains("\"denomination\":500"), "{:?}", answer.body);
    let retired = bought.claim(&world, &[1]).0;
    assert_eq!(world.issue(&[500], &FundingKeys::Refresh(&retired)).await.err().unwrap(), "denomination-frozen");

    let (used, claim) = bought.claim(&world, &[1, 2]);
    let funding = FundingKeys::Recovery(&used, &claim);
    let (pending, request) = world.session(&[200, 200, 200, 200, 200], &funding).await.unwrap();
    let first: IssueResponseFrame = world.http.post("/v1/issue", &request).await.frame();
    let again: IssueResponseFrame = world.http.post("/v1/issue", &request).await.frame();
    assert_eq!(first, again, "the same request, the same answer");
    let fresh = pending.unblind(&first).unwrap();
    assert_eq!(world.issue(&[200, 200, 200, 200, 200], &funding).await.err().unwrap(), "token-spent");

    let status = world.balanced().await;
    assert_eq!((status.counterfeits.units(), status.outstanding.units(), status.credits.units()), (1_000, 1_200, 1_000));
    let kind = status.keysets[0].denominations.iter().find(|one| one.denomination.units() == 500).unwrap();
    assert_eq!((kind.issued, kind.redeemed, kind.repaid, kind.counterfeits, kind.frozen), (2, 2, 2, 2, true));
    // What came of it is money like any other.
    let (paid, _) = world.pay(fresh, "blog.example", 1_000);
    assert!(matches!(world.deposit(&[&paid]).await[0], Outcome::Credited { .. }));
    world.balanced().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_needs_a_frozen_denomination_and_tokens_that_are_whole() {
    let mut world = World::new().await;
    world.mint.add_publisher("news.example").await.unwrap();
    let bought = Bought::new(&mut world, &[100, 500, 500]).await;
    let (used, claim) = bought.claim(&world, &[1]);
    assert_eq!(world.issue(&[500], &FundingKeys::Recovery(&used, &claim)).await.err().unwrap(), "denomination-not-frozen");
    let (paid, _) = world.pay(vec![copy(&bought.tokens[2])], "news.example", 500);
    assert!(matches!(world.deposit(&[&paid]).await[0], Outcome::Credited { .. }));
    freeze(&world, 500).await;
    let (spent, claim) = bought.claim(&world, &[1, 2]);
    assert_eq!(world.issue(&[1_000], &FundingKeys::Recovery(&spent, &claim)).await.err().unwrap(), "token-spent");
    let (mixed, claim) = bought.claim(&world, &[0, 1]);
    assert_eq!(world.issue(&[100, 500], &FundingKeys::Recovery(&mixed, &claim)).await.err().unwrap(), "denomination-not-frozen");
    // Frozen is frozen for what is issued too, and the refusal costs nothing.
    let (used, claim) = bought.claim(&world, &[1]);
    assert_eq!(world.issue(&[500], &FundingKeys::Recovery(&used, &claim)).await.err().unwrap(), "denomination-frozen");
    assert_eq!(world.issue(&[100, 200, 200], &FundingKeys::Recovery(&used, &claim)).await.unwrap().len(), 3);
    assert_eq!(world.balanced().await.counterfeits, Amount::ZERO);
    // The denominations that are not frozen are refreshed as ever.
    let retired = OwnedTokens::new(vec![copy(&bought.tokens[0])]).unwrap().retire();
    assert_eq!(world.issue(&[100], &FundingKeys::Refresh(&retired)).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_session_that_made_a_token_pays_it_back() {
    let mut world = World::new().await;
    let (bought, other) = (Bought::new(&mut world, &[500, 500]).await, Bought::new(&mut world, &[500, 500]).await);
    freeze(&world, 500).await;
    let (used, claim) = bought.claim(&world, &[0]);
    let open = world.plan(&[100, 200, 200]);
    let honest = open.open(&world.root, &FundingKeys::Recovery(&used, &claim), &mut world.rng).unwrap();

    // D_open does not name what is shown of the session, so that each defect stands alone behind a proof that holds.
    let changed = |change: Change<'_>| {
        let mut frame: OpenRequestFrame = honest.clone();
        let FundingBody::Recovery { session, leaves, claims, .. } = &mut frame.funding else { unreachable!() };
        change(&mut session.0, leaves, claims);
        frame
    };
    let others = other.claim(&world, &[0]).1;
    let FundingBody::Recovery { leaves: other_leaves, claims: other_claims, .. } =
        open.open(&world.root, &FundingKeys::Recovery(&used, &others), &mut world.rng).unwrap().funding
    else {
        unreachable!()
    };
    let defects: Vec<(&str, OpenRequestFrame)> = vec![
        ("issue-invalid-recovery", changed(&|_, _, claims| claims[0].secret.0[0] ^= 1)),
        ("issue-invalid-recovery", changed(&|_, _, claims| claims[0].position = 1)),
        ("issue-invalid-recovery", changed(&|_, _, claims| claims[0].secret = other_claims[0].secret)),
        ("recovery-unknown", changed(&|_, leaves, _| leaves[1].0[0] ^= 1)),
        ("recovery-unknown", changed(&|_, leaves, _| leaves.swap(0, 1))),
        ("recovery-unknown", changed(&|_, leaves, _| leaves.truncate(1))),
        ("recovery-unknown", changed(&|session, _, _| session[0] ^= 1)),
        // Another session of the same wallet, shown whole.
        (
            "issue-invalid-recovery",
            changed(&|session, leaves, claims| {
                *session = *others.session();
                leaves.clone_from(&other_leaves);
                claims[0].secret = other_claims[0].secret;
            }),
        ),
        ("issue-invalid-funding", changed(&|_, _, claims| claims[0].position = 2)),
        ("issue-invalid-funding", changed(&|_, _, claims| claims.push(claims[0].clone()))),
        ("issue-invalid-funding", changed(&|_, _, claims| claims.clear())),
        ("issue-invalid-funding", changed(&|_, leaves, _| leaves.resize(257, [0; 32].into()))),
        ("issue-amount-mismatch", changed(&|_, _, claims| claims[0].denomination = 1_000)),
        ("invalid-proof", changed(&|_, _, claims| claims[0].key = other_claims[0].key)),
    ];
    for (number, (code, frame)) in defects.iter().enumerate() {
        let answer = world.http.post("/v1/commitments", frame).await;
        assert_ne!(answer.status, StatusCode::OK, "{number}");
        assert_eq!(answer.code(), *code, "{number}");
    }
    assert_eq!(world.http.post("/v1/commitments", &honest).await.status, StatusCode::OK);

    // A session that was opened and never booked, and one of another seed.
    let never = Bought { tokens: vec![copy(&other.tokens[1])], denominations: vec![Amount::from_units(500)], first_index: 1_000 };
    let (used, claim) = never.claim(&world, &[0]);
    assert_eq!(world.issue(&[100, 200, 200], &FundingKeys::Recovery(&used, &claim)).await.err().unwrap(), "recovery-unknown");
    let stranger = WalletSeed::generate(&mut world.rng);
    let places = [(1, *other.tokens[1].token().spent_key())];
    let claim = Recovery::new(&stranger, &other.origin(&world), &places).unwrap();
    assert_eq!(world.issue(&[100, 200, 200], &FundingKeys::Recovery(&used, &claim)).await.err().unwrap(), "recovery-unknown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thief_of_the_key_is_paid_back_no_more_than_it_bought() {
    let mut world = World::new().await;
    // The thief buys as everybody does, keeps its session, and makes another token with the key.
    let bought = Bought::new(&mut world, &[500]).await;
    let forged = counterfeit(&mut world, 500);
    freeze(&world, 500).await;
    let places = [(0, *forged.token().spent_key())];
    let claim = Recovery::new(&world.seed, &bought.origin(&world), &places).unwrap();
    let used = OwnedTokens::new(vec![copy(&forged)]).unwrap().retire();
    let refused = world.issue(&[100, 200, 200], &FundingKeys::Recovery(&used, &claim)).await.err().unwrap();
    assert_eq!(refused, "issue-invalid-recovery");
    let (used, claim) = bought.claim(&world, &[0]);
    assert_eq!(world.issue(&[100, 200, 200], &FundingKeys::Recovery(&used, &claim)).await.unwrap().len(), 3);
    assert_eq!(world.balanced().await.counterfeits, Amount::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denomination_paid_back_without_being_frozen_stops_a_close() {
    let mut world = World::new().await;
    let bought = Bought::new(&mut world, &[500]).await;
    freeze(&world, 500).await;
    let (used, claim) = bought.claim(&world, &[0]);
    world.issue(&[100, 200, 200], &FundingKeys::Recovery(&used, &claim)).await.unwrap();
    assert!(world.mint.close_books().await.unwrap().is_some());
    world.balanced().await;
    // Whoever thaws it behind the mint's back is found out: every other number still agrees.
    let mut ledger = SqliteConnectOptions::new().filename(world.ledger_path()).connect().await.unwrap();
    sqlx::query("UPDATE counter SET frozen = 0 WHERE denomination = 500").execute(&mut ledger).await.unwrap();
    ledger.close().await.unwrap();
    let differences = world.mint.audit().await.unwrap().differences;
    assert_eq!(differences.len(), 1, "{differences:?}");
    assert!(differences[0].what.contains("keyset 0, 500"), "{differences:?}");
    world.mint.create_vouchers(Amount::from_units(5), 1).await.unwrap();
    assert!(world.mint.close_books().await.is_err());
}
