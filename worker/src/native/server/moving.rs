//! A stream whose movement is seen: bytes that come in are a sign of life, bytes that go out are
//! progress of whoever reads them.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::native::clock::HostClock;
use crate::native::namespace::Outbox;

/// Time at which the other end of a connection has given a sign of life last.
#[derive(Clone)]
pub(super) struct Life(Rc<Cell<Duration>>);

impl Life {
    /// It is heard of now.
    pub(super) fn new(clock: &dyn HostClock) -> Self {
        Self(Rc::new(Cell::new(clock.uptime())))
    }

    /// Time for which nothing has been heard of it.
    pub(super) fn silence(&self, clock: &dyn HostClock) -> Duration {
        clock.uptime().saturating_sub(self.0.get())
    }
}

/// A stream that tells what moves over it.
pub(super) struct Moving<Io> {
    io: Io,
    clock: Rc<dyn HostClock>,
    life: Life,
    outbox: Arc<Outbox>,
    /// True if the last write had to wait.
    blocked: bool,
}

impl<Io> Moving<Io> {
    pub(super) fn new(
        io: Io,
        clock: &Rc<dyn HostClock>,
        life: &Life,
        outbox: &Arc<Outbox>,
    ) -> Self {
        let (clock, life, outbox) = (Rc::clone(clock), life.clone(), Arc::clone(outbox));
        Self { io, clock, life, outbox, blocked: false }
    }

    /// The system has taken so many bytes. If it had none to spare before, the other end has read some;
    /// otherwise nobody but this machine has.
    fn wrote(&mut self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        let waited = std::mem::replace(&mut self.blocked, written.is_pending());
        if let Poll::Ready(Ok(bytes @ 1..)) = written {
            let now = self.clock.uptime();
            self.outbox.took(bytes, now);
            if waited {
                self.life.0.set(now);
            }
        }
        written
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Moving<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(context, buffer);
        if buffer.filled().len() > before {
            self.life.0.set(self.clock.uptime());
        }
        read
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Moving<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.wrote(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
