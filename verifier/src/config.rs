//! What a verifier is told when it starts.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::{Amount, Unit};
use farthing_protocol::group::Point;
use farthing_protocol::payment::MAX_RECIPIENT;
use url::Url;
use zeroize::Zeroizing;

use crate::clock::{Clock, SystemClock};
use crate::error::VerifierError;
use crate::offer::Pass;
use crate::refund::PublisherKey;
use crate::secret_file;
use crate::store::{Document, Store, StoreError};

/// When the mint is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Deposit first, then serve: nothing is served that the mint has not booked. While the mint is down, nothing is sold (503).
    #[default]
    SettleFirst,
    /// Serve after the local claim, deposit in the background. A token that was spent elsewhere is found out later: the limits bound
    /// what that can cost, whoever cheats, the mint included. Beyond them payments are settled first.
    Deferred(DeferredLimits),
}

impl Mode {
    /// How long after a challenge's expiry the publisher must still be able to deposit, in seconds.
    pub(crate) const fn deposit_margin(&self) -> u64 {
        match self {
            Self::SettleFirst => 3_600,
            Self::Deferred(_) => 24 * 3_600,
        }
    }
}

/// How much may be served before the mint has confirmed it.
///
/// The most that can be lost in any period is `per_window` for every window it touches; a period as long as `window` touches at most two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeferredLimits {
    /// The most that may be accepted and neither settled nor refused at any time.
    pub outstanding: Amount,
    /// The most that may be accepted within one window and is not settled: what is refused counts until the window ends.
    pub per_window: Amount,
    /// The window's length.
    pub window: Duration,
}

/// What becomes of a payment in deferred mode that the limits leave no room for, or while the mint's answers are overdue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WhenLimited {
    /// It is settled first: served as soon as the mint has booked it.
    #[default]
    SettleFirst,
    /// It is refused for now (503, `limit-reached`) and not claimed: the reader keeps the tokens and asks again later.
    Refuse,
}

/// The secret that makes a challenge recognisable as one's own: 32 bytes.
///
/// # Security
/// It must be kept over restarts and shared between all instances of a publisher, or challenges handed out by one are refused by the
/// other. Whoever knows it can write challenges with any price. Never log it.
#[derive(Clone)]
pub struct ChallengeSecret(Zeroizing<String>);

impl ChallengeSecret {
    /// A secret from 32 uniformly random bytes.
    pub fn from_bytes(bytes: &Zeroizing<[u8; 32]>) -> Self {
        Self(Zeroizing::new(Base64UrlUnpadded::encode_string(bytes.as_ref())))
    }

    /// Draws a secret.
    pub fn generate() -> Self {
        Self::from_bytes(&Zeroizing::new(rand::random()))
    }

    /// Reads the secret from a file, or draws one and writes it there, readable by its owner only.
    ///
    /// # Errors
    /// [`std::io::Error`] if the file cannot be read or written, or holds anything else.
    pub fn load_or_create(path: &Path) -> std::io::Result<Self> {
        secret_file::load_or_create(path, || Zeroizing::new(rand::random())).map(|bytes| Self::from_bytes(&bytes))
    }

    /// Reads the secret that all instances on a store share, or stores `own` if there is none: whoever comes first wins.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Corrupt`] if the store holds anything else.
    pub async fn shared<S: Store>(store: &S, own: Self) -> Result<Self, StoreError> {
        let stored = Zeroizing::new(store.save_first(Document::ChallengeSecret, own.to_bytes()?.to_vec()).await?);
        Self::from_stored(&stored)
    }

    /// Reads the other secret that instances on a store accept, if there is one: the one before, or the one to come.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Corrupt`] if the store holds anything else.
    pub async fn shared_other<S: Store>(store: &S) -> Result<Option<Self>, StoreError> {
        store.load(Document::OtherSecret).await?.map(|stored| Self::from_stored(&Zeroizing::new(stored))).transpose()
    }

    /// Draws the secret to come. Instances accept it from their next start and go on using the present one: replace theirs with
    /// [`ChallengeSecret::switch_shared`] when all have started again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn prepare_shared<S: Store>(store: &S) -> Result<(), StoreError> {
        store.save(Document::OtherSecret, Self::generate().to_bytes()?.to_vec()).await
    }

    /// Exchanges the secret used and the other one accepted. Instances take it up at their next start, one after the other.
    ///
    /// # Errors
    /// [`StoreError`]; [`StoreError::Corrupt`] if there are not two secrets.
    pub async fn switch_shared<S: Store>(store: &S) -> Result<(), StoreError> {
        let used = Zeroizing::new(store.load(Document::ChallengeSecret).await?.ok_or(StoreError::Corrupt)?);
        let other = Zeroizing::new(store.load(Document::OtherSecret).await?.ok_or(StoreError::Corrupt)?);
        // In between both places hold the new one: who starts then lacks the old one, whose challenges are asked for anew. None is lost.
        store.save(Document::ChallengeSecret, other.to_vec()).await?;
        store.save(Document::OtherSecret, used.to_vec()).await
    }

    fn from_stored(stored: &[u8]) -> Result<Self, StoreError> {
        let bytes = <[u8; 32]>::try_from(stored).map_err(|_| StoreError::Corrupt)?;
        Ok(Self::from_bytes(&Zeroizing::new(bytes)))
    }

    fn to_bytes(&self) -> Result<Zeroizing<[u8; 32]>, StoreError> {
        let mut bytes = Zeroizing::new([0; 32]);
        match Base64UrlUnpadded::decode(&self.0, bytes.as_mut()) {
            Ok(decoded) if decoded.len() == 32 => Ok(bytes),
            _ => Err(StoreError::Corrupt),
        }
    }

    pub(crate) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ChallengeSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChallengeSecret(..)")
    }
}

/// Everything a verifier needs to know. Made by [`VerifierConfig::new`], refined by the setters.
#[derive(Clone)]
pub struct VerifierConfig {
    pub(crate) publisher: String,
    pub(crate) scheme: &'static str,
    pub(crate) mint: Url,
    pub(crate) root: Point,
    pub(crate) unit: Unit,
    pub(crate) mode: Mode,
    pub(crate) secret: ChallengeSecret,
    pub(crate) previous_secret: Option<ChallengeSecret>,
    pub(crate) publisher_key: Option<PublisherKey>,
    pub(crate) pass: Option<Pass>,
    pub(crate) when_limited: WhenLimited,
    pub(crate) overdue: Duration,
    pub(crate) filter_interval: Duration,
    pub(crate) challenge_lifetime: Duration,
    pub(crate) mint_timeout: Duration,
    pub(crate) keyset_interval: Duration,
    pub(crate) keyset_pause: Duration,
    pub(crate) first_retry: Duration,
    pub(crate) last_retry: Duration,
    pub(crate) instances: u32,
    pub(crate) clock: Arc<dyn Clock>,
}

impl VerifierConfig {
    /// A publisher's name (the host readers see, with its port if it is not the default: `news.example`, `127.0.0.1:8801`), the mint's
    /// base URL, the mint's root key as learnt from the mint's operator, and the challenge secret.
    ///
    /// The name is configuration and never taken from a request: a request's `Host` is the client's word.
    pub fn new(publisher: impl Into<String>, mint: Url, root: Point, secret: ChallengeSecret) -> Self {
        let publisher = publisher.into();
        let scheme = if is_loopback(&publisher) { "http" } else { "https" };
        Self {
            publisher,
            scheme,
            mint,
            root,
            unit: Unit::default_eur(),
            mode: Mode::SettleFirst,
            secret,
            previous_secret: None,
            publisher_key: None,
            pass: None,
            when_limited: WhenLimited::SettleFirst,
            overdue: Duration::from_mins(5),
            filter_interval: Duration::from_secs(30),
            challenge_lifetime: Duration::from_mins(5),
            mint_timeout: Duration::from_secs(10),
            keyset_interval: Duration::from_mins(1),
            keyset_pause: Duration::from_secs(5),
            first_retry: Duration::from_secs(1),
            last_retry: Duration::from_mins(1),
            instances: 1,
            clock: Arc::new(SystemClock),
        }
    }

    /// What amounts count in; `eur/100000` if not set.
    #[must_use]
    pub fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    /// When the mint is asked; before serving if not set.
    #[must_use]
    pub const fn mode(mut self, mode: Mode) -> Self {
        self.mode = mode;
        self
    }

    /// What becomes of a payment that the limits of the deferred mode leave no room for; it is settled first if not set.
    #[must_use]
    pub const fn when_limited(mut self, what: WhenLimited) -> Self {
        self.when_limited = what;
        self
    }

    /// How long the mint may owe its answer about an accepted payment before no more are accepted; five minutes if not set. Counted from
    /// what this process has accepted.
    #[must_use]
    pub const fn overdue(mut self, after: Duration) -> Self {
        self.overdue = after;
        self
    }

    /// How often the deferred mode asks for the mint's filters of spent tokens; every thirty seconds if not set.
    #[must_use]
    pub const fn filter_interval(mut self, interval: Duration) -> Self {
        self.filter_interval = interval;
        self
    }

    /// The secret before this one: its challenges are accepted while they live.
    #[must_use]
    pub fn previous_secret(mut self, secret: ChallengeSecret) -> Self {
        self.previous_secret = Some(secret);
        self
    }

    /// The key that gives payments back; without it [`Verifier::refund`](crate::Verifier::refund) does nothing.
    #[must_use]
    pub fn publisher_key(mut self, key: PublisherKey) -> Self {
        self.publisher_key = Some(key);
        self
    }

    /// A pass that is sold beside everything of a fixed price that it is good for; none if not set. Passes sold before are good as long as
    /// their scope is the one set here.
    #[must_use]
    pub fn pass(mut self, pass: Pass) -> Self {
        self.pass = Some(pass);
        self
    }

    /// How long a challenge may be answered; five minutes if not set, at most a day.
    #[must_use]
    pub const fn challenge_lifetime(mut self, lifetime: Duration) -> Self {
        self.challenge_lifetime = lifetime;
        self
    }

    /// How long to wait for the mint; ten seconds if not set.
    #[must_use]
    pub const fn mint_timeout(mut self, timeout: Duration) -> Self {
        self.mint_timeout = timeout;
        self
    }

    /// How often the keyset list is fetched; every minute if not set.
    #[must_use]
    pub const fn keyset_interval(mut self, interval: Duration) -> Self {
        self.keyset_interval = interval;
        self
    }

    /// The least time between two fetches of the keyset list that payments can cause; five seconds if not set.
    #[must_use]
    pub const fn keyset_pause(mut self, pause: Duration) -> Self {
        self.keyset_pause = pause;
        self
    }

    /// The shortest and longest pause between attempts to deposit; one second and one minute if not set.
    #[must_use]
    pub const fn retry(mut self, first: Duration, last: Duration) -> Self {
        self.first_retry = first;
        self.last_retry = last;
        self
    }

    /// How many verifiers of this publisher run at the same time, in other processes or on other machines; one if not set. More than one
    /// need a store, a challenge secret and a publisher's key that they share: on a store of one process the verifier does not start.
    #[must_use]
    pub const fn instances(mut self, instances: u32) -> Self {
        self.instances = instances;
        self
    }

    /// Where time comes from; the machine if not set.
    #[must_use]
    pub fn clock(mut self, clock: impl Clock) -> Self {
        self.clock = Arc::new(clock);
        self
    }

    /// # Errors
    /// [`VerifierError::Config`] names what does not fit.
    pub(crate) fn validate(&self) -> Result<(), VerifierError> {
        // `|` separates the fields of a challenge's HMAC, and quotes would end the header's parameter: only what a host name holds.
        let permitted = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-:[]".contains(&byte);
        if self.publisher.is_empty() || self.publisher.len() > MAX_RECIPIENT || !self.publisher.bytes().all(permitted) {
            return Err(VerifierError::Config("the publisher's name is not a lower-case host name with an optional port"));
        }
        let parsed = Url::parse(&format!("{}://{}/", self.scheme, self.publisher));
        if !parsed.is_ok_and(|url| url.as_str() == format!("{}://{}/", self.scheme, self.publisher)) {
            return Err(VerifierError::Config("the publisher's name is not a host in its canonical form"));
        }
        let mint_host = self.mint.host_str().unwrap_or_default();
        let secure = self.mint.scheme() == "https" || (self.mint.scheme() == "http" && is_loopback(mint_host));
        if !secure || self.mint.cannot_be_a_base() || self.mint.query().is_some() || self.mint.fragment().is_some() {
            return Err(VerifierError::Config("the mint's URL is not https (or http on loopback) without query and fragment"));
        }
        if !self.mint.username().is_empty() || self.mint.password().is_some() {
            return Err(VerifierError::Config("the mint's URL holds credentials, which every challenge would publish"));
        }
        if self.mint.as_str().len() > 512 {
            return Err(VerifierError::Config("the mint's URL is too long"));
        }
        self.pass.as_ref().map_or(Ok(()), Pass::validate)?;
        let lifetime = self.challenge_lifetime.as_secs();
        if lifetime == 0 || lifetime > 86_400 {
            return Err(VerifierError::Config("the challenge lifetime is not between a second and a day"));
        }
        if self.instances == 0 {
            return Err(VerifierError::Config("the number of instances is zero"));
        }
        if let Mode::Deferred(limits) = &self.mode
            && limits.window.as_secs() == 0
        {
            return Err(VerifierError::Config("the window of the deferred mode is shorter than a second"));
        }
        if self.overdue.as_secs() == 0 || self.filter_interval.as_secs() == 0 {
            return Err(VerifierError::Config(
                "the time after which the mint is overdue, or between two looks at its filters, is below a second",
            ));
        }
        if self.first_retry.is_zero() || self.first_retry > self.last_retry || self.keyset_interval.is_zero() || self.mint_timeout.is_zero()
        {
            return Err(VerifierError::Config("a pause or time-out is zero, or the first retry is later than the last"));
        }
        Ok(())
    }
}

impl fmt::Debug for VerifierConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifierConfig").field("unit", &self.unit).field("mode", &self.mode).finish_non_exhaustive()
    }
}

/// Whether a host (with or without port) is this machine.
fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())).map_or(host, |(name, _)| name);
    name == "localhost" || name == "[::1]" || name.parse::<std::net::Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}
