//! Asking the mint, over HTTP in binary frames.

use std::time::Duration;

use bytes::BytesMut;
use farthing_protocol::wire::{DepositRequestFrame, DepositResponseFrame, Frame, KeysetListFrame, RefundRequestFrame, RefundResponseFrame};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::Deserialize;
use url::Url;

use crate::error::VerifierError;

const FRAME_TYPE: &str = "application/vnd.farthing";

/// The longest index of a filter, in bytes.
const MOST_INDEX: usize = 1 << 18;

/// Why there is no usable answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MintError {
    /// Not reached, too slow, or it says so itself.
    Unavailable,
    /// It read the request and does not take it (422).
    Rejected,
    /// It answered something that is no answer.
    Invalid,
}

pub(crate) struct MintClient {
    client: Client,
    keysets: Url,
    deposits: Url,
    refunds: Url,
    spent: Url,
}

/// A segment of a filter, as the mint lists it.
#[derive(Deserialize)]
pub(crate) struct ListedSegment {
    pub(crate) first: u64,
    pub(crate) count: u64,
    pub(crate) digest: String,
}

/// The segments of a keyset, as the mint lists them.
#[derive(Deserialize)]
struct SpentIndex {
    segments: Vec<ListedSegment>,
}

impl MintClient {
    pub(crate) fn new(base: &Url, timeout: Duration) -> Result<Self, VerifierError> {
        // Whatever provider the publisher's program has installed is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder().timeout(timeout).connect_timeout(timeout).redirect(reqwest::redirect::Policy::none());
        if base.scheme() == "http" {
            // On loopback no certificate is ever looked at: a machine without any must not be a reason to fail. And nothing of it goes through
            // the proxy that the environment may name for the rest of the world: it would read payments.
            builder = builder.tls_certs_only(std::iter::empty()).no_proxy();
        }
        let client = builder.build().map_err(|_| VerifierError::HttpClient)?;
        let join = |path: &str| {
            let text = format!("{}{path}", base.as_str().trim_end_matches('/'));
            Url::parse(&text).map_err(|_| VerifierError::Config("the mint's URL is not a base for others"))
        };
        Ok(Self {
            client,
            keysets: join("/v1/keysets")?,
            deposits: join("/v1/deposits")?,
            refunds: join("/v1/refunds")?,
            spent: join("/v1/spent")?,
        })
    }

    pub(crate) async fn keysets(&self) -> Result<KeysetListFrame, MintError> {
        Self::ask(self.client.get(self.keysets.clone())).await
    }

    /// Shows the mint a list that has more keysets than its own; the list that stands then.
    pub(crate) async fn show_keysets(&self, list: &KeysetListFrame) -> Result<KeysetListFrame, MintError> {
        self.post(&self.keysets, list.to_bytes()).await
    }

    pub(crate) async fn deposit(&self, request: &DepositRequestFrame) -> Result<DepositResponseFrame, MintError> {
        self.post(&self.deposits, request.to_bytes()).await
    }

    pub(crate) async fn refund(&self, request: &RefundRequestFrame) -> Result<RefundResponseFrame, MintError> {
        self.post(&self.refunds, request.to_bytes()).await
    }

    /// What the mint has a filter of, and the tag to ask with the next time; `None` if that is what it was under `tag`.
    pub(crate) async fn spent_index(
        &self,
        keyset: u64,
        tag: Option<&str>,
    ) -> Result<Option<(Option<String>, Vec<ListedSegment>)>, MintError> {
        let mut request = self.client.get(format!("{}/{keyset}", self.spent));
        if let Some(tag) = tag {
            request = request.header(http::header::IF_NONE_MATCH, tag);
        }
        let response = request.send().await.map_err(|_| MintError::Unavailable)?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let tag = response.headers().get(http::header::ETAG).and_then(|tag| tag.to_str().ok()).map(str::to_owned);
        let body = Self::body(Self::answered(response)?, MOST_INDEX).await?;
        let index: SpentIndex = serde_json::from_slice(&body).map_err(|_| MintError::Invalid)?;
        Ok(Some((tag, index.segments)))
    }

    /// A segment's bytes, unread.
    pub(crate) async fn spent_segment(&self, keyset: u64, digest: &str) -> Result<BytesMut, MintError> {
        let response = self.client.get(format!("{}/{keyset}/{digest}", self.spent)).send().await.map_err(|_| MintError::Unavailable)?;
        Self::body(Self::answered(response)?, farthing_protocol::filter::LIMIT).await
    }

    async fn post<F: Frame>(&self, url: &Url, body: Vec<u8>) -> Result<F, MintError> {
        Self::ask(self.client.post(url.clone()).header(http::header::CONTENT_TYPE, FRAME_TYPE).body(body)).await
    }

    /// Errors of the client name the URL: they are dropped here.
    async fn ask<F: Frame>(request: RequestBuilder) -> Result<F, MintError> {
        let response = request.header(http::header::ACCEPT, FRAME_TYPE).send().await.map_err(|_| MintError::Unavailable)?;
        let body = Self::body(Self::answered(response)?, F::LIMIT).await?;
        F::from_bytes(&body).map_err(|_| MintError::Invalid)
    }

    /// The answer, if it is one.
    fn answered(response: Response) -> Result<Response, MintError> {
        match response.status() {
            StatusCode::OK => Ok(response),
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT => {
                Err(MintError::Unavailable)
            }
            StatusCode::UNPROCESSABLE_ENTITY => Err(MintError::Rejected),
            _ => Err(MintError::Invalid),
        }
    }

    /// The body, of at most `most` bytes.
    async fn body(mut response: Response, most: usize) -> Result<BytesMut, MintError> {
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| MintError::Unavailable)? {
            if body.len() + chunk.len() > most {
                return Err(MintError::Invalid);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }
}
