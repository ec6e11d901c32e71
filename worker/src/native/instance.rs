//! One object of a namespace: its database, its memory, its alarm and its sockets.
//!
//! Synchronous and without a clock: who calls it decides when things happen, and what goes wrong.

use std::rc::Rc;
use std::sync::Arc;

use mailbus_spec::HostTime;

use crate::object::{Effects, Event, Object, Response, SocketId, Wake, Waking, Woken, charged};
use crate::storage::StorageError;

use super::arrival::Arrival;
use super::sockets::Sockets;
use super::sqlite::{Bookmark, Database};

/// Result of an event. Everything in it still has to be let go: frames and closes in their order,
/// then the answer. Frames to an accepted socket wait for it to be taken up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Text frames to send, in order. A frame to a tag is one for each socket, and one text.
    pub frames: Vec<(SocketId, Arc<str>)>,
    /// Sockets to close, with code and reason.
    pub closes: Vec<(SocketId, u16, String)>,
    /// The answer to a request.
    pub response: Option<Response>,
    /// The socket that a request became, instead of an answer.
    pub accepted: Option<SocketId>,
    /// The alarm that the event set: part of its transaction, and a row that the platform charges.
    pub alarm: Option<HostTime>,
    /// Rows written, as counted at the storage seam; alarms are not among them.
    pub rows: u64,
}

impl Delivered {
    /// True if the event made anything durable, and so has to be flushed before its effects leave.
    #[must_use]
    pub fn wrote(&self) -> bool {
        self.rows > 0 || self.alarm.is_some()
    }

    /// Rows written and alarms set, which the platform charges for.
    #[must_use]
    pub fn charged(&self) -> u64 {
        charged(self.rows, self.alarm)
    }
}

/// One object, or the place of one: its memory may be gone while its storage and sockets are there.
///
/// Invariant: after a failed event, storage, alarm, attachments and sockets are as before it, but for
/// the socket of an [`Arrival::Closed`].
pub struct Instance<O> {
    wake: Wake<O>,
    database: Database,
    object: Option<O>,
    alarm: Option<HostTime>,
    sockets: Sockets,
}

/// An object is small while it holds no more bytes than this, 64 KiB, after no more pieces than these: it
/// is awake within some milliseconds.
const SMALL_BYTES: u64 = 64 << 10;
const SMALL_PIECES: usize = 16;

/// Rest of an object while its database is closed.
pub struct Parked<O> {
    /// Its memory and its alarm, if they were worth keeping.
    memory: Option<(O, Option<HostTime>)>,
    /// Its sockets.
    pub sockets: Sockets,
}

impl<O> Default for Parked<O> {
    fn default() -> Self {
        Self { memory: None, sockets: Sockets::default() }
    }
}

impl<O: Object> Parked<O> {
    /// About how many bytes of memory it keeps; `None` if the object has to wake.
    #[must_use]
    pub fn footprint(&self) -> Option<u64> {
        self.memory.as_ref().map(|(object, _)| object.footprint())
    }

    /// Drops the memory.
    pub fn forget(&mut self) {
        self.memory = None;
    }
}

const CREATE_ALARM: &str = "CREATE TABLE IF NOT EXISTS _shell_alarm (one INTEGER PRIMARY KEY CHECK (one = 1), at INTEGER NOT NULL, set_at INTEGER NOT NULL DEFAULT 0) STRICT";
// A table that the first release made does not say when its alarm was set.
const FIND_SET_AT: &str = "SELECT 1 FROM pragma_table_info('_shell_alarm') WHERE name = 'set_at'";
const ADD_SET_AT: &str = "ALTER TABLE _shell_alarm ADD COLUMN set_at INTEGER NOT NULL DEFAULT 0";
const FIND_ALARM: &str = "SELECT 1 FROM sqlite_schema WHERE name = '_shell_alarm'";
const READ_ALARM: &str = "SELECT at FROM _shell_alarm";
const READ_SET_AT: &str = "SELECT set_at FROM _shell_alarm";
const SET_ALARM: &str = "INSERT INTO _shell_alarm (one, at, set_at) VALUES (1, ?1, ?2) ON CONFLICT (one) DO UPDATE SET at = excluded.at, set_at = excluded.set_at";
const FORGET_SET_AT: &str = "UPDATE _shell_alarm SET set_at = 0";
const CLEAR_ALARM: &str = "DELETE FROM _shell_alarm";

impl<O: Object> Instance<O> {
    /// The object of this database, asleep, with the sockets it had; `wake` makes it.
    ///
    /// # Errors
    /// [`StorageError`] if the pending alarm cannot be read.
    pub fn open(
        database: Database,
        sockets: Sockets,
        wake: impl Fn(Woken) -> O + 'static,
    ) -> Result<Self, StorageError> {
        Self::reopen(database, &mut Parked { memory: None, sockets }, Rc::new(wake))
    }

    /// The object of this database, which was closed, with what was left of it.
    ///
    /// # Errors
    /// [`StorageError`] if the pending alarm cannot be read; `parked` is as it was then.
    pub fn reopen(
        mut database: Database,
        parked: &mut Parked<O>,
        wake: Wake<O>,
    ) -> Result<Self, StorageError> {
        let (object, alarm) = match parked.memory.take() {
            Some((object, alarm)) => (Some(object), alarm),
            None => (None, read_alarm(&mut database)?),
        };
        let sockets = std::mem::take(&mut parked.sockets);
        Ok(Self { wake, database, object, alarm, sockets })
    }

    /// Reads one piece of what the object has to know before its next event, or all of a small object.
    /// Events may be delivered before it is [`Waking::Ready`]; the first one reads the rest then.
    ///
    /// # Errors
    /// [`StorageError`] if the storage failed: the object's memory has been dropped.
    pub fn wake(&mut self) -> Result<Waking, StorageError> {
        self.look()?;
        let pending = self.alarm;
        let Self { wake, database, object, sockets, .. } = self;
        let object = wake_up(object, wake, sockets, pending);
        for _ in 0..SMALL_PIECES {
            match object.prepare(database) {
                Ok(Waking::More) if object.footprint() <= SMALL_BYTES => {}
                Ok(waking) => return Ok(waking),
                Err(error) => {
                    self.object = None;
                    return Err(error);
                }
            }
        }
        Ok(Waking::More)
    }

    /// Goes on in the file if somebody else has made it meanwhile.
    fn look(&mut self) -> Result<(), StorageError> {
        if self.database.has_appeared()? {
            self.object = None;
            self.alarm = read_alarm(&mut self.database)?;
        }
        Ok(())
    }

    /// Handles one event at the host time read for it: opens a transaction, wakes the object if it is
    /// not in memory, and ends the transaction.
    ///
    /// An event of a socket that is not there (any more) comes to nothing.
    ///
    /// # Errors
    /// [`StorageError`] if the storage failed: the event has been undone and the object's memory
    /// dropped.
    pub fn deliver(
        &mut self,
        now: HostTime,
        arrival: &Arrival<'_>,
    ) -> Result<Delivered, StorageError> {
        let delivered = self.handle(now, arrival);
        if delivered.is_err() {
            self.object = None;
        }
        if let Arrival::Closed { socket } = arrival {
            self.sockets.remove(*socket);
        }
        delivered
    }

    fn handle(&mut self, now: HostTime, arrival: &Arrival<'_>) -> Result<Delivered, StorageError> {
        self.look()?;
        let Self { wake, database, object, sockets, .. } = self;
        let event = match arrival {
            Arrival::Request(request) => Event::Request(*request),
            Arrival::Alarm => Event::Alarm,
            Arrival::Frame { socket, text } => match sockets.attachment(*socket) {
                Some(attachment) => Event::Frame { socket: *socket, attachment, text },
                None => return Ok(Delivered::default()),
            },
            Arrival::Closed { socket } => match sockets.attachment(*socket) {
                Some(attachment) => Event::Closed { socket: *socket, attachment },
                None => return Ok(Delivered::default()),
            },
        };
        // While its alarm rings, none is pending.
        let rings = matches!(arrival, Arrival::Alarm);
        let pending = if rings { None } else { self.alarm };
        let object = wake_up(object, wake, sockets, pending);
        let clear_alarm = rings && self.alarm.is_some();
        let (effects, rows) = transact(database, object, now, event, clear_alarm)?;
        Ok(self.apply(effects, rows, pending))
    }

    fn apply(&mut self, effects: Effects, rows: u64, pending: Option<HostTime>) -> Delivered {
        let mut delivered = Delivered {
            response: effects.response,
            alarm: effects.alarm,
            rows,
            ..Delivered::default()
        };
        self.alarm = effects.alarm.or(pending);
        delivered.accepted = effects.accept.map(|accept| self.sockets.accept(accept));
        for (target, attachment) in effects.attachments {
            for socket in self.sockets.resolve(&target) {
                self.sockets.attach(socket, attachment.clone());
            }
        }
        for (target, text) in effects.frames {
            let sockets = self.sockets.resolve(&target);
            delivered.frames.extend(sockets.into_iter().map(|socket| (socket, Arc::clone(&text))));
        }
        for (target, code, reason) in effects.closes {
            for socket in self.sockets.resolve(&target) {
                self.sockets.close(socket);
                delivered.closes.push((socket, code, reason.clone()));
            }
        }
        delivered
    }

    /// True if its storage can be deleted: it is awake, and as good as one that never was.
    pub(super) fn is_blank(&self, now: HostTime) -> bool {
        let is_blank = self.object.as_ref().is_some_and(|object| object.is_blank(now));
        is_blank && self.alarm.is_none() && self.sockets.is_empty() && self.database.is_made()
    }

    /// A socket is gone, and the object cannot be told: it is dropped, and wakes without it.
    pub(super) fn lose_socket(&mut self, socket: SocketId) {
        self.object = None;
        self.sockets.remove(socket);
    }

    /// True if its database is where it will stay: an empty one may be nowhere yet.
    pub(super) fn is_made(&self) -> bool {
        self.database.is_made()
    }

    /// Drops the memory, as the platform does with an idle object. Storage, alarm and sockets stay.
    pub fn evict(&mut self) {
        self.object = None;
    }

    /// Drops memory and sockets, as when the process or the machine ends. Says which sockets are gone.
    pub fn crash(&mut self) -> Vec<SocketId> {
        self.object = None;
        self.sockets.drop_all()
    }

    /// True if the object is in memory.
    #[must_use]
    pub fn is_awake(&self) -> bool {
        self.object.is_some()
    }

    /// The state of storage and alarm, to come back to.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be read.
    pub fn bookmark(&mut self) -> Result<Bookmark, StorageError> {
        self.database.bookmark()
    }

    /// Puts storage and alarm back into the state of the bookmark and drops the memory. The sockets
    /// stay; a platform's restore drops them too ([`Instance::crash`]).
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be written; the state is then the old or the new one.
    pub fn restore(&mut self, bookmark: &Bookmark) -> Result<(), StorageError> {
        self.object = None;
        self.database.restore(bookmark)?;
        self.alarm = read_alarm(&mut self.database)?;
        Ok(())
    }

    /// Time at which the alarm is set to ring, by the host's clock. Ringing it is an [`Arrival::Alarm`].
    #[must_use]
    pub fn due_alarm(&self) -> Option<HostTime> {
        self.alarm
    }

    /// Time that the event was told that set the pending alarm: a host whose clock says less has
    /// had it set back since. `None` if none is pending, or it was set by a program that did not
    /// note it.
    ///
    /// # Errors
    /// [`StorageError`] if it cannot be read.
    pub fn alarm_was_set(&mut self) -> Result<Option<HostTime>, StorageError> {
        let notes =
            self.database.shell(|connection| connection.prepare_cached(FIND_SET_AT)?.exists([]))?;
        let set_at = if notes { read_time(&mut self.database, READ_SET_AT)? } else { None };
        Ok(set_at.filter(|set_at| set_at.0 > 0))
    }

    /// The object moves to a host that does not learn when its alarm was set. The object is not told.
    ///
    /// # Errors
    /// [`StorageError`] if the storage failed.
    pub fn forget_when_alarm_was_set(&mut self) -> Result<(), StorageError> {
        if self.alarm_was_set()?.is_some() {
            self.database.shell(|connection| connection.execute_batch(FORGET_SET_AT))?;
        }
        Ok(())
    }

    /// The platform forgets the alarm without ringing it. The object is not told.
    ///
    /// # Errors
    /// [`StorageError`] if the storage failed.
    pub fn lose_alarm(&mut self) -> Result<(), StorageError> {
        if self.alarm.is_some() {
            self.database.shell(|connection| connection.execute_batch(CLEAR_ALARM))?;
            self.alarm = None;
        }
        Ok(())
    }

    /// The sockets.
    #[must_use]
    pub fn sockets(&self) -> &Sockets {
        &self.sockets
    }

    /// The database: to plant faults, and to look at what an object keeps.
    pub fn database(&mut self) -> &mut Database {
        &mut self.database
    }

    /// Closes the database, and leaves its log as it is.
    #[must_use]
    pub fn close(self) -> Parked<O> {
        let Self { database, object, alarm, sockets, .. } = self;
        // What nobody has written yet is as quickly read again.
        let keep = database.is_made();
        database.cut_off();
        Parked { memory: object.filter(|_| keep).map(|object| (object, alarm)), sockets }
    }
}

/// The object, woken if it is not in memory.
fn wake_up<'a, O: Object>(
    object: &'a mut Option<O>,
    wake: &Wake<O>,
    sockets: &Sockets,
    pending_alarm: Option<HostTime>,
) -> &'a mut O {
    object.get_or_insert_with(|| {
        let sockets = if O::NEEDS_SOCKETS { sockets.kept() } else { Vec::new() };
        wake(Woken { pending_alarm, sockets })
    })
}

fn read_alarm(database: &mut Database) -> Result<Option<HostTime>, StorageError> {
    let exists = database.shell(|connection| connection.prepare_cached(FIND_ALARM)?.exists([]))?;
    if exists { read_time(database, READ_ALARM) } else { Ok(None) }
}

/// The time in the only row that a query finds.
fn read_time(database: &mut Database, sql: &str) -> Result<Option<HostTime>, StorageError> {
    database.shell(|connection| {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let at: Option<i64> = rows.next()?.map(|row| row.get(0)).transpose()?;
        Ok(at.map(|at| HostTime(u64::try_from(at).unwrap_or(0))))
    })
}

/// The event's transaction: all of it, or nothing.
fn transact<O: Object>(
    database: &mut Database,
    object: &mut O,
    now: HostTime,
    event: Event<'_>,
    clear_alarm: bool,
) -> Result<(Effects, u64), StorageError> {
    database.transact(|database| {
        let effects = object.handle(database, now, event)?;
        if let Some(at) = effects.alarm {
            let times = [at, now].map(|time| i64::try_from(time.0).unwrap_or(i64::MAX));
            database.make()?;
            database.shell(|connection| {
                connection.prepare_cached(CREATE_ALARM)?.execute([])?;
                if !connection.prepare_cached(FIND_SET_AT)?.exists([])? {
                    connection.prepare_cached(ADD_SET_AT)?.execute([])?;
                }
                connection.prepare_cached(SET_ALARM)?.execute(times)
            })?;
        } else if clear_alarm {
            database.shell(|connection| connection.prepare_cached(CLEAR_ALARM)?.execute([]))?;
        }
        let rows = database.take_rows();
        Ok((effects, rows))
    })
}
