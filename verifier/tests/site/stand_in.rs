//! A stand-in for the mint that fails on command. It keeps its books in memory and answers with true signatures; the real mint is
//! tried elsewhere.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::Amount;
use farthing_protocol::evidence::{DoubleSpend, SpendingSide};
use farthing_protocol::filter::SpentSegment;
use farthing_protocol::keyset::KeysetList;
use farthing_protocol::payment::Deposit;
use farthing_protocol::proof::{PaymentId, SpentKey};
use farthing_protocol::settle::{Outcome, Refusal, sign_answer};
use farthing_protocol::spending::Spending;
use farthing_protocol::wire::{DepositRequestFrame, Frame, LedgerMark};
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::world::World;

/// What goes wrong with a deposit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The mint says it cannot.
    Unavailable,
    /// The mint books and takes its time to say so.
    Slow(Duration),
    /// The mint books and does not say so until it is let.
    Held,
    /// The answer is no frame.
    Garbage,
    /// The mint books, and the answer is lost.
    LostAnswer,
    /// The answer's signature is wrong.
    BadSignature,
    /// The mint refuses.
    Refuse(Refusal),
    /// The mint says that the payment was given back.
    Refunded,
    /// The mint claims a double-spend between other payments, with a proof that holds.
    ForeignDoubleSpend,
    /// The mint claims a double-spend, with a proof that does not hold.
    InventedDoubleSpend,
    /// The mint names another change.
    WrongChange,
}

pub struct Books {
    pub world: World,
    pub list: KeysetList,
    booked: HashMap<PaymentId, Amount>,
    spent: HashMap<SpentKey, Spending>,
    pub sequence: u64,
    /// For the next requests, in order; then all is well.
    pub faults: VecDeque<Fault>,
    /// For every request.
    pub always: Option<Fault>,
    /// A payment for whose sake a request's answer is no frame.
    pub spoilt: Option<PaymentId>,
    /// Whether the keyset list is given out.
    pub closed: bool,
    /// Whether whoever asks for the keyset list gets the one of that moment once it is let.
    pub keysets_held: bool,
    /// How often the keyset list was asked for.
    pub keysets_asked: usize,
    /// Payments in each request so far.
    pub requests: Vec<usize>,
    /// The marks the verifiers sent.
    pub seen: Vec<Option<LedgerMark>>,
    /// A proof between two payments of somebody else.
    pub foreign: Option<DoubleSpend>,
    /// The filter's segments, whatever they are.
    pub segments: Vec<Vec<u8>>,
    /// How often the filter's index was asked for, was given, and segments were fetched.
    pub filter_asked: [usize; 3],
}

#[derive(Clone)]
pub struct StandIn(Arc<Mutex<Books>>, watch::Sender<bool>);

impl StandIn {
    /// Starts on a free port.
    pub async fn start(world: World) -> (Self, url::Url) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        (Self::start_on(world, listener), url)
    }

    pub fn start_on(world: World, listener: TcpListener) -> Self {
        let list = world.list.clone();
        let books = Books {
            world,
            list,
            booked: HashMap::new(),
            spent: HashMap::new(),
            sequence: 0,
            faults: VecDeque::new(),
            always: None,
            spoilt: None,
            closed: false,
            keysets_held: false,
            keysets_asked: 0,
            requests: Vec::new(),
            seen: Vec::new(),
            foreign: None,
            segments: Vec::new(),
            filter_asked: [0; 3],
        };
        let stand_in = Self(Arc::new(Mutex::new(books)), watch::Sender::new(false));
        let app = axum::Router::new()
            .route("/v1/keysets", get(keysets))
            .route("/v1/deposits", post(deposits))
            .route("/v1/refunds", post(refunds))
            .route("/v1/spent/{keyset}", get(spent))
            .route("/v1/spent/{keyset}/{digest}", get(segment))
            .with_state(stand_in.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        stand_in
    }

    pub fn books(&self) -> MutexGuard<'_, Books> {
        self.0.lock().unwrap()
    }

    pub fn fail_once(&self, fault: Fault) {
        self.books().faults.push_back(fault);
    }

    pub fn fail_always(&self, fault: Option<Fault>) {
        self.books().always = fault;
    }

    /// Answers what was held, now and from now on.
    pub fn let_go(&self) {
        self.1.send_replace(true);
    }

    pub fn credited(&self) -> usize {
        self.books().booked.len()
    }

    /// How many payments were handed in, counting every time.
    pub fn handed_in(&self) -> usize {
        self.books().requests.iter().sum()
    }
}

impl Books {
    /// As if restored from a backup made before the first deposit.
    pub fn forget_all(&mut self) {
        self.booked.clear();
        self.spent.clear();
    }

    /// As the real mint's: the sequence, and 24 bits that nobody can tell beforehand, the highest and the lowest among them.
    fn mark(&self) -> LedgerMark {
        let seal = [0, 0xff_ffff, 0x5e_a1ed][usize::try_from(self.sequence % 3).unwrap()];
        LedgerMark { ledger: [1; 16].into(), sequence: (self.sequence << LedgerMark::SEAL_BITS) | seal }
    }

    fn book(&mut self, deposit: &Deposit) -> Outcome {
        let change = deposit.payment().change();
        let spending = match deposit.spending().verify(&self.list.key_table(), &mut self.world.rng) {
            Ok(checked) => checked.into_inner(),
            Err(_) => return Outcome::Refused(Refusal::InvalidProof),
        };
        let id = spending.payment_id();
        if let Some(change) = self.booked.get(&id) {
            return Outcome::AlreadyCredited { change: *change };
        }
        if let Some(earlier) = spending.list().iter().find_map(|key| self.spent.get(key)) {
            return Outcome::DoubleSpent(Box::new(DoubleSpend::new(SpendingSide::of(earlier), &spending).unwrap()));
        }
        for key in spending.list() {
            self.spent.insert(*key, spending.clone());
        }
        self.booked.insert(id, change);
        Outcome::Credited { change }
    }
}

fn digest(bytes: &[u8]) -> String {
    Base64UrlUnpadded::encode_string(&Sha256::digest(bytes))
}

async fn spent(State(mint): State<StandIn>, headers: HeaderMap) -> Response {
    let mut books = mint.books();
    books.filter_asked[0] += 1;
    let listed = books.segments.iter().map(|bytes| {
        let (first, count) = SpentSegment::from_bytes(bytes).map_or((0, 1), |segment| segment.range());
        serde_json::json!({ "first": first, "count": count, "digest": digest(bytes) })
    });
    let body = serde_json::json!({ "count": 0, "segments": listed.collect::<Vec<_>>() }).to_string();
    let tag = format!("\"{}\"", digest(body.as_bytes()));
    if headers.get("if-none-match").is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return StatusCode::NOT_MODIFIED.into_response();
    }
    books.filter_asked[1] += 1;
    ([("etag", tag)], body).into_response()
}

async fn segment(State(mint): State<StandIn>, Path((_, name)): Path<(u64, String)>) -> Response {
    let mut books = mint.books();
    books.filter_asked[2] += 1;
    let found = books.segments.iter().find(|bytes| digest(bytes) == name);
    found.map_or_else(|| StatusCode::NOT_FOUND.into_response(), |bytes| bytes.clone().into_response())
}

async fn keysets(State(mint): State<StandIn>) -> Response {
    let (list, held) = {
        let mut books = mint.books();
        books.keysets_asked += 1;
        if books.closed {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        (books.list.to_frame().to_bytes(), books.keysets_held)
    };
    if held {
        // The sender lives as long as the mint.
        drop(mint.1.subscribe().wait_for(|gone| *gone).await);
    }
    list.into_response()
}

async fn deposits(State(mint): State<StandIn>, body: Bytes) -> Response {
    let frame = DepositRequestFrame::from_bytes(&body).unwrap();
    let (response, fault) = {
        let mut books = mint.books();
        books.requests.push(frame.payments.len());
        books.seen.push(frame.seen);
        let fault = books.faults.pop_front().or(books.always);
        if fault == Some(Fault::Unavailable) {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        let payments: Vec<Deposit> = frame.payments.iter().map(|body| Deposit::from_body(body).unwrap()).collect();
        let ids: Vec<_> = payments.iter().map(|deposit| Some(deposit.spending().payment_id())).collect();
        let mut outcomes = Vec::new();
        for deposit in &payments {
            let change = deposit.payment().change();
            outcomes.push(match fault {
                Some(Fault::Refuse(refusal)) => Outcome::Refused(refusal),
                Some(Fault::Refunded) => Outcome::Refunded,
                Some(Fault::ForeignDoubleSpend) => Outcome::DoubleSpent(Box::new(books.foreign.clone().unwrap())),
                Some(Fault::InventedDoubleSpend) => {
                    // The same tokens under a statement nobody has signed.
                    let spending = deposit.spending();
                    let mut side = SpendingSide::of(&spending).to_body();
                    side.statement.0[0] ^= 1;
                    Outcome::DoubleSpent(Box::new(DoubleSpend::new(SpendingSide::from_body(&side).unwrap(), &spending).unwrap()))
                }
                Some(Fault::WrongChange) => Outcome::Credited { change: change.checked_add(Amount::from_units(1)).unwrap() },
                _ => books.book(deposit),
            });
        }
        books.sequence += 1;
        let mark = books.mark();
        let Books { world, .. } = &mut *books;
        let root = world.root();
        let World { receipt, rng, .. } = world;
        let mut answer = sign_answer(&root, mark, &ids, &outcomes, receipt, rng).unwrap();
        if fault == Some(Fault::BadSignature) {
            answer.mark.sequence += 1_000;
        }
        let spoilt = books.spoilt.is_some_and(|spoilt| ids.contains(&Some(spoilt)));
        let response = match fault {
            _ if spoilt => b"nonsense".to_vec().into_response(),
            Some(Fault::Garbage) => b"nonsense".to_vec().into_response(),
            Some(Fault::LostAnswer) => StatusCode::BAD_GATEWAY.into_response(),
            _ => answer.to_bytes().into_response(),
        };
        (response, fault)
    };
    match fault {
        Some(Fault::Slow(delay)) => tokio::time::sleep(delay).await,
        // The sender lives as long as the mint.
        Some(Fault::Held) => drop(mint.1.subscribe().wait_for(|gone| *gone).await),
        _ => {}
    }
    response
}

/// Gives back whatever it is asked to, whoever asks.
async fn refunds(State(mint): State<StandIn>, body: Bytes) -> Response {
    use farthing_protocol::refund::{RefundOutcome, sign_answer};
    use farthing_protocol::wire::RefundRequestFrame;
    let payment = PaymentId(RefundRequestFrame::from_bytes(&body).unwrap().payment.0);
    let mut books = mint.books();
    let fault = books.faults.pop_front().or(books.always);
    if fault == Some(Fault::Unavailable) {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    books.sequence += 1;
    let mark = books.mark();
    let root = books.world.root();
    let World { receipt, rng, .. } = &mut books.world;
    let mut answer = sign_answer(&root, mark, payment, RefundOutcome::Refunded, receipt, rng).unwrap();
    if fault == Some(Fault::BadSignature) {
        answer.mark.sequence += 1_000;
    }
    if fault == Some(Fault::Garbage) { b"nonsense".to_vec().into_response() } else { answer.to_bytes().into_response() }
}
