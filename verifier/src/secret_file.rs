//! 32 secret bytes in a file that only its owner reads.

use std::io::{Error, ErrorKind, Write};
use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding};
use zeroize::Zeroizing;

/// Reads the file, or draws a secret and writes it there.
pub(crate) fn load_or_create(path: &Path, draw: impl FnOnce() -> Zeroizing<[u8; 32]>) -> std::io::Result<Zeroizing<[u8; 32]>> {
    match std::fs::read_to_string(path) {
        Ok(text) => return parse(&Zeroizing::new(text)),
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Err(_) => {}
    }
    let secret = draw();
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(mut file) => {
            file.write_all(Zeroizing::new(Base64UrlUnpadded::encode_string(secret.as_ref())).as_bytes())?;
            file.sync_all()?;
            Ok(secret)
        }
        // Another instance was faster: its secret counts.
        Err(error) if error.kind() == ErrorKind::AlreadyExists => parse(&Zeroizing::new(std::fs::read_to_string(path)?)),
        Err(error) => Err(error),
    }
}

fn parse(text: &str) -> std::io::Result<Zeroizing<[u8; 32]>> {
    let mut bytes = Zeroizing::new([0; 32]);
    match Base64UrlUnpadded::decode(text.trim(), bytes.as_mut()) {
        Ok(decoded) if decoded.len() == 32 => Ok(bytes),
        _ => Err(Error::new(ErrorKind::InvalidData, "not 32 bytes in base64url")),
    }
}
