//! Runs every vector of `spec/vectors/`: positive ones are recomputed and compared, negative ones must be refused with exactly their code.
//!
//! With `FARTHING_EMIT` set to a path, freshly random artefacts are written there for `spec/reference/run.py --accept`.

#[path = "vectors/emit.rs"]
mod emit;
#[path = "vectors/negative.rs"]
mod negative;
#[path = "vectors/positive.rs"]
mod positive;
#[path = "vectors/reading.rs"]
mod reading;

use std::collections::BTreeSet;

use farthing_protocol::labels::ALL_DOMAINS;
use reading::{Fields, files};

#[test]
fn positive_vectors_are_recomputed() {
    let mut count = 0;
    for (file, cases) in files("") {
        for case in &cases {
            let name = format!("{file} {}", case.text("name"));
            positive::run(case.text("operation"), &case.at("input"), &case.at("output"), &name);
            count += 1;
        }
    }
    assert!(count >= 60, "only {count} vectors found");
}

#[test]
fn negative_vectors_are_refused_with_their_code() {
    let (mut count, mut wrong) = (0, Vec::new());
    for (file, cases) in files("negative") {
        for case in &cases {
            let found = negative::run(case.text("operation"), &case.at("input"));
            if found != Some(case.text("error")) {
                wrong.push(format!("{file} {}: {found:?} instead of {}", case.text("name"), case.text("error")));
            }
            count += 1;
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(count >= 80, "only {count} vectors found");
}

#[test]
fn every_separator_has_a_transcript() {
    let (_, cases) = files("").into_iter().find(|(file, _)| file == "transcripts.json").unwrap();
    let listed: Vec<String> = cases.iter().skip(1).map(|case| case.at("input").text("domain").to_owned()).collect();
    let known: Vec<&str> = ALL_DOMAINS.iter().map(|domain| domain.as_str()).collect();
    assert_eq!(listed, known);
}

#[test]
fn every_error_code_is_in_the_specification() {
    let page = std::fs::read_to_string(reading::spec().join("errors.md")).unwrap();
    let listed: BTreeSet<&str> =
        page.lines().filter_map(|line| line.strip_prefix("| `")).filter_map(|line| line.split_once('`')).map(|(code, _)| code).collect();
    // The one code without an error type is the one for JSON that does not parse.
    let known: BTreeSet<&str> = negative::all_codes().into_iter().chain(["malformed-credential"]).collect();
    assert_eq!(listed, known);
}

#[test]
fn artefacts_for_the_reference_are_written() {
    let made = emit::artefacts(2);
    if let Ok(path) = std::env::var("FARTHING_EMIT") {
        std::fs::write(path, serde_json::to_string_pretty(&made).unwrap()).unwrap();
    }
}
