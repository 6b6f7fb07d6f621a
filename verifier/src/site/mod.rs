//! A site as its settings describe it: a verifier on a data directory, and what costs how much by path.
//!
//! What the sidecar and every embedding in another language rest on. Who writes Rust and knows the prices by other means takes a
//! [`Verifier`] and asks it for [decisions](Verifier::decide).

mod original;
mod rules;
mod settings;

use std::io::ErrorKind;

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

use crate::config::ChallengeSecret;
use crate::cors::AllowedOrigins;
use crate::decision::{Decision, Found};
use crate::error::VerifierError;
use crate::refund::PublisherKey;
use crate::store::RedbStore;
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
    #[expect(clippy::needless_pass_by_value, reason = "what map_err hands over")]
    pub(crate) fn unreadable(error: config::ConfigError) -> Self {
        Self::Unreadable(error.to_string())
    }
}

/// Reads a payment's id as receipts carry it.
pub fn payment_id(text: &str) -> Option<PaymentId> {
    let mut bytes = [0; 32];
    let decoded = Base64UrlUnpadded::decode(text, &mut bytes).is_ok_and(|decoded| decoded.len() == 32);
    decoded.then_some(PaymentId(bytes))
}

impl Settings {
    /// The publisher's key in the data directory, drawn at its first use.
    ///
    /// # Errors
    /// [`SettingsError::File`].
    pub fn publisher_key(&self) -> Result<PublisherKey, SettingsError> {
        std::fs::create_dir_all(&self.data).map_err(|error| SettingsError::File(error.kind()))?;
        PublisherKey::load_or_create(&self.data.join("publisher-key")).map_err(|error| SettingsError::File(error.kind()))
    }
}

/// A verifier, and what costs how much.
pub struct Site {
    verifier: Verifier<RedbStore>,
    rules: Rules,
    origins: AllowedOrigins,
}

impl Site {
    /// Opens the verifier on the data directory; what is not there is made.
    ///
    /// # Errors
    /// [`SettingsError`]. A mint that cannot be reached is none: nothing is decided until it is back.
    pub async fn open(settings: Settings) -> Result<Self, SettingsError> {
        let key = settings.publisher_key()?;
        let secret =
            |name: &str| ChallengeSecret::load_or_create(&settings.data.join(name)).map_err(|error| SettingsError::File(error.kind()));
        let mut config = settings.verifier_config(secret("challenge-secret")?).publisher_key(key);
        // Written by the operator who replaces a secret: its challenges live on for a while.
        if settings.data.join("challenge-secret.previous").exists() {
            config = config.previous_secret(secret("challenge-secret.previous")?);
        }
        let store = RedbStore::open(settings.data.join("claims.redb")).map_err(VerifierError::from)?;
        let verifier = Verifier::open(config, store).await?;
        Ok(Self { verifier, rules: settings.rules, origins: settings.allowed_origins })
    }

    /// The verifier: refunds, proofs, statistics, the end.
    pub const fn verifier(&self) -> &Verifier<RedbStore> {
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
