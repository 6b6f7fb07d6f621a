//! Where a flow can be cut, how, and which cut is to happen: one desk a world.
//!
//! Every line, disk, store and ledger asks it at each of its boundaries. It counts them, so that the cases of a flow are made from a run
//! without faults, and a boundary that is added to the code is cut without being listed here.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::watch;

/// Who can die.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    Wallet,
    /// Both of them: they have one mint and one network.
    Publishers,
    Mint,
}

/// What has boundaries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// Messages from the wallet to mint and publishers.
    WalletLine,
    /// Messages from publishers to the mint.
    PublisherLine,
    /// Each time the wallet's disk is told to make sure.
    WalletDisk,
    /// Writes of the publishers' stores.
    PublisherStore,
    /// Changes of the mint's ledger.
    Ledger,
}

/// What happens at a boundary.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    RequestLost,
    AnswerLost,
    /// It arrives twice, one after the other; the first answer comes back.
    Twice,
    /// It arrives twice, and the second answer comes back.
    TwiceAnsweredLast,
    /// It arrives when its sender has given up waiting.
    Late,
    /// It arrives when everything is over.
    AtTheEnd,
    /// It arrives as it should, and once more when everything is over.
    AgainAtTheEnd,
    RequestTruncated,
    AnswerTruncated,
    ClientDiesBefore,
    ClientDiesAfter,
    ServerDiesBefore,
    ServerDiesAfter,
    /// The power fails before anything is written.
    Unwritten,
    /// The power fails when half is written.
    HalfWritten,
    /// The power fails when all is written.
    Written,
    NotStored,
    ButStored,
    DiesNotStored,
    DiesStored,
}

impl Place {
    pub const fn cuts(self) -> &'static [Cut] {
        match self {
            Self::WalletLine | Self::PublisherLine => &[
                Cut::RequestLost,
                Cut::AnswerLost,
                Cut::Twice,
                Cut::TwiceAnsweredLast,
                Cut::Late,
                Cut::AtTheEnd,
                Cut::AgainAtTheEnd,
                Cut::RequestTruncated,
                Cut::AnswerTruncated,
                Cut::ClientDiesBefore,
                Cut::ClientDiesAfter,
                Cut::ServerDiesBefore,
                Cut::ServerDiesAfter,
            ],
            Self::WalletDisk => &[Cut::Unwritten, Cut::HalfWritten, Cut::Written],
            Self::PublisherStore | Self::Ledger => &[Cut::NotStored, Cut::ButStored, Cut::DiesNotStored, Cut::DiesStored],
        }
    }
}

/// One cut, at one boundary.
pub type Plan = (Place, usize, Cut);

/// A request as it came, and whom it is for.
pub type Request = (String, Vec<u8>);

struct Process {
    addresses: BTreeMap<String, SocketAddr>,
    dead: watch::Sender<bool>,
}

#[derive(Default)]
struct State {
    counting: bool,
    counts: BTreeMap<Place, usize>,
    plan: Option<Plan>,
    happened: bool,
    blocked: bool,
    held: Vec<Request>,
    processes: BTreeMap<Party, Process>,
}

#[derive(Default)]
pub struct Desk {
    state: Mutex<State>,
    exchanges: AtomicUsize,
}

/// A message under way.
pub struct Exchange(Arc<Desk>);

impl Drop for Exchange {
    fn drop(&mut self) {
        self.0.exchanges.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Desk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// From here on boundaries count, and the plan happens.
    pub fn begin(&self, plan: Option<Plan>) {
        let mut state = self.state();
        (state.counting, state.happened, state.plan) = (true, false, plan);
        state.counts.clear();
    }

    /// From here on all is well. Returns how many boundaries there were, and whether the plan has happened.
    pub fn end(&self) -> (BTreeMap<Place, usize>, bool) {
        let mut state = self.state();
        state.counting = false;
        (std::mem::take(&mut state.counts), state.happened)
    }

    /// A boundary: what happens here.
    pub fn at(&self, place: Place) -> Option<Cut> {
        let mut state = self.state();
        if !state.counting {
            return None;
        }
        let count = state.counts.entry(place).or_default();
        let number = *count;
        *count += 1;
        let (planned, nth, cut) = state.plan?;
        if state.happened || planned != place || nth != number {
            return None;
        }
        state.happened = true;
        Some(cut)
    }

    /// Whether nothing of the publishers reaches the mint.
    pub fn block(&self, blocked: bool) {
        self.state().blocked = blocked;
    }

    pub fn is_blocked(&self) -> bool {
        self.state().blocked
    }

    pub fn hold(&self, request: Request) {
        self.state().held.push(request);
    }

    pub fn take_held(&self) -> Vec<Request> {
        std::mem::take(&mut self.state().held)
    }

    /// A process begins, and is reached so.
    pub fn born(&self, party: Party, addresses: BTreeMap<String, SocketAddr>) {
        self.state().processes.insert(party, Process { addresses, dead: watch::Sender::new(false) });
    }

    pub fn kill(&self, party: Party) {
        if let Some(process) = self.state().processes.get(&party) {
            process.dead.send_replace(true);
        }
    }

    /// Becomes `true` when the process that lives now dies. One that was never born is dead.
    pub fn life(&self, party: Party) -> watch::Receiver<bool> {
        self.state().processes.get(&party).map_or_else(|| watch::Sender::new(true).subscribe(), |process| process.dead.subscribe())
    }

    pub fn is_dead(&self, party: Party) -> bool {
        *self.life(party).borrow()
    }

    /// Returns when the process that lives now has died.
    pub async fn died(&self, party: Party) {
        let mut life = self.life(party);
        // An error says that another has taken its place.
        let _ = life.wait_for(|dead| *dead).await;
    }

    /// Who answers for this name, and where, if it lives.
    pub fn server(&self, name: &str) -> Option<(Party, SocketAddr)> {
        let state = self.state();
        let mut alive = state.processes.iter().filter(|(_, process)| !*process.dead.borrow());
        alive.find_map(|(party, process)| Some((*party, *process.addresses.get(name)?)))
    }

    pub fn exchange(self: &Arc<Self>) -> Exchange {
        self.exchanges.fetch_add(1, Ordering::SeqCst);
        Exchange(Arc::clone(self))
    }

    /// Waits until no message is under way.
    pub async fn quiet(&self) {
        while self.exchanges.load(Ordering::SeqCst) != 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
