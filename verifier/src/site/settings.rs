//! What a site is told: one text, in TOML or JSON.

use std::path::PathBuf;
use std::time::Duration;

use base64ct::{Base64UrlUnpadded, Encoding};
use config::{Config, File, FileFormat, Map, Value, ValueKind};
use farthing_protocol::amount::Unit;
use farthing_protocol::group::Point;
use serde::Deserialize;
use url::Url;

use super::SettingsError;
use super::rules::{RuleSettings, Rules};
use crate::config::{ChallengeSecret, DeferredLimits, Mode, VerifierConfig, WhenLimited};
use crate::cors::AllowedOrigins;
use crate::error::VerifierError;
use crate::offer::Pass;

/// Where claims are kept.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum StoreKind {
    /// `claims.redb` in the data directory, for one process.
    #[default]
    Redb,
    /// Nowhere: for trying out.
    Memory,
    /// A database for any number of processes.
    Postgres,
}

/// Where claims are kept, with all that is needed to open it.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum StorePlace {
    Redb,
    Memory,
    #[cfg(feature = "postgres")]
    Postgres(String),
}

/// The settings that only a sidecar reads.
pub(crate) const OF_THE_SIDECAR: [&str; 6] = ["listen", "proxy", "trusted_peers", "log", "metrics", "peers_may_refund"];

/// The settings as written.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    allowed_origins: Vec<String>,
    publisher: String,
    mint: String,
    mint_key: String,
    data: PathBuf,
    #[serde(default)]
    store: StoreKind,
    database: Option<String>,
    #[serde(default = "one")]
    instances: u32,
    #[serde(default = "eur")]
    currency: String,
    #[serde(default = "five")]
    decimals: u8,
    challenge_lifetime: Option<u64>,
    deferred: Option<Deferred>,
    pass: Option<WrittenPass>,
    rules: Vec<RuleSettings>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Deferred {
    outstanding: String,
    per_window: String,
    window: u64,
    #[serde(default)]
    when_limited: WrittenWhenLimited,
    overdue: Option<u64>,
    filter_interval: Option<u64>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WrittenWhenLimited {
    #[default]
    SettleFirst,
    Refuse,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPass {
    price: String,
    title: String,
    #[serde(default = "everything")]
    scope: String,
    #[serde(default = "day")]
    access: u64,
}

fn everything() -> String {
    "/".into()
}

const fn day() -> u64 {
    86_400
}

fn eur() -> String {
    "eur".into()
}

const fn one() -> u32 {
    1
}

const fn five() -> u8 {
    5
}

/// Settings that fit.
pub struct Settings {
    /// Whose pages' scripts may pay.
    pub allowed_origins: AllowedOrigins,
    /// Where claims and the challenge secret are kept.
    pub data: PathBuf,
    /// What costs how much.
    pub rules: Rules,
    publisher: String,
    mint: Url,
    root: Point,
    pub(crate) unit: Unit,
    pub(super) store: StorePlace,
    instances: u32,
    mode: Mode,
    deferred: Option<Deferred>,
    pass: Option<Pass>,
    challenge_lifetime: Option<Duration>,
}

impl Settings {
    /// Reads settings in TOML, or in JSON if the text begins with `{`, and checks everything that can be checked without network and
    /// data. A sidecar's file fits as well: what only the sidecar reads is not looked at. The environment is not asked.
    ///
    /// # Errors
    /// [`SettingsError`] says what does not fit.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let format = if text.trim_start().starts_with('{') { FileFormat::Json } else { FileFormat::Toml };
        let written = Config::builder().add_source(File::from_str(text, format)).build();
        let mut written = written.and_then(|config| config.cache.into_table()).map_err(SettingsError::unreadable)?;
        for name in OF_THE_SIDECAR {
            written.remove(name);
        }
        Self::of(written)
    }

    /// Checks settings that were read.
    pub(crate) fn of(written: Map<String, Value>) -> Result<Self, SettingsError> {
        let written = Value::new(None, ValueKind::Table(written)).try_deserialize().map_err(SettingsError::unreadable)?;
        let settings = Self::check(written)?;
        settings.verifier_config(ChallengeSecret::generate()).validate()?;
        Ok(settings)
    }

    fn check(written: Written) -> Result<Self, SettingsError> {
        const MONEY: SettingsError = SettingsError::Setting("deferred", "amounts are in main units, such as 5.00");
        let unit = Unit::new(&written.currency, written.decimals);
        let unit = unit.map_err(|_| SettingsError::Setting("currency", "not an ISO 4217 code in lower case, or too many decimals"))?;
        let mode = match &written.deferred {
            None => Mode::SettleFirst,
            Some(deferred) => Mode::Deferred(DeferredLimits {
                outstanding: unit.parse(&deferred.outstanding).ok_or(MONEY)?,
                per_window: unit.parse(&deferred.per_window).ok_or(MONEY)?,
                window: Duration::from_secs(deferred.window),
            }),
        };
        let pass = |pass: WrittenPass| {
            let price = unit.parse(&pass.price).ok_or(SettingsError::Setting("pass", "its price is in main units, such as 0.50"))?;
            Ok::<_, SettingsError>(Pass { price, title: pass.title, scope: pass.scope, access: Duration::from_secs(pass.access) })
        };
        let pass = written.pass.map(pass).transpose()?;
        let store = match (written.store, written.database) {
            (StoreKind::Redb, None) => StorePlace::Redb,
            (StoreKind::Memory, None) => StorePlace::Memory,
            #[cfg(feature = "postgres")]
            (StoreKind::Postgres, Some(database)) => StorePlace::Postgres(database),
            (StoreKind::Postgres, None) => {
                return Err(SettingsError::Setting("database", "missing: postgres://user:password@host/name?sslmode=verify-full"));
            }
            #[cfg(not(feature = "postgres"))]
            (StoreKind::Postgres, Some(_)) => return Err(SettingsError::Setting("store", "this program was built without PostgreSQL")),
            (StoreKind::Redb | StoreKind::Memory, Some(_)) => {
                return Err(SettingsError::Setting("database", "only for store = \"postgres\""));
            }
        };
        if written.instances > 1 && matches!(store, StorePlace::Redb | StorePlace::Memory) {
            return Err(VerifierError::PrivateStore.into());
        }
        let allowed_origins = AllowedOrigins::parse(&written.allowed_origins);
        let allowed_origins =
            allowed_origins.ok_or(SettingsError::Setting("allowed_origins", "not origins such as https://reader.example"))?;
        Ok(Self {
            allowed_origins,
            data: written.data,
            rules: Rules::parse(&written.rules, &unit, &written.publisher)?,
            publisher: written.publisher,
            mint: written.mint.parse().map_err(|_| SettingsError::Setting("mint", "not a URL"))?,
            root: root_key(&written.mint_key).ok_or(SettingsError::Setting("mint_key", "not a root key"))?,
            unit,
            store,
            instances: written.instances,
            mode,
            deferred: written.deferred,
            pass,
            challenge_lifetime: written.challenge_lifetime.map(Duration::from_secs),
        })
    }

    /// Whether other processes may use the store at the same time.
    #[cfg(feature = "sidecar")]
    pub(super) const fn is_shared(&self) -> bool {
        !matches!(self.store, StorePlace::Redb | StorePlace::Memory)
    }

    /// The verifier's configuration under this secret.
    pub(super) fn verifier_config(&self, secret: ChallengeSecret) -> VerifierConfig {
        let config = VerifierConfig::new(self.publisher.clone(), self.mint.clone(), self.root, secret);
        let config = config.unit(self.unit.clone()).mode(self.mode).instances(self.instances);
        let config = self.pass.iter().fold(config, |config, pass| config.pass(pass.clone()));
        let config = match &self.deferred {
            None => config,
            Some(deferred) => {
                let config = config.when_limited(match deferred.when_limited {
                    WrittenWhenLimited::SettleFirst => WhenLimited::SettleFirst,
                    WrittenWhenLimited::Refuse => WhenLimited::Refuse,
                });
                let config = deferred.overdue.iter().fold(config, |config, after| config.overdue(Duration::from_secs(*after)));
                deferred.filter_interval.iter().fold(config, |config, pause| config.filter_interval(Duration::from_secs(*pause)))
            }
        };
        match self.challenge_lifetime {
            Some(lifetime) => config.challenge_lifetime(lifetime),
            None => config,
        }
    }
}

/// A mint's root key as operators publish it.
pub(crate) fn root_key(text: &str) -> Option<Point> {
    let mut bytes = [0; 32];
    let decoded = Base64UrlUnpadded::decode(text.trim(), &mut bytes).is_ok_and(|decoded| decoded.len() == 32);
    decoded.then(|| Point::from_bytes(bytes).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use farthing_protocol::amount::Amount;

    use super::*;

    /// Settings whose table `deferred` holds these lines.
    fn deferred(lines: &str) -> Result<VerifierConfig, SettingsError> {
        let root = Base64UrlUnpadded::encode_string(Point::generator().as_bytes());
        let text = format!(
            "publisher = \"news.example\"\nmint = \"https://mint.example\"\nmint_key = \"{root}\"\ndata = \"data\"\n\
             [deferred]\n{lines}\n[[rules]]\npath = \"/**\"\nfree = true\n"
        );
        Settings::parse(&text).map(|settings| settings.verifier_config(ChallengeSecret::generate()))
    }

    const LIMITS: &str = "outstanding = \"5.00\"\nper_window = \"2.50001\"\nwindow = 3600\n";

    #[test]
    fn deferred_settings_arrive() {
        let limits = DeferredLimits {
            outstanding: Amount::from_units(500_000),
            per_window: Amount::from_units(250_001),
            window: Duration::from_hours(1),
        };
        let found = |lines: &str| {
            let config = deferred(&format!("{LIMITS}{lines}")).unwrap();
            assert_eq!(config.mode, Mode::Deferred(limits));
            (config.when_limited, config.overdue.as_secs(), config.filter_interval.as_secs())
        };
        assert_eq!(found(""), (WhenLimited::SettleFirst, 300, 30), "as the documentation says");
        assert_eq!(found("when_limited = \"settle-first\""), (WhenLimited::SettleFirst, 300, 30));
        assert_eq!(found("when_limited = \"refuse\"\noverdue = 77\nfilter_interval = 5"), (WhenLimited::Refuse, 77, 5));
    }

    #[test]
    fn what_is_said_of_unreadable_settings_repeats_no_value() {
        for (text, told) in [
            ("database = \"postgres://verifier:sec\\zret@db/x\"", "line 1"),
            ("database = \"postgres://verifier:secret@db/x", "line 1"),
            ("publisher = \"news.example\"\ndatabase = postgres://verifier:secret@db/x", "line 2"),
            ("{\"database\": \"postgres://verifier:secret@db/x\" oops", "line 1"),
        ] {
            let error = Settings::parse(text).err().unwrap();
            let said = error.to_string();
            assert!(error.code() == "settings-unreadable" && said.contains(told) && !said.contains("sec"), "{said}");
        }
        let said = deferred(&format!("{LIMITS}overdue = \"postgres://verifier:secret@db/x\"")).err().unwrap().to_string();
        assert!(said.contains("overdue") && !said.contains("sec"), "{said}");
    }

    #[test]
    fn deferred_settings_that_do_not_fit_are_named() {
        for (lines, code, named) in [
            ("outstanding = \"5.00\"\nper_window = \"1.00\"", "settings-unreadable", "window"),
            ("outstanding = \"5.00\"\nwindow = 60", "settings-unreadable", "per_window"),
            ("per_window = \"5.00\"\nwindow = 60", "settings-unreadable", "outstanding"),
            ("outstanding = \"five\"\nper_window = \"1.00\"\nwindow = 60", "setting-invalid", "main units"),
            ("outstanding = \"-5.00\"\nper_window = \"1.00\"\nwindow = 60", "setting-invalid", "main units"),
            ("outstanding = \"5.00\"\nper_window = \"0.000001\"\nwindow = 60", "setting-invalid", "main units"),
            ("outstanding = \"5.00\"\nper_window = \"1.00\"\nwindow = 0", "setting-invalid", "window"),
            ("outstanding = \"5.00\"\nper_window = \"1.00\"\nwindow = -1", "settings-unreadable", "window"),
        ] {
            let error = deferred(lines).err().unwrap();
            assert!(error.code() == code && error.to_string().contains(named), "{lines}: {} {error}", error.code());
        }
        for (line, code, named) in [
            ("when_limited = \"serve\"", "settings-unreadable", "serve"),
            ("overdue = 0", "setting-invalid", "overdue"),
            ("overdue = \"soon\"", "settings-unreadable", "overdue"),
            ("filter_interval = 0", "setting-invalid", "filters"),
            ("per_windows = \"1.00\"", "settings-unreadable", "per_windows"),
        ] {
            let error = deferred(&format!("{LIMITS}{line}")).err().unwrap();
            assert!(error.code() == code && error.to_string().contains(named), "{line}: {} {error}", error.code());
        }
    }
}
