//! Where the secret that opens the keys comes from: a file, the environment, or whoever sits in front.

use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use farthing_mint::settings::readable_by_others;
use farthing_mint::{KeyProtection, MintError, MintOptions, keys_are_sealed};
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use crate::{Data, Failure};

/// What opens or seals the keys.
#[derive(clap::Args)]
pub struct SecretArguments {
    /// A file with the passphrase of the keys; the variable FARTHING_MINT_PASSPHRASE may hold it instead
    #[arg(long, env = "FARTHING_MINT_PASSPHRASE_FILE", value_name = "FILE", conflicts_with = "key_file")]
    passphrase_file: Option<PathBuf>,
    /// A file of at least 32 random bytes that opens the keys in place of a passphrase; keep it outside of the data directory
    #[arg(long, env = "FARTHING_MINT_KEY_FILE", value_name = "FILE")]
    key_file: Option<PathBuf>,
}

/// The same, to seal the keys anew.
#[derive(clap::Args)]
pub struct NewSecretArguments {
    /// A file with the new passphrase
    #[arg(long, value_name = "FILE", conflicts_with = "new_key_file")]
    new_passphrase_file: Option<PathBuf>,
    /// The new key file
    #[arg(long, value_name = "FILE")]
    new_key_file: Option<PathBuf>,
}

impl SecretArguments {
    /// What the settings name.
    pub const fn files(passphrase_file: Option<PathBuf>, key_file: Option<PathBuf>) -> Self {
        Self { passphrase_file, key_file }
    }

    /// What was given, without asking.
    pub fn given(&self) -> Result<Option<KeyProtection>, Failure> {
        if let Some(found) = from_files(self.passphrase_file.as_deref(), self.key_file.as_deref())? {
            return Ok(Some(found));
        }
        match std::env::var("FARTHING_MINT_PASSPHRASE").map(Zeroizing::new) {
            Ok(text) => Ok(Some(KeyProtection::passphrase(&text)?)),
            Err(std::env::VarError::NotPresent) => Ok(None),
            Err(std::env::VarError::NotUnicode(_)) => Err(Failure::Usage("FARTHING_MINT_PASSPHRASE is no text")),
        }
    }

    /// What opens the keys of a directory.
    fn opens(&self, data: &Path) -> Result<KeyProtection, Failure> {
        if !keys_are_sealed(data) {
            return Ok(KeyProtection::Plain);
        }
        if let Some(given) = self.given()? {
            return Ok(given);
        }
        let typed = prompt("passphrase of the mint's keys: ")?;
        Ok(KeyProtection::passphrase(&typed.ok_or(MintError::KeysSealed)?)?)
    }

    /// Options to open a mint with its keys.
    pub fn options(&self, data: &Data) -> Result<MintOptions, Failure> {
        Ok(MintOptions { ledger: data.place()?, keys: Some(self.opens(&data.dir)?), ..MintOptions::default() })
    }

    /// What a new mint's keys are sealed with.
    pub fn seals(&self, plain: bool) -> Result<KeyProtection, Failure> {
        match (self.given()?, plain) {
            (Some(_), true) => Err(Failure::Usage("--insecure-plain-keys, and a secret to seal them with: which?")),
            (Some(given), false) => Ok(given),
            (None, true) => Ok(KeyProtection::Plain),
            (None, false) => typed_twice(),
        }
    }
}

impl NewSecretArguments {
    /// What the keys are to be sealed with.
    pub fn seals(&self) -> Result<KeyProtection, Failure> {
        match from_files(self.new_passphrase_file.as_deref(), self.new_key_file.as_deref())? {
            Some(found) => Ok(found),
            None => typed_twice(),
        }
    }
}

fn from_files(passphrase: Option<&Path>, key: Option<&Path>) -> Result<Option<KeyProtection>, Failure> {
    if let Some(path) = passphrase {
        let bytes = read(path, "the passphrase file")?;
        let text = std::str::from_utf8(&bytes).map_err(|_| Failure::Usage("the passphrase file is no text"))?;
        return Ok(Some(KeyProtection::passphrase(text)?));
    }
    key.map(|path| Ok(KeyProtection::key_file(&read(path, "the key file")?)?)).transpose()
}

fn typed_twice() -> Result<KeyProtection, Failure> {
    const HOW: &str =
        "say what seals the keys: --passphrase-file, FARTHING_MINT_PASSPHRASE or --key-file; for a trial --insecure-plain-keys";
    let typed = prompt("passphrase for the mint's keys, at least 12 characters: ")?.ok_or(Failure::Usage(HOW))?;
    let protection = KeyProtection::passphrase(&typed)?;
    let again = prompt("the same again: ")?;
    if again.is_none_or(|again| *again != *typed) {
        return Err(Failure::Usage("these were two passphrases"));
    }
    Ok(protection)
}

/// Reads a file that nobody else may read.
pub fn read(path: &Path, what: &'static str) -> Result<Zeroizing<Vec<u8>>, Failure> {
    let failed = |error: std::io::Error| Failure::Mint(MintError::File(what, error.kind()));
    if readable_by_others(path).map_err(failed)? {
        return Err(MintError::Exposed(what).into());
    }
    Ok(Zeroizing::new(std::fs::read(path).map_err(failed)?))
}

/// Asks on the terminal without showing the answer; `None` if nobody sits there.
fn prompt(question: &str) -> Result<Option<Zeroizing<String>>, Failure> {
    let input = std::io::stdin();
    if !input.is_terminal() {
        return Ok(None);
    }
    eprint!("{question}");
    drop(std::io::stderr().flush());
    let shown = tcgetattr(&input).map_err(|_| Failure::Output)?;
    let mut hidden = shown.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&input, OptionalActions::Flush, &hidden).map_err(|_| Failure::Output)?;
    let mut line = Zeroizing::new(String::with_capacity(256));
    let read = input.lock().read_line(&mut line);
    let restored = tcsetattr(&input, OptionalActions::Flush, &shown);
    eprintln!();
    read.map_err(|_| Failure::Output)?;
    restored.map_err(|_| Failure::Output)?;
    let text = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(text);
    Ok(Some(line))
}
