//! Requests and frames that no client of ours sends: both programs answer them as
//! `worker/src/router/odd_requests.md` says, which is also documentation.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::bus::Bus;
use crate::support::daemon::Program;

const PAGE: &str = include_str!("../../src/router/odd_requests.md");
/// Request that opens the sockets that odd frames are sent over.
const HANDSHAKE: &str = "GET /v1/w/lease/subscribe?agentId=a&protocol=1 HTTP/1.1\r\nHost: localhost\r\n\
    Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: eA==\r\n\
    Sec-WebSocket-Version: 13\r\n\r\n";
/// Answers come at once; one that does not come at all ends the case.
const PATIENCE: Duration = Duration::from_secs(30);

/// One row of a table.
#[derive(Debug)]
struct Row {
    what: &'static str,
    sent: &'static str,
    answer: &'static str,
}

/// The rows under a heading, with the answer that this program gives.
fn rows(heading: &str, program: Program) -> Vec<Row> {
    let (_, part) = PAGE.split_once(&format!("\n# {heading}\n")).unwrap();
    let part = part.split("\n# ").next().unwrap();
    let lines = part.lines().filter(|line| line.starts_with("| ")).skip(1);
    let rows: Vec<Row> = lines
        .map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let [what, sent, native, workerd] = cells[..] else { panic!("{line}") };
            let answer = match program {
                Program::MailbusWorkerd if !workerd.is_empty() => workerd,
                _ => native,
            };
            Row { what, sent, answer: answer.split(':').next().unwrap() }
        })
        .collect();
    assert!(rows.len() >= 8, "{} rows", rows.len());
    rows
}

/// Texts between backquotes, each as often as `×n` behind it says.
fn spans(cell: &str) -> Vec<&str> {
    let mut spans = Vec::new();
    let mut parts = cell.split('`').skip(1);
    while let (Some(span), Some(after)) = (parts.next(), parts.next()) {
        let times = after.trim().strip_prefix('×').map_or(1, |times| times.parse().unwrap());
        spans.extend(std::iter::repeat_n(span.trim(), times));
    }
    spans
}

pub fn requests(program: Program) {
    let bus = Bus::start(program);
    let faults: Vec<String> = rows("Odd requests", program)
        .iter()
        .filter_map(|row| {
            let request = format!("{}\r\n\r\n", spans(row.sent).join("\r\n"));
            let told = Told::to(bus.address(), &request);
            let told = told.in_words();
            (told != row.answer).then(|| format!("{}: {told} instead of {}", row.what, row.answer))
        })
        .collect();
    assert_eq!(faults, Vec::<String>::new());
}

/// A whole answer.
struct Told {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Told {
    fn to(address: SocketAddr, request: &str) -> Self {
        let mut stream = connect(address);
        stream.write_all(request.as_bytes()).unwrap();
        Self::read(&mut stream)
    }

    fn read(stream: &mut TcpStream) -> Self {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            assert_eq!(stream.read(&mut byte).unwrap(), 1, "{}", String::from_utf8_lossy(&head));
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let length = head
            .split("content-length: ")
            .nth(1)
            .map_or(0, |rest| rest.split("\r\n").next().unwrap().parse().unwrap());
        let mut body = vec![0; length];
        stream.read_exact(&mut body).unwrap();
        Self { status, head, body }
    }

    /// As the page spells it.
    fn in_words(&self) -> String {
        let status = self.status;
        if !self.head.contains("content-type: application/problem+json") {
            return status.to_string();
        }
        let problem: Value = serde_json::from_slice(&self.body).unwrap();
        format!("{status} `{}`", problem["code"].as_str().unwrap())
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

pub fn frames(program: Program) {
    let bus = Bus::start(program);
    let faults: Vec<String> = rows("Odd frames", program)
        .iter()
        .filter_map(|row| {
            let [sent] = spans(row.sent)[..] else { panic!("{row:?}") };
            let bytes = sent.split(' ').map(|byte| u8::from_str_radix(byte, 16).unwrap());
            let bytes = whole(bytes.collect());
            let mut stream = connect(bus.address());
            stream.write_all(HANDSHAKE.as_bytes()).unwrap();
            assert_eq!(Told::read(&mut stream).status, 101);
            stream.write_all(&bytes).unwrap();
            let told = frame(&mut stream);
            (told != row.answer).then(|| format!("{}: {told} instead of {}", row.what, row.answer))
        })
        .collect();
    assert_eq!(faults, Vec::<String>::new());
}

/// A frame of which the page shows the head alone, if it is a long one.
fn whole(mut bytes: Vec<u8>) -> Vec<u8> {
    const HEAD: usize = 14;
    if bytes[1] == 0xff {
        let length = u64::from_be_bytes(bytes[2..10].try_into().unwrap());
        bytes.resize(HEAD + usize::try_from(length).unwrap(), 0);
    }
    bytes
}

/// The next frame of the server, as the page spells it.
fn frame(stream: &mut TcpStream) -> String {
    let mut head = [0; 2];
    stream.read_exact(&mut head).unwrap();
    let length = match head[1] {
        126 => {
            let mut long = [0; 2];
            stream.read_exact(&mut long).unwrap();
            usize::from(u16::from_be_bytes(long))
        }
        short => usize::from(short),
    };
    let mut payload = vec![0; length];
    stream.read_exact(&mut payload).unwrap();
    match (head[0], &payload[..]) {
        (0x88, [high, low, ..]) => u16::from_be_bytes([*high, *low]).to_string(),
        (0x81, text) => {
            let object: Value = serde_json::from_slice(text).unwrap();
            format!("`{}`", object["type"].as_str().unwrap())
        }
        other => format!("{other:?}"),
    }
}
