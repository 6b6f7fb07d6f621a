//! Bytes that are the process's own, too many to be kept in memory: files without a name in the data directory, gone with the process
//! however it ends.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;

/// The most that is read at a time, in bytes: what one slow client holds in memory.
const PIECE: usize = 1 << 16;

/// Where such files are.
#[derive(Clone, Debug)]
pub(crate) struct Scratch(PathBuf);

/// Bytes in a file.
#[derive(Clone, Debug)]
pub struct ScratchFile {
    file: Arc<File>,
    length: u64,
}

impl Scratch {
    pub(crate) fn new(directory: &Path) -> Self {
        Self(directory.to_path_buf())
    }

    /// How many bytes are free for this process on the file system.
    ///
    /// # Errors
    /// The directory is gone, or its file system does not say.
    pub(crate) fn free(&self) -> io::Result<u64> {
        let found = rustix::fs::statvfs(&self.0)?;
        Ok(found.f_bavail.saturating_mul(found.f_frsize))
    }

    /// Puts bytes away. They need not survive the process, so that nothing is synced.
    ///
    /// # Errors
    /// The disk is full, or the directory is gone.
    pub(crate) fn keep(&self, bytes: &[u8]) -> io::Result<ScratchFile> {
        let mut file = tempfile::tempfile_in(&self.0)?;
        file.write_all(bytes)?;
        Ok(ScratchFile { file: Arc::new(file), length: bytes.len() as u64 })
    }
}

impl ScratchFile {
    /// How many bytes there are.
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// Some of the bytes from there on; none at the end.
    ///
    /// # Errors
    /// The disk fails.
    pub async fn read(&self, from: u64) -> io::Result<Bytes> {
        let file = Arc::clone(&self.file);
        let size = self.length.saturating_sub(from).min(PIECE as u64);
        let read = move || {
            let mut piece = vec![0; usize::try_from(size).unwrap_or(PIECE)];
            file.read_exact_at(&mut piece, from)?;
            Ok(piece.into())
        };
        tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_kept_is_read_in_pieces_and_leaves_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..251).cycle().take(3 * PIECE + 5).collect();
        let kept = Scratch::new(directory.path()).keep(&bytes).unwrap();
        let mut read = Vec::new();
        loop {
            let piece = kept.read(read.len() as u64).await.unwrap();
            if piece.is_empty() {
                break;
            }
            assert!(piece.len() <= PIECE);
            read.extend_from_slice(&piece);
        }
        assert_eq!((read.len() as u64, read == bytes), (kept.length(), true));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_directory_that_is_gone_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let scratch = Scratch::new(&directory.path().join("gone"));
        assert!(scratch.keep(b"bytes").is_err());
    }
}
