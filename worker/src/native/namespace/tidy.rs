//! Giving back the room that an object's database no longer needs, between its events.
//!
//! What is deleted leaves free pages, and a log is as long as it ever was. So a while after something
//! was written, free pages are given back, a few at a time, and the log of an object that is idle is
//! emptied. A database of before free pages could be given back is written anew once, while its object
//! is idle, if that is soon done.

use std::rc::Rc;
use std::time::Duration;

use mailbus_spec::{HostTime, Workspace};

use crate::native::sqlite::{Database, Space};
use crate::object::{Object, Waking};
use crate::storage::StorageError;

use super::Inner;
use super::slots::Slots;
use super::untidy::REST;

/// Interval at which it is looked for what is due.
const ROUND: Duration = Duration::from_secs(2);
/// Interval at which it is looked whether nobody has used a workspace for a day.
const HOUR: Duration = Duration::from_secs(3_600);
const DAY_MS: u64 = 86_400_000;
/// Number of pages that are given back at a time: a few milliseconds.
const PIECE: u32 = 256;
/// Free pages that are left alone: what is written next takes them.
const SLACK: u32 = 64;
/// The largest database of which it is asked whether anybody would miss it.
const BLANK_MAX: u32 = 64;
/// The largest database that is written anew in one piece: 16 MiB of the usual pages.
const CONVERTED_MAX: u32 = 4_096;

/// Work that is left to do on a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// More of the same, at once.
    More,
    /// Work that takes all of it, when its object is idle.
    Later,
    /// To look whether somebody has used it again.
    InAnHour,
    Nothing,
}

impl<O: Object + 'static> Inner<O> {
    /// Tidies what is due, for ever.
    pub(super) async fn keep_tidy(self: Rc<Self>) {
        loop {
            self.clock.sleep(ROUND).await;
            let due = self.slots.borrow().untidy.due(self.clock.uptime());
            for workspace in due {
                while self.tidy(&workspace) == Left::More {
                    tokio::task::yield_now().await;
                }
                tokio::task::yield_now().await;
            }
        }
    }

    fn tidy(&self, workspace: &Workspace) -> Left {
        let slots = &mut *self.slots.borrow_mut();
        let now = self.clock.uptime();
        let tidied = slots.tidy(self, workspace, now);
        let left = tidied.unwrap_or_else(|error| {
            tracing::warn!(%workspace, %error, "the room of a database cannot be given back");
            if slots.slot(workspace).is_doubtful() {
                slots.cut_off(self, workspace);
            }
            Left::Later
        });
        match left {
            Left::More => {}
            Left::Later => slots.untidy.put_off(workspace, now.saturating_add(REST)),
            Left::InAnHour => slots.untidy.put_off(workspace, now.saturating_add(HOUR)),
            Left::Nothing => slots.untidy.remove(workspace),
        }
        slots.settle(&self.settings, workspace);
        left
    }
}

impl<O: Object> Slots<O> {
    /// Does one piece of what there is to do on a database.
    fn tidy(
        &mut self,
        inner: &Inner<O>,
        workspace: &Workspace,
        now: Duration,
    ) -> Result<Left, StorageError> {
        let last = self.untidy.last_write(workspace);
        let slot = self.slot(workspace);
        if slot.trouble.is_some() {
            return Ok(Left::Later);
        }
        let is_idle = slot.is_idle() && now.saturating_sub(last) >= REST;
        if slot.instance.is_none() && !self.has_room(inner.settings.open_databases) {
            return Ok(Left::Later);
        }
        let instance = self.open(inner, workspace)?;
        let left = tidy(instance.database(), is_idle)?;
        if left != Left::Nothing || instance.database().space()?.pages > BLANK_MAX {
            return Ok(left);
        }
        if instance.wake()? == Waking::More {
            return Ok(Left::More);
        }
        let now = inner.clock.now();
        if !instance.is_blank(now) {
            let soon = instance.is_blank(HostTime(now.0.saturating_add(DAY_MS)));
            return Ok(if soon { Left::InAnHour } else { Left::Nothing });
        }
        self.slot(workspace).close();
        self.slot(workspace).parked.forget();
        inner.databases.delete(workspace)?;
        tracing::info!(%workspace, "a workspace that nobody has used for a day is gone");
        Ok(Left::Nothing)
    }
}

fn tidy(database: &mut Database, is_idle: bool) -> Result<Left, StorageError> {
    let space = database.space()?;
    let surplus = surplus(space);
    if space.gives_back && surplus > 0 {
        database.give_back(surplus.min(PIECE))?;
        return Ok(Left::More);
    }
    if !is_idle {
        return Ok(Left::Later);
    }
    if !space.gives_back && surplus > 0 && space.pages.saturating_sub(space.free) <= CONVERTED_MAX {
        database.convert()?;
    }
    if database.has_log() {
        database.empty_log()?;
    }
    Ok(Left::Nothing)
}

/// The free pages that are more than a third of what is in use, and more than a few.
fn surplus(space: Space) -> u32 {
    let used = space.pages.saturating_sub(space.free);
    space.free.saturating_sub(SLACK.max(used.checked_div(3).unwrap_or(0)))
}
