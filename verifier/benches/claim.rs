//! What a payment costs a verifier: from the `Authorization` value to a durable claim in redb, without the mint.
//!
//! The mint behind it takes connections and never answers, so that what is measured is parse, HMAC, look-up, curve work, one durable
//! commit. `one` is a lone reader's latency; `64 at once` are 64 readers whose checks share batches and whose claims share commits; its
//! last figure counts tokens, six a payment. At the end the three figures with an aim are measured by themselves and printed with it; the
//! fourth, bytes a token and claims a second at any size, is the bench `sizing`.

use std::hint::black_box;
use std::time::{Duration, Instant};

use base64ct::{Base64UrlUnpadded, Encoding};
use criterion::{Criterion, SamplingMode, Throughput};
use farthing_protocol::amount::Amount;
use farthing_protocol::http::{Credential, EchoedChallenge};
use farthing_protocol::payment::PaymentTerms;
use farthing_protocol::token::{OwnedToken, OwnedTokens};
use farthing_protocol::wire::Frame;
use farthing_verifier::store::RedbStore;
use farthing_verifier::{ChallengeSecret, Clock, DeferredLimits, Mode, Offer, PaymentLayer, Price, Resource, Verifier, VerifierConfig};
use http::Method;
use mpp::PaymentCredential;
use tokio::runtime::Runtime;
use tower::{Layer, Service, ServiceExt, service_fn};

#[allow(dead_code, reason = "shared with the tests, which use more of it")]
#[path = "../tests/site/world.rs"]
mod world;

use world::{NOW, World};

struct Still;

impl Clock for Still {
    fn now(&self) -> u64 {
        NOW
    }
}

struct Bench {
    runtime: Runtime,
    verifier: Verifier<RedbStore>,
    resource: Resource,
    offer: Offer,
    world: World,
    _directory: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let runtime = Runtime::new().unwrap();
        let world = World::new(1);
        let directory = tempfile::tempdir().unwrap();
        let list = world.list.to_frame().to_bytes();
        let verifier = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
            let app = axum::Router::new()
                .route("/v1/keysets", axum::routing::get(async move || list))
                .route("/v1/deposits", axum::routing::post(std::future::pending::<()>));
            tokio::spawn(async move { axum::serve(listener, app).await });
            let limit = Amount::from_units(u64::MAX);
            let limits = DeferredLimits { outstanding: limit, per_window: limit, window: Duration::from_hours(1) };
            let config = VerifierConfig::new("news.example", mint, world.root(), ChallengeSecret::generate())
                .mode(Mode::Deferred(limits))
                .mint_timeout(Duration::from_hours(1))
                .clock(Still);
            Verifier::open(config, RedbStore::open(directory.path().join("claims.redb")).unwrap()).await.unwrap()
        });
        let resource = verifier.resource(&Method::GET, &"/articles/one".parse().unwrap());
        let price = Price::Fixed(Amount::from_units(5));
        let offer = Offer { price, title: "One".into(), external_id: "one".into(), access: Duration::from_hours(24) };
        Self { runtime, verifier, resource, offer, world, _directory: directory }
    }

    /// Payments of five units in so many tokens each.
    fn credentials(&mut self, count: usize, tokens: usize) -> Vec<String> {
        let denomination = if tokens == 1 { 5 } else { 1 };
        let mut owned = Vec::with_capacity(count * tokens);
        for chunk in vec![denomination; count * tokens].chunks(256) {
            owned.extend(self.world.tokens(chunk));
        }
        let mut owned = owned.into_iter();
        (0..count).map(|_| owned.by_ref().take(tokens).collect()).map(|tokens| self.credential(tokens)).collect()
    }

    fn credential(&mut self, tokens: Vec<OwnedToken>) -> String {
        let challenge = self.verifier.challenge(&self.offer, &self.resource, NOW).unwrap();
        let challenge = mpp::parse_www_authenticate(challenge.header().to_str().unwrap()).unwrap();
        let request: farthing_protocol::http::ChargeRequest = challenge.request.decode().unwrap();
        let echoed = EchoedChallenge {
            id: &challenge.id,
            realm: &challenge.realm,
            method: challenge.method.as_str(),
            intent: challenge.intent.as_str(),
            request: challenge.request.raw(),
            expires: challenge.expires.as_deref(),
            digest: None,
            opaque: challenge.opaque.as_ref().map(mpp::Base64UrlJson::raw),
            description: None,
            header: None,
        };
        let salt = [1; 32];
        let deposit_by = request.method_details.deposit_by;
        let terms = PaymentTerms { recipient: "news.example", amount: Amount::from_units(5), deposit_by, subject: echoed.subject(&salt) };
        let (payment, _) = OwnedTokens::new(tokens).unwrap().pay(&terms, &mut self.world.rng).unwrap();
        let payload = Credential::Payment {
            payment: Base64UrlUnpadded::encode_string(&payment.to_frame().to_bytes()),
            salt: Base64UrlUnpadded::encode_string(&salt),
        };
        mpp::format_authorization(&PaymentCredential::new(challenge.to_echo(), payload)).unwrap()
    }

    /// The time `count` groups of `size` concurrent payments of `tokens` tokens take.
    fn pay(&mut self, count: u64, size: usize, tokens: usize) -> Duration {
        let mut spent = Duration::ZERO;
        for _ in 0..count {
            let credentials = self.credentials(size, tokens);
            let start = Instant::now();
            self.runtime.block_on(async {
                let running: Vec<_> = credentials.into_iter().map(|credential| tokio::spawn(self.caller(vec![credential]))).collect();
                for paid in running {
                    black_box(paid.await.unwrap());
                }
            });
            spent += start.elapsed();
        }
        spent
    }

    /// One caller who pays one payment after the other: the time each took.
    fn caller(&self, credentials: Vec<String>) -> impl Future<Output = Vec<Duration>> + 'static {
        let (verifier, resource, offer) = (self.verifier.clone(), self.resource.clone(), self.offer.clone());
        async move {
            let mut times = Vec::with_capacity(credentials.len());
            for credential in credentials {
                let start = Instant::now();
                black_box(verifier.authorize(&credential, &resource, &offer).await.unwrap());
                times.push(start.elapsed());
            }
            times
        }
    }
}

fn claims(criterion: &mut Criterion) {
    let mut bench = Bench::new();
    let mut group = criterion.benchmark_group("check and claim, redb");
    // Every payment needs tokens of its own, which take longer to make than to check.
    group
        .sample_size(10)
        .sampling_mode(SamplingMode::Flat)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(2));
    let cases = [("one", 1, 1), ("8 at once", 8, 1), ("64 at once", 64, 1), ("64 at once, 6 tokens each", 64, 6)];
    for (name, size, tokens) in cases {
        group.throughput(Throughput::Elements((size * tokens) as u64));
        group.bench_function(name, |bencher| bencher.iter_custom(|count| bench.pay(count, size, tokens)));
    }
    group.finish();
}

/// Tokens a second in groups of 64 payments of six tokens, the median group's.
fn grouped(bench: &mut Bench) -> f64 {
    const GROUPS: usize = 31;
    const TOKENS: u8 = 6;
    let mut times: Vec<Duration> = (0..GROUPS).map(|_| bench.pay(1, 64, usize::from(TOKENS))).collect();
    times.sort_unstable();
    64.0 * f64::from(TOKENS) / times[GROUPS / 2].as_secs_f64()
}

/// What one reader waits while seven others pay all the time: the median, and what is printed of the rest.
fn latency(bench: &mut Bench) -> (Duration, String) {
    const CALLERS: usize = 8;
    // Half a second of them, and fewer than may wait for the mint in memory: this one never answers.
    const EACH: usize = 500;
    let mut credentials = bench.credentials(CALLERS * EACH, 1);
    let start = Instant::now();
    let mut times: Vec<Duration> = bench.runtime.block_on(async {
        let callers: Vec<_> = (0..CALLERS).map(|_| tokio::spawn(bench.caller(credentials.split_off(credentials.len() - EACH)))).collect();
        let mut times = Vec::new();
        for caller in callers {
            times.extend(caller.await.unwrap());
        }
        times
    });
    let rate = f64::from(u32::try_from(times.len()).unwrap_or(u32::MAX)) / start.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |percent: usize| times[times.len() * percent / 100];
    (at(50), format!("95 of 100 below {:.1?}; {rate:.0} payments a second", at(95)))
}

/// What the layer adds to a request that needs no payment.
fn free(criterion: &mut Criterion) -> f64 {
    const ROUNDS: usize = 51;
    const EACH: u32 = 10_000;
    let bench = Bench::new();
    let service = || {
        service_fn(|_: http::Request<()>| std::future::ready(Ok::<_, std::convert::Infallible>(http::Response::new(bytes::Bytes::new()))))
    };
    let layer = PaymentLayer::new(bench.verifier.clone(), |request: &http::request::Parts| {
        request.uri.path().starts_with("/articles/").then(|| unreachable!("nothing here has a price"))
    });
    let request = || http::Request::get("/about").header("accept", "text/html").body(()).unwrap();
    let mut group = criterion.benchmark_group("free request");
    let (mut bare, mut layered) = (service(), layer.layer(service()));
    group.bench_function("bare", |bencher| {
        bencher.iter(|| bench.runtime.block_on(async { bare.ready().await.unwrap().call(request()).await.unwrap() }));
    });
    group.bench_function("layered", |bencher| {
        bencher.iter(|| bench.runtime.block_on(async { layered.ready().await.unwrap().call(request()).await.unwrap() }));
    });
    group.finish();
    // One beside the other, so that whatever else the machine does falls on both; the median round's difference, in microseconds.
    let mut differences: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let times = bench.runtime.block_on(async {
                let start = Instant::now();
                for _ in 0..EACH {
                    black_box(bare.ready().await.unwrap().call(request()).await.unwrap());
                }
                let between = Instant::now();
                for _ in 0..EACH {
                    black_box(layered.ready().await.unwrap().call(request()).await.unwrap());
                }
                [between - start, between.elapsed()]
            });
            (times[1].as_secs_f64() - times[0].as_secs_f64()) * 1e6 / f64::from(EACH)
        })
        .collect();
    differences.sort_unstable_by(f64::total_cmp);
    differences[ROUNDS / 2]
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    claims(&mut criterion);
    let layer = free(&mut criterion);
    criterion.final_summary();

    let tokens = grouped(&mut Bench::new());
    let (median, rest) = latency(&mut Bench::new());
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    println!("{cores} processors, load {}", load.split(' ').next().unwrap_or("unknown"));
    let row = |what: &str, measured: String, aim: &str, met: bool| {
        println!("{what:<52} {measured:>12}   {aim:<16} {}", if met { "met" } else { "NOT met" });
    };
    println!("{:<52} {:>12}   aim", "check and claim, redb", "measured");
    row("tokens a second, groups of 64 payments of 6", format!("{tokens:.0}"), "at least 25,000", tokens >= 25_000.0);
    row("a single payment, 8 callers, median", format!("{:.2} ms", median.as_secs_f64() * 1e3), "below 1 ms", median.as_micros() < 1_000);
    row("the layer, a request that needs no payment", format!("{layer:.2} us"), "below 5 us", layer < 5.0);
    println!("of the 8 callers {rest}; bytes a token and claims a second at any size: --bench sizing");
}
