//! A signed keyset list that was tampered with anywhere is refused.
#![no_main]

use std::sync::LazyLock;

use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::group::Point;
use farthing_protocol::keyset::{KeysetList, PUBLISHED_AHEAD, Proposal, SHORTEST_ISSUE, Windows};
use farthing_protocol::proof::LoneKey;
use farthing_protocol::wire::{Frame, KeysetListFrame};
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// Two keysets, announced one after the other.
static LIST: LazyLock<(Point, Vec<u8>)> = LazyLock::new(|| {
    let mut rng = StdRng::seed_from_u64(1);
    let root = LoneKey::generate(&mut rng);
    let mut list = KeysetList::new(*root.public());
    for issue_from in [0, PUBLISHED_AHEAD] {
        let until = issue_from + SHORTEST_ISSUE;
        let windows = Windows { issue_from, issue_until: until, spend_until: until, refresh_until: until, deposit_until: until };
        let mut key = || *LoneKey::generate(&mut rng).public();
        let keys = vec![(Amount::from_units(1), key()), (Amount::from_units(2), key())];
        let proposal = Proposal { published: 0, unit: Unit::default_eur(), windows, receipt_key: key(), keys };
        list.announce(proposal, &root, &mut rng).unwrap();
    }
    (*root.public(), list.to_frame().to_bytes())
});

fuzz_target!(|changes: &[u8]| {
    let (root, original) = &*LIST;
    let mut bytes = original.clone();
    for change in changes.chunks_exact(3).take(8) {
        let place = usize::from(u16::from_le_bytes([change[0], change[1]])) % bytes.len();
        bytes[place] ^= change[2];
    }
    let verified = KeysetListFrame::from_bytes(&bytes).is_ok_and(|frame| KeysetList::verify(&frame, root).is_ok());
    assert_eq!(verified, bytes == *original);
});
