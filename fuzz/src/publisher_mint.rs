//! The mint that a verifier deposits at: the real one, behind a line that loses, delays and changes what it says; and what it truly said.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};

use arbitrary::Arbitrary;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use farthing_protocol::amount::Amount;
use farthing_protocol::evidence::{DoubleSpend, SpendingSide};
use farthing_protocol::payment::Deposit;
use farthing_protocol::proof::PaymentId;
use farthing_protocol::settle::{Outcome, sign_answer};
use farthing_protocol::wire::{
    DepositRequestFrame, DepositResponseFrame, Frame, OutcomeBody, RefundOutcomeBody, RefundRequestFrame, RefundResponseFrame,
};
use http::request::Parts;
use http::{Method, StatusCode};
use http_body_util::BodyExt;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tower::ServiceExt;

use super::Template;

/// What becomes of requests to the mint and of its answers during a step.
#[derive(Arbitrary, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line {
    /// Nothing.
    Open,
    /// Requests do not arrive.
    Down,
    /// Answers are lost.
    Lost,
    /// Answers are no frames.
    Garbage,
    /// Answers were changed on the way.
    Unsigned,
    /// The mint signs another change.
    OtherChange,
    /// The mint signs that payments are double-spent, by a proof that does not hold.
    Invented,
    /// The mint signs a true proof about two other payments.
    Foreign,
    /// Requests arrive when the line is let go.
    Late,
    /// Answers arrive when the line is let go.
    Held,
}

/// What the mint has truly said about payments, whether or not anybody heard it.
#[derive(Default)]
pub struct Said {
    /// Each once, with its amount.
    pub credited: BTreeMap<PaymentId, u64>,
    pub refunded: BTreeSet<PaymentId>,
    pub double_spent: BTreeSet<PaymentId>,
    /// With the numbers of the reasons.
    pub refused: BTreeSet<(PaymentId, u16)>,
    /// Answers that nobody may believe.
    pub lies: usize,
}

#[derive(Default)]
struct State {
    line: Option<Line>,
    said: Said,
    /// Requests under way, and those of them that wait for the line to be let go.
    under_way: usize,
    parked: usize,
}

struct Shared {
    state: Mutex<State>,
    /// Raised when the line is let go, and when everybody hangs up.
    gates: [watch::Sender<u64>; 2],
    template: &'static Template,
}

const LET_GO: usize = 0;
const HANG_UP: usize = 1;

/// The line. Clones share it.
#[derive(Clone)]
pub struct Front(Arc<Shared>);

impl Front {
    /// Begins to listen on the current runtime; returns where.
    pub async fn begin(router: Router, template: &'static Template) -> (Self, url::Url) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let front = Self(Arc::new(Shared { state: Mutex::default(), gates: [watch::Sender::new(0), watch::Sender::new(0)], template }));
        let own = front.clone();
        let app = Router::new().fallback(move |request: Request| own.clone().answer(router.clone(), request));
        tokio::spawn(async move { axum::serve(listener, app).await });
        (front, url)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// From now on the line does this.
    pub fn set(&self, line: Line) {
        self.state().line = Some(line);
    }

    /// What waits arrives.
    pub fn let_go(&self) {
        self.0.gates[LET_GO].send_modify(|times| *times += 1);
    }

    /// Whoever waits for an answer is gone.
    pub fn hang_up(&self) {
        self.0.gates[HANG_UP].send_modify(|times| *times += 1);
    }

    /// Whether something waits until the line is let go.
    pub fn is_parked(&self) -> bool {
        self.state().parked > 0
    }

    /// Whether something is under way that does not wait.
    pub fn is_busy(&self) -> bool {
        let state = self.state();
        state.under_way > state.parked
    }

    /// What the mint has truly said.
    pub fn said<T>(&self, look: impl FnOnce(&Said) -> T) -> T {
        look(&self.state().said)
    }

    async fn answer(self, router: Router, request: Request) -> Response {
        let (head, body) = request.into_parts();
        let Ok(body) = body.collect().await else { return StatusCode::BAD_REQUEST.into_response() };
        let (line, body) = (self.state().line.unwrap_or(Line::Open), body.to_bytes().to_vec());
        if line == Line::Down {
            return StatusCode::SERVICE_UNAVAILABLE.into_response();
        }
        if head.method == Method::GET {
            let answer = router.oneshot(Request::from_parts(head, Body::from(body))).await.unwrap();
            return if line == Line::Lost { StatusCode::BAD_GATEWAY.into_response() } else { answer };
        }
        let mut gone = self.0.gates[HANG_UP].subscribe();
        // What the mint has got it works on, whoever hangs up.
        let delivered = tokio::spawn(async move { self.deliver(router, head, body, line).await });
        tokio::select! {
            answer = delivered => answer.unwrap(),
            _ = gone.changed() => StatusCode::BAD_GATEWAY.into_response(),
        }
    }

    async fn deliver(&self, router: Router, head: Parts, body: Vec<u8>, line: Line) -> Response {
        self.state().under_way += 1;
        if line == Line::Late {
            self.park().await;
        }
        let path = head.uri.path().to_owned();
        let answer = router.oneshot(Request::from_parts(head, Body::from(body.clone()))).await.unwrap();
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes().to_vec();
        assert_eq!(status, StatusCode::OK, "{path} {}", String::from_utf8_lossy(&bytes));
        if path == "/v1/deposits" {
            self.hear_deposit(&body, &bytes);
        } else {
            self.hear_refund(&body, &bytes);
        }
        if line == Line::Held {
            self.park().await;
        }
        self.state().under_way -= 1;
        match self.told(line, &path, &body, bytes) {
            Some(bytes) => bytes.into_response(),
            None => StatusCode::BAD_GATEWAY.into_response(),
        }
    }

    async fn park(&self) {
        let mut gate = self.0.gates[LET_GO].subscribe();
        self.state().parked += 1;
        let _ = gate.changed().await;
        self.state().parked -= 1;
    }

    fn hear_deposit(&self, request: &[u8], answer: &[u8]) {
        let request = DepositRequestFrame::from_bytes(request).expect("the verifier speaks the protocol");
        let answer = DepositResponseFrame::from_bytes(answer).expect("the mint speaks the protocol");
        assert_eq!(request.payments.len(), answer.outcomes.len());
        let said = &mut self.state().said;
        for (body, outcome) in request.payments.iter().zip(&answer.outcomes) {
            let deposit = Deposit::from_body(body).expect("only checked payments are deposited");
            let (id, amount) = (deposit.spending().payment_id(), deposit.payment().amount().units());
            match outcome {
                OutcomeBody::Credited { .. } => assert!(said.credited.insert(id, amount).is_none(), "credited twice"),
                OutcomeBody::AlreadyCredited { .. } => assert!(said.credited.contains_key(&id), "credited without having been asked"),
                OutcomeBody::Refunded => assert!(said.refunded.contains(&id), "given back without having been asked"),
                OutcomeBody::DoubleSpent(_) => drop(said.double_spent.insert(id)),
                OutcomeBody::Refused(reason) => drop(said.refused.insert((id, *reason))),
            }
        }
    }

    fn hear_refund(&self, request: &[u8], answer: &[u8]) {
        let request = RefundRequestFrame::from_bytes(request).expect("the verifier speaks the protocol");
        let answer = RefundResponseFrame::from_bytes(answer).expect("the mint speaks the protocol");
        let (id, said) = (PaymentId(request.payment.0), &mut self.state().said);
        match answer.outcome {
            RefundOutcomeBody::Refunded => {
                assert!(said.credited.contains_key(&id) && said.refunded.insert(id), "given back once, after it was credited");
            }
            RefundOutcomeBody::AlreadyRefunded => assert!(said.refunded.contains(&id)),
            RefundOutcomeBody::Refused(reason) => panic!("a credited payment is not given back: {reason}"),
        }
    }

    /// What arrives of an answer.
    fn told(&self, line: Line, path: &str, request: &[u8], answer: Vec<u8>) -> Option<Vec<u8>> {
        let deposits = path == "/v1/deposits";
        match line {
            Line::Open | Line::Late | Line::Held => return Some(answer),
            Line::Down | Line::Lost => return None,
            _ => self.state().said.lies += 1,
        }
        Some(match line {
            Line::Garbage => b"nonsense".to_vec(),
            Line::OtherChange | Line::Invented | Line::Foreign if deposits => self.lie(line, request, &answer),
            _ if deposits => {
                let mut frame = DepositResponseFrame::from_bytes(&answer).unwrap();
                frame.mark.sequence += 1_000;
                frame.to_bytes()
            }
            _ => {
                let mut frame = RefundResponseFrame::from_bytes(&answer).unwrap();
                frame.mark.sequence += 1_000;
                frame.to_bytes()
            }
        })
    }

    /// A deposit answer that the mint's own key signs.
    fn lie(&self, line: Line, request: &[u8], answer: &[u8]) -> Vec<u8> {
        let (request, answer) = (DepositRequestFrame::from_bytes(request).unwrap(), DepositResponseFrame::from_bytes(answer).unwrap());
        let deposits: Vec<Deposit> = request.payments.iter().map(|body| Deposit::from_body(body).unwrap()).collect();
        let outcome = |deposit: &Deposit| match line {
            Line::OtherChange => {
                let change = deposit.payment().change().checked_add(Amount::from_units(1)).unwrap();
                Outcome::Credited { change }
            }
            Line::Foreign => Outcome::DoubleSpent(Box::new(self.0.template.foreign.clone())),
            _ => {
                // The same tokens under a statement that nobody has proved.
                let spending = deposit.spending();
                let mut side = SpendingSide::of(&spending).to_body();
                side.statement.0[0] ^= 1;
                Outcome::DoubleSpent(Box::new(DoubleSpend::new(SpendingSide::from_body(&side).unwrap(), &spending).unwrap()))
            }
        };
        let outcomes: Vec<Outcome> = deposits.iter().map(outcome).collect();
        let ids: Vec<Option<PaymentId>> = deposits.iter().map(|deposit| Some(deposit.spending().payment_id())).collect();
        let Template { list, receipt, .. } = self.0.template;
        sign_answer(list.root(), answer.mark, &ids, &outcomes, receipt, &mut StdRng::seed_from_u64(5)).unwrap().to_bytes()
    }
}
