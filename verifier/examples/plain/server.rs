//! A publisher on hyper alone: decisions in the types of the crate `http`, no router and no layer.

use std::convert::Infallible;
use std::time::Duration;

use bytes::Bytes;
use farthing_protocol::amount::Amount;
use farthing_verifier::store::Store;
use farthing_verifier::{Decision, Offer, Price, Verifier, strip_credential};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;

/// Serves until it is dropped.
pub async fn serve<S: Store>(listener: TcpListener, verifier: Verifier<S>) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let verifier = verifier.clone();
        let service = service_fn(move |request: Request<Incoming>| {
            let verifier = verifier.clone();
            async move { Ok::<_, Infallible>(answer(&verifier, request.into_parts().0).await.map(Full::new)) }
        });
        let connection =
            hyper::server::conn::http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service);
        tokio::spawn(async move {
            // A connection that breaks is its reader's affair: she sends the same request again.
            let _ = connection.await;
        });
    }
}

async fn answer<S: Store>(verifier: &Verifier<S>, mut head: Parts) -> Response<Bytes> {
    let Some(offer) = offer(&head) else { return page(&head) };
    match verifier.decide(&head, &offer).await {
        Decision::Answer(answer) => answer,
        Decision::Serve(paid) => {
            strip_credential(&mut head.headers);
            let mut served = page(&head);
            paid.mark(&mut served);
            served
        }
    }
}

/// What a request costs. The page below is found by the same words, so that no other spelling serves it.
fn offer(head: &Parts) -> Option<Offer> {
    let name = head.uri.path().strip_prefix("/articles/")?;
    let price = Price::Fixed(Amount::from_units(500));
    Some(Offer { price, title: format!("Article {name}"), external_id: name.to_owned(), access: Duration::from_hours(24) })
}

fn page(head: &Parts) -> Response<Bytes> {
    let text = match head.uri.path() {
        "/" => "Articles cost half a cent.\n".to_owned(),
        path if path.starts_with("/articles/") => format!("Worth half a cent: {path}\n"),
        _ => {
            let mut nothing = Response::new(Bytes::new());
            *nothing.status_mut() = StatusCode::NOT_FOUND;
            return nothing;
        }
    };
    Response::new(text.into())
}
