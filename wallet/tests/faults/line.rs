//! A bad network: a proxy that loses, repeats, delays and cuts off messages, one message a connection.
//!
//! The wallet goes through it by its own proxy setting, to mint and publishers; publishers find it under the mint's address.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::desk::{Cut, Desk, Party, Place, Request};

/// Listens until the runtime ends.
pub async fn line(desk: &Arc<Desk>, place: Place, client: Party) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let desk = Arc::clone(desk);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let desk = Arc::clone(&desk);
            tokio::spawn(async move {
                let _under_way = desk.exchange();
                carry(&desk, place, client, stream).await;
            });
        }
    });
    address
}

/// Reads a request: its head, and as much body as the head says. The path is made one of the server's own, and the connection its last.
async fn read(stream: &mut TcpStream) -> Option<Request> {
    let mut bytes = Vec::new();
    let head = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let text = String::from_utf8(bytes[..head].to_vec()).ok()?;
    let field = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    };
    let (server, length) = (field("host")?.to_owned(), field("content-length").map_or(Ok(0), str::parse::<usize>).ok()?);
    while bytes.len() < head + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let own = text.replacen(&format!(" http://{server}/"), " /", 1).replacen("\r\n", "\r\nconnection: close\r\n", 1);
    Some((server, [own.as_bytes(), &bytes[head..]].concat()))
}

/// The server's answer: nothing if it does not live, or dies over it. Nothing is waited for if the client dies, but the server works on.
pub async fn ask(desk: &Desk, (server, bytes): &Request, whole: bool) -> Vec<u8> {
    let Some((party, address)) = desk.server(server) else { return Vec::new() };
    let exchange = async {
        let mut answer = Vec::new();
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(bytes).await?;
        if !whole {
            stream.shutdown().await?;
        }
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    tokio::select! {
        answer = exchange => answer.unwrap_or_default(),
        () = desk.died(party) => Vec::new(),
    }
}

async fn carry(desk: &Arc<Desk>, place: Place, client: Party, mut stream: TcpStream) {
    let Some(request) = read(&mut stream).await else { return };
    // The dead say nothing, even if a task of theirs still runs here.
    if desk.is_dead(client) || (place == Place::PublisherLine && desk.is_blocked()) {
        return;
    }
    let server = desk.server(&request.0).map(|(party, _)| party);
    let answer = match desk.at(place) {
        Some(Cut::RequestLost) => return,
        Some(Cut::AnswerLost) => {
            ask(desk, &request, true).await;
            return;
        }
        Some(Cut::Twice) => {
            let first = ask(desk, &request, true).await;
            ask(desk, &request, true).await;
            first
        }
        Some(Cut::TwiceAnsweredLast) => {
            ask(desk, &request, true).await;
            ask(desk, &request, true).await
        }
        Some(Cut::Late) => {
            // Returns when the client closes its end.
            let _ = stream.read(&mut [0]).await;
            ask(desk, &request, true).await;
            return;
        }
        Some(Cut::AtTheEnd) => return desk.hold(request),
        Some(Cut::AgainAtTheEnd) => {
            desk.hold(request.clone());
            ask(desk, &request, true).await
        }
        Some(Cut::RequestTruncated) => {
            let half = request.1[..request.1.len() / 2].to_vec();
            ask(desk, &(request.0, half), false).await
        }
        Some(Cut::AnswerTruncated) => {
            let mut answer = ask(desk, &request, true).await;
            answer.truncate(answer.len() / 2);
            answer
        }
        Some(Cut::ClientDiesBefore) => return desk.kill(client),
        Some(Cut::ClientDiesAfter) => {
            ask(desk, &request, true).await;
            return desk.kill(client);
        }
        Some(Cut::ServerDiesBefore) => return server.into_iter().for_each(|server| desk.kill(server)),
        Some(Cut::ServerDiesAfter) => {
            ask(desk, &request, true).await;
            return server.into_iter().for_each(|server| desk.kill(server));
        }
        _ => ask(desk, &request, true).await,
    };
    // The other end may be gone.
    let _ = stream.write_all(&answer).await;
}
