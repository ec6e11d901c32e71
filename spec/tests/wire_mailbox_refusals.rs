//! Goal: every bad command is refused with its code, and nothing that is merely unusual is. Method: a
//! table of inputs for each code.

use mailbus_spec::mailbox::{Ask, Delay, Settled};
use mailbus_spec::wire::mailbox::{decode_reply, decode_request, decode_subscribe};
use mailbus_spec::wire::{Code, Problem};

fn refused(action: &str, body: impl AsRef<[u8]>) -> Problem {
    let body = body.as_ref();
    match decode_request(action, body) {
        Err(problem) => problem,
        Ok(call) => panic!("{action} {} was read as {call:?}", String::from_utf8_lossy(body)),
    }
}

fn read(action: &str, body: &str) -> Ask {
    match decode_request(action, body.as_bytes()) {
        Ok(call) => call.command.ask,
        Err(problem) => panic!("{action} {body} was refused: {problem}"),
    }
}

#[test]
fn an_action_that_does_not_exist_is_not_found() {
    // `subscribe` is a query, and in frames alone a command; an ack has its name of the original's.
    for action in ["", "Publish", "subscribe", "unsubscribe", "ack", "connect", &"x".repeat(5_000)]
    {
        let problem = refused(action, "{}");
        assert_eq!(problem.code, Code::NotFound, "{action:.20}");
        assert!(problem.detail.len() < 400, "the detail quotes an excerpt only");
    }
}

#[test]
fn what_is_no_json_object_is_malformed() {
    for body in
        ["", " ", "{", "null", "5", "[]", "[{}]", "{}{}", "NaN", "{\"a\":}", "\u{feff}{}", "\"x\""]
    {
        for action in ["publish", "heartbeat"] {
            assert_eq!(refused(action, body).code, Code::Malformed, "{action} {body}");
        }
    }
    for action in ["publish", "heartbeat"] {
        assert_eq!(refused(action, b"{\"agentId\":\"\xff\"}").code, Code::Malformed);
        assert_eq!(refused(action, b"{\"from\":\"a\",\"type\":\"\xff\"}").code, Code::Malformed);
    }
    // The members' values in the order of the type are not an object.
    let positional = format!(r#"[null,1,"ada"{}]"#, ",null".repeat(20));
    assert_eq!(refused("heartbeat", positional).code, Code::Malformed);
}

#[test]
fn members_of_another_type_or_missing_ones_are_malformed() {
    for (action, body) in [
        ("publish", r#"{"message":{"from":"a","type":"t"}}"#),
        ("send", r#"{"to":"b"}"#),
        ("send", r#"{"message":{"from":"a","type":"t"}}"#),
        ("send", r#"{"to":"b","message":[]}"#),
        ("send", r#"{"to":"b","message":{"type":"t"}}"#),
        ("send", r#"{"to":"b","message":{"from":"a"}}"#),
        ("send", r#"{"to":5,"message":{"from":"a","type":"t"}}"#),
        ("acknowledge", r#"{"messageId":"m"}"#),
        ("acknowledge", r#"{"agentId":"a"}"#),
        ("acknowledge", r#"{"agentId":"a","messageId":5}"#),
        ("acknowledge", r#"{"agentId":"a","seqs":5}"#),
        ("acknowledge", r#"{"agentId":"a","seqs":["5"]}"#),
        ("acknowledge", r#"{"agentId":"a","seqs":[-1]}"#),
        ("acknowledge", r#"{"agentId":"a","seqs":[9007199254740992]}"#),
        ("acknowledge", r#"{"agentId":"a","seqs":[1,null]}"#),
        ("acknowledge", r#"{"agentId":"a","upTo":1.5}"#),
        ("acknowledge", r#"{"agentId":"a","gap":"all"}"#),
        ("nack", r#"{"agentId":"a"}"#),
        ("nack", r#"{"seq":5}"#),
        ("nack", r#"{"agentId":"a","seq":"5"}"#),
        ("working", r#"{"agentId":"a"}"#),
        ("inbox", "{}"),
        ("inbox", r#"{"agentId":"a","after":"x"}"#),
        ("inbox", r#"{"agentId":"a","limit":0}"#),
        ("inbox", r#"{"agentId":"a","limit":1001}"#),
        ("dead-letters", r#"{"agentId":"a","limit":"10"}"#),
        ("subscriptions", "{}"),
        ("subscriptions", r#"{"agentId":"a","add":"t"}"#),
        ("subscriptions", r#"{"agentId":"a","add":[5]}"#),
        ("subscriptions", r#"{"agentId":"a","add":["a*"]}"#),
        ("subscriptions", r#"{"agentId":"a","remove":["$gap"]}"#),
        ("subscriptions", r#"{"agentId":"a","remove":[""]}"#),
        ("agents", r#"{"after":5}"#),
        ("heartbeat", "{}"),
        ("redrive", r#"{"agentId":"a"}"#),
        ("redrive", r#"{"agentId":"a","seqs":{}}"#),
        ("disconnect", r#"{"agentId":"a"}"#),
        ("forget", "{}"),
        ("recover", "{}"),
        ("recover", r#"{"atLeast":5}"#),
        ("heartbeat", r#"{"agentId":"a","call":-1}"#),
        ("heartbeat", r#"{"agentId":"a","call":"x"}"#),
    ] {
        assert_eq!(refused(action, body).code, Code::Malformed, "{action} {body}");
    }
}

#[test]
fn what_is_said_twice_is_malformed() {
    for (action, body) in [
        ("send", r#"{"to":"b","targetAgent":"b","message":{"from":"a","type":"t"}}"#),
        ("acknowledge", r#"{"agentId":"a","seqs":[1],"upTo":1}"#),
        ("acknowledge", r#"{"agentId":"a","messageId":"m","gap":1}"#),
        ("subscriptions", r#"{"agentId":"a","add":[],"remove":[]}"#),
        ("heartbeat", r#"{"agentId":"a","agentId":"a"}"#),
    ] {
        assert_eq!(refused(action, body).code, Code::Malformed, "{action} {body}");
    }
}

#[test]
fn a_name_that_is_none_is_invalid() {
    let long = "x".repeat(129);
    for id in ["", r"a\nb", r"\u007f", &long] {
        for (action, body) in [
            ("send", format!(r#"{{"to":"{id}","message":{{"from":"a","type":"t"}}}}"#)),
            ("send", format!(r#"{{"to":"b","message":{{"from":"{id}","type":"t"}}}}"#)),
            ("acknowledge", format!(r#"{{"agentId":"{id}","upTo":1}}"#)),
            ("acknowledge", format!(r#"{{"agentId":"a","messageId":"{id}"}}"#)),
            ("agents", format!(r#"{{"after":"{id}"}}"#)),
            ("forget", format!(r#"{{"agentId":"{id}"}}"#)),
        ] {
            assert_eq!(refused(action, body).code, Code::IdInvalid, "{action} {id}");
        }
    }
}

#[test]
fn a_push_is_named_by_both_its_numbers() {
    for half in [r#""epoch":1"#, r#""attempt":1"#, r#""epoch":1,"attempt":-1"#] {
        let problem = refused("nack", format!(r#"{{"agentId":"a","seq":1,{half}}}"#));
        assert_eq!(problem.code, Code::Malformed, "{half}");
    }
}

#[test]
fn a_delay_is_at_most_a_day() {
    let body = |delay: &str| format!(r#"{{"agentId":"a","seq":1,"delayMs":{delay}}}"#);
    for delay in ["-1", "86400001", "1.5", "\"1\"", "true", "[]", "1e300"] {
        let problem = refused("nack", body(delay));
        assert_eq!(problem.code, Code::TtlOutOfRange, "{delay}");
        assert!(problem.detail.contains("from 0 to 86400000"), "{}", problem.detail);
    }
    for (delay, ms) in [("0", 0), ("null", 0), ("8.64e7", 86_400_000)] {
        let expected = Delay::from_ms(ms).unwrap();
        assert!(matches!(read("nack", &body(delay)), Ask::Nack { delay, .. } if delay == expected));
    }
}

#[test]
fn lists_are_bounded_as_they_are_spelled() {
    let seqs = |count: usize| format!(r#"{{"agentId":"a","seqs":[{}1]}}"#, "1,".repeat(count - 1));
    for action in ["acknowledge", "redrive"] {
        assert!(decode_request(action, seqs(10_000).as_bytes()).is_ok());
        assert_eq!(refused(action, seqs(10_001)).code, Code::Malformed);
    }
    let add =
        |count: usize| format!(r#"{{"agentId":"a","add":[{}"t"]}}"#, "\"t\",".repeat(count - 1));
    assert!(decode_request("subscriptions", add(64).as_bytes()).is_ok());
    assert_eq!(refused("subscriptions", add(65)).code, Code::Malformed);
}

#[test]
fn empty_lists_and_defaults_are_as_good_as_others() {
    let acked = read("acknowledge", r#"{"agentId":"a","seqs":[]}"#);
    assert!(matches!(acked, Ask::Ack { what: Settled::Seqs(seqs), .. } if seqs.is_empty()));
    let asked = read("subscriptions", r#"{"agentId":"a"}"#);
    assert!(matches!(asked, Ask::Unsubscribe { types, .. } if types.is_empty()));
    let page = read("inbox", r#"{"agentId":"a","limit":null,"after":null}"#);
    assert!(matches!(page, Ask::Inbox { after, limit: 100, .. } if after.get() == 0));
    let seqs = read("acknowledge", r#"{"agentId":"a","seqs":[1e3, 5.0 ,7]}"#);
    let Ask::Ack { what: Settled::Seqs(seqs), .. } = seqs else { panic!("{seqs:?}") };
    assert_eq!(seqs.iter().map(|seq| seq.get()).collect::<Vec<_>>(), [1_000, 5, 7]);
}

#[test]
fn unknown_members_of_a_command_are_ignored() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(r#"{{"x":{deep},"y":1e999,"seq":"abc","limit":[],"agentId":"a"}}"#);
    assert!(matches!(read("heartbeat", &body), Ask::Heartbeat { .. }));
    let message = |x: &str| format!(r#"{{"x":{x},"from":"a","type":"t"}}"#);
    let body = message("1e999");
    assert!(matches!(read("publish", &body), Ask::Publish { message } if message.body == body));
    // Those of a message are kept, and whoever gets it has to be able to read them.
    assert_eq!(refused("publish", message(&deep)).code, Code::Malformed);
}

#[test]
fn a_refusal_carries_the_call_number_where_it_could_be_read() {
    assert_eq!(refused("heartbeat", r#"{"call":7}"#).call, Some(7));
    assert_eq!(refused("send", r#"{"call":8,"to":"b","message":{}}"#).call, Some(8));
    assert_eq!(refused("publish", r#"{"call":7}"#).call, None, "that is the message's own");
}

#[test]
fn a_message_in_a_command_is_judged_as_one_alone() {
    let large = format!(r#"{{"from":"a","type":"t","x":"{}"}}"#, "x".repeat(1 << 20));
    assert_eq!(refused("publish", &large).code, Code::MessageTooLarge);
    let body = format!(r#"{{"call":7,"to":"b","message":{large}}}"#);
    let problem = refused("send", body);
    assert_eq!((problem.code, problem.call), (Code::MessageTooLarge, Some(7)));
}

#[test]
fn a_subscription_says_who_and_what_the_session_is() {
    let read = |query: &str| {
        let read = decode_subscribe(query).map_err(|problem| problem.code)?;
        let window = read.window.map(|window| (window.messages(), window.bytes()));
        let types = read.types.as_ref().map(|types| types.iter().map(|t| t.to_string()).collect());
        let types: Option<Vec<String>> = types;
        let last = read.last_seen.map(|seq| seq.get());
        Ok((read.agent.to_string(), read.session.to_string(), window, types, last))
    };
    let ada = |session: &str, window, types: Option<&[&str]>, last| {
        let types = types.map(|types| types.iter().map(|t| t.to_string()).collect());
        Ok(("ada".to_string(), session.to_string(), window, types, last))
    };
    let default = Some((256, 4 << 20));
    assert_eq!(read("agentId=ada"), ada("", None, None, None));
    assert_eq!(read("agentId=ada&session=s1&lastSeen=5"), ada("s1", None, None, Some(5)));
    assert_eq!(read("agentId=%61da&protocol=1&x=&="), ada("", default, None, None));
    assert_eq!(read("agentId=ada&protocol=1&window=1"), ada("", Some((1, 4 << 20)), None, None));
    assert_eq!(
        read("agentId=ada&protocol=1&window=1024&windowBytes=16777216"),
        ada("", Some((1_024, 16 << 20)), None, None)
    );
    assert_eq!(
        read("types=b.%2A&agentId=ada&types=a,c&types=b.*"),
        ada("", None, Some(&["a,c", "b.*"]), None)
    );
    assert_eq!(read("agentId=ada&types="), ada("", None, Some(&[]), None));
    assert_eq!(read("agentId=ada&types=&types=t"), ada("", None, Some(&["t"]), None));

    let malformed = Err(Code::Malformed);
    for query in [
        "",
        "agentid=ada",
        "agentId=%FF",
        "agentId=ada&protocol=2",
        "agentId=ada&window=5",
        "agentId=ada&windowBytes=5",
        "agentId=ada&protocol=1&window=0",
        "agentId=ada&protocol=1&window=1025",
        "agentId=ada&protocol=1&window=x",
        "agentId=ada&protocol=1&windowBytes=0",
        "agentId=ada&protocol=1&windowBytes=16777217",
        "agentId=ada&lastSeen=",
        "agentId=ada&lastSeen=-1",
        "agentId=ada&lastSeen=9007199254740992",
        "agentId=ada&types=$gap",
        "agentId=ada&types=t&types=a*",
        "agentId=ada&types=%FF",
    ] {
        assert_eq!(read(query), malformed, "{query}");
    }
    for query in ["agentId", "agentId=a%0Ab", "agentId=ada&session=%00"] {
        assert_eq!(read(query), Err(Code::IdInvalid), "{query}");
    }
    let types: String = (0..65).map(|n| format!("&types=t{n}")).collect();
    assert_eq!(read(&format!("agentId=ada{types}")), malformed);
}

#[test]
fn bytes_of_something_between_the_two_ends_are_undecodable() {
    let commit = r#""commit":{"sequence":1,"now":1,"generation":1}"#;
    let message = r#"{"from":"a","type":"t"}"#;
    for (status, body) in [
        (200, String::new()),
        (502, "<html>Bad gateway</html>".into()),
        (200, "{}".into()),
        (200, "[]".into()),
        (200, r#"{"outcome":"heard"}"#.into()),
        (200, format!(r#"{{"outcome":"new",{commit}}}"#)),
        (500, format!(r#"{{"outcome":"heard",{commit}}}"#)),
        (200, format!(r#"{{"outcome":"inbox","messages":[],{commit}}}"#)),
        (
            200,
            format!(
                r#"{{"outcome":"inbox","messages":[{message}],"completeThrough":1,"refused":0,{commit}}}"#
            ),
        ),
        (418, r#"{"code":"teapot","detail":"short and stout"}"#.into()),
        (403, r#"{"code":"forbidden","message":"Not from this network."}"#.into()),
        (409, r#"{"type":"about:blank","code":"ahead","lastSeq":1}"#.into()),
    ] {
        let undecodable = decode_reply(status, body.as_bytes()).unwrap_err();
        assert!(undecodable.detail.contains(&format!("status {status}")), "{body}");
    }
}

#[test]
fn a_refusal_without_a_commit_is_not_the_objects() {
    for body in [
        r#"{"type":"urn:mailbus:problem:limit","code":"limit","detail":"Too many requests.","kind":"agents"}"#,
        r#"{"type":"urn:mailbus:problem:overloaded","code":"overloaded"}"#,
        r#"{"type":"urn:mailbus:problem:restoring","code":"restoring","commit":{"sequence":1,"now":1,"generation":1}}"#,
        r#"{"type":"urn:mailbus:problem:ahead","code":"ahead","commit":{"sequence":1,"now":1,"generation":1}}"#,
    ] {
        let problem = decode_reply(429, body.as_bytes()).unwrap().result.unwrap_err();
        assert!(body.contains(problem.code.as_str()));
    }
}
