//! Refusals of what nobody should send.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use mailbus_spec::limits::BODY_DRAIN_BYTES;

use crate::bus::{Bus, run};
use crate::support::bad_input;
use crate::support::daemon::Program;

pub fn bad_input_changes_nothing(program: Program) {
    let mut bus = Bus::start(program);
    let cases = bad_input::cases();
    let faults = run(bad_input::faults(bus.address(), &cases));
    assert_eq!(faults, Vec::<String>::new());
    assert!(bus.daemon.is_running());
    // The check can fail: a good request is neither refused nor without consequence.
    let good = [bad_input::good_case()];
    let faults = run(bad_input::faults(bus.address(), &good));
    assert_eq!(faults.len(), 2, "{faults:?}");
}

/// Bytes between two programs on one machine, read by neither: more than any system buffers.
const UNDER_WAY_BYTES: usize = 32 << 20;

pub fn a_body_without_end_is_answered(program: Program) {
    let bus = Bus::start(program);
    let mut stream = TcpStream::connect(bus.address()).unwrap();
    let head = "POST /v1/w/lease/acquire HTTP/1.1\r\nhost: localhost\r\n\
                content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let chunk = [b"10000\r\n".as_slice(), &[b' '; 0x10000], b"\r\n"].concat();
    let mut answer = [0; 12];
    let mut sent = 0;
    while stream.write_all(&chunk).is_ok() {
        sent += chunk.len();
        assert!(sent < BODY_DRAIN_BYTES + UNDER_WAY_BYTES, "it is read on and on");
        stream.set_nonblocking(true).unwrap();
        let seen = stream.peek(&mut answer);
        stream.set_nonblocking(false).unwrap();
        match seen {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            _ => break,
        }
    }
    assert!(sent > BODY_DRAIN_BYTES / 2, "it is read on for a while: {sent}");
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 413");
}
