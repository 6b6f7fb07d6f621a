//! What `farthing-mint serve` is told: the command line, over the environment, over a TOML file, over the defaults.
//!
//! Every key of the file has a variable: `FARTHING_MINT_LISTEN` for `listen`, `FARTHING_MINT_LIMITS__REQUESTS` for `requests` in `[limits]`;
//! lists are separated by commas there. Nothing is passed over in silence: a key or variable that means nothing is a mistake, and all
//! mistakes are said at once. Secrets are named by their files, never written down here.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use config::{Config, Environment, File, FileFormat, Value, ValueKind};

use crate::config::{ClientLimits, Forwarding, Limits, Rotation};

const ADDRESS: &str = "not an address with a port, such as 127.0.0.1:8787";

const PREFIX: &str = "FARTHING_MINT";

/// Variables of the same prefix that are read elsewhere.
const ELSEWHERE: [&str; 8] =
    ["config", "ledger", "passphrase", "insecure_plain_keys", "payout_minimum", "fee_share", "debtor_name", "debtor_iban"];

/// The keys of the doors: where they listen, and the files of their secrets.
const DOORS: [(&str, &str); 2] = [("admin_listen", "admin_token_file"), ("shop_listen", "shop_secret_file")];

const DAY: u64 = 86_400;

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// A listener beside the public one, which opens with secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// Where it listens.
    pub listen: SocketAddr,
    /// The file of its secrets.
    pub secrets: PathBuf,
}

/// How a mint is to be served.
///
/// Implements R-SERV-06.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The data directory.
    pub data: PathBuf,
    /// The file with the connection string of the ledger's database; `None` for a ledger in the data directory.
    pub ledger_file: Option<PathBuf>,
    /// Where wallets, verifiers and publishers ask.
    pub listen: SocketAddr,
    /// Where metrics and health are shown; `None` for nowhere.
    pub metrics_listen: Option<SocketAddr>,
    /// With a shared ledger: where the other processes of this mint reach this one.
    pub forwarding: Forwarding,
    /// The admin API and its tokens; `None` for none.
    pub admin: Option<Door>,
    /// The voucher shop's hook and the provider's signing secrets; `None` for none.
    pub shop: Option<Door>,
    /// Whether the provider's test events, for which nobody has paid, make vouchers too.
    pub shop_test_events: bool,
    /// The file with the passphrase of the keys.
    pub passphrase_file: Option<PathBuf>,
    /// The file that opens the keys in place of a passphrase.
    pub key_file: Option<PathBuf>,
    /// When keysets are announced; `None` for by hand.
    pub rotation: Option<Rotation>,
    /// What is logged, as a filter of `tracing`.
    pub log: String,
    /// How.
    pub log_format: LogFormat,
    /// What it takes at most.
    pub limits: Limits,
}

/// What is wrong with the settings: one line each, which name keys and never repeat a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl Settings {
    /// Reads file and environment; `given` are the keys and values of the command line.
    ///
    /// # Errors
    /// [`Mistakes`]: everything that is wrong.
    pub fn load(file: Option<&Path>, given: &[(&str, String)]) -> Result<Self, Mistakes> {
        Self::resolve(file, given, std::env::vars().collect())
    }

    fn resolve(
        file: Option<&Path>,
        given: &[(&str, String)],
        variables: std::collections::HashMap<String, String>,
    ) -> Result<Self, Mistakes> {
        let environment = Environment::with_prefix(PREFIX).prefix_separator("_").separator("__").ignore_empty(true);
        let mut builder = Config::builder();
        if let Some(file) = file {
            builder = builder.add_source(File::from(file).format(FileFormat::Toml));
        }
        builder = builder.add_source(environment.source(Some(variables)));
        for (key, value) in given {
            builder = builder.set_override(*key, value.as_str()).map_err(|_| Mistakes(vec![format!("{key}: no such setting")]))?;
        }
        // The parser's message quotes the line, which may hold what should have stood in a file of its own.
        let unreadable = |error: config::ConfigError| {
            let place = error.to_string().lines().next().unwrap_or_default().to_owned();
            let parsing = place.contains("TOML parse error");
            Mistakes(vec![if parsing { place } else { "the configuration file cannot be read".into() }])
        };
        let all = builder.build().and_then(Config::try_deserialize::<BTreeMap<String, Value>>).map_err(unreadable)?;
        let mut reader = Reader::default();
        for (key, value) in all {
            reader.flatten(&key, value);
        }
        for key in ELSEWHERE {
            reader.values.remove(key);
        }
        let settings = reader.settings();
        reader.mistakes.extend(reader.values.keys().map(|key| format!("{key}: no such setting")));
        match settings {
            Some(settings) if reader.mistakes.is_empty() => Ok(settings),
            _ => Err(Mistakes(reader.mistakes)),
        }
    }

    /// Every setting as it holds, in the form of the file.
    pub fn effective(&self) -> String {
        let path = |path: &Path| format!("{:?}", path.to_string_lossy());
        let nets = |nets: &[ipnet::IpNet]| format!("{:?}", nets.iter().map(ToString::to_string).collect::<Vec<_>>());
        let (limits, client, rotation) = (&self.limits, &self.limits.client, self.rotation.unwrap_or_default());
        let mut all = vec![("data", path(&self.data)), ("listen", format!("\"{}\"", self.listen))];
        all.extend(self.ledger_file.as_deref().map(|file| ("ledger_file", path(file))));
        all.push(("forward_listen", format!("\"{}\"", self.forwarding.listen)));
        all.extend(self.forwarding.address.as_ref().map(|address| ("forward_address", format!("{address:?}"))));
        all.extend(self.metrics_listen.map(|listen| ("metrics_listen", format!("\"{listen}\""))));
        for ((listen, secrets), door) in DOORS.into_iter().zip([&self.admin, &self.shop]) {
            all.extend(door.iter().flat_map(|door| [(listen, format!("\"{}\"", door.listen)), (secrets, path(&door.secrets))]));
        }
        all.push(("shop_test_events", self.shop_test_events.to_string()));
        all.extend(self.passphrase_file.as_deref().map(|file| ("passphrase_file", path(file))));
        all.extend(self.key_file.as_deref().map(|file| ("key_file", path(file))));
        all.extend([
            ("rotate", self.rotation.is_some().to_string()),
            ("rotate_lead", (rotation.lead / DAY).to_string()),
            ("rotate_overlap", (rotation.overlap / DAY).to_string()),
            ("log", format!("{:?}", self.log)),
            ("log_format", if self.log_format == LogFormat::Json { "\"json\"" } else { "\"text\"" }.into()),
            ("trusted_proxies", nets(&client.trusted_proxies)),
            ("unlimited", nets(&client.unlimited)),
        ]);
        let mut lines: Vec<String> = all.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
        lines.push("\n[limits]".into());
        let counts = [
            ("sessions", limits.sessions),
            ("session_outputs", limits.session_outputs),
            ("requests", limits.requests),
            ("workers", limits.workers),
            ("body_bytes", limits.body_bytes),
            ("connections", limits.connections),
            ("pool", limits.pool),
            ("client_connections", client.connections),
        ];
        lines.push(format!("disk_reserve = {}", limits.disk_reserve));
        let times = [("request_time", limits.request_time), ("header_time", limits.header_time), ("answer_time", limits.answer_time)];
        let rates = [
            ("client_rate", client.rate),
            ("client_burst", client.burst),
            ("deposit_rate", client.deposit_rate),
            ("deposit_burst", client.deposit_burst),
        ];
        lines.extend(counts.map(|(key, count)| format!("{key} = {count}")));
        lines.extend(times.map(|(key, time)| format!("{key} = {}", time.as_secs())));
        lines.extend(rates.map(|(key, rate)| format!("{key} = {rate}")));
        lines.join("\n")
    }

    /// What stands in the way of serving with these settings and can be seen from outside of the data directory.
    pub fn obstacles(&self) -> Vec<String> {
        let mut found = self.collisions();
        found.extend(self.unsound_files());
        found
    }

    /// Listeners that want the same address.
    pub fn collisions(&self) -> Vec<String> {
        let door = |door: &Option<Door>| door.as_ref().map(|door| door.listen);
        let listeners = [
            ("listen", Some(self.listen)),
            ("metrics_listen", self.metrics_listen),
            ("forward_listen", Some(self.forwarding.listen)),
            ("admin_listen", door(&self.admin)),
            ("shop_listen", door(&self.shop)),
        ];
        let mut found = Vec::new();
        for (place, (key, address)) in listeners.iter().enumerate() {
            for (before, other) in &listeners[..place] {
                let Some((one, other)) = address.zip(*other) else { continue };
                let same = one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
                if one.port() != 0 && one.port() == other.port() && same {
                    found.push(format!("{key}: the same address as {before}"));
                }
            }
        }
        found
    }

    /// Files of secrets that are not there, or not secret.
    pub fn unsound_files(&self) -> Vec<String> {
        let mut found = Vec::new();
        let door = |door: &Option<Door>| door.as_ref().map(|door| door.secrets.clone());
        let secrets = [
            ("ledger_file", self.ledger_file.clone()),
            ("admin_token_file", door(&self.admin)),
            ("shop_secret_file", door(&self.shop)),
            ("passphrase_file", self.passphrase_file.clone()),
            ("key_file", self.key_file.clone()),
        ];
        for (key, file) in secrets {
            let Some(file) = file else { continue };
            match readable_by_others(&file) {
                Err(error) => found.push(format!("{key}: {}", error.kind())),
                Ok(true) => found.push(format!("{key}: others can read the file: give it mode 0600")),
                Ok(false) => {}
            }
        }
        found
    }
}

/// Whether somebody else may read a file of secrets. What systemd hands over (`LoadCredential=`) is kept from others by the directory it
/// lies in, and may show rights of a group that has nobody in it.
///
/// # Errors
/// If there is no such file.
pub fn readable_by_others(file: &Path) -> std::io::Result<bool> {
    let mode = std::fs::metadata(file)?.permissions().mode();
    let handed_over = std::env::var_os("CREDENTIALS_DIRECTORY").is_some_and(|dir| !dir.is_empty() && file.starts_with(dir));
    Ok(mode & if handed_over { 0o007 } else { 0o077 } != 0)
}

/// Takes keys out one by one; what is left in the end has no meaning.
#[derive(Default)]
struct Reader {
    values: BTreeMap<String, ValueKind>,
    mistakes: Vec<String>,
}

impl Reader {
    fn flatten(&mut self, key: &str, value: Value) {
        match value.kind {
            // A table of nothing but comments.
            ValueKind::Table(table) if !table.is_empty() || key == "limits" => {
                for (inner, value) in table {
                    self.flatten(&format!("{key}.{inner}"), value);
                }
            }
            kind => drop(self.values.insert(key.to_owned(), kind)),
        }
    }

    fn mistake(&mut self, key: &str, what: &str) {
        self.mistakes.push(format!("{key}: {what}"));
    }

    fn text(&mut self, key: &str) -> Option<String> {
        match self.values.remove(key)? {
            ValueKind::String(text) => Some(text),
            ValueKind::Boolean(value) => Some(value.to_string()),
            ValueKind::I64(value) => Some(value.to_string()),
            _ => {
                self.mistake(key, "not a single value");
                None
            }
        }
    }

    fn parsed<T: FromStr>(&mut self, key: &str, what: &str) -> Option<T> {
        let parsed = self.text(key)?.trim().parse().ok();
        if parsed.is_none() {
            self.mistake(key, what);
        }
        parsed
    }

    fn number(&mut self, key: &str, default: u64, range: RangeInclusive<u64>) -> u64 {
        let what = format!("not a whole number from {} to {}", range.start(), range.end());
        let value = self.parsed::<u64>(key, &what);
        if value.is_some_and(|value| !range.contains(&value)) {
            self.mistake(key, &what);
        }
        value.filter(|value| range.contains(value)).unwrap_or(default)
    }

    fn count(&mut self, key: &str, default: usize, range: RangeInclusive<u64>) -> usize {
        usize::try_from(self.number(key, default as u64, range)).unwrap_or(default)
    }

    fn rate(&mut self, key: &str, default: u32, least: u64) -> u32 {
        u32::try_from(self.number(key, default.into(), least..=1_000_000)).unwrap_or(default)
    }

    fn seconds(&mut self, key: &str, default: Duration) -> Duration {
        Duration::from_secs(self.number(key, default.as_secs(), 1..=3_600))
    }

    fn flag(&mut self, key: &str) -> bool {
        match self.text(key).as_deref() {
            None | Some("false" | "0" | "no" | "off") => false,
            Some("true" | "1" | "yes" | "on") => true,
            Some(_) => {
                self.mistake(key, "neither true nor false");
                false
            }
        }
    }

    fn networks(&mut self, key: &str, default: Vec<ipnet::IpNet>) -> Vec<ipnet::IpNet> {
        let texts: Vec<String> = match self.values.remove(key) {
            None => return default,
            Some(ValueKind::String(text)) => text.split(',').map(str::to_owned).collect(),
            Some(ValueKind::Array(values)) => values.into_iter().map(|value| value.into_string().unwrap_or_default()).collect(),
            Some(_) => vec![String::new()],
        };
        let network = |text: &String| {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(ipnet::IpNet::from))
        };
        let networks: Option<Vec<_>> = texts.iter().map(network).collect();
        if networks.is_none() {
            self.mistake(key, "not addresses or networks such as 10.1.0.0/16");
        }
        networks.unwrap_or(default)
    }

    /// Both or none.
    fn door(&mut self, listen: &str, secrets: &str) -> Option<Door> {
        let named = self.values.contains_key(listen);
        let (address, file) = (self.parsed(listen, ADDRESS), self.text(secrets).map(PathBuf::from));
        match (named, &file) {
            (true, None) => self.mistake(listen, &format!("there is no {secrets}")),
            (false, Some(_)) => self.mistake(secrets, &format!("there is no {listen}")),
            _ => {}
        }
        Some(Door { listen: address?, secrets: file? })
    }

    /// `None` only if something is missing that has no default.
    fn settings(&mut self) -> Option<Settings> {
        let data = self.text("data").map(PathBuf::from);
        if data.is_none() {
            self.mistake("data", "missing: the data directory");
        }
        let listen = self.parsed("listen", ADDRESS).unwrap_or(SocketAddr::from(([127, 0, 0, 1], 8_787)));
        let metrics_listen = self.parsed("metrics_listen", ADDRESS);
        let ledger_file = self.text("ledger_file").map(PathBuf::from);
        let mut forwarding = Forwarding { address: self.text("forward_address"), ..Forwarding::default() };
        forwarding.listen = self.parsed("forward_listen", ADDRESS).unwrap_or(forwarding.listen);
        let [admin, shop] = DOORS.map(|(listen, secrets)| self.door(listen, secrets));
        let shop_test_events = self.flag("shop_test_events");
        if shop_test_events && shop.is_none() {
            self.mistake("shop_test_events", "there is no shop_listen");
        }
        let (passphrase_file, key_file) = (self.text("passphrase_file").map(PathBuf::from), self.text("key_file").map(PathBuf::from));
        if passphrase_file.is_some() && key_file.is_some() {
            self.mistake("key_file", "passphrase_file is given as well: which?");
        }
        let rotate = self.flag("rotate");
        let (lead, overlap) = (self.number("rotate_lead", 14, 2..=365), self.number("rotate_overlap", 7, 0..=365));
        let log = self.text("log").unwrap_or_else(|| "info".into());
        if log.parse::<tracing_subscriber::filter::Targets>().is_err() {
            self.mistake("log", "not a filter such as info or farthing_mint=debug");
        }
        let log_format = match self.text("log_format").as_deref() {
            None | Some("text") => LogFormat::Text,
            Some("json") => LogFormat::Json,
            Some(_) => {
                self.mistake("log_format", "neither text nor json");
                LogFormat::Text
            }
        };
        let limits = self.limits();
        Some(Settings {
            data: data?,
            ledger_file,
            listen,
            metrics_listen,
            forwarding,
            admin,
            shop,
            shop_test_events,
            passphrase_file,
            key_file,
            rotation: rotate.then_some(Rotation { lead: lead * DAY, overlap: overlap * DAY }),
            log,
            log_format,
            limits,
        })
    }

    fn limits(&mut self) -> Limits {
        const MANY: u64 = 1 << 24;
        let default = Limits::default();
        let client = ClientLimits {
            connections: self.count("limits.client_connections", default.client.connections, 0..=MANY),
            rate: self.rate("limits.client_rate", default.client.rate, 0),
            burst: self.rate("limits.client_burst", default.client.burst, 1),
            deposit_rate: self.rate("limits.deposit_rate", default.client.deposit_rate, 0),
            deposit_burst: self.rate("limits.deposit_burst", default.client.deposit_burst, 1),
            trusted_proxies: self.networks("trusted_proxies", default.client.trusted_proxies),
            unlimited: self.networks("unlimited", default.client.unlimited),
        };
        Limits {
            sessions: self.count("limits.sessions", default.sessions, 1..=MANY),
            session_outputs: self.count("limits.session_outputs", default.session_outputs, 256..=MANY),
            requests: self.count("limits.requests", default.requests, 1..=MANY),
            workers: self.count("limits.workers", default.workers, 1..=256),
            body_bytes: self.count("limits.body_bytes", default.body_bytes, 4 << 20..=1 << 32),
            connections: self.count("limits.connections", default.connections, 1..=MANY),
            pool: self.count("limits.pool", default.pool, 0..=MANY),
            disk_reserve: self.number("limits.disk_reserve", default.disk_reserve, 0..=1 << 40),
            request_time: self.seconds("limits.request_time", default.request_time),
            header_time: self.seconds("limits.header_time", default.header_time),
            answer_time: self.seconds("limits.answer_time", default.answer_time),
            client,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::Write;

    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    fn resolve(text: &str, given: &[(&str, String)], variables: &[(&str, &str)]) -> Result<Settings, Mistakes> {
        let file = file(text);
        let variables: HashMap<_, _> = variables.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Settings::resolve(Some(file.path()), given, variables)
    }

    #[test]
    fn the_command_line_overrules_the_environment_and_that_the_file() {
        let text = "data = \"/a\"\nlisten = \"127.0.0.1:1\"\nrotate = true\n[limits]\nrequests = 5\nclient_rate = 7";
        let variables = [
            ("FARTHING_MINT_LISTEN", "127.0.0.1:2"),
            ("FARTHING_MINT_DATA", "/b"),
            ("FARTHING_MINT_LIMITS__REQUESTS", "6"),
            ("FARTHING_MINT_UNLIMITED", "10.0.0.0/8,::1"),
            ("FARTHING_MINT_PASSPHRASE", "read elsewhere"),
            ("FARTHING_MINT_LOG", ""),
        ];
        let settings = resolve(text, &[("data", "/c".into())], &variables).unwrap();
        assert_eq!((settings.data.to_str(), settings.listen.port()), (Some("/c"), 2));
        assert_eq!((settings.limits.requests, settings.limits.client.rate), (6, 7));
        assert_eq!(settings.limits.client.unlimited.len(), 2);
        assert_eq!((settings.rotation, settings.log.as_str()), (Some(Rotation::default()), "info"));
        // What is shown is what holds.
        assert_eq!(resolve(&settings.effective(), &[], &[]).unwrap(), settings);
    }

    #[test]
    fn every_mistake_is_said_and_no_value_repeated() {
        let text = "listen = \"sesame\"\npasword = \"sesame\"\nrotate = \"sesame\"\npassphrase_file = \"a\"\nkey_file = \"b\"\n\
                    log_format = \"sesame\"\nunlimited = [\"sesame\"]\n[limits]\nrequests = 0\nworkers = \"sesame\"\nrequest = 1\n[admin]\nx = 1";
        let mistakes = resolve(text, &[], &[("FARTHING_MINT_METRICS", "sesame")]).unwrap_err().to_string();
        assert!(!mistakes.contains("sesame"), "{mistakes}");
        let mut keys: Vec<&str> = mistakes.lines().map(|line| line.split(": ").next().unwrap()).collect();
        keys.sort_unstable();
        assert_eq!(
            keys,
            [
                "admin.x",
                "data",
                "key_file",
                "limits.request",
                "limits.requests",
                "limits.workers",
                "listen",
                "log_format",
                "metrics",
                "pasword",
                "rotate",
                "unlimited"
            ]
        );
        let broken = resolve("data = \"/a\"\npassphrase sesame", &[], &[]).unwrap_err().to_string();
        assert!(broken.contains("line 2") && !broken.contains("sesame"), "{broken}");
    }

    #[test]
    fn the_example_says_every_key_and_the_defaults() {
        let example = include_str!("../../contrib/mint.toml");
        let written = resolve(example, &[], &[]).unwrap();
        // What is commented out is the default, except where the line says that it is an example.
        let line = |line: &str| {
            let setting = line.strip_prefix("# ").filter(|rest| rest.split(" = ").next().is_some_and(|key| !key.contains(' ')));
            let setting = setting.filter(|rest| rest.contains(" = ") && !rest.contains("# for example"));
            setting.unwrap_or(line).to_owned()
        };
        let uncommented: Vec<String> = example.lines().map(line).collect();
        let spelled_out = resolve(&uncommented.join("\n"), &[], &[]).unwrap();
        let workers = Limits::default().workers;
        assert_eq!(Settings { limits: Limits { workers, ..spelled_out.limits.clone() }, ..spelled_out }, written);
        assert_eq!(written.limits, Limits::default());
        for line in written.effective().lines().filter_map(|line| line.split_once(" = ")) {
            assert!(example.contains(&format!("{} = ", line.0)), "{}", line.0);
        }
        let optional = ["metrics_listen", "ledger_file", "forward_address", "passphrase_file", "key_file"];
        for key in optional.into_iter().chain(DOORS.into_iter().flat_map(|(listen, secrets)| [listen, secrets])) {
            assert!(example.contains(&format!("{key} = ")), "{key}");
        }
    }

    #[test]
    fn a_door_has_an_address_and_secrets() {
        let text = "data = \"/a\"\nadmin_listen = \"127.0.0.1:1\"\nshop_secret_file = \"s\"\nshop_test_events = true";
        let mistakes = resolve(text, &[], &[]).unwrap_err().0;
        assert_eq!(
            mistakes,
            [
                "admin_listen: there is no admin_token_file",
                "shop_secret_file: there is no shop_listen",
                "shop_test_events: there is no shop_listen"
            ]
        );
        let variables = [("FARTHING_MINT_ADMIN_TOKEN_FILE", "t"), ("FARTHING_MINT_SHOP_LISTEN", "[::]:1")];
        let settings = resolve(text, &[], &variables).unwrap();
        assert_eq!(settings.admin, Some(Door { listen: ([127, 0, 0, 1], 1).into(), secrets: "t".into() }));
        assert!(settings.shop_test_events && settings.shop.is_some());
        assert_eq!(resolve(&settings.effective(), &[], &[]).unwrap(), settings);
        assert_eq!(
            settings.obstacles(),
            ["shop_listen: the same address as admin_listen", "admin_token_file: entity not found", "shop_secret_file: entity not found"]
        );
    }

    #[test]
    fn listeners_and_secrets_are_looked_at() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, "x").unwrap();
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o640)).unwrap();
        let settings = |listen: &str| {
            let text = format!("data = \"/a\"\nlisten = \"0.0.0.0:9\"\nmetrics_listen = \"{listen}\"\nkey_file = {secret:?}");
            resolve(&text, &[], &[]).unwrap()
        };
        assert_eq!(settings("127.0.0.1:9").obstacles().len(), 2);
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o400)).unwrap();
        assert!(settings("127.0.0.1:10").obstacles().is_empty());
        std::fs::remove_file(&secret).unwrap();
        assert_eq!(settings("127.0.0.1:10").obstacles(), ["key_file: entity not found"]);
    }
}
