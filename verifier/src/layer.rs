//! The tower layer: paid requests are decided before the service sees them, free ones pass.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response};
use pin_project_lite::pin_project;
use tower::{Layer, Service};

use crate::cors::AllowedOrigins;
use crate::decision::{Decision, strip_credential};
use crate::offer::Offer;
use crate::store::Store;
use crate::verifier::Verifier;

/// Puts a price on requests.
///
/// The price function sees a request's head and says what is for sale there: `None` is free and passes untouched. A paid request reaches
/// the service with a [`Paid`] in its extensions and without its credential; the answer carries a receipt and is marked private.
///
/// # Security
/// The price function must say the same for every spelling of a path that the service behind it takes for the same article, and routers
/// take many: axum decodes `/articles/%61` to `a`. So a handler of what is for sale asks for the [`Paid`] in the request's extensions, and
/// serves nothing without it; what a spelling escapes is then a 404, not a free article.
///
/// The layer must see the whole path: around nested routers, never inside one, where `/cheap/1` and `/dear/1` are both `/1` and a payment
/// for one would be shown again at the other.
///
/// [`Paid`]: crate::Paid
pub struct PaymentLayer<S, F> {
    verifier: Verifier<S>,
    price: Arc<F>,
    origins: AllowedOrigins,
}

impl<S, F> PaymentLayer<S, F>
where
    S: Store,
    F: Fn(&Parts) -> Option<Offer> + Send + Sync + 'static,
{
    /// A layer that asks `price` about every request.
    pub fn new(verifier: Verifier<S>, price: F) -> Self {
        Self { verifier, price: Arc::new(price), origins: AllowedOrigins::default() }
    }

    /// Lets scripts of pages of these origins pay: what has a price answers their browsers' preflights and shows them challenges and
    /// receipts. Free requests pass untouched, as ever.
    #[must_use]
    pub fn allowed_origins(mut self, origins: AllowedOrigins) -> Self {
        self.origins = origins;
        self
    }
}

impl<S, F> Clone for PaymentLayer<S, F> {
    fn clone(&self) -> Self {
        Self { verifier: self.verifier.clone(), price: Arc::clone(&self.price), origins: self.origins.clone() }
    }
}

impl<S, F, I> Layer<I> for PaymentLayer<S, F> {
    type Service = PaymentService<S, F, I>;

    fn layer(&self, inner: I) -> Self::Service {
        PaymentService { inner, layer: self.clone() }
    }
}

/// A service behind a [`PaymentLayer`].
pub struct PaymentService<S, F, I> {
    inner: I,
    layer: PaymentLayer<S, F>,
}

impl<S, F, I: Clone> Clone for PaymentService<S, F, I> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), layer: self.layer.clone() }
    }
}

impl<S, F, I, B, R> Service<Request<B>> for PaymentService<S, F, I>
where
    S: Store,
    F: Fn(&Parts) -> Option<Offer> + Send + Sync + 'static,
    I: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    I::Future: Send,
    I::Error: Send,
    B: Send + 'static,
    R: From<Bytes> + Send,
{
    type Response = Response<R>;
    type Error = I::Error;
    type Future = PaymentFuture<I::Future, R, I::Error>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        if let Some(asked) = self.layer.origins.preflight(&parts) {
            // What is for sale there is a question about the request that follows.
            let preflight = std::mem::replace(&mut parts.method, asked);
            let priced = (self.layer.price)(&parts).is_some();
            let asked = std::mem::replace(&mut parts.method, preflight);
            if priced {
                let answer = self.layer.origins.allow(&parts.headers, &asked);
                return PaymentFuture { free: None, priced: Some(Box::pin(async move { Ok(answer.map(R::from)) })) };
            }
        }
        let Some(offer) = (self.layer.price)(&parts) else {
            let free = self.inner.call(Request::from_parts(parts, body));
            return PaymentFuture { free: Some(free), priced: None };
        };
        // The service that is ready is the one to call; its clone waits for the next request.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let verifier = self.layer.verifier.clone();
        let origins = self.layer.origins.clone();
        let origin = origins.of(&parts.headers);
        let priced = Box::pin(async move {
            let paid = match verifier.decide(&parts, &offer).await {
                Decision::Serve(paid) => paid,
                Decision::Answer(mut response) => {
                    origins.mark(response.headers_mut(), origin);
                    return Ok(response.map(R::from));
                }
            };
            strip_credential(&mut parts.headers);
            parts.extensions.insert(paid.clone());
            let mut response = inner.call(Request::from_parts(parts, body)).await?;
            paid.mark(&mut response);
            origins.mark(response.headers_mut(), origin);
            Ok(response)
        });
        PaymentFuture { free: None, priced: Some(priced) }
    }
}

type Boxed<R, E> = Pin<Box<dyn Future<Output = Result<Response<R>, E>> + Send>>;

pin_project! {
    /// The future of a [`PaymentService`]: the inner service's own for a free request, a boxed one for a priced one.
    pub struct PaymentFuture<I, R, E> {
        #[pin]
        free: Option<I>,
        priced: Option<Boxed<R, E>>,
    }
}

impl<I, R, E> Future for PaymentFuture<I, R, E>
where
    I: Future<Output = Result<Response<R>, E>>,
{
    type Output = Result<Response<R>, E>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        match (this.free.as_pin_mut(), this.priced) {
            (Some(free), _) => free.poll(context),
            (None, Some(priced)) => priced.as_mut().poll(context),
            // Never made: one of the two is always there.
            (None, None) => Poll::Pending,
        }
    }
}
