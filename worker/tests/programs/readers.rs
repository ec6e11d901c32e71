//! Readers: a slow one gets all of it over one connection; one that reads nothing costs little and
//! delays nobody; one that has said all that it will say is answered.

use std::net::SocketAddr;
use std::ops::Range;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio_tungstenite::WebSocketStream;

use crate::bus::{Bus, a_moment, run};
use crate::mail;
use crate::socket::Socket;
use crate::support::daemon::{Daemon, Program};
use crate::support::http::{Connection, subscribe_over};

const MIB: u64 = 1 << 20;

/// Sends messages with these numbers, of so many bytes, to each of these agents, who have connected
/// once.
async fn fill(address: SocketAddr, agents: &[String], numbers: Range<usize>, bytes: usize) {
    let (mut sender, _) = mail::open(address, "sender", "&types=nothing").await;
    let payload = "x".repeat(bytes);
    let all = numbers.flat_map(|n| agents.iter().map(move |agent| (n, agent)));
    let commands: Vec<Value> = all
        .map(|(n, agent)| {
            let message = json!({"id": format!("{agent}-{n}"), "type": "t", "payload": payload});
            json!({"action": "send", "to": agent, "message": message})
        })
        .collect();
    for part in commands.chunks((2 * 1_048_576 / bytes).clamp(1, 1_000)) {
        for reply in sender.ask(Value::from(part)).await {
            assert_eq!(reply["outcome"], "accepted", "{reply}");
            assert_eq!(reply["refused"], json!([]), "{reply}");
        }
    }
}

/// Lets an agent be known, so that mail waits for it.
async fn know(address: SocketAddr, agent: &str) {
    mail::begin(address, &format!("agentId={agent}")).await.0.close().await;
}

pub fn slower_than_its_mail(program: Program) {
    const COUNT: usize = 1_500;
    let bus = Bus::start(program);
    run(async {
        know(bus.address(), "old").await;
        fill(bus.address(), &["old".to_owned()], 0..COUNT, 16_000).await;
        // The original's session has no window: 24 MB are sent as fast as it lets them.
        let (mut old, _) = mail::begin(bus.address(), "agentId=old").await;
        for n in 0..COUNT {
            let message = old.next().await;
            assert_eq!(
                (&message["id"], &message["attempt"]),
                (&json!(format!("old-{n}")), &json!(1))
            );
            a_moment().await;
        }
    });
}

pub fn largest_window(program: Program) {
    const COUNT: usize = 60;
    let bus = Bus::start(program);
    run(async {
        know(bus.address(), "bob").await;
        fill(bus.address(), &["bob".to_owned()], 0..COUNT, 400_000).await;
        let query = "&window=1024&windowBytes=16777216";
        let (mut bob, _) = mail::open(bus.address(), "bob", query).await;
        // 16 MiB are under way before it reads any of it: a push budget a second.
        for _ in 0..2_500 {
            a_moment().await;
        }
        let mut n = 0;
        while n < COUNT {
            let message = bob.next().await;
            if message["type"] == "$replies" {
                continue;
            }
            assert_eq!(message["id"], format!("bob-{n}"));
            assert_eq!(message["attempt"], 1, "it was not cut off: {}", message["id"]);
            let ack = json!({"action": "acknowledge", "seqs": [message["seq"]]});
            bob.send(&ack.to_string()).await;
            n += 1;
        }
        let mut connection = bus.connect().await;
        while !mail::pending(&mut connection, "bob").await.is_empty() {
            a_moment().await;
        }
    });
}

pub fn half_closing(program: Program) {
    let bus = Bus::start(program);
    run(async {
        for n in 0..60 {
            let body = json!({"file": format!("f{n}"), "agentId": "ann", "ttlMs": 60_000});
            let answer = half_closed(bus.address(), "acquire", &body).await;
            assert!(answer.contains(r#""acquired":true"#), "{n}: {answer}");
            let answer = half_closed(bus.address(), "status", &body).await;
            assert!(answer.contains(r#""isLeased":true"#), "{n}: {answer}");
        }
    });
}

/// Posts, says that nothing more will come, and reads what does.
async fn half_closed(address: SocketAddr, action: &str, body: &Value) -> String {
    let body = body.to_string();
    let head = format!(
        "POST /v1/w/lease/{action} HTTP/1.1\r\nhost: 127.0.0.1\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all((head + &body).as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

/// A session of the original's protocol that reads nothing, and whose system takes little for it.
async fn stalled(address: SocketAddr, agent: &str) -> WebSocketStream<TcpStream> {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let stream = socket.connect(address).await.unwrap();
    subscribe_over(stream, &format!("/v1/w/mailbox/subscribe?agentId={agent}&types=bulk")).await
}

/// Time for which others wait for answers meanwhile.
struct Others {
    connection: Connection,
    quick: Socket,
    waited: Vec<Duration>,
}

impl Others {
    async fn new(bus: &Bus) -> Self {
        let (quick, _) = mail::open(bus.address(), "quick", "&types=nothing").await;
        Self { connection: bus.connect().await, quick, waited: Vec::new() }
    }

    /// A round trip over HTTP and one over a socket.
    #[expect(clippy::disallowed_methods, reason = "the order states a bound")]
    async fn ask(&mut self) {
        let began = Instant::now();
        mail::post(&mut self.connection, "heartbeat", &json!({"agentId": "quick"})).await;
        assert_eq!(self.quick.ask(json!({"action": "heartbeat"})).await[0]["outcome"], "heard");
        self.waited.push(began.elapsed());
    }

    /// Half of them waited no longer than 50 ms: on a busy machine the longest waits for its
    /// scheduler.
    fn tell(mut self, what: &str) {
        self.waited.sort();
        let [median, longest] =
            [self.waited.len() / 2, self.waited.len() - 1].map(|index| self.waited[index]);
        eprintln!("{what}: others were answered within {median:?}, the longest {longest:?}");
        assert!(median < Duration::from_millis(50), "{what}: {median:?}");
    }
}

/// The memory that a process has, in bytes.
fn resident(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse::<u64>().unwrap() * 1_024
}

fn grown(bus: &Bus, before: u64, most: u64, what: &str) {
    let grown = resident(&bus.daemon).saturating_sub(before);
    eprintln!("{what}: {} MiB more", grown / MIB);
    assert!(grown < most, "{what}: {} MiB more", grown / MIB);
}

/// 60 that read nothing of 20 MB told to all.
pub fn stalled_before_broadcasts() {
    let bus = Bus::start(Program::Mailbusd);
    run(async {
        let mut others = Others::new(&bus).await;
        let mut readers = Vec::new();
        for n in 0..60 {
            readers.push(stalled(bus.address(), &format!("stalled-{n}")).await);
        }
        let before = resident(&bus.daemon);
        let payload = "x".repeat(256 << 10);
        for n in 0..80 {
            let bulk =
                json!({"id": format!("{n}"), "type": "bulk", "from": "ann", "payload": payload});
            mail::post(&mut others.connection, "publish", &bulk).await;
            others.ask().await;
        }
        let what = "60 stalled readers of 20 MB of broadcasts";
        grown(&bus, before, 160 * MIB, what);
        others.tell(what);
        drop(readers);
    });
}

/// 60 that read nothing of what is sent to each, altogether three times the budget.
pub fn stalled_before_their_own() {
    const BUDGET: u64 = 48;
    let bus = Bus::start_with(Program::Mailbusd, &["--outbox-budget", &BUDGET.to_string()]);
    run(async {
        let mut others = Others::new(&bus).await;
        let agents: Vec<String> = (0..60).map(|n| format!("stalled-{n}")).collect();
        let mut readers = Vec::new();
        for agent in &agents {
            readers.push(stalled(bus.address(), agent).await);
        }
        let before = resident(&bus.daemon);
        for n in 0..10 {
            fill(bus.address(), &agents, n..n + 1, 256 << 10).await;
            others.ask().await;
        }
        let what = "60 stalled readers of 2.5 MiB each, and 48 MiB for all";
        grown(&bus, before, (BUDGET + 64) * MIB, what);
        others.tell(what);
        drop(readers);
        // Whoever was given up for it has lost nothing.
        for agent in ["stalled-0", "stalled-59"] {
            let (mut back, begun) = mail::begin(bus.address(), &format!("agentId={agent}")).await;
            assert_eq!(begun["resumed"], true);
            for _ in 0..10 {
                assert_eq!(back.next().await["type"], "t", "{agent}");
            }
        }
    });
}

/// Two answers in a row: were the second to wait until the first is acknowledged, it would come 40 ms
/// later.
#[expect(clippy::disallowed_methods, reason = "two times of one run are compared")]
pub fn small_answers_wait_for_nothing() {
    const ROUNDS: usize = 40;
    let bus = Bus::start(Program::Mailbusd);
    run(async {
        let mut stream = TcpStream::connect(bus.address()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let request = "GET /v1/version HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n";
        let mut medians = Vec::new();
        for together in [1, 2] {
            let mut took = Vec::new();
            for _ in 0..ROUNDS {
                let began = Instant::now();
                stream.write_all(request.repeat(together).as_bytes()).await.unwrap();
                let mut answers = String::new();
                while answers.matches(r#""name":"mailbus""#).count() < together {
                    let mut part = [0; 4_096];
                    let read = stream.read(&mut part).await.unwrap();
                    answers.push_str(std::str::from_utf8(&part[..read]).unwrap());
                }
                took.push(began.elapsed());
            }
            took.sort();
            medians.push(took[ROUNDS / 2]);
        }
        let [one, two] = medians[..] else { unreachable!() };
        eprintln!("one answer {one:?}, two in a row {two:?}");
        assert!(two < one * 8, "{one:?}, {two:?}");
    });
}
