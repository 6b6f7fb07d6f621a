//! Asking a publisher for a page: with redirects while nothing is paid, with none once a credential is sent.

use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use url::Url;

use crate::client::{ClientOptions, http_client, is_local, read_body, require_secure};
use crate::error::WalletError;

/// The longest page the wallet takes: 64 MiB.
const LARGEST_PAGE: usize = 64 << 20;

/// Redirects followed before giving up.
const MOST_REDIRECTS: usize = 5;

/// A publisher's answer.
pub(crate) struct Page {
    pub(crate) url: Url,
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Page {
    /// The 402 that another program was given, as far as it says what is to be paid.
    pub(crate) fn payment_required(url: Url, challenges: &[String]) -> Result<Self, WalletError> {
        let value = |text: &String| HeaderValue::try_from(text.trim()).map(|value| (WWW_AUTHENTICATE, value));
        let headers = challenges.iter().map(value).collect::<Result<_, _>>();
        let headers = headers.map_err(|_| WalletError::Offer("the challenge is no header's value"))?;
        Ok(Self { url, status: 402, headers, body: Vec::new() })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    pub(crate) fn content_type(&self) -> String {
        self.header("content-type").unwrap_or("application/octet-stream").to_owned()
    }
}

async fn get(url: &Url, authorization: Option<&str>, options: &ClientOptions) -> Result<Page, WalletError> {
    require_secure(url)?;
    let mut request = http_client(options, url)?.get(url.clone()).header(ACCEPT, "*/*").header("Accept-Payment", "farthing/charge");
    if let Some(authorization) = authorization {
        request = request.header(AUTHORIZATION, authorization);
    }
    let response = request.send().await.map_err(|_| WalletError::Unreachable("the publisher"))?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = read_body(response, LARGEST_PAGE, "the publisher").await?;
    Ok(Page { url: url.clone(), status, headers, body })
}

/// Asks without a credential; the page's `url` is the one that answered in the end.
pub(crate) async fn get_freely(url: &Url, options: &ClientOptions) -> Result<Page, WalletError> {
    let mut url = url.clone();
    url.set_fragment(None);
    for _ in 0..=MOST_REDIRECTS {
        let page = get(&url, None, options).await?;
        if !(300..400).contains(&page.status) {
            return Ok(page);
        }
        let target = page.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        url = target.and_then(|target| page.url.join(target).ok()).ok_or(WalletError::PublisherStatus(page.status))?;
        url.set_fragment(None);
        // What listens on the reader's own machine is none of a site's business.
        if is_local(&url) && !is_local(&page.url) {
            return Err(WalletError::InsecureAddress);
        }
    }
    Err(WalletError::Offer("too many redirects"))
}

/// Sends a credential to exactly this URL; a redirect is not followed.
pub(crate) async fn get_with(url: &Url, authorization: &str, options: &ClientOptions) -> Result<Page, WalletError> {
    get(url, Some(authorization), options).await
}
