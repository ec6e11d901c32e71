//! WebSockets: commands in batches, pushes unasked, and what is no command.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use mailbus_worker::workerd::{Log, Options, Workerd};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::bus::{Bus, a_moment, release_bundle, run};
use crate::support::daemon::Program;
use crate::support::http::{Connection, subscribe};

/// A socket of one holder.
struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// The objects of the frames that have come.
    came: VecDeque<Value>,
}

impl Socket {
    /// One that takes commands.
    async fn open(address: SocketAddr, agent: &str) -> Self {
        Self::with(address, &format!("agentId={agent}&session=1&protocol=1")).await
    }

    async fn with(address: SocketAddr, query: &str) -> Self {
        let path = format!("/v1/w/lease/subscribe?{query}");
        Self { stream: subscribe(address, &path).await, came: VecDeque::new() }
    }

    async fn send(&mut self, frame: &str) {
        self.stream.send(Message::text(frame)).await.unwrap();
    }

    /// The next object that comes.
    async fn next(&mut self) -> Value {
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

    /// Sends commands in one frame; their replies, which come before anything else.
    async fn ask(&mut self, commands: Value) -> Vec<Value> {
        self.send(&commands.to_string()).await;
        let mut object = self.next().await;
        assert_eq!(object["type"], "$replies", "{object}");
        match object["replies"].take() {
            Value::Array(replies) => replies,
            other => panic!("{other}"),
        }
    }

    /// With which code the other end closes it.
    async fn close_code(mut self) -> Option<CloseCode> {
        loop {
            match self.stream.next().await {
                Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code),
                Some(Ok(_)) => {}
                other => panic!("{other:?} instead of a close"),
            }
        }
    }
}

fn acquire(call: u64, request: &str, wait_ms: Option<u64>) -> Value {
    json!({
        "action": "acquire", "call": call, "request": request, "path": "a", "ttlMs": 60_000,
        "waitMs": wait_ms,
    })
}

pub fn batch_and_push(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut ann = Socket::open(bus.address(), "ann").await;
        let mut bob = Socket::open(bus.address(), "bob").await;
        let mut listens = Socket::with(bus.address(), "agentId=bob&session=1").await;
        let status = json!({"action": "status", "call": 8, "path": "a"});
        let replies = ann.ask(json!([acquire(7, "r", None), status])).await;
        let [granted, held] = &replies[..] else { panic!("{replies:?}") };
        assert_eq!((&granted["call"], &granted["outcome"]), (&json!(7), &json!("granted")));
        assert_eq!((&held["call"], &held["outcome"]), (&json!(8), &json!("held")));
        assert_eq!(held["agentId"], "ann");
        let queued = &bob.ask(acquire(1, "turn", Some(60_000))).await[0];
        assert_eq!((&queued["outcome"], &queued["position"]), (&json!("queued"), &json!(0)));

        let release = json!({"action": "release", "call": 9, "token": granted["token"]});
        assert_eq!(ann.ask(release).await[0]["outcome"], "released");
        let pushed = bob.next().await;
        assert_eq!((&pushed["type"], &pushed["request"]), (&json!("$granted"), &json!("turn")));
        assert_eq!(pushed["ttlMs"], 30_000, "short until it is confirmed: {pushed}");
        assert!(pushed["token"].as_u64() > granted["token"].as_u64(), "{pushed}");
        assert_eq!(listens.next().await, pushed, "in the original's form too");
        listens.send("{}").await;
        assert_eq!(listens.next().await["type"], "$error", "which takes no commands");
        let renew =
            json!({"action": "renew", "call": 2, "token": pushed["token"], "ttlMs": 60_000});
        assert_eq!(bob.ask(renew).await[0]["outcome"], "renewed");
    });
}

pub fn no_command(program: Program) {
    let bus = Bus::start(program);
    run(async {
        let mut socket = Socket::open(bus.address(), "ann").await;
        for frame in ["not JSON", "", "5", "[]", "[{]", "{\"action\":\"status\""] {
            socket.send(frame).await;
            let error = socket.next().await;
            assert_eq!(error["type"], "$error", "{frame}: {error}");
            assert_eq!(error["problem"]["code"], "malformed", "{frame}: {error}");
            assert_eq!(error["problem"]["status"], 400, "{frame}: {error}");
        }
        let status = json!({"action": "status", "call": 2, "path": "a"});
        let replies = socket.ask(json!([{"action": "steal", "call": 1}, status, 3])).await;
        let told: Vec<_> =
            replies.iter().map(|reply| (reply["call"].as_u64(), reply["code"].as_str())).collect();
        assert_eq!(
            told,
            [(Some(1), Some("malformed")), (Some(2), None), (None, Some("malformed"))]
        );
        // Of another agent's lease one asks over a socket of that agent.
        let other = json!({
            "action": "acquire", "call": 3, "agentId": "bob", "request": "r", "path": "a", "ttlMs": 1,
        });
        assert_eq!(socket.ask(other).await[0]["code"], "forbidden");

        let binary = Message::binary(b"{}".to_vec());
        socket.stream.send(binary).await.unwrap();
        assert_eq!(socket.close_code().await, Some(CloseCode::Unsupported));
        let mut socket = Socket::open(bus.address(), "ann").await;
        let long = " ".repeat((4 << 20) + 1);
        socket.stream.send(Message::text(long)).await.unwrap();
        assert_eq!(socket.close_code().await, Some(CloseCode::Size));
    });
}

/// A runtime that can be made to drop an object's memory.
enum Forgetful {
    /// It keeps one database open, and so one object in memory.
    Mailbusd(Bus),
    /// It takes a request to evict, which `mailbus-workerd` does not let anybody send.
    Workerd { runtime: Box<Workerd>, _folder: TempDir },
}

impl Forgetful {
    fn start(program: Program) -> Self {
        if program == Program::Mailbusd {
            return Self::Mailbusd(Bus::start_with(program, &["--open-databases", "1"]));
        }
        let folder = tempfile::tempdir().unwrap();
        let anonymous = ("MAILBUS_ALLOW_ANONYMOUS".to_owned(), "true".to_owned());
        let options = Options {
            bundle: release_bundle().unwrap_or_else(|failed| panic!("{failed:?}")),
            data: folder.path().join("data"),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            environment: BTreeMap::from([anonymous]),
            evictable: true,
            log: Log::File(folder.path().join("log")),
        };
        let runtime = Box::new(Workerd::start(options).unwrap());
        Self::Workerd { runtime, _folder: folder }
    }

    fn address(&self) -> SocketAddr {
        match self {
            Self::Mailbusd(bus) => bus.address(),
            Self::Workerd { runtime, .. } => runtime.address(),
        }
    }

    /// Drops the object of the workspace `w` from memory.
    async fn forget(&self) {
        match self {
            Self::Workerd { runtime, .. } => runtime.evict("LeaseDurableObject", "w").unwrap(),
            Self::Mailbusd(bus) => {
                let log = bus.data().join("lease").join("w.sqlite-wal");
                assert!(log.exists(), "it is open");
                let mut connection = bus.connect().await;
                while log.exists() {
                    connection.post("/v1/other/lease/list", "{}").await.unwrap();
                    a_moment().await;
                }
            }
        }
    }
}

pub fn outlive_memory(program: Program) {
    let bus = Forgetful::start(program);
    run(async {
        let mut connection = Connection::open(bus.address()).await.unwrap();
        let mut bob = Socket::open(bus.address(), "bob").await;
        let ann = json!({
            "agentId": "ann", "session": "1", "request": "r", "path": "a", "ttlMs": 60_000,
        });
        let granted = connection.post("/v1/w/lease/acquire", &ann.to_string()).await.unwrap();
        let token = granted.json()["token"].clone();
        assert_eq!(bob.ask(acquire(1, "turn", Some(60_000))).await[0]["outcome"], "queued");

        bus.forget().await;
        let release = json!({"agentId": "ann", "session": "1", "token": token});
        let released = connection.post("/v1/w/lease/release", &release.to_string()).await.unwrap();
        assert_eq!(released.json()["outcome"], "released");
        let pushed = bob.next().await;
        assert_eq!((&pushed["type"], &pushed["request"]), (&json!("$granted"), &json!("turn")));

        // A frame wakes it too, and it knows whose socket that is.
        bus.forget().await;
        let renew =
            json!({"action": "renew", "call": 2, "token": pushed["token"], "ttlMs": 60_000});
        let renewed = &bob.ask(renew).await[0];
        assert_eq!((&renewed["call"], &renewed["outcome"]), (&json!(2), &json!("renewed")));
    });
}
