//! Keyset announcements, signed by the root key whatever they say: a list is taken if and only if it keeps every rule, and a newer one
//! only if it continues the one known.
#![no_main]

use std::sync::LazyLock;

use arbitrary::Arbitrary;
use curve25519_dalek::scalar::Scalar;
use farthing_fuzz::plain;
use farthing_fuzz::sequence::Sequence;
use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::error::KeysetError;
use farthing_protocol::group::Point;
use farthing_protocol::keyset::{KeysetList, Proposal, Windows};
use farthing_protocol::proof::LoneKey;
use farthing_protocol::wire::{Frame, KeysetBody, KeysetListFrame, ProofBody};
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;

const HOUR: u64 = 3_600;

/// Points for keys, and the root key.
static KEYS: LazyLock<(Scalar, LoneKey, Vec<[u8; 32]>)> = LazyLock::new(|| {
    let secret = plain::scalar_of(u64::MAX);
    let root = LoneKey::from_bytes(&secret.to_bytes().into()).unwrap();
    let mut keys: Vec<[u8; 32]> = (0..64).map(|number| plain::encode(plain::times_g(plain::scalar_of(number)))).collect();
    // The root key itself, the identity, and what is no point.
    keys.extend([root.public().to_bytes(), [0; 32], [255; 32]]);
    (secret, root, keys)
});

#[derive(Arbitrary, Debug)]
struct Entry {
    /// Hours after the entry before.
    published: u8,
    /// Hours from publication to issuing, and from one bound to the next.
    lengths: [u8; 5],
    unit: u8,
    /// Denomination after the one before, and number of its key; absent for a key and denomination of its own.
    keys: Vec<Option<(u8, u8)>>,
    receipt: Option<u8>,
    /// A bound at this value whatever the rest says.
    extreme: Option<(u8, u64)>,
}

#[derive(Arbitrary, Debug)]
struct Input {
    /// Bytes of the signed list that are changed.
    flips: Vec<(u16, u8)>,
    /// From this entry on another list goes on with these.
    fork: Option<(u8, Vec<Entry>)>,
    entries: Sequence<Entry, 7>,
}

fn body(entry: &Entry, number: usize, earlier: Option<&KeysetBody>) -> KeysetBody {
    let keys = &KEYS.2;
    let published = earlier.map_or(0, |body| body.published).saturating_add(u64::from(entry.published) * HOUR);
    let mut bound = published;
    let mut windows = entry.lengths.map(|hours| {
        // A byte spans three weeks, so that overlaps of windows of a week and more are common.
        bound = bound.saturating_add(u64::from(hours) * 2 * HOUR);
        bound
    });
    if let Some((place, value)) = entry.extreme.filter(|(place, _)| *place < 64) {
        windows[usize::from(place) % 5] = value;
    }
    let mut denomination = 0_u64;
    let key = |(place, key): (usize, &Option<(u8, u8)>)| {
        let (step, of) = key.unwrap_or((1, u8::try_from((number * 9 + place) % 64).unwrap_or_default()));
        denomination = denomination.saturating_add(u64::from(step));
        (denomination, keys[usize::from(of) % keys.len()].into())
    };
    // A list without keys is refused at once; once in a while is enough.
    let own = [None];
    let listed = if entry.keys.is_empty() && entry.lengths[4] % 8 != 0 { &own } else { entry.keys.as_slice() };
    let listed = listed.iter().take(34).enumerate().map(key).collect();
    let receipt = entry.receipt.map_or(number * 9 + 8, usize::from) % keys.len();
    // Mostly the same unit: the rules between keysets are about those of one.
    let unit = entry.unit.saturating_sub(192);
    let currency = ["eur", "usd", "EUR", "euro"][usize::from(unit) % 4];
    KeysetBody {
        published,
        currency: currency.into(),
        decimals: unit / 4 % 16,
        windows,
        receipt_key: keys[receipt].into(),
        keys: listed,
        proof: ProofBody { t: [0; 32].into(), u: [0; 32].into() },
    }
}

/// The list as a mint signs it that keeps no rule.
fn signed(entries: &[&Entry]) -> KeysetListFrame {
    let (secret, root, _) = &*KEYS;
    let mut keysets: Vec<KeysetBody> = Vec::new();
    for (number, entry) in entries.iter().take(7).enumerate() {
        keysets.push(body(entry, number, keysets.last()));
    }
    // The hash of an impossible unit is nobody's business: what cannot be named is refused before.
    keysets.retain(|body| body.decimals <= 18);
    let said = plain::heads(root.public().as_bytes(), &keysets);
    for (number, (keyset, (_, statement))) in keysets.iter_mut().zip(said).enumerate() {
        keyset.proof = plain::lone_proof(6, &statement, *secret, plain::scalar_of(number as u64));
    }
    KeysetListFrame { root: root.public().to_bytes().into(), keysets }
}

/// The same through the library's own hands; `None` if it would not sign.
fn announced(frame: &KeysetListFrame) -> Option<KeysetList> {
    let (_, root, _) = &*KEYS;
    let mut list = KeysetList::new(*root.public());
    for body in &frame.keysets {
        let [issue_from, issue_until, spend_until, refresh_until, deposit_until] = body.windows;
        let keys: Option<Vec<(Amount, Point)>> =
            body.keys.iter().map(|(value, key)| Some((Amount::from_units(*value), Point::from_bytes(key.0).ok()?))).collect();
        let proposal = Proposal {
            published: body.published,
            unit: Unit::new(&body.currency, body.decimals).ok()?,
            windows: Windows { issue_from, issue_until, spend_until, refresh_until, deposit_until },
            receipt_key: Point::from_bytes(body.receipt_key.0).ok()?,
            keys: keys?,
        };
        list.announce(proposal, root, &mut StdRng::seed_from_u64(1)).ok()?;
    }
    (!frame.keysets.is_empty()).then_some(list)
}

fuzz_target!(|input: Input| {
    let root = *KEYS.1.public();
    let mut entries: Vec<&Entry> = input.entries.0.iter().collect();
    // The first entry that breaks a rule ends the list: whatever follows it would only hide whether it was noticed.
    let breaks = |length: &usize| !plain::list_holds(root.as_bytes(), &signed(&entries[..*length]).keysets);
    if let Some(length) = (1..=entries.len()).find(breaks) {
        let frame = signed(&entries[..length]);
        assert!(KeysetList::verify(&frame, &root).is_err(), "a list that breaks a rule is not taken");
        assert!(announced(&frame).is_none(), "nor announced");
        entries.truncate(length - 1);
    }
    let frame = signed(&entries);
    let (expected, verified) = (plain::list_holds(root.as_bytes(), &frame.keysets), KeysetList::verify(&frame, &root));
    assert_eq!(verified.is_ok(), expected, "{:?}", verified.err());
    let own = announced(&frame);
    assert_eq!(own.is_some(), expected, "what may be announced is what may be trusted");
    let Ok(list) = verified else { return };
    assert_eq!(Some(list.head()), plain::heads(root.as_bytes(), &frame.keysets).last().map(|(head, _)| *head));
    assert!(list.to_frame() == frame && own.is_some_and(|own| own.head() == list.head()));

    let mut bytes = frame.to_bytes();
    for (place, bits) in input.flips.iter().take(4) {
        let place = usize::from(*place) % bytes.len();
        bytes[place] ^= bits;
    }
    let touched = KeysetListFrame::from_bytes(&bytes).is_ok_and(|changed| KeysetList::verify(&changed, &root).is_ok());
    assert_eq!(touched, bytes == frame.to_bytes(), "what was tampered with is refused");

    let Some((from, others)) = &input.fork else { return };
    let shared = usize::from(*from) % (entries.len().min(7) + 1);
    let other = signed(&entries[..shared].iter().copied().chain(others).collect::<Vec<_>>());
    let followed = list.follow(&other);
    if !plain::list_holds(root.as_bytes(), &other.keysets) {
        return assert!(followed.is_err());
    }
    let pairs = || {
        list.to_frame()
            .keysets
            .into_iter()
            .zip(&other.keysets)
            .map(|(known, new)| KeysetBody { proof: new.proof, ..known } == *new)
            .collect::<Vec<_>>()
    };
    match followed {
        Ok(newer) => assert!(pairs().iter().all(|same| *same) && newer.keysets().len() >= list.keysets().len()),
        Err(KeysetError::Forked) => assert!(!pairs().iter().all(|same| *same)),
        Err(KeysetError::Shortened) => assert!(other.keysets.len() < list.keysets().len()),
        Err(error) => panic!("{error:?}"),
    }
});
