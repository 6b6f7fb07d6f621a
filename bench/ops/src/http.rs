//! A plain HTTP/1.1 client for one kept connection: as little as possible of the machine goes to the client.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use farthing_protocol::wire::Frame;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::Fault;

const FRAME_TYPE: &str = "application/vnd.farthing";

/// Longer than the mint gives a request.
const PATIENCE: Duration = Duration::from_secs(40);

/// An answer, whatever it says.
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The whole body.
    pub body: Bytes,
}

impl Answer {
    /// The frame of a 200.
    ///
    /// # Errors
    /// Another status, or another frame.
    pub fn frame<F: Frame>(&self) -> Result<F, Fault> {
        if self.status != StatusCode::OK {
            return Err(format!("the mint answered {} {}", self.status.as_u16(), self.code()).into());
        }
        Ok(F::from_bytes(&self.body)?)
    }

    /// The code of a problem; empty if it is none.
    pub fn code(&self) -> String {
        let body: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_default();
        body["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// One connection at a time, made when it is needed.
pub struct Connection {
    address: SocketAddr,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Connection {
    /// To a mint at this address.
    pub const fn new(address: SocketAddr) -> Self {
        Self { address, sender: None }
    }

    /// Ends the connection; the next request makes another.
    pub fn hang_up(&mut self) {
        self.sender = None;
    }

    /// Connects if there is no connection; `false` if nobody listens.
    pub async fn connect(&mut self) -> bool {
        if self.sender.as_ref().is_some_and(|sender| !sender.is_closed()) {
            return true;
        }
        self.sender = None;
        let Ok(stream) = TcpStream::connect(self.address).await else { return false };
        drop(stream.set_nodelay(true));
        let Ok((sender, connection)) = handshake(TokioIo::new(stream)).await else { return false };
        // Ends with the connection; how it ended is seen by the request.
        tokio::spawn(connection);
        self.sender = Some(sender);
        true
    }

    /// Sends one request; `None` if there was no whole answer.
    pub async fn send(&mut self, method: Method, path: &str, body: Bytes) -> Option<Answer> {
        if !self.connect().await {
            return None;
        }
        let mut sender = self.sender.take()?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, "mint")
            .header(CONTENT_TYPE, FRAME_TYPE)
            .header(ACCEPT, FRAME_TYPE)
            .body(Full::new(body))
            .ok()?;
        let exchange = async {
            sender.ready().await.ok()?;
            let response = sender.send_request(request).await.ok()?;
            let status = response.status();
            let body = response.into_body().collect().await.ok()?.to_bytes();
            Some(Answer { status, body })
        };
        let answer = tokio::time::timeout(PATIENCE, exchange).await.ok()??;
        self.sender = Some(sender);
        Some(answer)
    }

    /// Sends a frame's bytes.
    pub async fn post(&mut self, path: &str, body: Bytes) -> Option<Answer> {
        self.send(Method::POST, path, body).await
    }

    /// Reads.
    pub async fn get(&mut self, path: &str) -> Option<Answer> {
        self.send(Method::GET, path, Bytes::new()).await
    }
}
