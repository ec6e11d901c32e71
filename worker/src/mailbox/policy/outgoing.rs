//! Texts of one event to its sockets: each text written once, and all texts of a socket packed into
//! frames.

use std::collections::BTreeMap;
use std::sync::Arc;

use mailbus_spec::Ordinal;
use mailbus_spec::limits::{FRAME_PUSH_BYTES, FRAME_REPLY_BYTES};
use mailbus_spec::mailbox::{Connection, Message, Notice};
use mailbus_spec::wire::Protocol;
use mailbus_spec::wire::frame;
use mailbus_spec::wire::mailbox::encode_push;

/// The texts for every socket, in the order in which they are to arrive.
#[derive(Default)]
pub(super) struct Outgoing {
    by_connection: BTreeMap<Connection, Told>,
    /// Bytes of all of them together.
    bytes: usize,
    /// Bytes for the socket that is told most.
    fullest: usize,
    deliveries: BTreeMap<Delivery, Arc<str>>,
    ephemeral: Option<(Message, Arc<str>)>,
}

/// Key by which two deliveries are one text.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Delivery {
    seq: Ordinal,
    attempt: u64,
    redriven: bool,
}

/// The texts for one socket.
#[derive(Default)]
struct Told {
    texts: Vec<Arc<str>>,
    bytes: usize,
}

impl Outgoing {
    /// Adds what a push says; a close says nothing.
    pub(super) fn push(&mut self, to: &Connection, notice: &Notice) {
        if let Some(text) = self.text_of(notice) {
            self.add(to, text);
        }
    }

    /// Adds a text that comes before all pushes.
    pub(super) fn say_first(&mut self, to: &Connection, text: String) {
        let told = self.by_connection.entry(to.clone()).or_default();
        told.bytes = told.bytes.saturating_add(text.len());
        self.bytes = self.bytes.saturating_add(text.len());
        told.texts.insert(0, text.into());
    }

    fn add(&mut self, to: &Connection, text: Arc<str>) {
        self.bytes = self.bytes.saturating_add(text.len());
        let told = self.by_connection.entry(to.clone()).or_default();
        told.bytes = told.bytes.saturating_add(text.len());
        self.fullest = self.fullest.max(told.bytes);
        told.texts.push(text);
    }

    /// True if an event that besides replies to this session with so many bytes has said so much that no
    /// further command of its frame may be executed: a few short ones can ask for more than there is memory
    /// for, and for more than a reader may be behind.
    pub(super) fn is_full(&self, asking: &Connection, replies: usize) -> bool {
        let pushed = self.by_connection.get(asking).map_or(0, |told| told.bytes);
        self.fullest.max(pushed.saturating_add(replies)) >= FRAME_REPLY_BYTES
            || self.bytes >= FRAME_PUSH_BYTES
    }

    /// The frames for every socket.
    pub(super) fn into_frames(
        self,
        speaks: impl Fn(&Connection) -> Protocol,
    ) -> impl Iterator<Item = (Connection, Vec<Arc<str>>)> {
        self.by_connection.into_iter().map(move |(connection, told)| {
            let frames = match speaks(&connection) {
                Protocol::One => frame::pack(told.texts).into_iter().map(share).collect(),
                Protocol::Original => told.texts,
            };
            (connection, frames)
        })
    }

    fn text_of(&mut self, notice: &Notice) -> Option<Arc<str>> {
        match notice {
            &Notice::Message { seq, attempt, redriven, .. } => {
                let delivery = Delivery { seq, attempt, redriven };
                if let Some(text) = self.deliveries.get(&delivery) {
                    return Some(Arc::clone(text));
                }
                let text: Arc<str> = encode_push(notice)?.into();
                self.deliveries.insert(delivery, Arc::clone(&text));
                Some(text)
            }
            Notice::Ephemeral { message } => match &self.ephemeral {
                Some((last, text)) if last == message => Some(Arc::clone(text)),
                _ => {
                    let text: Arc<str> = encode_push(notice)?.into();
                    self.ephemeral = Some((message.clone(), Arc::clone(&text)));
                    Some(text)
                }
            },
            Notice::Gap(_) | Notice::Closed(_) => encode_push(notice).map(Arc::from),
        }
    }
}

/// One frame for these objects; one alone stays the text that other sockets are told too.
fn share(mut objects: Vec<Arc<str>>) -> Arc<str> {
    match objects.pop() {
        Some(only) if objects.is_empty() => only,
        last => {
            objects.extend(last);
            frame::share(&objects).into()
        }
    }
}
