//! Paying for a page, finishing a payment that was interrupted, and reading again.

use base64ct::{Base64UrlUnpadded, Encoding};
use farthing_protocol::amount::Amount;
use farthing_protocol::http::Credential;
use farthing_protocol::keyset::Keyset;
use farthing_protocol::payment::PaymentTerms;
use farthing_protocol::proof::{SpentKey, Statement};
use farthing_protocol::token::OwnedTokens;
use farthing_protocol::wire::{Bytes, Frame, RereadFrame};
use rand::Rng;
use serde::Serialize;
use url::Url;

use crate::client::{Problem, require_secure};
use crate::error::WalletError;
use crate::fetch::{Page, get_freely, get_with};
use crate::issuing::used_tokens;
use crate::offer::{Offer, ReceiptHeader, canonical_url};
use crate::policy::choose;
use crate::receipt::KeptReceipt;
use crate::records::{HeldToken, PaymentRecord, PaymentState, TokenRecord, TokenState};
use crate::{Wallet, now};

/// What the reader allows.
#[derive(Clone, Copy, Debug, Default)]
pub struct PayOptions {
    /// The most this may cost.
    pub max_price: Option<Amount>,
    /// What to give where the reader chooses the amount.
    pub tip: Option<Amount>,
    /// Whether to buy the pass that is sold beside the page, instead of the page.
    pub pass: bool,
}

/// How a page came to be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryKind {
    /// It costs nothing.
    Free,
    /// It was paid now.
    Paid,
    /// An earlier payment was finished.
    Finished,
    /// It was paid before and read again for nothing.
    ReadAgain,
}

/// A page that was delivered.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// How.
    pub kind: DeliveryKind,
    /// Who delivered it; empty for a free page.
    pub publisher: String,
    /// What it is, in the publisher's words; empty for a free page.
    pub title: String,
    /// What this delivery cost.
    pub amount: Amount,
    /// Change that can be taken.
    pub change: Amount,
    /// The payment's id, 32 bytes; zeros for a free page.
    pub payment: [u8; 32],
    /// The page's media type.
    pub content_type: String,
    /// The page.
    pub body: Vec<u8>,
}

impl Wallet {
    /// Gets a page: finishes an interrupted payment for it, reads it again if it was paid for, or pays.
    ///
    /// `confirm` is shown what would be paid, and may say no.
    ///
    /// Implements R-WALLET-14.
    ///
    /// # Errors
    /// [`WalletError`]. After [`WalletError::Unreachable`] or [`WalletError::PublisherBusy`] the payment is kept: the same call finishes
    /// it. After [`WalletError::PaymentRefused`] the tokens can be refreshed.
    pub async fn pay(
        &mut self,
        url: &Url,
        options: PayOptions,
        confirm: &mut (dyn FnMut(&Offer, Amount) -> bool + Send),
    ) -> Result<Delivery, WalletError> {
        if let Some(delivery) = self.finish(url).await? {
            return Ok(delivery);
        }
        self.refuse_fork()?;
        let page = get_freely(url, &self.options).await?;
        if (200..300).contains(&page.status) {
            return Ok(free(page));
        }
        if page.status != 402 {
            return Err(WalletError::PublisherStatus(page.status));
        }
        if let Some(delivery) = self.finish(&page.url).await? {
            return Ok(delivery);
        }
        let offer = Offer::of(&page, self.mint.base(), &self.unit, now())?;
        if offer.tip.is_none()
            && let Some(paid) = self.readable(&offer)?
        {
            return self.read_again(&page.url, &offer, &paid).await;
        }
        let pass = Offer::pass_of(&page, self.mint.base(), &self.unit, now());
        if let Some(pass) = &pass
            && let Some(paid) = self.readable(pass)?
        {
            return self.read_again(&page.url, pass, &paid).await;
        }
        let offer = match (options.pass, pass) {
            (true, Some(pass)) => pass,
            (true, None) => return Err(WalletError::Offer("no pass is sold here")),
            (false, _) => offer,
        };
        let amount = agreed_amount(&offer, options)?;
        let tokens = self.tokens_for(&offer, amount).await?;
        if !confirm(&offer, amount) {
            return Err(WalletError::Declined);
        }
        let record = self.prepare(&offer, amount, &tokens)?;
        self.send(record, DeliveryKind::Paid).await
    }

    /// Pays for a page that another program has asked for: takes the `WWW-Authenticate` values of the 402 it was given, and returns the
    /// `Authorization` value that answers them. The caller sends it, to this very address; the wallet sends nothing to the publisher.
    ///
    /// The payment is stored before it is handed out. What became of it the wallet learns when [`Wallet::pay`] is called with the same
    /// address, which sends the same bytes again; while one is unfinished no other is made for that page.
    ///
    /// Implements R-WALLET-12.
    ///
    /// # Errors
    /// [`WalletError`] as with [`Wallet::pay`]; [`WalletError::Unfinished`] if a payment for the page waits to be finished.
    pub async fn answer(
        &mut self,
        url: &Url,
        challenges: &[String],
        options: PayOptions,
        confirm: &mut (dyn FnMut(&Offer, Amount) -> bool + Send),
    ) -> Result<String, WalletError> {
        require_secure(url)?;
        self.refuse_fork()?;
        let mut url = url.clone();
        url.set_fragment(None);
        let canonical = canonical_url(&url).ok_or(WalletError::InsecureAddress)?;
        if self.store.payments()?.iter().any(|payment| payment.url == canonical && payment.state == PaymentState::Sent) {
            return Err(WalletError::Unfinished);
        }
        let offer = Offer::of(&Page::payment_required(url, challenges)?, self.mint.base(), &self.unit, now())?;
        let amount = agreed_amount(&offer, options)?;
        let tokens = self.tokens_for(&offer, amount).await?;
        if !confirm(&offer, amount) {
            return Err(WalletError::Declined);
        }
        Ok(self.prepare(&offer, amount, &tokens)?.authorization)
    }

    /// The paid payment whose page may still be read again.
    fn readable(&self, offer: &Offer) -> Result<Option<PaymentRecord>, WalletError> {
        let now = now();
        let delivered = |payment: &PaymentRecord| matches!(payment.state, PaymentState::Delivered { .. });
        let payments = self.store.payments()?.into_iter();
        Ok(payments
            .filter(|payment| payment.scope == offer.scope && payment.publisher == offer.publisher)
            .filter(|payment| payment.scope.is_some() || payment.url == offer.url)
            .filter(|payment| payment.access_until > now && !payment.reclaimed && delivered(payment))
            .max_by_key(|payment| payment.access_until))
    }

    /// Sends again the stored bytes of a payment for this page that has no answer yet.
    async fn finish(&mut self, url: &Url) -> Result<Option<Delivery>, WalletError> {
        let Some(canonical) = canonical_url(url) else { return Err(WalletError::InsecureAddress) };
        let payments = self.store.payments()?;
        let open = payments.into_iter().find(|payment| payment.url == canonical && payment.state == PaymentState::Sent);
        match open {
            Some(record) => self.send(record, DeliveryKind::Finished).await.map(Some),
            None => Ok(None),
        }
    }

    async fn read_again(&mut self, url: &Url, offer: &Offer, paid: &PaymentRecord) -> Result<Delivery, WalletError> {
        let statement = Statement::new(offer.publisher.as_bytes(), Amount::ZERO, 0, &offer.subject(&[]));
        let proof = used_tokens(&paid.tokens)?.reread(&statement, &mut self.rng)?.to_body();
        let frame = RereadFrame { payment: paid.id, proof };
        let payload = Credential::Reread { reread: Base64UrlUnpadded::encode_string(&frame.to_bytes()) };
        let page = get_with(url, &offer.authorization(&payload)?, &self.options).await?;
        if (200..300).contains(&page.status) {
            self.keep_receipt(&page, paid)?;
            return Ok(delivered(page, paid, DeliveryKind::ReadAgain, Amount::ZERO));
        }
        let Problem { code, .. } = Problem::read(&page.body);
        if page.status == 402 && ["reread-unknown", "access-expired", "refused-refunded"].contains(&code.as_str()) {
            // The publisher knows nothing of it any more: asking for it for ever would keep the reader from ever buying it again.
            let over = PaymentRecord { access_until: now(), ..paid.clone() };
            self.store.change(|change| change.put_payment(&over))?;
        }
        Err(if page.status == 402 { WalletError::PaymentRefused { code, proof: None } } else { WalletError::PublisherBusy { code } })
    }

    /// Keeps a receipt that came with a page read again, if it says more than the one there is.
    fn keep_receipt(&mut self, page: &Page, paid: &PaymentRecord) -> Result<(), WalletError> {
        if paid.receipt.as_ref().is_some_and(|kept| kept.settled) {
            return Ok(());
        }
        let Some(receipt) = KeptReceipt::of(&ReceiptHeader::of(page), paid, &self.store.payments()?) else { return Ok(()) };
        let record = PaymentRecord { receipt: Some(receipt), ..paid.clone() };
        self.store.change(|change| change.put_payment(&record))
    }

    /// Tokens that pay the amount, the oldest keysets first; takes change and refreshes if there is too little without.
    async fn tokens_for(&mut self, offer: &Offer, amount: Amount) -> Result<Vec<(SpentKey, TokenRecord)>, WalletError> {
        if self.keysets.number_of_head(&offer.keysets).is_none() {
            self.update_keysets().await?;
        }
        // A head that the mint does not show to us too may be a list made for this reader alone.
        let newest =
            self.keysets.number_of_head(&offer.keysets).ok_or(WalletError::Offer("it names a keyset list the mint does not show"))?;
        if let Some(tokens) = self.pick(newest, amount)? {
            return Ok(tokens);
        }
        let balance = self.balance()?;
        let reserve = [balance.spendable, balance.change_due, balance.to_refresh, balance.in_issues];
        if Amount::checked_sum(reserve).is_none_or(|sum| sum < amount) {
            return Err(WalletError::NotEnough);
        }
        // What some tokens failed at may not matter to this payment.
        let refreshed = self.refresh(false).await;
        match self.pick(newest, amount)? {
            Some(tokens) => Ok(tokens),
            None => Err(refreshed.err().unwrap_or(WalletError::NotEnough)),
        }
    }

    fn pick(&self, newest: u64, amount: Amount) -> Result<Option<Vec<(SpentKey, TokenRecord)>>, WalletError> {
        let now = now();
        let number = |key: &SpentKey| {
            let keyset = self.keysets.get(&key.keyset).filter(|keyset| keyset.spendable_at(now) && keyset.number() <= newest);
            keyset.map(Keyset::number)
        };
        let tokens = self.store.tokens()?.into_iter().filter(|(_, record)| record.state == TokenState::Owned);
        let mut tokens: Vec<(u64, SpentKey, TokenRecord)> =
            tokens.filter_map(|(key, record)| number(&key).map(|number| (number, key, record))).collect();
        tokens.sort_by_key(|(number, key, _)| (*number, *key));
        let values: Vec<Amount> = tokens.iter().map(|(_, key, _)| key.denomination).collect();
        let Some(chosen) = choose(&values, amount) else { return Ok(None) };
        Ok(Some(chosen.into_iter().map(|index| (tokens[index].1, tokens[index].2.clone())).collect()))
    }

    /// Makes the payment and stores its final bytes; from here on its tokens are never paid again.
    ///
    /// Implements R-WALLET-01.
    fn prepare(&mut self, offer: &Offer, amount: Amount, tokens: &[(SpentKey, TokenRecord)]) -> Result<PaymentRecord, WalletError> {
        let mut held: Vec<HeldToken> = tokens.iter().map(|(key, record)| HeldToken::new(key, record)).collect();
        held.sort_by_key(HeldToken::spent_key);
        let owned = held.iter().map(HeldToken::to_owned_token).collect::<Result<_, _>>()?;
        let mut salt = [0; 32];
        self.rng.fill_bytes(&mut salt);
        let terms = PaymentTerms { recipient: &offer.publisher, amount, deposit_by: offer.deposit_by, subject: offer.subject(&salt) };
        let statement = terms.statement();
        let (payment, used) = OwnedTokens::new(owned)?.pay(&terms, &mut self.rng)?;
        let payload = Credential::Payment {
            payment: Base64UrlUnpadded::encode_string(&payment.to_frame().to_bytes()),
            salt: Base64UrlUnpadded::encode_string(&salt),
        };
        let created = now();
        let record = PaymentRecord {
            id: Bytes(used.payment_id(&statement).0),
            url: offer.url.clone(),
            publisher: offer.publisher.clone(),
            title: offer.title.clone(),
            amount,
            change: payment.change(),
            change_taken: false,
            reclaimed: false,
            spent: false,
            state: PaymentState::Sent,
            created,
            sequence: self.store.change(|change| change.reserve_indices(1))?,
            access_until: created.saturating_add(offer.access),
            deposit_by: offer.deposit_by,
            scope: offer.scope.clone(),
            receipt: None,
            statement: Bytes(statement.to_bytes()),
            tokens: held,
            authorization: offer.authorization(&payload)?,
        };
        self.store.change(|change| {
            for (key, token) in tokens {
                change.put_token(key, &TokenRecord { state: TokenState::Paying(record.id), ..token.clone() })?;
            }
            change.put_payment(&record)
        })?;
        Ok(record)
    }

    /// Sends a stored payment and records the answer.
    async fn send(&mut self, mut record: PaymentRecord, kind: DeliveryKind) -> Result<Delivery, WalletError> {
        let url = Url::parse(&record.url).map_err(|_| WalletError::Damaged)?;
        let page = get_with(&url, &record.authorization, &self.options).await?;
        match page.status {
            200..300 => {
                let receipt = ReceiptHeader::of(&page);
                record.state = PaymentState::Delivered { settled: receipt.settled };
                record.receipt = KeptReceipt::of(&receipt, &record, &self.store.payments()?);
                self.store.change(|change| {
                    for token in &record.tokens {
                        change.remove_token(&token.spent_key())?;
                    }
                    change.put_payment(&record)
                })?;
                let amount = record.amount;
                Ok(delivered(page, &record, kind, amount))
            }
            402 => {
                let Problem { code, proof } = Problem::read(&page.body);
                record.state = PaymentState::Refused { code: code.clone() };
                self.store.change(|change| {
                    if record.was_refunded() {
                        // If that is true its tokens stay spent, and what comes back is the amount, by a reclaim: the mint knows.
                        record.tokens.iter().try_for_each(|token| change.remove_token(&token.spent_key()))?;
                        return change.put_payment(&record);
                    }
                    Self::free_tokens(change, &record)
                })?;
                let proof = proof.and_then(|text| Base64UrlUnpadded::decode_vec(&text).ok());
                Err(WalletError::PaymentRefused { code, proof })
            }
            500..600 => Err(WalletError::PublisherBusy { code: Problem::read(&page.body).code }),
            other => Err(WalletError::PublisherStatus(other)),
        }
    }
}

/// What is to be paid, within the offer's and the reader's limits.
///
/// Implements R-WALLET-05.
fn agreed_amount(offer: &Offer, options: PayOptions) -> Result<Amount, WalletError> {
    let amount = match (offer.tip, options.tip) {
        (Some((least, most)), Some(tip)) if tip < least || tip > most => {
            return Err(WalletError::Offer("the tip is outside what the publisher takes"));
        }
        (Some(_), Some(tip)) => tip,
        (None, Some(tip)) if tip != offer.price => return Err(WalletError::Offer("its price is fixed")),
        _ => offer.price,
    };
    if options.max_price.is_some_and(|most| amount > most) { Err(WalletError::TooExpensive) } else { Ok(amount) }
}

fn free(page: Page) -> Delivery {
    Delivery {
        kind: DeliveryKind::Free,
        publisher: String::new(),
        title: String::new(),
        amount: Amount::ZERO,
        change: Amount::ZERO,
        payment: [0; 32],
        content_type: page.content_type(),
        body: page.body,
    }
}

fn delivered(page: Page, record: &PaymentRecord, kind: DeliveryKind, amount: Amount) -> Delivery {
    Delivery {
        kind,
        publisher: record.publisher.clone(),
        title: record.title.clone(),
        amount,
        change: record.change,
        payment: record.id.0,
        content_type: page.content_type(),
        body: page.body,
    }
}
