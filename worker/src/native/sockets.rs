//! The WebSockets of one object: what the runtime keeps of them while the object is not in memory.

use std::collections::{BTreeMap, BTreeSet};

use crate::object::{Accept, Attachment, SocketId, Target};

/// The sockets of one object, by number.
///
/// Invariant: a number is given once; `by_tag` holds each socket that is open, or being closed, under
/// each of its tags, and no tag without sockets.
#[derive(Clone, Debug, Default)]
pub struct Sockets {
    last: u64,
    open: BTreeMap<SocketId, Socket>,
    by_tag: BTreeMap<String, BTreeSet<SocketId>>,
}

/// One accepted socket.
#[derive(Clone, Debug)]
struct Socket {
    attachment: Attachment,
    tags: Vec<String>,
    window: Option<u64>,
    /// True if the object has closed it; the other end has not said so yet.
    closing: bool,
}

impl Sockets {
    /// None, and the first that is accepted gets a number above this one.
    #[must_use]
    pub(super) fn after(last: u64) -> Self {
        Self { last, ..Self::default() }
    }

    /// The number that was given last.
    #[must_use]
    pub(super) fn last(&self) -> u64 {
        self.last
    }

    /// Number of them, those that are being closed too.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// True if there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// All of them, in the order of their acceptance.
    pub fn ids(&self) -> impl Iterator<Item = SocketId> + '_ {
        self.open.keys().copied()
    }

    /// Attachment that a socket keeps for its object.
    #[must_use]
    pub fn attachment(&self, id: SocketId) -> Option<&str> {
        self.open.get(&id).map(|socket| socket.attachment.as_str())
    }

    /// Window of a socket: what its object lets be under way to it; `None` if it sends everything.
    pub(super) fn window(&self, id: SocketId) -> Option<u64> {
        self.open.get(&id).and_then(|socket| socket.window)
    }

    /// The open ones with what they keep, in the order of their acceptance.
    pub(super) fn kept(&self) -> Vec<(SocketId, Attachment)> {
        let open = self.open.iter().filter(|(_, socket)| !socket.closing);
        open.map(|(id, socket)| (*id, socket.attachment.clone())).collect()
    }

    pub(super) fn attach(&mut self, id: SocketId, attachment: Attachment) {
        if let Some(socket) = self.open.get_mut(&id) {
            socket.attachment = attachment;
        }
    }

    pub(crate) fn accept(&mut self, accept: Accept) -> SocketId {
        self.last = self.last.saturating_add(1);
        let id = SocketId(self.last);
        let Accept { attachment, tags, window } = accept;
        for tag in &tags {
            self.by_tag.entry(tag.clone()).or_default().insert(id);
        }
        self.open.insert(id, Socket { attachment, tags, window, closing: false });
        id
    }

    /// The open sockets that a target names, in the order of their acceptance.
    pub(super) fn resolve(&self, target: &Target) -> Vec<SocketId> {
        let tagged = |tag| self.by_tag.get(tag).into_iter().flatten().copied();
        let named: Vec<SocketId> = match target {
            Target::Socket(id) => vec![*id],
            Target::Tag(tag) => tagged(tag).collect(),
            Target::Others { tag, than } => tagged(tag).filter(|id| id != than).collect(),
        };
        let is_open = |id: &SocketId| self.open.get(id).is_some_and(|socket| !socket.closing);
        named.into_iter().filter(is_open).collect()
    }

    /// The object closed it: nothing is sent to it any more, and it is found under no tag.
    pub(super) fn close(&mut self, id: SocketId) {
        if let Some(socket) = self.open.get_mut(&id) {
            socket.closing = true;
        }
    }

    pub(super) fn remove(&mut self, id: SocketId) {
        let Some(Socket { tags, .. }) = self.open.remove(&id) else { return };
        for tag in tags {
            if let Some(tagged) = self.by_tag.get_mut(&tag) {
                tagged.remove(&id);
                if tagged.is_empty() {
                    self.by_tag.remove(&tag);
                }
            }
        }
    }

    /// Drops all and says which there were. Numbers are not given again.
    pub(super) fn drop_all(&mut self) -> Vec<SocketId> {
        self.by_tag.clear();
        std::mem::take(&mut self.open).into_keys().collect()
    }
}
