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

/// One look-up in this many says yes to a token that is not in the segment: the fingerprints have 16 bits.
const ONE_IN: f64 = 65_536.0;

/// Marks that look random, each number its own: the marks of tokens that nobody can tell apart from them.
fn number(place: u64) -> SpentMark {
    let mut mixed = place.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    SpentMark::from_bytes((mixed ^ (mixed >> 31)).to_le_bytes())
}

/// Whether so many hits are what a share gives: within six standard deviations, which chance leaves once in five hundred million times.
fn fits(hits: usize, probes: u32, share: f64) -> bool {
    let (hits, expected) = (f64::from(u32::try_from(hits).unwrap()), f64::from(probes) * share);
    (hits - expected).abs() < 6.0 * expected.sqrt()
}

#[test]
fn full_segments_never_change_and_cover_everything() {
    for count in [0, 1, 1_023, 1_024, 1_025, 5_000, 65_535, 65_536, LARGEST - 1, LARGEST, 3 * LARGEST + 70_000] {
        let segments = plan(count);
        let mut next = 0;
        for (first, length) in &segments {
            assert_eq!((*first, length % SMALLEST == 0 || first + length == count), (next, true));
            assert!(*length > 0, "{count}");
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
    for (count, bits) in [(1_024, 26), (4_096, 24), (65_536, 20)] {
        let segment = SpentSegment::build(KEYSET, 0, (0..count).map(mark).collect()).unwrap();
        assert!(segment.to_bytes().len() as u64 * 8 < count * bits, "{count}: {}", segment.size());
    }
    let marks: Vec<SpentMark> = (0..4_096).map(mark).collect();
    let bytes = SpentSegment::build(KEYSET, 8_192, marks.clone()).unwrap().to_bytes();
    let read = SpentSegment::from_bytes(&bytes).unwrap();
    assert_eq!((read.keyset(), read.range(), read.to_bytes()), (KEYSET, (8_192, 4_096), bytes));
    assert!(marks.iter().all(|mark| read.may_hold(*mark)));
    let probes = 4 << 20;
    let false_hits = (0..u64::from(probes)).filter(|place| read.may_hold(number(*place))).count();
    assert!(fits(false_hits, probes, 1.0 / ONE_IN), "{false_hits}");
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
                // Another keyset, first or count: the same filter. Another seed or other blocks: one in which nobody is, and nearly nobody hits.
                let members = (0..100).filter(|number| read.may_hold(mark(*number))).count();
                let same = wrong[56..] == good[56..];
                assert!(if same { members == 100 } else { members <= 3 }, "{place} {value}: {members}");
                let others = (100..2_000).filter(|number| read.may_hold(mark(*number))).count();
                // 0.03 are expected; four or more come once in thirty million times.
                assert!(others <= 3, "{place} {value}: {others}");
            }
        }
    }
    let mut long = good;
    long.push(0);
    assert!(SpentSegment::from_bytes(&long).is_none());
}

/// `cargo test --release -p farthing-protocol --test filter -- --ignored --nocapture`: one segment in memory at a time.
#[test]
#[ignore = "builds filters of fifty million tokens: half a minute in release"]
fn of_unspent_tokens_few_hit_any_of_many_segments() {
    for count in [1_000_000, 50_000_000] {
        let (segments, probes) = (plan(count), 4_u32 << 20);
        let mut hits = vec![false; probes as usize];
        let mut bytes = 0;
        for (first, length) in &segments {
            let marks = (*first..first + length).map(number).collect();
            let segment = SpentSegment::build(KEYSET, *first, marks).unwrap();
            bytes += segment.to_bytes().len();
            for (place, hit) in (count..).zip(&mut hits) {
                *hit |= segment.may_hold(number(place));
            }
        }
        let missed = (1.0 - 1.0 / ONE_IN).powi(i32::try_from(segments.len()).unwrap());
        let found = hits.into_iter().filter(|hit| *hit).count();
        println!(
            "{count} tokens: {} segments, {bytes} bytes, {found} of {probes} unspent tokens hit, expected share {:.6}",
            segments.len(),
            1.0 - missed
        );
        assert!(fits(found, probes, 1.0 - missed), "{found}");
    }
}
