//! The WebSockets of one object: what the runtime keeps of them while the object is not in memory.

use std::collections::BTreeMap;

use crate::object::{Accept, Attachment, SocketId, Target};

/// The sockets of one object, by number.
///
/// Invariant: a number is given once.
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    last: u64,
    open: BTreeMap<SocketId, Socket>,
}

/// One accepted socket.
#[derive(Clone, Debug)]
struct Socket {
    attachment: Attachment,
    tags: Vec<String>,
    /// Whether the object has closed it; the other end has not said so yet.
    closing: bool,
}

impl Sockets {
    /// How many there are, those that are being closed too.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// All of them, in the order of their acceptance.
    pub fn ids(&self) -> impl Iterator<Item = SocketId> + '_ {
        self.open.keys().copied()
    }

    /// What a socket keeps for its object.
    #[must_use]
    pub fn attachment(&self, id: SocketId) -> Option<&str> {
        self.open.get(&id).map(|socket| socket.attachment.as_str())
    }

    pub(super) fn attach(&mut self, id: SocketId, attachment: Attachment) {
        if let Some(socket) = self.open.get_mut(&id) {
            socket.attachment = attachment;
        }
    }

    pub(super) fn accept(&mut self, accept: Accept) -> SocketId {
        self.last = self.last.saturating_add(1);
        let id = SocketId(self.last);
        let Accept { attachment, tags } = accept;
        self.open.insert(id, Socket { attachment, tags, closing: false });
        id
    }

    /// The open sockets that a target names, in the order of their acceptance.
    pub(super) fn resolve(&self, target: &Target) -> Vec<SocketId> {
        let named = |(id, socket): (&SocketId, &Socket)| {
            let meant = match target {
                Target::Socket(wanted) => id == wanted,
                Target::Tag(tag) => socket.tags.contains(tag),
                Target::Others { tag, than } => id != than && socket.tags.contains(tag),
            };
            (meant && !socket.closing).then_some(*id)
        };
        match target {
            Target::Socket(id) => self.open.get_key_value(id).and_then(named).into_iter().collect(),
            Target::Tag(_) | Target::Others { .. } => self.open.iter().filter_map(named).collect(),
        }
    }

    /// The object closed it: nothing is sent to it any more, and it is found under no tag.
    pub(super) fn close(&mut self, id: SocketId) {
        if let Some(socket) = self.open.get_mut(&id) {
            socket.closing = true;
        }
    }

    pub(super) fn remove(&mut self, id: SocketId) {
        self.open.remove(&id);
    }

    /// Drops all and says which there were. Numbers are not given again.
    pub(super) fn drop_all(&mut self) -> Vec<SocketId> {
        std::mem::take(&mut self.open).into_keys().collect()
    }
}
