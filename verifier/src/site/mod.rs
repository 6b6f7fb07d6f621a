//! A site as its settings describe it: a verifier on a data directory, and what costs how much by path.
//!
//! What the sidecar and every embedding in another language rest on. Who writes Rust and knows the prices by other means takes a
//! [`Verifier`] and asks it for [decisions](Verifier::decide).

mod original;
mod rules;
mod settings;
mod stores;

use std::io::ErrorKind;
use std::path::Path;

use base64ct::{Base64UrlUnpadded, Encoding};
use bytes::Bytes;
use farthing_protocol::proof::PaymentId;
use http::{HeaderMap, Response};
use thiserror::Error;

pub use original::{Original, Undescribed};
pub use rules::{RuleSettings, Rules, readable};
pub use settings::Settings;
#[cfg(feature = "sidecar")]
pub(crate) use settings::{OF_THE_SIDECAR, root_key};
pub use stores::AnyStore;

use crate::config::ChallengeSecret;
use crate::cors::AllowedOrigins;
use crate::decision::{Decision, Found};
use crate::error::VerifierError;
use crate::refund::PublisherKey;
use crate::store::Store;
use crate::verifier::Verifier;

/// Why a site does not open, in words for the operator.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The settings are not TOML or JSON of the right form.
    #[error("the configuration cannot be read: {0}")]
    Unreadable(String),
    /// A setting does not fit.
    #[error("{0}: {1}")]
    Setting(&'static str, &'static str),
    /// A rule, counted from one, does not fit.
    #[error("rule {0}: {1}")]
    Rule(usize, &'static str),
    /// A file or directory cannot be used.
    #[error("a file cannot be used: {0}")]
    File(ErrorKind),
    /// The verifier does not start.
    #[error("{0}")]
    Verifier(#[from] VerifierError),
}

impl SettingsError {
    /// The stable code, by whose hand it is put right: the text's, or the machine's.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "settings-unreadable",
            Self::Setting(..) | Self::Verifier(VerifierError::Config(_) | VerifierError::Offer(_)) => "setting-invalid",
            Self::Rule(..) => "rule-invalid",
            Self::File(_) => "file-unusable",
            Self::Verifier(error) => error.code(),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "what map_err hands over")]
    pub(crate) fn unreadable(error: config::ConfigError) -> Self {
        Self::Unreadable(reason(&error))
    }
}

/// What is wrong and where, without the text or line that stands there: it may hold the database's password, and whoever embeds this logs the
/// reason. Only a word where one of a few belongs is repeated.
fn reason(error: &config::ConfigError) -> String {
    use config::ConfigError as E;
    let named = |key: &Option<String>| key.as_ref().map(|key| format!(" for key `{key}`")).unwrap_or_default();
    match error {
        // Place and reason; between them the parser shows the line, behind a bar.
        E::FileParse { cause, .. } => {
            let text = cause.to_string();
            let shown = |line: &&str| line.trim_start_matches(|one: char| one.is_ascii_digit() || one == ' ').starts_with('|');
            text.lines().filter(|line| !shown(line)).collect::<Vec<_>>().join(": ")
        }
        E::Type { expected, key, .. } => format!("{expected} is expected{}", named(key)),
        E::At { error, key, .. } => format!("{}{}", reason(error), named(key)),
        other => other.to_string(),
    }
}

/// Reads a payment's id as receipts carry it.
pub fn payment_id(text: &str) -> Option<PaymentId> {
    let mut bytes = [0; 32];
    let decoded = Base64UrlUnpadded::decode(text, &mut bytes).is_ok_and(|decoded| decoded.len() == 32);
    decoded.then_some(PaymentId(bytes))
}

impl Settings {
    fn make_data(&self) -> Result<(), SettingsError> {
        std::fs::create_dir_all(&self.data).map_err(|error| SettingsError::File(error.kind()))
    }

    /// The publisher's key, drawn at its first use: in the store if instances share it, else in the data directory.
    async fn publisher_key(&self, store: Option<&AnyStore>) -> Result<PublisherKey, SettingsError> {
        self.make_data()?;
        let path = self.data.join("publisher-key");
        let in_file = || PublisherKey::load_or_create(&path).map_err(|error| SettingsError::File(error.kind()));
        match store.filter(|store| store.is_shared()) {
            // One that was used here before the store was shared is the one that the mint knows.
            Some(store) => {
                let own = if path.exists() { in_file()? } else { PublisherKey::generate() };
                Ok(PublisherKey::shared(store, own).await.map_err(VerifierError::from)?)
            }
            None => in_file(),
        }
    }

    /// The challenge secret and the other one that is accepted: from the store if instances share it, else from the data directory.
    async fn secrets(&self, store: &AnyStore) -> Result<(ChallengeSecret, Option<ChallengeSecret>), SettingsError> {
        let path = self.data.join("challenge-secret");
        let in_file = |path: &Path| ChallengeSecret::load_or_create(path).map_err(|error| SettingsError::File(error.kind()));
        if store.is_shared() {
            let own = if path.exists() { in_file(&path)? } else { ChallengeSecret::generate() };
            let secret = ChallengeSecret::shared(store, own).await.map_err(VerifierError::from)?;
            return Ok((secret, ChallengeSecret::shared_other(store).await.map_err(VerifierError::from)?));
        }
        // Written by the operator who replaces a secret: its challenges live on for a while.
        let previous = self.data.join("challenge-secret.previous");
        Ok((in_file(&path)?, if previous.exists() { Some(in_file(&previous)?) } else { None }))
    }
}

/// What an operator's commands ask, without starting a verifier.
#[cfg(feature = "sidecar")]
impl Settings {
    pub(crate) async fn key(&self) -> Result<PublisherKey, SettingsError> {
        // A store of one process may be in use, and holds no key.
        if !self.is_shared() {
            return self.publisher_key(None).await;
        }
        let store = AnyStore::open(self).await.map_err(VerifierError::from)?;
        self.publisher_key(Some(&store)).await
    }

    async fn shared_store(&self) -> Result<AnyStore, SettingsError> {
        if !self.is_shared() {
            let why = "not shared: rename challenge-secret to challenge-secret.previous and start again";
            return Err(SettingsError::Setting("store", why));
        }
        Ok(AnyStore::open(self).await.map_err(VerifierError::from)?)
    }

    /// Draws the challenge secret to come.
    pub(crate) async fn prepare_secret(&self) -> Result<(), SettingsError> {
        Ok(ChallengeSecret::prepare_shared(&self.shared_store().await?).await.map_err(VerifierError::from)?)
    }

    /// Takes up the challenge secret that was drawn.
    pub(crate) async fn switch_secret(&self) -> Result<(), SettingsError> {
        Ok(ChallengeSecret::switch_shared(&self.shared_store().await?).await.map_err(VerifierError::from)?)
    }
}

/// A verifier, and what costs how much.
pub struct Site {
    verifier: Verifier<AnyStore>,
    rules: Rules,
    origins: AllowedOrigins,
}

impl Site {
    /// Opens the verifier on the data directory; what is not there is made.
    ///
    /// # Errors
    /// [`SettingsError`]. A mint that cannot be reached is none: nothing is decided until it is back.
    pub async fn open(settings: Settings) -> Result<Self, SettingsError> {
        settings.make_data()?;
        let store = AnyStore::open(&settings).await.map_err(VerifierError::from)?;
        let key = settings.publisher_key(Some(&store)).await?;
        let (secret, other) = settings.secrets(&store).await?;
        let mut config = settings.verifier_config(secret).publisher_key(key);
        if let Some(other) = other {
            config = config.previous_secret(other);
        }
        let verifier = Verifier::open(config, store).await?;
        Ok(Self { verifier, rules: settings.rules, origins: settings.allowed_origins })
    }

    /// The verifier: refunds, proofs, statistics, the end.
    pub const fn verifier(&self) -> &Verifier<AnyStore> {
        &self.verifier
    }

    /// Whose pages' scripts may pay.
    pub const fn allowed_origins(&self) -> &AllowedOrigins {
        &self.origins
    }

    /// Decides about a request; `None` is free. See [`Verifier::decide`].
    pub async fn decide(&self, original: &Original) -> Option<Decision> {
        let offer = self.rules.offer(&original.path)?;
        Some(self.verifier.decide(&original.head, &offer).await)
    }

    /// Checks a request's credential and changes nothing; `None` is free. See [`Verifier::check`].
    pub async fn check(&self, original: &Original) -> Option<Result<Found, Response<Bytes>>> {
        let offer = self.rules.offer(&original.path)?;
        Some(self.verifier.check(&original.head, &offer).await)
    }

    /// The answer to a browser that asks beforehand whether a page of another origin may pay for this; `None` if it is no such question.
    pub fn preflight(&self, original: &Original) -> Option<Response<Bytes>> {
        let asked = self.origins.preflight(&original.head)?;
        self.rules.offer(&original.path)?;
        Some(self.origins.allow(&original.head.headers, &asked))
    }

    /// Tells the browser of a request's sender that its page may see this answer, if its origin is an allowed one.
    pub fn allow_origin(&self, original: &Original, answer: &mut HeaderMap) {
        self.origins.mark(answer, self.origins.of(&original.head.headers));
    }
}
