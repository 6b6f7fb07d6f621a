//! A wallet that has only its seed reads what a mint says it recorded: its own sessions, copied, changed, moved, and invented ones. It gets
//! back the tokens it was issued and none besides.
#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use arbitrary::Arbitrary;
use farthing_fuzz::plain;
use farthing_fuzz::world::World;
use farthing_protocol::proof::SpentKey;
use farthing_protocol::restore::{Bucket, MAX_SESSIONS, RestoredToken};
use farthing_protocol::seed::WalletSeed;
use farthing_protocol::wire::{Bytes, RecordedOutputBody, RecordedSessionBody, RestoreBucketFrame};
use libfuzzer_sys::fuzz_target;

const SEED: [u8; 32] = [4; 32];
/// Indices that honest sessions begin at; each has up to three outputs.
const STARTS: [u64; 4] = [0, 3, 70, u64::MAX - 2];

static WORLD: LazyLock<World> = LazyLock::new(World::default);

#[derive(Arbitrary, Debug)]
struct Session {
    start: u8,
    outputs: u8,
    /// Somebody else's tokens under our recovery hash, or ours under another's.
    foreign: bool,
    copied: bool,
    changes: Vec<(u8, u8, u8, u8)>,
    nonce: u64,
}

#[derive(Arbitrary, Debug)]
struct Input {
    sessions: Vec<Session>,
    /// Left in the order in which they came, as a careless mint would.
    unsorted: bool,
    raw: Option<RestoreBucketFrame>,
    second_keyset: bool,
}

/// A session as an honest mint records it for an honest wallet of this seed.
fn recorded(session: &Session, keys: &[usize]) -> RecordedSessionBody {
    let seed = if session.foreign { [5; 32] } else { SEED };
    let root = WORLD.list.root().as_bytes();
    let start = STARTS[usize::from(session.start) % STARTS.len()];
    let outputs = keys.iter().take(1 + usize::from(session.outputs) % 3).zip(start..=u64::MAX).map(|(place, index)| {
        let key = WORLD.public[*place];
        let nonces = [0, 1, 2].map(|part| plain::scalar_of(session.nonce.wrapping_add(index).wrapping_mul(3).wrapping_add(part)));
        let commitment = plain::commitment(nonces[0], nonces[1], nonces[2]);
        let secrets = plain::wallet_secrets(&seed, root, &key, index, &commitment);
        let (c, _) = plain::challenge(&key, &commitment, secrets).unwrap();
        let x = plain::scalar(&WORLD.secret[*place].expose_secret()).unwrap();
        RecordedOutputBody { denomination: key.1, response: plain::response(x, nonces, c), commitment }
    });
    let recovery = if session.copied { SEED } else { seed };
    RecordedSessionBody { recovery: plain::recovery_hash(&recovery, root, start).into(), outputs: outputs.collect() }
}

fn change(session: &mut RecordedSessionBody, (output, part, place, bits): (u8, u8, u8, u8)) {
    let count = session.outputs.len();
    let output = &mut session.outputs[usize::from(output) % count];
    let bytes: &mut Bytes<32> = match part % 8 {
        0 => &mut output.commitment.a,
        1 => &mut output.commitment.b,
        2 => &mut output.response.b,
        3 => &mut output.response.y,
        4 => &mut output.response.z,
        5 => &mut session.recovery,
        6 => return output.denomination = u64::from(bits),
        _ => return output.denomination = u64::MAX - u64::from(bits),
    };
    bytes.0[usize::from(place) % 32] ^= bits;
}

fuzz_target!(|input: Input| {
    let (wallet, root) = (WalletSeed::from_bytes(&SEED.into()), WORLD.list.root());
    let keyset = &WORLD.list.keysets()[usize::from(input.second_keyset)];
    let places: Vec<usize> = (0..3).map(|place| place + 3 * usize::from(input.second_keyset)).collect();
    let mut honest = BTreeSet::new();
    let mut sessions = Vec::new();
    for session in input.sessions.iter().take(MAX_SESSIONS + 1) {
        let mut made = recorded(session, &places);
        if !session.foreign {
            honest.extend(made.outputs.iter().map(|output| (output.denomination, output.commitment.clone().a.0, output.commitment.b.0)));
        }
        for one in session.changes.iter().take(3) {
            change(&mut made, *one);
        }
        sessions.push(made);
    }
    if !input.unsorted {
        sessions.sort_by_key(|session| (session.recovery.0, session.outputs[0].commitment.a.0));
        sessions.dedup_by_key(|session| (session.recovery.0, session.outputs[0].commitment.a.0));
    }
    let frame = RestoreBucketFrame { keyset: keyset.id().0.into(), bucket: 0, sessions };
    for frame in input.raw.iter().chain([&frame]) {
        let Ok(bucket) = Bucket::from_frame(frame, keyset.id(), 0) else { continue };
        assert!(bucket.to_frame() == *frame && bucket.sessions().len() <= MAX_SESSIONS);
        // The search of a wallet, without the 65,536 misses at its end.
        for start in STARTS.into_iter().chain([1, 5]) {
            let hash = wallet.recovery_hash(root, start);
            for session in bucket.sessions().iter().filter(|session| *session.recovery() == hash) {
                let Ok(tokens) = session.restore(&wallet, root, keyset, start) else { continue };
                check(&tokens, keyset.id().0);
                assert_eq!(tokens.len(), session.outputs(), "a session comes back whole");
                let recorded = frame.sessions.iter().filter(|body| body.recovery.0 == hash).flat_map(|body| &body.outputs);
                let known = recorded.filter(|output| honest.contains(&(output.denomination, output.commitment.a.0, output.commitment.b.0)));
                assert!(known.count() >= tokens.len(), "nothing comes back that was not issued");
            }
        }
    }
});

fn check(tokens: &[RestoredToken], keyset: [u8; 32]) {
    let mut seen: Vec<SpentKey> = Vec::new();
    for token in tokens {
        let (spent, signature) = (token.token().spent_key(), token.token().signature().to_body());
        let key = WORLD.public.iter().find(|(id, value, _)| *id == keyset && *value == spent.denomination.units());
        assert!(key.is_some_and(|key| plain::signature_holds(key, &spent.key, &signature)), "a token that nobody would take");
        assert!(!seen.contains(spent));
        seen.push(*spent);
    }
}
