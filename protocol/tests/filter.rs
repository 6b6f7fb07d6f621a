//! Filters of spent tokens: pinned bytes, no token lost, nothing read that is not a segment.

use farthing_protocol::amount::Amount;
use farthing_protocol::filter::{LARGEST, SMALLEST, SpentMark, SpentSegment, plan};
use farthing_protocol::proof::{KeysetId, SpentKey};

const KEYSET: KeysetId = KeysetId([7; 32]);

fn mark(number: u64) -> SpentMark {
    let mut key = [9; 32];
    key[..8].copy_from_slice(&number.to_le_bytes());
    SpentMark::of(&SpentKey { keyset: KEYSET, denomination: Amount::from_units(100), key })
}

#[test]
fn full_segments_never_change_and_cover_everything() {
    for count in [0, 1, 1_023, 1_024, 1_025, 5_000, 65_535, 65_536, LARGEST - 1, LARGEST, 3 * LARGEST + 70_000] {
        let segments = plan(count);
        let mut next = 0;
        for (first, length) in &segments {
            assert_eq!((*first, length % SMALLEST == 0 || first + length == count), (next, true));
            next += length;
        }
        assert_eq!(next, count);
        assert!(segments.len() as u64 <= count / LARGEST + 16, "{count}");
        // One token more leaves every segment of full length or merges it into a longer one.
        let later = plan(count + 1);
        for (first, length) in segments.iter().filter(|(_, length)| length.is_multiple_of(SMALLEST)) {
            assert!(later.iter().any(|(from, long)| from <= first && first + length <= from + long && long >= length));
        }
    }
    // How often a token is downloaded when an index is read after every 100 tokens.
    let (mut held, mut downloaded): (Vec<(u64, u64)>, u64) = (Vec::new(), 0);
    for count in (1_024..200_000).step_by(1_024) {
        let segments = plan(count);
        downloaded += segments.iter().filter(|segment| !held.contains(segment)).map(|(_, length)| length).sum::<u64>();
        held = segments;
    }
    assert!(downloaded < 5 * 200_000, "{downloaded}");
}

#[test]
fn what_is_in_it_hits_and_little_else_does() {
    for (count, bits) in [(1_024, 13), (4_096, 12), (65_536, 10)] {
        let segment = SpentSegment::build(KEYSET, 0, (0..count).map(mark).collect()).unwrap();
        assert!(segment.to_bytes().len() as u64 * 8 < count * bits, "{count}: {}", segment.size());
    }
    let marks: Vec<SpentMark> = (0..4_096).map(mark).collect();
    let bytes = SpentSegment::build(KEYSET, 8_192, marks.clone()).unwrap().to_bytes();
    let read = SpentSegment::from_bytes(&bytes).unwrap();
    assert_eq!((read.keyset(), read.range(), read.to_bytes()), (KEYSET, (8_192, 4_096), bytes));
    assert!(marks.iter().all(|mark| read.may_hold(*mark)));
    let false_hits = (10_000..60_000).filter(|number| read.may_hold(mark(*number))).count();
    assert!(false_hits < 50_000 / 200, "{false_hits}");
    // Marks that come twice are no reason to fail; nothing is not a segment.
    assert!(SpentSegment::build(KEYSET, 0, vec![mark(1), mark(1)]).unwrap().may_hold(mark(1)));
    assert!(SpentSegment::build(KEYSET, 0, Vec::new()).is_none());
}

#[test]
fn nothing_else_is_read_and_no_look_up_leaves_the_bytes() {
    let good = SpentSegment::build(KEYSET, 0, (0..100).map(mark).collect()).unwrap().to_bytes();
    for length in 0..good.len() {
        assert!(SpentSegment::from_bytes(&good[..length]).is_none(), "{length}");
    }
    // Every byte of the header, wrong: refused, or a segment that looks up within its bytes.
    for place in 0..72 {
        for value in [0, 1, 3, 127, 255] {
            let mut wrong = good.clone();
            wrong[place] = value;
            if let Some(read) = SpentSegment::from_bytes(&wrong) {
                assert!((0..2_000).filter(|number| read.may_hold(mark(*number))).count() <= 2_000);
            }
        }
    }
    let mut long = good;
    long.push(0);
    assert!(SpentSegment::from_bytes(&long).is_none());
}
