//! Goal: a socket speaks for its holder alone, and one bad command of a frame costs no other. Method:
//! frames and subscriptions, good and bad, and what is read out of each.

use mailbus_spec::lease::Command;
use mailbus_spec::wire::lease::{decode_frame, decode_subscribe, encode_subscribe};
use mailbus_spec::wire::{Code, Protocol};
use mailbus_spec::{AgentId, Holder, SessionId};

fn socket() -> Holder {
    Holder { agent: AgentId::new("ada").unwrap(), session: SessionId::new("s1").unwrap() }
}

#[test]
fn in_a_frame_the_bad_commands_are_refused_and_the_good_ones_read() {
    let frame = r#" [{"action":"status","file":"a","call":1}, 5, {"action":"status","call":3},
        {"action":"steal","call":4}, {"call":5}, {"action":6,"call":6}, {"action":"list","call":7},
        [], {"action":"list","action":"list"}] "#;
    let read = decode_frame(frame, None).unwrap();
    let shown: Vec<_> = read
        .iter()
        .map(|call| match call {
            Ok(call) => (call.attempt.number, Ok(call.command.name())),
            Err(problem) => (problem.call, Err(problem.code)),
        })
        .collect();
    let malformed = Err(Code::Malformed);
    assert_eq!(
        shown,
        [
            (Some(1), Ok("status")),
            (None, malformed),
            (Some(3), malformed),
            (Some(4), malformed),
            (Some(5), malformed),
            (Some(6), malformed),
            (Some(7), Ok("list")),
            (None, malformed),
            (None, malformed),
        ]
    );
}

#[test]
fn a_frame_that_cannot_be_taken_apart_is_refused_whole() {
    let many = format!("[{}{{}}]", "{},".repeat(1_000));
    for frame in ["", "5", "hello", "[", "[]", "[{}", "{", "{}{}", "[{}] []", "ping", &many] {
        assert_eq!(decode_frame(frame, None).unwrap_err().code, Code::Malformed, "{frame:.20}");
    }
    let most = format!("[{}{{}}]", "{},".repeat(999));
    assert_eq!(decode_frame(&most, None).unwrap().len(), 1_000);
}

#[test]
fn over_a_socket_the_holder_is_the_sockets_and_the_agent_cannot_be_another() {
    let holder_of = |frame: &str| match decode_frame(frame, Some(&socket())).unwrap().remove(0) {
        Ok(call) => match call.command {
            Command::Cancel { holder, .. } => Ok(holder.to_string()),
            other => panic!("{other:?}"),
        },
        Err(problem) => Err(problem.code),
    };
    let (own, original) = (socket(), Holder { session: SessionId::original(), ..socket() });
    assert_eq!(holder_of(r#"{"action":"cancel","request":"r"}"#), Ok(own.to_string()));
    assert_eq!(
        holder_of(r#"{"action":"cancel","request":"r","agentId":"ada"}"#),
        Ok(own.to_string())
    );
    assert_eq!(
        holder_of(r#"{"action":"cancel","request":"r","session":""}"#),
        Ok(original.to_string())
    );
    assert_eq!(
        holder_of(r#"{"action":"cancel","request":"r","agentId":"bob"}"#),
        Err(Code::Forbidden)
    );
}

#[test]
fn a_subscription_says_who_and_what_it_speaks() {
    let read = |query: &str| {
        decode_subscribe(query)
            .map(|s| (s.holder.agent.to_string(), s.holder.session.to_string(), s.protocol))
            .map_err(|problem| problem.code)
    };
    let ada = |session: &str, protocol| Ok(("ada".to_string(), session.to_string(), protocol));
    assert_eq!(read("agentId=ada"), ada("", Protocol::Original));
    assert_eq!(read("agentId=ada&session=s1&protocol=1"), ada("s1", Protocol::One));
    assert_eq!(
        read("x&=&protocol=1&agentId=%61d%61&session=a+b%2B&agentId=bob"),
        ada("a b+", Protocol::One)
    );
    assert_eq!(read("agentId=ada&session=100%"), ada("100%", Protocol::Original));
    assert_eq!(read(""), Err(Code::Malformed));
    assert_eq!(read("agentid=ada"), Err(Code::Malformed));
    assert_eq!(read("agentId"), Err(Code::IdInvalid));
    assert_eq!(read("agentId=a%0Ab"), Err(Code::IdInvalid));
    assert_eq!(read("agentId=ada&session=%00"), Err(Code::IdInvalid));
    assert_eq!(read("agentId=%FF"), Err(Code::Malformed));
    assert_eq!(read("agentId=ada&protocol=2"), Err(Code::Malformed));
    assert_eq!(encode_subscribe(&socket()), "agentId=ada&session=s1&protocol=1");
}
