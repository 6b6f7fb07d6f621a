//! Asking the mint, over HTTP in binary frames.

use std::time::Duration;

use bytes::BytesMut;
use farthing_protocol::wire::{DepositRequestFrame, DepositResponseFrame, Frame, KeysetListFrame, RefundRequestFrame, RefundResponseFrame};
use reqwest::{Client, RequestBuilder, StatusCode};
use url::Url;

use crate::error::VerifierError;

const FRAME_TYPE: &str = "application/vnd.farthing";

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
}

impl MintClient {
    pub(crate) fn new(base: &Url, timeout: Duration) -> Result<Self, VerifierError> {
        // Whatever provider the publisher's program has installed is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder().timeout(timeout).connect_timeout(timeout).redirect(reqwest::redirect::Policy::none());
        if base.scheme() == "http" {
            // On loopback no certificate is ever looked at: a machine without any must not be a reason to fail.
            builder = builder.tls_certs_only(std::iter::empty());
        }
        let client = builder.build().map_err(|_| VerifierError::HttpClient)?;
        let join = |path: &str| {
            let text = format!("{}{path}", base.as_str().trim_end_matches('/'));
            Url::parse(&text).map_err(|_| VerifierError::Config("the mint's URL is not a base for others"))
        };
        Ok(Self { client, keysets: join("/v1/keysets")?, deposits: join("/v1/deposits")?, refunds: join("/v1/refunds")? })
    }

    pub(crate) async fn keysets(&self) -> Result<KeysetListFrame, MintError> {
        Self::ask(self.client.get(self.keysets.clone())).await
    }

    pub(crate) async fn deposit(&self, request: &DepositRequestFrame) -> Result<DepositResponseFrame, MintError> {
        self.post(&self.deposits, request.to_bytes()).await
    }

    pub(crate) async fn refund(&self, request: &RefundRequestFrame) -> Result<RefundResponseFrame, MintError> {
        self.post(&self.refunds, request.to_bytes()).await
    }

    async fn post<F: Frame>(&self, url: &Url, body: Vec<u8>) -> Result<F, MintError> {
        Self::ask(self.client.post(url.clone()).header(http::header::CONTENT_TYPE, FRAME_TYPE).body(body)).await
    }

    /// Errors of the client name the URL: they are dropped here.
    async fn ask<F: Frame>(request: RequestBuilder) -> Result<F, MintError> {
        let mut response = request.header(http::header::ACCEPT, FRAME_TYPE).send().await.map_err(|_| MintError::Unavailable)?;
        match response.status() {
            StatusCode::OK => {}
            status if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT => {
                return Err(MintError::Unavailable);
            }
            StatusCode::UNPROCESSABLE_ENTITY => return Err(MintError::Rejected),
            _ => return Err(MintError::Invalid),
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| MintError::Unavailable)? {
            if body.len() + chunk.len() > F::LIMIT {
                return Err(MintError::Invalid);
            }
            body.extend_from_slice(&chunk);
        }
        F::from_bytes(&body).map_err(|_| MintError::Invalid)
    }
}
