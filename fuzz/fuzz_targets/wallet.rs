//! A wallet and a mint that lies: over real HTTP, its answers lost, changed, replayed and invented. The wallet never panics, never holds
//! more than the mint has issued, and never uses an index twice, not after being opened again and not after being restored from its seed.
//! What it claims when a denomination is frozen was made by the session it names.
#![no_main]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arbitrary::Arbitrary;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Response, StatusCode, Uri};
use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_fuzz::machine::memory;
use farthing_fuzz::plain::{self, PublicKey};
use farthing_fuzz::sequence::Sequence;
use farthing_fuzz::world::World;
use farthing_protocol::amount::Amount;
use farthing_protocol::issue::{Funding, Open};
use farthing_protocol::restore::RecordedSession;
use farthing_protocol::voucher::VoucherCode;
use farthing_protocol::wire::{
    CommitmentBody, Frame, FundingBody, IssueRequestFrame, IssueResponseFrame, OpenRequestFrame, OpenResponseFrame, RecordedOutputBody,
    RecordedSessionBody, ResponseBody, RestoreBucketFrame, TokenBody,
};
use farthing_wallet::{ClientOptions, Wallet, WalletError};
use libfuzzer_sys::fuzz_target;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::runtime::Runtime;
use url::Url;

/// What becomes of an answer.
#[derive(Arbitrary, Debug, Default)]
enum Lie {
    /// The truth.
    #[default]
    None,
    /// A status and a code.
    Refused(u8, u8),
    /// Some bits are changed.
    Changed(Vec<(u16, u8)>),
    /// The answer to an earlier request for the same path.
    Replayed,
    /// Something else.
    Invented(Vec<u8>),
    /// A bucket in which every session stands under every name.
    Renamed,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Move {
    /// A voucher of so many units is turned into tokens.
    TopUp(u8),
    /// Everything is refreshed, and claimed if it is frozen.
    Refresh,
    /// The mint freezes a denomination.
    Freeze(u8),
    /// The process ends and the wallet is opened again.
    Reopen,
    /// The wallet is lost, and restored from its seed.
    Restore,
}

/// What becomes of the answers to a move, each kind of request by itself: a session lives to its end however much is asked besides.
#[derive(Arbitrary, Debug, Default)]
struct Lies {
    open: [Lie; 2],
    issue: [Lie; 2],
    restore: Lie,
    other: Lie,
}

/// What the reader does, and what becomes of the answers to it; nothing for a mint that tells no lies.
#[derive(Arbitrary, Debug)]
struct Input {
    honest: bool,
    moves: Sequence<(Move, Lies), 8>,
}

/// What a mint answers in one run.
const MOST_REQUESTS: usize = 60;

struct Session {
    frame: OpenRequestFrame,
    nonces: Vec<[u64; 3]>,
    commitments: Vec<CommitmentBody>,
    answer: Option<(Vec<u8>, IssueResponseFrame)>,
    /// Whether the wallet was told of it as it is.
    told: bool,
}

/// The mint, honest but for its lies, and what it has seen.
#[derive(Default)]
struct Mint {
    lies: Lies,
    /// It tells no lies at all.
    honest: bool,
    sessions: Vec<Session>,
    voucher: u64,
    /// Issued, less what was given for it in a refresh.
    outstanding: u64,
    spent: BTreeSet<[u8; 32]>,
    frozen: BTreeSet<([u8; 32], u64)>,
    answers: BTreeMap<String, Vec<u8>>,
    /// The session in which each recovery hash was asked for responses.
    used: BTreeMap<[u8; 32], [u8; 16]>,
    requests: usize,
}

struct Stage {
    runtime: Runtime,
    url: Url,
    mint: Arc<Mutex<Mint>>,
}

static WORLD: LazyLock<World> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    World::beginning_at(now - 2 * 86_400)
});

static STAGE: LazyLock<Stage> = LazyLock::new(|| {
    let runtime = farthing_fuzz::machine::runtime();
    let mint = Arc::new(Mutex::new(Mint::default()));
    let url = runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let mint = mint.clone();
        let app = Router::new().fallback(move |uri: Uri, body: Bytes| {
            let answer = mint.lock().unwrap().answer(uri.path(), &body);
            async move { answer }
        });
        tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        url
    });
    Stage { runtime, url, mint }
});

fn problem(status: u16, code: &str) -> (StatusCode, Vec<u8>) {
    (StatusCode::from_u16(status).unwrap(), format!("{{\"code\":\"{code}\"}}").into_bytes())
}

fn key(frame: &OpenRequestFrame, denomination: u64) -> Option<(PublicKey, usize)> {
    let place = WORLD.public.iter().position(|(keyset, value, _)| *keyset == frame.keyset.0 && *value == denomination)?;
    Some((WORLD.public[place], place))
}

impl Lies {
    /// What becomes of the next answer of this kind.
    fn next(&mut self, kind: &str) -> Lie {
        let first = |[first, second]: &mut [Lie; 2]| std::mem::replace(first, std::mem::take(second));
        match kind {
            "commitments" => first(&mut self.open),
            "issue" => first(&mut self.issue),
            "restore" => std::mem::take(&mut self.restore),
            _ => std::mem::take(&mut self.other),
        }
    }
}

impl Mint {
    fn answer(&mut self, path: &str, body: &[u8]) -> Response<Body> {
        self.requests += 1;
        // A mint that keeps a wallet busy for ever has not taken anything from it.
        if self.requests > MOST_REQUESTS {
            return reply(problem(503, "unavailable"));
        }
        let kind = path.split('/').nth(2).unwrap_or_default().to_owned();
        let honest = match kind.as_str() {
            "keysets" => (StatusCode::OK, WORLD.list.to_frame().to_bytes()),
            "vouchers" => (StatusCode::OK, format!("{{\"balance\":\"{}\",\"currency\":\"eur/100000\"}}", self.voucher).into_bytes()),
            "commitments" => self.open(body),
            "issue" => self.issue(body),
            "restore" => self.bucket(path),
            "frozen" => self.told_frozen(),
            _ => problem(404, "not-found"),
        };
        let earlier = self.answers.insert(kind.clone(), honest.1.clone());
        let lie = self.lies.next(&kind);
        if kind == "commitments"
            && honest.0 == StatusCode::OK
            && let Some(session) = self.sessions.last_mut()
        {
            session.told &= matches!(lie, Lie::None | Lie::Renamed);
        }
        let (status, mut bytes) = match lie {
            Lie::Refused(status, code) => {
                let codes = [
                    "session-gone",
                    "session-busy",
                    "token-spent",
                    "voucher-insufficient",
                    "keyset-not-issuing",
                    "denomination-frozen",
                    "denomination-not-frozen",
                    "recovery-unknown",
                    "unavailable",
                ];
                problem([400, 404, 409, 410, 429, 500, 503][usize::from(status) % 7], codes[usize::from(code) % codes.len()])
            }
            Lie::Changed(flips) => {
                let (status, mut bytes) = honest;
                for (place, bits) in flips.iter().take(4) {
                    let place = usize::from(*place) % bytes.len().max(1);
                    if let Some(byte) = bytes.get_mut(place) {
                        *byte ^= bits;
                    }
                }
                (status, bytes)
            }
            Lie::Replayed => (StatusCode::OK, earlier.unwrap_or_default()),
            Lie::Invented(bytes) => (StatusCode::OK, bytes),
            Lie::Renamed if kind == "restore" => self.renamed(honest),
            Lie::None | Lie::Renamed => honest,
        };
        bytes.truncate(1 << 20);
        reply((status, bytes))
    }

    fn open(&mut self, body: &[u8]) -> (StatusCode, Vec<u8>) {
        let frame = OpenRequestFrame::from_bytes(body).expect("the wallet speaks the protocol");
        // A token that a lie has spoilt is claimed in vain; the truth never makes one.
        if matches!(frame.funding, FundingBody::Recovery { .. }) && !self.leads(&frame) {
            assert!(!self.honest, "a claim that does not lead to its tokens");
            return problem(400, "issue-invalid-recovery");
        }
        let number = self.sessions.len();
        let nonces: Vec<[u64; 3]> =
            (0..frame.denominations.len()).map(|output| [0, 1, 2].map(|part| ((number * 1_000 + output) * 3 + part) as u64)).collect();
        let commit = |nonces: &[u64; 3]| {
            let [a, b, y] = nonces.map(plain::scalar_of);
            plain::commitment(a, b, y)
        };
        let commitments: Vec<CommitmentBody> = nonces.iter().map(commit).collect();
        let mut session = [0; 16];
        session[..8].copy_from_slice(&(number as u64).to_le_bytes());
        let opened = OpenResponseFrame { session: session.into(), expires: u64::MAX, commitments: commitments.clone() };
        self.sessions.push(Session { frame, nonces, commitments, answer: None, told: true });
        (StatusCode::OK, opened.to_bytes())
    }

    /// What is frozen, as the mint says it.
    fn told_frozen(&self) -> (StatusCode, Vec<u8>) {
        let one = |(keyset, denomination): &([u8; 32], u64)| {
            format!("{{\"keyset\":\"{}\",\"denomination\":{denomination}}}", Base64UrlUnpadded::encode_string(keyset))
        };
        let all: Vec<String> = self.frozen.iter().map(one).collect();
        (StatusCode::OK, format!("[{}]", all.join(",")).into_bytes())
    }

    /// Whether a claim names a session that was booked and led to what is claimed, by a proof that holds.
    fn leads(&self, frame: &OpenRequestFrame) -> bool {
        let root = WORLD.list.root();
        let Ok(Ok(checked)) = Open::from_frame(frame).map(|open| open.verify(root, &WORLD.table, &mut StdRng::seed_from_u64(0))) else {
            return false;
        };
        let Funding::Recovery(claim) = checked.funding() else { return true };
        let Some(keyset) = WORLD.list.get(&claim.keyset()) else { return false };
        let booked = |one: &&Session| one.frame.keyset == claim.keyset().0.into() && one.frame.recovery_commitment.0 == claim.commitment();
        self.sessions
            .iter()
            .filter(booked)
            .filter_map(recorded)
            .any(|body| RecordedSession::new(body.recovery.0, body.outputs).is_ok_and(|session| claim.verify(keyset, &session).is_ok()))
    }

    fn issue(&mut self, body: &[u8]) -> (StatusCode, Vec<u8>) {
        let request = IssueRequestFrame::from_bytes(body).expect("the wallet speaks the protocol");
        let number = |name: &[u8; 16]| usize::try_from(u64::from_le_bytes(name[..8].try_into().unwrap())).unwrap_or(usize::MAX);
        let Some(session) = self.sessions.get(number(&request.session.0)) else {
            return problem(410, "session-gone");
        };
        // What a lie has called by another session's name is still one use of the index; but a wallet that was told a name that is not its
        // session's issues under that one, so that whose index it is, is known only where both were told as they are.
        let known = *self.used.entry(session.frame.recovery.0).or_insert(request.session.0);
        let first = self.sessions.get(number(&known)).is_some_and(|first| first.told);
        assert!(known == request.session.0 || !(first && session.told), "an index was used for two sessions");
        let Some(session) = self.sessions.get_mut(number(&request.session.0)) else { unreachable!("it was just there") };
        if let Some((answered, answer)) = &session.answer {
            return if answered == body { (StatusCode::OK, answer.to_bytes()) } else { problem(409, "session-answered") };
        }
        let frozen = |keyset: &[u8; 32], denomination: u64| self.frozen.contains(&(*keyset, denomination));
        let amount: u64 = session.frame.denominations.iter().sum();
        if session.frame.denominations.iter().any(|denomination| frozen(&session.frame.keyset.0, *denomination)) {
            return problem(409, "denomination-frozen");
        }
        if request.challenges.len() != session.nonces.len() {
            return problem(400, "issue-count-mismatch");
        }
        match &session.frame.funding {
            FundingBody::Voucher(_) if self.voucher >= amount => {
                (self.voucher, self.outstanding) = (self.voucher - amount, self.outstanding + amount)
            }
            FundingBody::Refresh(tokens) if tokens.tokens.iter().all(|token| !self.spent.contains(&token.key.0)) => {
                let keyset = |token: &TokenBody| tokens.keysets.get(usize::from(token.keyset)).map_or([0; 32], |id| id.0);
                if tokens.tokens.iter().any(|token| frozen(&keyset(token), token.denomination)) {
                    return problem(409, "denomination-frozen");
                }
                self.spent.extend(tokens.tokens.iter().map(|token| token.key.0));
            }
            FundingBody::Recovery { keyset, claims, .. } if claims.iter().all(|one| !self.spent.contains(&one.key.0)) => {
                if !claims.iter().all(|one| frozen(&keyset.0, one.denomination)) {
                    return problem(409, "denomination-not-frozen");
                }
                self.spent.extend(claims.iter().map(|one| one.key.0));
            }
            FundingBody::Voucher(_) => return problem(409, "voucher-insufficient"),
            _ => return problem(409, "token-spent"),
        }
        let outputs = session.frame.denominations.iter().zip(&session.nonces).zip(&request.challenges);
        let respond = |((denomination, nonces), c): ((&u64, &[u64; 3]), &farthing_protocol::wire::Bytes<32>)| {
            let (_, place) = key(&session.frame, *denomination)?;
            let x = plain::scalar(&WORLD.secret[place].expose_secret())?;
            Some(plain::response(x, nonces.map(plain::scalar_of), plain::scalar(&c.0)?))
        };
        let responses: Option<Vec<_>> = outputs.map(respond).collect();
        let Some(responses) = responses else { return problem(400, "issue-invalid-encoding") };
        let answer = IssueResponseFrame { responses };
        let bytes = answer.to_bytes();
        session.answer = Some((body.to_vec(), answer));
        (StatusCode::OK, bytes)
    }

    fn recorded(&self, keyset: &[u8; 32]) -> Vec<RecordedSessionBody> {
        self.sessions.iter().filter(|session| session.frame.keyset.0 == *keyset).filter_map(recorded).collect()
    }

    fn bucket(&self, path: &str) -> (StatusCode, Vec<u8>) {
        let mut numbers = path.split('/').skip(3).filter_map(|number| number.parse::<u64>().ok());
        let (Some(keyset), Some(bucket)) = (numbers.next(), numbers.next()) else { return problem(404, "not-found") };
        let Some(keyset) = WORLD.list.keysets().get(usize::try_from(keyset).unwrap_or(usize::MAX)) else {
            return problem(404, "not-found");
        };
        let sessions = self.recorded(&keyset.id().0);
        frame_of(keyset.id().0, bucket, sessions)
    }

    /// Every recorded session under every recovery hash, whichever keyset it is of.
    fn renamed(&self, honest: (StatusCode, Vec<u8>)) -> (StatusCode, Vec<u8>) {
        let Ok(frame) = RestoreBucketFrame::from_bytes(&honest.1) else { return honest };
        let all: Vec<RecordedSessionBody> = WORLD.list.keysets().iter().flat_map(|keyset| self.recorded(&keyset.id().0)).collect();
        let sessions = all.iter().flat_map(|one| all.iter().map(|other| RecordedSessionBody { recovery: other.recovery, ..one.clone() }));
        frame_of(frame.keyset.0, frame.bucket, sessions.take(63).collect())
    }
}

/// A session that was answered, as the mint keeps it.
fn recorded(session: &Session) -> Option<RecordedSessionBody> {
    let (_, answer) = session.answer.as_ref()?;
    let outputs = session.frame.denominations.iter().zip(&session.commitments).zip(&answer.responses);
    let output = |((denomination, commitment), response): ((&u64, &CommitmentBody), &ResponseBody)| RecordedOutputBody {
        denomination: *denomination,
        commitment: commitment.clone(),
        response: response.clone(),
    };
    Some(RecordedSessionBody { recovery: session.frame.recovery, outputs: outputs.map(output).collect() })
}

fn frame_of(keyset: [u8; 32], bucket: u64, mut sessions: Vec<RecordedSessionBody>) -> (StatusCode, Vec<u8>) {
    sessions.sort_by_key(|session| (session.recovery.0, session.outputs[0].commitment.a.0));
    sessions.dedup_by_key(|session| (session.recovery.0, session.outputs[0].commitment.a.0));
    (StatusCode::OK, RestoreBucketFrame { keyset: keyset.into(), bucket, sessions }.to_bytes())
}

fn reply((status, bytes): (StatusCode, Vec<u8>)) -> Response<Body> {
    Response::builder().status(status).header("content-type", "application/vnd.farthing").body(Body::from(bytes)).unwrap()
}

fuzz_target!(|input: Input| {
    let Stage { runtime, url, mint } = &*STAGE;
    *mint.lock().unwrap() = Mint::default();
    let options = || ClientOptions { proxy: None, timeout: Duration::from_secs(20) };
    let dir = tempfile::tempdir_in(memory()).unwrap();
    runtime.block_on(async {
        let mut home = dir.path().join("0");
        let mut wallet = Wallet::init(&home, url.clone(), *WORLD.list.root(), options()).await.expect("nobody has lied yet");
        let honest = input.honest;
        // So that there is something to lose from the first move on.
        *mint.lock().unwrap() = Mint { voucher: 40, honest, ..Mint::default() };
        wallet.topup(&VoucherCode::generate(&mut StdRng::seed_from_u64(99))).await.expect("nobody has lied yet");
        let mut restores = 0;
        for (number, (step, lies)) in input.moves.0.into_iter().enumerate() {
            // Of tokens that wait for a denomination to be paid back in nobody was asked whether they are spent.
            let mut waiting = None;
            if !honest {
                mint.lock().unwrap().lies = lies;
            }
            match step {
                Move::TopUp(units) => {
                    let code = VoucherCode::generate(&mut StdRng::seed_from_u64(number as u64));
                    mint.lock().unwrap().voucher += u64::from(units);
                    let _ = wallet.topup(&code).await;
                }
                Move::Refresh => {
                    let refreshed = wallet.refresh(true).await;
                    waiting = refreshed.as_ref().ok().filter(|_| honest).map(|report| report.recovery_waiting.units());
                    let silent = mint.lock().unwrap().requests > MOST_REQUESTS;
                    // What a frozen denomination leaves may be too little for those that are left.
                    let expected = matches!(refreshed, Ok(_) | Err(WalletError::NothingIssuing));
                    assert!(!honest || silent || expected, "an honest mint, and a wallet that fails: {:?}", refreshed.err());
                }
                Move::Freeze(place) => {
                    let (keyset, denomination, _) = WORLD.public[usize::from(place) % WORLD.public.len()];
                    mint.lock().unwrap().frozen.insert((keyset, denomination));
                }
                Move::Reopen => {
                    drop(wallet);
                    wallet = Wallet::open(&home, options()).expect("what was written reads back");
                }
                // The search of 65,536 indices takes longer than everything else.
                Move::Restore if restores == 2 => {}
                Move::Restore => {
                    restores += 1;
                    let (text, elsewhere) = (wallet.seed_text(), dir.path().join((number + 1).to_string()));
                    // A mint that lies keeps the wallet from coming back; the next try has nothing of the last one in its way.
                    if let Ok((restored, _)) = Wallet::restore(&elsewhere, url.clone(), *WORLD.list.root(), &text, options()).await {
                        (wallet, home) = (restored, elsewhere);
                    }
                }
            }
            let (balance, mint) = (wallet.balance().expect("it reads back"), mint.lock().unwrap());
            let held = Amount::checked_sum([balance.spendable, balance.to_refresh]).expect("a sum that fits");
            let issued: u64 = mint.sessions.iter().filter(|one| one.answer.is_some()).flat_map(|one| &one.frame.denominations).sum();
            assert!(held.units() <= issued, "{held} held, {issued} ever issued");
            let whole = |waiting| (mint.outstanding..=mint.outstanding + waiting).contains(&held.units());
            assert!(waiting.is_none_or(whole), "{held} held, {} outstanding, {waiting:?} waiting", mint.outstanding);
        }
    });
});
