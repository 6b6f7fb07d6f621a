//! Reads vector files, and plays recorded randomness back.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::path::PathBuf;

use farthing_protocol::amount::Amount;
use farthing_protocol::group::Point;
use farthing_protocol::keyset::KeysetList;
use farthing_protocol::proof::{KeysetId, SpendKey, SpentKey};
use farthing_protocol::snowblind::Signature;
use farthing_protocol::token::{OwnedToken, OwnedTokens, Token};
use farthing_protocol::wire::{Frame, KeysetListFrame, SignatureBody};
use rand_core::{TryCryptoRng, TryRng};
use serde_json::Value;
use zeroize::Zeroizing;

pub fn spec() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../spec"))
}

/// The vector files of a folder below `spec/vectors/`, by name: their cases.
pub fn files(folder: &str) -> Vec<(String, Vec<Value>)> {
    let folder = spec().join("vectors").join(folder);
    let mut names: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|_| panic!("{} is not there: these tests run in the repository", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with("schema.json"))
        .collect();
    names.sort();
    let read = |path: PathBuf| {
        let content: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        (path.file_name().unwrap().to_str().unwrap().to_owned(), content["cases"].as_array().unwrap().clone())
    };
    names.into_iter().map(read).collect()
}

/// Shorthands for reading JSON; each panics if the field is not there.
pub trait Fields {
    fn at(&self, name: &str) -> Value;
    fn text(&self, name: &str) -> &str;
    fn hex(&self, name: &str) -> Vec<u8>;
    fn items(&self, name: &str) -> &Vec<Value>;

    fn bytes<const N: usize>(&self, name: &str) -> [u8; N] {
        self.hex(name).try_into().unwrap_or_else(|_| panic!("{name} is not {N} bytes"))
    }

    fn point(&self, name: &str) -> Point {
        Point::from_bytes(self.bytes(name)).unwrap()
    }

    fn number(&self, name: &str) -> u64;

    fn amount(&self, name: &str) -> Amount {
        Amount::from_units(self.number(name))
    }

    fn amounts(&self, name: &str) -> Vec<Amount> {
        self.items(name).iter().map(|item| Amount::from_units(item.as_u64().unwrap())).collect()
    }

    fn hexes(&self, name: &str) -> Vec<Vec<u8>> {
        self.items(name).iter().map(|item| unhex(item.as_str().unwrap())).collect()
    }

    fn frame<F: Frame>(&self, name: &str) -> F {
        F::from_bytes(&self.hex(name)).unwrap()
    }

    fn secret(&self, name: &str) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.bytes(name))
    }

    /// The verified keyset list of a case.
    fn keysets(&self) -> KeysetList {
        KeysetList::verify(&self.frame::<KeysetListFrame>("list"), &self.point("root")).unwrap()
    }

    /// The owned tokens of a case.
    fn tokens(&self, name: &str) -> OwnedTokens {
        OwnedTokens::new(self.items(name).iter().map(owned_token).collect()).unwrap()
    }
}

impl Fields for Value {
    fn at(&self, name: &str) -> Value {
        self.get(name).unwrap_or_else(|| panic!("no {name}")).clone()
    }

    fn text(&self, name: &str) -> &str {
        self[name].as_str().unwrap_or_else(|| panic!("no text {name}"))
    }

    fn hex(&self, name: &str) -> Vec<u8> {
        unhex(self.text(name))
    }

    fn items(&self, name: &str) -> &Vec<Value> {
        self[name].as_array().unwrap_or_else(|| panic!("no list {name}"))
    }

    fn number(&self, name: &str) -> u64 {
        self[name].as_u64().unwrap_or_else(|| panic!("no number {name}"))
    }
}

pub fn unhex(text: &str) -> Vec<u8> {
    assert!(text.len().is_multiple_of(2));
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    bytes.as_ref().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

pub fn spent_key(value: &Value) -> SpentKey {
    SpentKey { keyset: KeysetId(value.bytes("keyset")), denomination: value.amount("denomination"), key: value.bytes("key") }
}

fn owned_token(value: &Value) -> OwnedToken {
    let signature = value.hex("signature");
    let part = |index: usize| <[u8; 32]>::try_from(&signature[32 * index..32 * index + 32]).unwrap().into();
    let signature = Signature::from_body(&SignatureBody { r: part(0), s: part(1), t: part(2) }).unwrap();
    OwnedToken::new(Token::new(spent_key(value), signature), SpendKey::from_bytes(&value.secret("secret")).unwrap()).unwrap()
}

/// A generator that yields recorded bytes and nothing else.
pub struct Recorded(VecDeque<u8>);

impl Recorded {
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        Self(bytes.into().into())
    }

    /// All bytes must have been drawn.
    pub fn finish(self) {
        assert!(self.0.is_empty(), "{} recorded bytes were not drawn", self.0.len());
    }
}

impl TryRng for Recorded {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        unreachable!("the protocol draws bytes only")
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        unreachable!("the protocol draws bytes only")
    }

    fn try_fill_bytes(&mut self, out: &mut [u8]) -> Result<(), Infallible> {
        out.fill_with(|| self.0.pop_front().expect("more bytes are drawn than were recorded"));
        Ok(())
    }
}

impl TryCryptoRng for Recorded {}
