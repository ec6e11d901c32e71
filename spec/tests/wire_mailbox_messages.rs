//! Goal: a message is delivered with the bytes it was sent with, but for what only the bus may say.
//! Method: messages as people spell them, and what is stored and delivered of each.

use mailbus_spec::mailbox::{Message, Notice};
use mailbus_spec::wire::mailbox::{
    ServerFrame, decode_message, decode_server_frame, derived_id, encode_push, payload_of,
    stored_message,
};
use mailbus_spec::wire::{Code, Problem};
use mailbus_spec::{AgentId, Ordinal};

fn read(text: &str) -> Message {
    match decode_message(text, None) {
        Ok(message) => message,
        Err(problem) => panic!("{text} was refused: {problem}"),
    }
}

fn refused(text: &str) -> Problem {
    match decode_message(text, None) {
        Err(problem) => problem,
        Ok(message) => panic!("{text:.300} was read as {message:?}"),
    }
}

fn delivered(text: &str) -> String {
    let seq = Ordinal::new(5).unwrap();
    encode_push(&Notice::Message { seq, attempt: 2, redriven: false, message: read(text) }).unwrap()
}

#[test]
fn what_the_bus_does_not_know_is_stored_as_it_came() {
    for text in [
        r#"{"from":"ada","type":"t"}"#,
        r#"{ "type" : "t" ,"from":"ada" , "payload" : { "b": 1.50e1, "a": [ ] } }"#,
        "{\"type\":\"t\",\n\t\"from\":\"ada\",\r\n\"x\":\"\\u00e9\\/é🦀\u{2028}\"}",
        r#"{"x":1,"x":2,"":null,"type":"t","from":"ada","ackedAt":5,"syncVersion":9e999}"#,
        r#"{"type":"t","from":"ada","x":"},{\"seq\":1,","y":[",","}"],"z":"\ud800"}"#,
        r#"{"type":"t","from":"ada","replies":1,"replies":2,"problem":{},"code":"lost","call":"x"}"#,
        r#"{"type":"t","from":"ada","payload":null,"ackRequired":null,"ephemeral":false}"#,
        r#"{"t\u0079pe":"t","fr\u006fm":"\u0061da"}"#,
    ] {
        let message = read(text);
        assert_eq!(message.body, text);
        assert_eq!(message.from.as_str(), "ada");
        assert_eq!(stored_message(text), Some(message));
    }
    let spaced = " \n{\"from\":\"ada\",\"type\":\"t\"}\t ";
    assert_eq!(read(spaced).body, spaced.trim(), "what is around the object is not of it");
}

#[test]
fn what_only_the_bus_may_say_is_taken_out() {
    for (text, body) in [
        (r#"{"seq":1,"from":"ada","type":"t"}"#, r#"{"from":"ada","type":"t"}"#),
        (r#"{"from":"ada", "seq":1 , "type":"t" }"#, r#"{"from":"ada", "type":"t" }"#),
        (
            r#"{"from":"ada","type":"t","seq":1,"attempt":[{}],"redriven":true}"#,
            r#"{"from":"ada","type":"t"}"#,
        ),
        (
            r#"{"seq":1,"seq":2,"s\u0065q":3,"from":"ada","type":"t","seq":null}"#,
            r#"{"from":"ada","type":"t"}"#,
        ),
        (
            r#"{"from":"ada","Seq":1,"type":"t","x":{"seq":1}}"#,
            r#"{"from":"ada","Seq":1,"type":"t","x":{"seq":1}}"#,
        ),
        (r#"{"id":"","from":"ada","type":"t"}"#, r#"{"from":"ada","type":"t"}"#),
        (r#"{"from":"ada","type":"t", "id" : null }"#, r#"{"from":"ada","type":"t"}"#),
    ] {
        let message = read(text);
        assert_eq!(message.body, body, "{text}");
        assert_eq!(message.id, None);
    }
}

#[test]
fn over_a_socket_the_sender_is_said_if_the_message_does_not() {
    let socket = AgentId::new("a\"da").unwrap();
    for (text, body) in [
        (r#"{"type":"t"}"#, r#"{"type":"t","from":"a\"da"}"#),
        (r#"{ "type":"t" }"#, r#"{ "type":"t" ,"from":"a\"da"}"#),
        (r#"{"from":null,"type":"t"}"#, r#"{"type":"t","from":"a\"da"}"#),
        (r#"{"from":"a\u0022da","type":"t"}"#, r#"{"from":"a\u0022da","type":"t"}"#),
    ] {
        let message = decode_message(text, Some(&socket)).unwrap();
        assert_eq!((message.body.as_str(), &message.from), (body, &socket), "{text}");
    }
    let problem = decode_message(r#"{"from":"bob","type":"t"}"#, Some(&socket)).unwrap_err();
    assert_eq!(problem.code, Code::Forbidden);
    assert_eq!(refused(r#"{"type":"t"}"#).code, Code::Malformed, "over HTTP there is no default");
}

#[test]
fn the_members_that_the_bus_knows_are_read() {
    let message = read(
        r#"{"id":"i-1","from":"ada","type":"task.new","payload": {"a": 1} ,"ackRequired":true}"#,
    );
    assert_eq!(message.id.as_ref().map(|id| id.as_str()), Some("i-1"));
    assert_eq!(message.kind.as_str(), "task.new");
    assert_eq!(message.payload.as_deref(), Some(r#"{"a": 1}"#));
    assert_eq!(payload_of(&message.body), Some(r#"{"a": 1}"#));
    assert!(message.ack_required && !message.ephemeral);

    let message = read(r#"{"from":"ada","type":"t","ephemeral":true,"payload":null}"#);
    assert!(message.ephemeral && !message.ack_required);
    assert_eq!((message.payload.as_deref(), payload_of(&message.body)), (None, None));
    assert!(read(r#"{"from":"ada","type":"heartbeat","ephemeral":false}"#).ephemeral);
    assert_eq!(payload_of("no message"), None);
    assert_eq!(stored_message("no message"), None);
    assert_eq!(stored_message(r#"{"type":"t"}"#), None, "nobody's");
}

#[test]
fn a_recipient_gets_the_stored_bytes_and_after_them_what_the_bus_says() {
    assert_eq!(
        delivered(r#"{"id":"a","from":"ada", "type":"t", "n": 1.0 }"#),
        r#"{"id":"a","from":"ada", "type":"t", "n": 1.0 ,"seq":5,"attempt":2}"#
    );
    assert_eq!(
        delivered(r#"{"from":"ada","type":"t"}"#),
        r#"{"from":"ada","type":"t","id":"m-5","seq":5,"attempt":2}"#
    );
    assert_eq!(derived_id(Ordinal::new(5).unwrap()), "m-5");
}

#[test]
fn a_client_reads_the_message_that_was_stored() {
    for text in [
        r#"{"from":"ada","type":"t"}"#,
        r#"{"id":"m-4","from":"ada","type":"t"}"#,
        r#"{"from":"ada","id":"m-5","type":"t"}"#,
        r#"{"from":"ada" , "type":"t" }"#,
    ] {
        let notice = Notice::Message {
            seq: Ordinal::new(5).unwrap(),
            attempt: 2,
            redriven: false,
            message: read(text),
        };
        let read = decode_server_frame(&delivered(text));
        assert_eq!(read, [ServerFrame::Notice(notice)], "{text}");
    }
}

#[test]
fn what_is_no_message_is_malformed() {
    for text in [
        "",
        "null",
        "[]",
        "5",
        "{",
        "{}",
        r#"{"from":"ada","type":"t"}{}"#,
        r#"{"from":"ada","type":"t",}"#,
        r#"{"from":"ada","type":"t","x":nul}"#,
        r#"{"from":"ada","type":"t","x":"a
b"}"#,
        "\u{c}{\"from\":\"ada\",\"type\":\"t\"}",
        "\u{feff}{\"from\":\"ada\",\"type\":\"t\"}",
        r#"{"from":"ada"}"#,
        r#"{"from":"ada","type":null}"#,
        r#"{"from":"ada","type":5}"#,
        r#"{"from":"ada","type":""}"#,
        r#"{"from":"ada","type":"$gap"}"#,
        r#"{"from":"ada","type":"\u0024gap"}"#,
        r#"{"from":"ada","type":"a.*"}"#,
        r#"{"from":"ada","type":"a\nb"}"#,
        r#"{"from":"ada","type":"\ud800"}"#,
        r#"{"from":5,"type":"t"}"#,
        r#"{"from":"ada","type":"t","id":5}"#,
        r#"{"from":"ada","type":"t","ackRequired":"yes"}"#,
        r#"{"from":"ada","type":"t","ephemeral":1}"#,
    ] {
        assert_eq!(refused(text).code, Code::Malformed, "{text}");
    }
}

#[test]
fn a_known_member_twice_is_malformed() {
    let known = [
        ("id", r#""a""#),
        ("from", r#""ada""#),
        ("type", r#""t""#),
        ("payload", "1"),
        ("ackRequired", "true"),
        ("ephemeral", "false"),
    ];
    for (name, value) in known {
        for first in [value, "null"] {
            let text = format!(
                r#"{{"{name}":{first},"{name}":{value}{}{}}}"#,
                if name == "from" { "" } else { r#","from":"ada""# },
                if name == "type" { "" } else { r#","type":"t""# },
            );
            let problem = refused(&text);
            assert_eq!(problem.code, Code::Malformed, "{text}");
            assert!(problem.detail.contains(name), "{}", problem.detail);
        }
    }
}

#[test]
fn a_name_that_is_none_is_invalid() {
    let long = "x".repeat(129);
    for name in [r"a\nb", r"\u007f", &long] {
        let text = format!(r#"{{"from":"ada","type":"t","id":"{name}"}}"#);
        assert_eq!(refused(&text).code, Code::IdInvalid, "{name}");
        let text = format!(r#"{{"from":"{name}","type":"t"}}"#);
        assert_eq!(refused(&text).code, Code::IdInvalid, "{name}");
    }
    assert_eq!(refused(r#"{"from":"","type":"t"}"#).code, Code::IdInvalid, "not as an `id`");
    let long_type = format!(r#"{{"from":"ada","type":"{long}"}}"#);
    assert_eq!(refused(&long_type).code, Code::Malformed);
}

#[test]
fn a_message_has_at_most_a_mebibyte_and_an_ephemeral_one_4_kibibytes() {
    let of_bytes = |kind: &str, rest: &str, bytes: usize| {
        let around = format!(r#"{{"from":"ada","type":"{kind}"{rest},"x":""}}"#).len();
        format!(r#"{{"from":"ada","type":"{kind}"{rest},"x":"{}"}}"#, "x".repeat(bytes - around))
    };
    for (kind, rest, most) in [
        ("t", "", 1 << 20),
        ("t", r#","ephemeral":true"#, 4 << 10),
        ("heartbeat", "", 4 << 10),
        ("heartbeat", r#","ephemeral":false"#, 4 << 10),
    ] {
        assert_eq!(read(&of_bytes(kind, rest, most)).bytes(), most as u64);
        assert_eq!(refused(&of_bytes(kind, rest, most + 1)).code, Code::MessageTooLarge);
    }
    let filled = of_bytes("t", r#","seq":123456789"#, (1 << 20) + 16);
    assert_eq!(read(&filled).bytes(), 1 << 20, "what is dropped does not count");
}
