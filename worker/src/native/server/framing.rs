//! Framing of requests in what a client sends, as far as it takes to see what hyper takes away.

use std::collections::VecDeque;

/// Bytes of a line that are kept: enough for every line that means something here.
const LINE_MAX: usize = 256;

/// Follows the bytes of a connection, and notes of each request whether it says its length twice, by
/// `Content-Length` and by `Transfer-Encoding`.
///
/// hyper obeys the latter and drops the former. A proxy in front that obeys the former sees another end
/// of the request, and so another beginning of the next: somebody else's.
///
/// Invariant: what it cannot follow, hyper does not accept.
#[derive(Debug, Default)]
pub(super) struct Framing {
    at: At,
    line: Vec<u8>,
    head: Head,
    ambiguous: VecDeque<bool>,
}

/// Place of the next byte.
#[derive(Clone, Copy, Debug, Default)]
enum At {
    /// A line of a head.
    #[default]
    Head,
    /// A body with so many bytes left.
    Body(u64),
    /// The line with the size of a chunk.
    Size,
    /// A chunk with so many bytes left, the end of its line included.
    Chunk(u64),
    /// A line after the last chunk.
    Trailer,
    /// Nothing that matters.
    Over,
}

/// Part of a head that has been read.
#[derive(Debug, Default)]
struct Head {
    begun: bool,
    length: Option<u64>,
    chunked: bool,
}

impl Framing {
    /// Goes on by what has been read.
    pub(super) fn read(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            rest = match self.at {
                At::Over => return,
                At::Body(left) => self.skip(rest, left, At::Body, At::Head),
                At::Chunk(left) => self.skip(rest, left, At::Chunk, At::Size),
                At::Head | At::Size | At::Trailer => self.read_line(rest),
            };
        }
    }

    /// True if the next request is ambiguous; asked once for each, in their order.
    pub(super) fn next_is_ambiguous(&mut self) -> bool {
        self.ambiguous.pop_front().unwrap_or(false)
    }

    /// Ends HTTP: what comes is something else.
    pub(super) fn end(&mut self) {
        *self = Self { at: At::Over, ..Self::default() };
    }

    fn skip<'b>(&mut self, bytes: &'b [u8], left: u64, more: fn(u64) -> At, after: At) -> &'b [u8] {
        let here = usize::try_from(left).unwrap_or(usize::MAX).min(bytes.len());
        let left = left.saturating_sub(here as u64);
        self.at = if left == 0 { after } else { more(left) };
        bytes.get(here..).unwrap_or_default()
    }

    fn read_line<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let mut parts = bytes.splitn(2, |byte| *byte == b'\n');
        let part = parts.next().unwrap_or_default();
        let room = LINE_MAX.saturating_sub(self.line.len());
        self.line.extend(part.iter().take(room));
        let Some(rest) = parts.next() else { return &[] };
        let line = std::mem::take(&mut self.line);
        self.at = self.after(line.trim_ascii());
        rest
    }

    /// Place after a line.
    fn after(&mut self, line: &[u8]) -> At {
        match self.at {
            At::Head if !line.is_empty() => {
                self.head.take(line);
                At::Head
            }
            At::Head if self.head.begun => {
                let Head { length, chunked, .. } = std::mem::take(&mut self.head);
                self.ambiguous.push_back(chunked && length.is_some());
                match (chunked, length) {
                    (true, _) => At::Size,
                    (false, Some(length)) if length > 0 => At::Body(length),
                    (false, _) => At::Head,
                }
            }
            At::Size => {
                let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
                let size = str::from_utf8(size.trim_ascii()).ok();
                match size.and_then(|size| u64::from_str_radix(size, 16).ok()) {
                    Some(0) => At::Trailer,
                    Some(size) => At::Chunk(size.saturating_add(2)),
                    None => At::Over,
                }
            }
            At::Trailer if line.is_empty() => At::Head,
            other => other,
        }
    }
}

impl Head {
    /// Takes the line of the request, or a header.
    fn take(&mut self, line: &[u8]) {
        if !std::mem::replace(&mut self.begun, true) {
            return;
        }
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let name = parts.next().unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"transfer-encoding") {
            self.chunked = true;
        } else if name.eq_ignore_ascii_case(b"content-length") {
            let value = str::from_utf8(parts.next().unwrap_or_default()).ok();
            // One that cannot be read is refused by hyper.
            self.length = Some(value.and_then(|value| value.trim().parse().ok()).unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LENGTH: &str = "POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n\n\n\r\n";
    const CHUNKS: &str = "POST /b HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n\
        1c;x=y\r\ncontent-length: 7\r\nGET / \n\r\n\r\n0\r\nT: x\r\n\r\n";
    const BOTH: &str = "POST /c HTTP/1.1\r\nCONTENT-LENGTH : 3\r\nTransfer-Encoding:chunked\r\n\r\n\
        2\r\n{}\r\n0\r\n\r\n";
    const NONE: &str = "\r\nGET /content-length: HTTP/1.1\nHost: x\n\n";

    fn verdicts(framing: &mut Framing) -> Vec<bool> {
        std::iter::from_fn(|| (!framing.ambiguous.is_empty()).then(|| framing.next_is_ambiguous()))
            .collect()
    }

    #[test]
    fn each_request_is_looked_at_however_its_bytes_arrive() {
        let all = [LENGTH, CHUNKS, NONE, BOTH, LENGTH, BOTH, NONE].concat();
        for piece in [1, 2, 3, 7, 50, all.len()] {
            let mut framing = Framing::default();
            for bytes in all.as_bytes().chunks(piece) {
                framing.read(bytes);
            }
            let expected = [false, false, false, true, false, true, false];
            assert_eq!(verdicts(&mut framing), expected, "in pieces of {piece}");
        }
    }

    #[test]
    fn what_is_no_http_is_not_looked_at() {
        let mut framing = Framing::default();
        framing.read(NONE.as_bytes());
        framing.end();
        framing.read(BOTH.as_bytes());
        assert!(!framing.next_is_ambiguous());
    }
}
