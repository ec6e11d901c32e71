//! The byte stream under hyper: what hyper keeps to itself of a request, and what it answers by itself.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};

use mailbus_spec::wire::{Code, Problem};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::framing::Framing;

/// Content of a connection's heads, shared by its stream and its exchanges.
#[derive(Clone, Debug, Default)]
pub(super) struct Heads(Arc<Mutex<Framing>>);

impl Heads {
    /// True if the next request says its length twice; asked once for each, in their order.
    pub(super) fn next_is_ambiguous(&self) -> bool {
        self.with(Framing::next_is_ambiguous)
    }

    /// The connection becomes something else than HTTP.
    pub(super) fn end(&self) {
        self.with(Framing::end);
    }

    fn with<T>(&self, look: impl FnOnce(&mut Framing) -> T) -> T {
        // Nothing that is done under the lock can panic.
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A stream whose heads are noted, and on which what hyper refuses by itself is refused with a problem.
pub(super) struct Guarded<Io> {
    io: Io,
    heads: Heads,
    /// Bytes still to be written in place of hyper's own answer, after which it ends the connection.
    refusal: Vec<u8>,
}

impl<Io> Guarded<Io> {
    pub(super) fn new(io: Io, heads: Heads) -> Self {
        Self { io, heads, refusal: Vec::new() }
    }
}

impl<Io: AsyncWrite + Unpin> Guarded<Io> {
    fn poll_refusal(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.refusal.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(context, &self.refusal))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.refusal.drain(..written.min(self.refusal.len()));
        }
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Guarded<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        self.heads.with(|framing| framing.read(read));
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Guarded<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_refusal(context))?;
        if is_automatic(bytes) {
            self.refusal = refusal();
            return Poll::Ready(Ok(bytes.len()));
        }
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut filled = slices.iter().filter(|slice| !slice.is_empty());
        if let (Some(only), None) = (filled.next(), filled.next()) {
            return self.poll_write(context, only);
        }
        ready!(self.poll_refusal(context))?;
        Pin::new(&mut self.io).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_refusal(context))?;
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// True if this is an answer that hyper gives by itself, to a head that it cannot read: the only ones of
/// 400 and more that do not say of which type they are.
fn is_automatic(bytes: &[u8]) -> bool {
    let has = |part: &[u8]| bytes.windows(part.len()).any(|window| window == part);
    bytes.starts_with(b"HTTP/1.1 4") && bytes.ends_with(b"\r\n\r\n") && !has(b"content-type: ")
}

fn refusal() -> Vec<u8> {
    let problem = Problem::new(
        Code::Malformed,
        "This is no request of HTTP/1.1, or its head is too long: it may have 100 headers.",
    );
    let body = problem.to_json();
    let length = body.len();
    format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
