//! Answers for people and programs: problem+json, and a page for browsers.

use base64ct::{Base64UrlUnpadded, Encoding};
use bytes::Bytes;
use farthing_protocol::amount::Unit;
use farthing_protocol::wire::Frame;
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use serde_json::json;

use crate::error::{Problem, Refused, VerifierError};
use crate::offer::{Offer, Pass, Price};
use crate::payment_scheme::Challenge;

/// Whether a client wants a page rather than JSON.
pub(crate) fn wants_html(headers: &HeaderMap) -> bool {
    let media =
        |text: &str| text.split(',').any(|part| part.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("text/html"));
    headers.get_all(header::ACCEPT).iter().any(|value| value.to_str().is_ok_and(media))
}

/// The answer to a request that is not served.
pub(crate) fn refuse(
    refused: &Refused,
    challenge: Option<&Challenge>,
    offer: &Offer,
    pass: Option<&Pass>,
    unit: &Unit,
    html: bool,
) -> Response<Bytes> {
    let body = if html { page(refused, offer, pass, unit) } else { problem(refused) };
    let kind = if html { "text/html; charset=utf-8" } else { "application/problem+json" };
    let mut response = answer(refused.status(), kind, body);
    let headers = response.headers_mut();
    if let Some(challenge) = challenge {
        headers.insert(header::WWW_AUTHENTICATE, challenge.header().clone());
    }
    if let Some(seconds) = refused.retry_after() {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if html {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'"));
    }
    headers.insert(header::VARY, HeaderValue::from_static("accept, accept-payment, authorization"));
    response
}

/// The answer to a publisher's mistake: the reader can do nothing about it.
pub(crate) fn broken_offer(error: &VerifierError) -> Response<Bytes> {
    tracing::error!(%error, "this offer cannot be sold");
    let title = "The site's price list has a mistake.";
    explain(StatusCode::INTERNAL_SERVER_ERROR, Problem::Internal.name(), title, "invalid-offer")
}

/// A problem that is not about a payment.
pub(crate) fn explain(status: StatusCode, kind: &str, title: &str, code: &str) -> Response<Bytes> {
    let kind = format!("https://paymentauth.org/problems/{kind}");
    let body = json!({ "type": kind, "title": title, "status": status.as_u16(), "code": code });
    answer(status, "application/problem+json", body.to_string())
}

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn problem(refused: &Refused) -> String {
    let problem = refused.problem();
    let mut body = json!({
        "type": format!("https://paymentauth.org/problems/{}", problem.name()),
        "title": problem.title(),
        "status": refused.status().as_u16(),
        "code": refused.code(),
    });
    if !refused.wants_challenge() {
        body["detail"] = Problem::MethodUnsupported.title().into();
    }
    if let Some(proof) = refused.proof() {
        body["proof"] = Base64UrlUnpadded::encode_string(&proof.to_bytes()).into();
    }
    body.to_string()
}

fn page(refused: &Refused, offer: &Offer, pass: Option<&Pass>, unit: &Unit) -> String {
    let title = escape(&offer.title);
    let price = match offer.price {
        Price::Fixed(amount) => escape(&unit.display(amount)),
        Price::Tip { minimum, suggested, maximum } => {
            escape(&format!("{} suggested, from {} to {}", unit.display(suggested), unit.display(minimum), unit.display(maximum)))
        }
    };
    let what = escape(refused.problem().title());
    let code = escape(refused.code());
    let hours = offer.access.as_secs() / 3_600;
    let pass = pass.map_or_else(String::new, |pass| {
        let (title, price, hours) = (escape(&pass.title), escape(&unit.display(pass.price)), pass.access.as_secs() / 3_600);
        format!(
            "<p>Or {title}, {price}: everything like this for {hours} hours, with <code>farthing pay --pass</code>. \
             Pages read with one pass are seen to belong together.</p>\n"
        )
    });
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title} - {price}</title>\n\
         <style>body{{font:1.1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:3rem auto;padding:0 1rem;color:#222;background:#fff}}\
         .price{{font-size:1.6rem;font-weight:600}}code{{background:#eee;padding:.1em .3em}}\
         @media(prefers-color-scheme:dark){{body{{color:#eee;background:#181818}}code{{background:#333}}}}</style>\n</head>\n\
         <body>\n<main>\n<h1>{title}</h1>\n<p class=\"price\">{price}</p>\n<p>{what}</p>\n\
         <p>Pay with a Farthing wallet: <code>farthing pay</code> and this page's address. \
         Once paid, it may be read again for {hours} hours at no cost.</p>\n{pass}<p><small>{code}</small></p>\n</main>\n</body>\n</html>\n"
    )
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}
