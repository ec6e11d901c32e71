//! A plain HTTP and WebSocket client: one connection, no opinions about what is sent.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: http::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// The code of a problem.
    pub fn code(&self) -> String {
        let json = self.json();
        assert_eq!(json["status"], self.status, "{json}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        json["code"].as_str().unwrap_or_else(|| panic!("no code: {json}")).to_owned()
    }
}

/// One connection.
pub struct Connection {
    sender: SendRequest<Full<Bytes>>,
}

impl Connection {
    pub async fn open(address: SocketAddr) -> std::io::Result<Self> {
        Self::over(TcpStream::connect(address).await?).await
    }

    pub async fn over(
        io: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    ) -> std::io::Result<Self> {
        let (sender, connection) =
            handshake(TokioIo::new(io)).await.map_err(std::io::Error::other)?;
        tokio::task::spawn_local(connection);
        Ok(Self { sender })
    }

    /// Sends a request and reads all of the answer. An error means that the outcome is unknown.
    pub async fn send(
        &mut self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> Result<Answer, hyper::Error> {
        let mut request =
            http::Request::builder().method(method).uri(path).header("host", "localhost");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.sender.ready().await?;
        let request = request.body(Full::new(Bytes::from(body))).unwrap();
        let (head, body) = self.sender.send_request(request).await?.into_parts();
        let body = body.collect().await?.to_bytes().to_vec();
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }

    /// Posts JSON.
    pub async fn post(&mut self, path: &str, body: &str) -> Result<Answer, hyper::Error> {
        let headers = [("content-type", "application/json")];
        self.send("POST", path, &headers, body.as_bytes().to_vec()).await
    }
}

/// One request on a connection of its own.
pub async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Answer {
    let mut connection = Connection::open(address).await.unwrap();
    connection.send(method, path, headers, body).await.unwrap()
}

/// A WebSocket.
pub async fn subscribe(address: SocketAddr, path: &str) -> WebSocketStream<TcpStream> {
    subscribe_over(TcpStream::connect(address).await.unwrap(), path).await
}

pub async fn subscribe_over<Io>(io: Io, path: &str) -> WebSocketStream<Io>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let url = format!("ws://localhost{path}");
    tokio_tungstenite::client_async(url, io).await.unwrap().0
}

/// Panics where a test would hang for ever.
#[expect(clippy::disallowed_methods, reason = "a hang is no answer; nothing else depends on it")]
pub async fn within_a_minute<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future).await.expect("the test hangs")
}
