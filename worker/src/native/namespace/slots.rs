//! The places of all objects of a namespace: which databases are open, and whose memory is kept.

use std::collections::BTreeMap;
use std::rc::Rc;

use mailbus_spec::Workspace;

use crate::native::instance::Instance;
use crate::native::sockets::Sockets;
use crate::object::{Object, Waking};
use crate::storage::StorageError;

use super::slot::{List, Slot};
use super::trouble::Refusal;
use super::untidy::Untidy;
use super::{Inner, NamespaceSettings};

/// True if the next event of an object can be handled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Roused {
    /// The event can be handled.
    Ready,
    /// The memory is read in part, and there is more to read before.
    More,
    /// The object needs a database that cannot be opened yet: as many as may are in use.
    NoRoom,
}

/// Most databases without a file that are open: what nobody has written yet costs a little memory,
/// and closing it loses nothing.
const UNMADE_MAX: usize = 64;
/// The largest object whose memory is kept while its database is closed: 256 KiB.
const KEPT_MAX_BYTES: u64 = 256 << 10;

/// The places of all objects, and the lists by which databases are closed and memory is dropped: in
/// each the one that has been idle longest goes first.
///
/// Invariant: a slot whose list is not [`List::None`] is in that list under its turn, and nowhere else.
pub(super) struct Slots<O> {
    by_workspace: BTreeMap<Workspace, Slot<O>>,
    /// Counts events, to know what has been idle longest.
    turn: u64,
    files: BTreeMap<u64, Workspace>,
    unmade: BTreeMap<u64, Workspace>,
    memory: BTreeMap<u64, Workspace>,
    memory_bytes: u64,
    /// The sockets of places that were forgotten have numbers up to this one.
    last_socket: u64,
    /// The databases that have to be tidied.
    pub(super) untidy: Untidy,
}

impl<O> Default for Slots<O> {
    fn default() -> Self {
        Self {
            by_workspace: BTreeMap::new(),
            turn: 0,
            files: BTreeMap::new(),
            unmade: BTreeMap::new(),
            memory: BTreeMap::new(),
            memory_bytes: 0,
            last_socket: 0,
            untidy: Untidy::default(),
        }
    }
}

impl<O: Object> Slots<O> {
    /// The place of a workspace, if it has one.
    pub(super) fn get(&mut self, workspace: &Workspace) -> Option<&mut Slot<O>> {
        self.by_workspace.get_mut(workspace)
    }

    /// The place of a workspace.
    pub(super) fn slot(&mut self, workspace: &Workspace) -> &mut Slot<O> {
        let last_socket = self.last_socket;
        self.by_workspace.entry(workspace.clone()).or_insert_with(|| {
            let mut slot = Slot::default();
            // A number that was given before may still be on its way to be closed.
            slot.parked.sockets = Sockets::after(last_socket);
            slot
        })
    }

    /// The object of a workspace with its database open.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be opened.
    pub(super) fn open(
        &mut self,
        inner: &Inner<O>,
        workspace: &Workspace,
    ) -> Result<&mut Instance<O>, StorageError> {
        if self.slot(workspace).instance.is_none() {
            self.has_room(inner.settings.open_databases);
            let opened = inner.databases.open(workspace)?;
            let slot = self.slot(workspace);
            let is_kept = slot.parked.footprint().is_some();
            let is_untidy = opened.database.is_made() && (!is_kept || opened.database.has_log());
            slot.instance =
                Some(Instance::reopen(opened.database, &mut slot.parked, Rc::clone(&inner.wake))?);
            slot.flush = opened.flush;
            if is_untidy {
                self.untidy.add(workspace, inner.clock.uptime());
            }
        }
        let instance = self.slot(workspace).instance.as_mut();
        instance.ok_or_else(|| StorageError("a database is gone".to_owned()))
    }

    /// Reads one piece of what an object has to know before its next event, unless its storage failed
    /// a moment ago or too many databases are in use.
    ///
    /// # Errors
    /// [`Refusal`] if the next event cannot be begun. The object has no memory then.
    pub(super) fn rouse(
        &mut self,
        inner: &Inner<O>,
        workspace: &Workspace,
    ) -> Result<Roused, Refusal> {
        let now = inner.clock.uptime();
        let trouble = self.slot(workspace).trouble;
        if let Some(left) = trouble.and_then(|trouble| trouble.left(now)) {
            return Err(Refusal::failing(left));
        }
        let most = inner.settings.open_databases.max(1);
        if self.slot(workspace).lists() != List::Files && !self.has_room(most) {
            return Ok(Roused::NoRoom);
        }
        let is_tried = trouble.is_none_or(|trouble| trouble.probed);
        let roused = self.open(inner, workspace).and_then(|instance| {
            if !is_tried {
                instance.database().probe()?;
            }
            instance.wake()
        });
        match roused {
            Ok(waking) => {
                if let Some(trouble) = &mut self.slot(workspace).trouble {
                    trouble.probed = true;
                }
                Ok(match waking {
                    Waking::Ready => Roused::Ready,
                    Waking::More => Roused::More,
                })
            }
            Err(error) => {
                tracing::error!(%workspace, %error, "an object cannot be asked");
                Err(self.fail(inner, workspace))
            }
        }
    }

    /// The storage of an object failed: its memory goes, and it is left alone for a while. Returns what
    /// those are told who ask it meanwhile.
    pub(super) fn fail(&mut self, inner: &Inner<O>, workspace: &Workspace) -> Refusal {
        let now = inner.clock.uptime();
        let slot = self.slot(workspace);
        slot.fail(now);
        let left = slot.trouble.and_then(|trouble| trouble.left(now));
        if slot.is_doubtful() {
            self.cut_off(inner, workspace);
        }
        Refusal::failing(left.unwrap_or_default())
    }

    /// Gives up what was not flushed, since what of it is durable is unknown: nothing that is held
    /// leaves, the connections of the object drop, and its database is opened anew after a pause.
    pub(super) fn cut_off(&mut self, inner: &Inner<O>, workspace: &Workspace) {
        tracing::error!(
            %workspace,
            "a flush failed: what nobody was told yet may be lost; the connections of the workspace drop, \
             and it is read anew from its disk"
        );
        self.slot(workspace).cut_off(inner.clock.uptime());
        inner.databases.distrust(workspace);
        // Its alarm may be another than the one that is known.
        inner.alarms.rang(workspace, inner.clock.moment(), false);
    }

    /// Lists a place anew after an event, and closes and forgets what is beyond the bounds.
    pub(super) fn settle(&mut self, settings: &NamespaceSettings, workspace: &Workspace) {
        self.list(workspace);
        while self.unmade.len() > UNMADE_MAX && self.close_first(|slots| &slots.unmade) {}
        while self.memory_bytes > settings.kept_bytes {
            let Some(workspace) = self.memory.values().next().cloned() else { return };
            if let Some(slot) = self.get(&workspace) {
                slot.parked.forget();
            }
            self.list(&workspace);
        }
    }

    /// Makes room for one more open database if nobody minds. Says whether there is.
    pub(super) fn has_room(&mut self, most: usize) -> bool {
        while self.files.len() >= most && self.close_first(|slots| &slots.files) {}
        self.files.len() < most
    }

    /// Closes the database that has been idle longest of a list. Says whether there was one.
    fn close_first(&mut self, list: impl Fn(&Self) -> &BTreeMap<u64, Workspace>) -> bool {
        let slots = &self.by_workspace;
        let is_idle = |workspace: &&Workspace| slots.get(*workspace).is_some_and(Slot::is_idle);
        let Some(workspace) = list(self).values().find(is_idle).cloned() else { return false };
        if let Some(slot) = self.get(&workspace) {
            slot.close();
            if slot.parked.footprint().is_some_and(|bytes| bytes > KEPT_MAX_BYTES) {
                slot.parked.forget();
            }
        }
        self.list(&workspace);
        true
    }

    /// Lists a place as the latest where it belongs, or forgets it.
    fn list(&mut self, workspace: &Workspace) {
        let Some(slot) = self.by_workspace.get_mut(workspace) else { return };
        let (old, new) = (slot.list, slot.lists());
        let (left, turn) = (slot.used, self.turn.saturating_add(1));
        (slot.list, slot.used, self.turn) = (new, turn, turn);
        let is_nothing = slot.is_nothing();
        if is_nothing {
            self.last_socket = self.last_socket.max(slot.parked.sockets.last());
            self.by_workspace.remove(workspace);
        }
        match old {
            List::None => {}
            List::Files => drop(self.files.remove(&left)),
            List::Unmade => drop(self.unmade.remove(&left)),
            List::Memory(bytes) => {
                self.memory.remove(&left);
                self.memory_bytes = self.memory_bytes.saturating_sub(bytes);
            }
        }
        match new {
            List::None => {}
            List::Files => drop(self.files.insert(turn, workspace.clone())),
            List::Unmade => drop(self.unmade.insert(turn, workspace.clone())),
            List::Memory(bytes) => {
                self.memory.insert(turn, workspace.clone());
                self.memory_bytes = self.memory_bytes.saturating_add(bytes);
            }
        }
    }
}
