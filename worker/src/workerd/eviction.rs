//! Asking a runtime that was started for tests to drop an object from memory.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::Error;

/// The module that answers.
pub(super) const SCRIPT: &str = include_str!("eviction.js");

const PATIENCE: Duration = Duration::from_secs(10);

/// One HTTP exchange, by hand: it is one line each way, and a client library is not needed for it.
pub(super) fn evict(port: u16, class: &str, name: &str) -> Result<(), Error> {
    let path = format!("/{}/{}", encoded(class), encoded(name));
    let answer = exchange(port, &path).map_err(Error::Unreachable)?;
    if answer.starts_with("HTTP/1.1 204") {
        return Ok(());
    }
    let answer = answer.rsplit("\r\n").next().unwrap_or_default().to_owned();
    Err(Error::NotEvicted { class: class.to_owned(), name: name.to_owned(), answer })
}

fn exchange(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

fn encoded(segment: &str) -> String {
    segment.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_of_a_path() {
        assert_eq!(encoded("team:a/b c"), "team%3Aa%2Fb%20c");
    }
}
