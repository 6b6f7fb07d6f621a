//! `evidence verify`: anybody checks a double-spend proof with the mint's public keys.

use std::io::Read;
use std::path::Path;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::evidence::{DoubleSpend, ProvenDoubleSpend};
use farthing_protocol::group::Point;
use farthing_protocol::keyset::KeysetList;
use farthing_protocol::wire::{DoubleSpendFrame, Frame, KeysetListFrame};
use url::Url;

use super::SidecarError;
use crate::mint_client::MintClient;

/// Reads a file of at most so many bytes.
pub(super) fn read(file: &Path, most: usize) -> Result<Vec<u8>, SidecarError> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map_err(|error| SidecarError::File(error.kind()))?;
    opened.take(most as u64 + 1).read_to_end(&mut bytes).map_err(|error| SidecarError::File(error.kind()))?;
    if bytes.len() > most { Err(SidecarError::Evidence("the file is too long")) } else { Ok(bytes) }
}

/// Reads a keyset list as the mint gives it out, binary or JSON, and verifies it under the mint's root key.
pub(super) fn keysets_in(file: &Path, root: &Point) -> Result<KeysetList, SidecarError> {
    let bytes = read(file, 2 * KeysetListFrame::LIMIT)?;
    let frame = match bytes.first() {
        Some(b'{') => serde_json::from_slice(&bytes).ok(),
        _ => KeysetListFrame::from_bytes(&bytes).ok(),
    };
    let frame = frame.ok_or(SidecarError::Evidence("the keyset list cannot be read"))?;
    KeysetList::verify(&frame, root).map_err(|_| SidecarError::Evidence("the keyset list is not signed by this mint"))
}

/// Fetches the keyset list and verifies it under the mint's root key.
pub(super) async fn keysets_of(mint: &Url, root: &Point) -> Result<KeysetList, SidecarError> {
    let client = MintClient::new(mint, Duration::from_secs(30))?;
    let frame = client.keysets().await.map_err(|_| SidecarError::Evidence("the mint's keyset list cannot be fetched"))?;
    KeysetList::verify(&frame, root).map_err(|_| SidecarError::Evidence("the keyset list is not signed by this mint"))
}

/// Verifies a proof in a file: the frame itself, its base64url text, or the JSON of a refusal that carries it as `proof`.
pub(super) fn verify(file: &Path, keysets: &KeysetList) -> Result<ProvenDoubleSpend, SidecarError> {
    let bytes = read(file, 4 * DoubleSpendFrame::LIMIT)?;
    let decode = |text: &str| Base64UrlUnpadded::decode_vec(text.trim()).ok();
    let frame = if let Ok(json) = serde_json::from_slice::<serde_json::Value>(&bytes)
        && let Some(text) = json["proof"].as_str().or_else(|| json["error"]["proof"].as_str())
    {
        decode(text)
    } else {
        std::str::from_utf8(&bytes).ok().and_then(decode).or(Some(bytes))
    };
    let frame = frame.and_then(|bytes| DoubleSpendFrame::from_bytes(&bytes).ok());
    let frame = frame.ok_or(SidecarError::Evidence("the file holds no double-spend proof"))?;
    let proof = DoubleSpend::from_frame(&frame).and_then(|claimed| claimed.verify(&keysets.key_table()));
    proof.map_err(|error| SidecarError::Unproven(error.code()))
}
