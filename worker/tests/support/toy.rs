//! An object that does one of everything, so that a shell can be tested without a real one.

use mailbus_spec::HostTime;
use mailbus_worker::native::Arrival;
use mailbus_worker::object::{
    Accept, Body, Effects, Event, Object, Request, Response, Target, Waking, Woken,
};
use mailbus_worker::storage::{Storage, StorageError, Value};

/// A list of texts.
///
/// | event | what it does |
/// |---|---|
/// | `POST add` | adds the body, answers how many there are, tells every socket |
/// | `GET count` | answers how many there are, in storage and by its memory |
/// | `POST fail` | adds the body and fails |
/// | `POST arm` | sets the alarm like `alarm`, and writes nothing |
/// | `POST alarm` | sets the alarm to the body's number of milliseconds from now |
/// | `GET sockets` | answers how many sockets it was woken with |
/// | `GET subscribe?W` | becomes a socket that counts its frames, with a window of W bytes if that is a number |
/// | `GET greeted` | becomes one that begins at 7 and is greeted; `greeted`, its tag, is another's too |
/// | frame | adds it and echoes it with the socket's count; `close` closes, `fail` fails, `tell:` only tells every socket |
/// | closed | adds `closed` |
/// | alarm | adds `alarm` |
///
/// It wakes in one piece, and in one more for each text that begins with `piece`.
pub struct Toy {
    /// Events since it woke.
    events: u64,
    /// The alarm it was woken with.
    woken_with: Option<HostTime>,
    /// Number of sockets that there were.
    sockets: usize,
    /// Number of pieces that it has read.
    pieces: i64,
}

const CREATE: &str =
    "CREATE TABLE IF NOT EXISTS text (n INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT";
const ADD: &str = "INSERT INTO text (text) VALUES (?1)";
const COUNT: &str = "SELECT count(*) FROM text";
const FIND: &str = "SELECT 1 FROM sqlite_schema WHERE name = 'text'";
const PIECES: &str = "SELECT count(*) FROM text WHERE text LIKE 'piece%'";

fn count<S: Storage>(storage: &mut S) -> Result<i64, StorageError> {
    number(storage, COUNT)
}

fn number<S: Storage>(storage: &mut S, sql: &'static str) -> Result<i64, StorageError> {
    match storage.query(sql, &[])?.first().and_then(|row| row.first()) {
        Some(Value::Integer(count)) => Ok(*count),
        other => Err(StorageError(format!("{other:?}"))),
    }
}

fn add<S: Storage>(storage: &mut S, text: &str) -> Result<i64, StorageError> {
    storage.execute(ADD, &[Value::Text(text.to_owned())])?;
    count(storage)
}

fn accept(tag: &str, window: Option<u64>) -> Accept {
    Accept { attachment: "0".to_owned(), tags: vec![tag.to_owned()], window }
}

fn answer(body: String) -> Option<Response> {
    Some(Response::ok(body))
}

impl Toy {
    pub fn wake(woken: Woken) -> Self {
        Self { events: 0, woken_with: woken.pending_alarm, sockets: woken.sockets.len(), pieces: 0 }
    }

    fn request<S: Storage>(
        &mut self,
        storage: &mut S,
        now: HostTime,
        request: &Request<'_>,
    ) -> Result<Effects, StorageError> {
        let body = match request.body {
            Body::Whole(bytes) => std::str::from_utf8(bytes).unwrap_or("?"),
            Body::TooLarge => {
                let response = Response {
                    status: 413,
                    body: "{}".to_owned(),
                    retry_after: Some(7),
                    allow: Some("GET"),
                    charged: None,
                };
                return Ok(Effects { response: Some(response), ..Effects::default() });
            }
        };
        let mut effects = Effects::default();
        match request.action {
            "add" => {
                let n = add(storage, body)?;
                effects.response = answer(format!(r#"{{"n":{n}}}"#));
                effects.frames.push((Target::Tag("all".to_owned()), format!("added {n}").into()));
            }
            "count" => {
                let n = count(storage)?;
                let woken_with = self.woken_with.map_or(0, |at| at.0);
                effects.response = answer(format!(
                    r#"{{"n":{n},"events":{},"wokenWith":{woken_with}}}"#,
                    self.events
                ));
            }
            "sockets" => effects.response = answer(format!(r#"{{"n":{}}}"#, self.sockets)),
            "greeted" if request.upgrade => {
                let tag = || Target::Tag("greeted".to_owned());
                effects.accept = Some(accept("greeted", None));
                effects.attachments.push((tag(), "7".to_owned()));
                effects.frames.push((tag(), "hello".into()));
            }
            "fail" => {
                add(storage, body)?;
                return Err(StorageError("asked to".to_owned()));
            }
            "arm" => {
                effects.alarm = Some(HostTime(now.0 + body.parse::<u64>().unwrap()));
                effects.response = answer("{}".to_owned());
            }
            "alarm" => {
                add(storage, "set")?;
                effects.alarm = Some(HostTime(now.0 + body.parse::<u64>().unwrap()));
                effects.response = answer("{}".to_owned());
            }
            "subscribe" if request.upgrade => {
                effects.accept = Some(accept("all", request.query.parse().ok()));
            }
            _ => {
                effects.response = Some(Response { status: 404, ..Response::ok("{}".to_owned()) });
            }
        }
        Ok(effects)
    }
}

impl Object for Toy {
    const NEEDS_SOCKETS: bool = true;

    fn prepare<S: Storage>(&mut self, storage: &mut S) -> Result<Waking, StorageError> {
        if self.events > 0 || storage.query(FIND, &[])?.is_empty() {
            return Ok(Waking::Ready);
        }
        let pieces = number(storage, PIECES)?;
        if self.pieces == pieces {
            return Ok(Waking::Ready);
        }
        self.pieces += 1;
        Ok(Waking::More)
    }

    fn footprint(&self) -> u64 {
        // Each piece is more than a small object has.
        u64::try_from(self.pieces).unwrap() << 17
    }

    fn handle<S: Storage>(
        &mut self,
        storage: &mut S,
        now: HostTime,
        event: Event<'_>,
    ) -> Result<Effects, StorageError> {
        if self.events == 0 && storage.query(FIND, &[])?.is_empty() {
            storage.execute(CREATE, &[])?;
        }
        self.events += 1;
        let mut effects = Effects::default();
        match event {
            Event::Request(request) => return self.request(storage, now, &request),
            Event::Frame { socket, attachment, text } => {
                let frames = attachment.parse::<u64>().unwrap() + 1;
                effects.attachments.push((Target::Socket(socket), frames.to_string()));
                if text == "close" {
                    effects.closes.push((Target::Socket(socket), 4001, "asked to".to_owned()));
                    return Ok(effects);
                }
                if let Some(told) = text.strip_prefix("tell:") {
                    effects.frames.push((Target::Tag("all".to_owned()), told.into()));
                    return Ok(effects);
                }
                add(storage, text)?;
                if text == "fail" {
                    return Err(StorageError("asked to".to_owned()));
                }
                effects.frames.push((Target::Socket(socket), format!("{frames}:{text}").into()));
            }
            Event::Closed { .. } => {
                add(storage, "closed")?;
            }
            Event::Alarm => {
                add(storage, "alarm")?;
            }
        }
        Ok(effects)
    }
}

/// A request as a shell would make it.
pub fn request<'a>(action: &'a str, body: &'a str) -> Arrival<'a> {
    Arrival::Request(Request {
        method: "POST",
        action,
        query: "",
        upgrade: matches!(action, "subscribe" | "greeted"),
        body: Body::Whole(body.as_bytes()),
    })
}
