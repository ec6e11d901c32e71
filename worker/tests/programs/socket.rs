//! A WebSocket, as the cases use it.

use std::collections::VecDeque;
use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::bus::{Bus, run};
use crate::support::daemon::Program;
use crate::support::http::subscribe;

/// The client of this trial hangs up, as browsers do, when it offered some and is answered none of them.
pub fn subprotocols(program: Program) {
    const PROTOCOL: &str = "sec-websocket-protocol";
    let bus = Bus::start(program);
    let answered = |class: &str, offered: &[&str]| {
        let url = format!("ws://{}/v1/w/{class}/subscribe?agentId=a", bus.address());
        let mut request = url.into_client_request().unwrap();
        for offer in offered {
            request.headers_mut().append(PROTOCOL, offer.parse().unwrap());
        }
        run(async {
            let stream = TcpStream::connect(bus.address()).await.unwrap();
            let (_, answer) = tokio_tungstenite::client_async(request, stream).await.ok()?;
            Some(answer.headers().get(PROTOCOL).map(|name| name.to_str().unwrap().to_owned()))
        })
    };
    let ours = Some(Some("mailbus.v1".to_owned()));
    for class in ["lease", "mailbox"] {
        assert_eq!(answered(class, &[]), Some(None), "{class}");
        assert_eq!(answered(class, &["mailbus.v1"]), ours, "{class}");
        assert_eq!(answered(class, &["bearer.secret, mailbus.v1"]), ours, "{class}");
        assert_eq!(answered(class, &["bearer.secret"]), None, "{class}");
    }
}

/// A socket of one holder or one session.
pub struct Socket {
    pub stream: WebSocketStream<TcpStream>,
    /// The objects of the frames that have come.
    came: VecDeque<Value>,
}

impl Socket {
    /// A socket of the workspace `w`.
    pub async fn open(address: SocketAddr, class: &str, query: &str) -> Self {
        let path = format!("/v1/w/{class}/subscribe?{query}");
        Self { stream: subscribe(address, &path).await, came: VecDeque::new() }
    }

    pub async fn send(&mut self, frame: &str) {
        self.stream.send(Message::text(frame)).await.unwrap();
    }

    /// The next object that comes.
    pub async fn next(&mut self) -> Value {
        while self.came.is_empty() {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => match serde_json::from_str(&text).unwrap() {
                    Value::Array(objects) => self.came.extend(objects),
                    object => self.came.push_back(object),
                },
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?} instead of a frame"),
            }
        }
        self.came.pop_front().unwrap()
    }

    /// The text of the next frame.
    pub async fn next_text(&mut self) -> String {
        assert!(self.came.is_empty(), "{:?}", self.came);
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Text(text))) => return text.as_str().to_owned(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?} instead of a frame"),
            }
        }
    }

    /// Closes it and waits until the other end has.
    pub async fn close(mut self) {
        self.stream.close(None).await.unwrap();
        while let Some(Ok(_)) = self.stream.next().await {}
    }

    /// Sends commands in one frame; their replies, which come before anything else.
    pub async fn ask(&mut self, commands: Value) -> Vec<Value> {
        self.send(&commands.to_string()).await;
        let mut object = self.next().await;
        assert_eq!(object["type"], "$replies", "{object}");
        match object["replies"].take() {
            Value::Array(replies) => replies,
            other => panic!("{other}"),
        }
    }

    /// Code with which the other end closes it, which stays unanswered.
    pub async fn close_code(&mut self) -> Option<CloseCode> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code),
                Some(Ok(_)) => {}
                other => panic!("{other:?} instead of a close"),
            }
        }
    }
}
