//! Goal: every bad input is refused with its code, and nothing that is merely unusual is. Method: a
//! table of inputs for each code.

use mailbus_spec::lease::{Command, ReleaseTarget};
use mailbus_spec::wire::lease::{decode_reply, decode_request};
use mailbus_spec::wire::{Code, Dialect, Problem};

fn refused(action: &str, body: impl AsRef<[u8]>) -> Problem {
    let body = body.as_ref();
    match decode_request(action, body) {
        Err(problem) => problem,
        Ok(call) => panic!("{action} {} was read as {call:?}", String::from_utf8_lossy(body)),
    }
}

fn read(action: &str, body: &str) -> Command {
    match decode_request(action, body.as_bytes()) {
        Ok(call) => call.command,
        Err(problem) => panic!("{action} {body} was refused: {problem}"),
    }
}

#[test]
fn an_action_that_does_not_exist_is_not_found() {
    for action in ["", "Acquire", "steal", "acquire/", "\0", &"x".repeat(5_000)] {
        let problem = refused(action, "{}");
        assert_eq!(problem.code, Code::NotFound);
        assert!(problem.detail.len() < 400, "the detail quotes an excerpt only");
    }
}

#[test]
fn what_is_no_json_object_is_malformed() {
    for body in [
        "",
        " ",
        "{",
        "}",
        "null",
        "5",
        "\"x\"",
        "[]",
        "[{}]",
        "{}{}",
        "{} x",
        "NaN",
        "{\"a\":}",
        "{'agentId':'ada'}",
        "\u{feff}{}",
    ] {
        assert_eq!(refused("status", body).code, Code::Malformed, "{body}");
    }
    // The members' values in the order of the type are not an object either.
    let positional = r#"["status",1,"ada","","r",null,"f",null,1,1,1,"",true,"","",1,1]"#;
    assert_eq!(refused("status", positional).code, Code::Malformed);
}

#[test]
fn invalid_utf_8_is_malformed() {
    assert_eq!(refused("status", b"{\"file\":\"\xff\"}").code, Code::Malformed);
    assert_eq!(refused("status", b"{\"file\":\"a\"}\xc3").code, Code::Malformed);
    assert_eq!(refused("status", r#"{"file":"\ud800"}"#).code, Code::Malformed, "half a pair");
}

#[test]
fn members_of_another_type_or_missing_ones_are_malformed() {
    for (action, body) in [
        ("acquire", r#"{"file":"a","ttlMs":1}"#),
        ("acquire", r#"{"agentId":"ada","ttlMs":1}"#),
        ("acquire", r#"{"agentId":5,"file":"a","ttlMs":1}"#),
        ("acquire", r#"{"agentId":"ada","file":5,"ttlMs":1}"#),
        ("acquire", r#"{"agentId":"ada","file":["a"],"ttlMs":1}"#),
        ("acquire", r#"{"agentId":"ada","paths":"a","ttlMs":1}"#),
        ("acquire", r#"{"agentId":"ada","paths":[],"ttlMs":1}"#),
        ("acquire", r#"{"agentId":"ada","paths":["a",null],"ttlMs":1}"#),
        ("acquire", r#"{"agentId":"ada","session":7,"file":"a","ttlMs":1}"#),
        ("acquire", r#"{"agentId":"ada","file":"a","ttlMs":1,"call":"x"}"#),
        ("acquire", r#"{"agentId":"ada","file":"a","ttlMs":1,"call":-1}"#),
        ("renew", r#"{"agentId":"ada","ttlMs":1}"#),
        ("renew", r#"{"agentId":"ada","ttlMs":1,"token":"5"}"#),
        ("renew", r#"{"agentId":"ada","ttlMs":1,"token":-5}"#),
        ("renew", r#"{"agentId":"ada","ttlMs":1,"token":1.5}"#),
        ("renew", r#"{"agentId":"ada","ttlMs":1,"token":NaN}"#),
        ("renew", r#"{"agentId":"ada","ttlMs":1,"token":9007199254740992}"#),
        ("renew", r#"{"agentId":"ada","ttlMs":1,"token":9e99}"#),
        ("release", r#"{"agentId":"ada"}"#),
        ("release", r#"{"agentId":"ada","token":null}"#),
        ("release", r#"{"agentId":"ada","token":true}"#),
        ("cancel", r#"{"agentId":"ada"}"#),
        ("status", "{}"),
        ("status", r#"{"paths":["a"]}"#),
        ("list", r#"{"prefix":5}"#),
        ("list", r#"{"limit":0}"#),
        ("list", r#"{"limit":1001}"#),
        ("list", r#"{"limit":"10"}"#),
        ("verify", r#"{"path":"a"}"#),
        ("verify", r#"{"token":5}"#),
        ("force-release", r#"{"token":5}"#),
        ("force-release", r#"{"token":5,"reason":7}"#),
        ("force-release", r#"{"token":5,"reason":"","drain":"yes"}"#),
        ("recover", "{}"),
        ("recover", r#"{"atLeast":"x"}"#),
    ] {
        assert_eq!(refused(action, body).code, Code::Malformed, "{action} {body}");
    }
    let long = format!(r#"{{"token":5,"reason":"{}"}}"#, "x".repeat(257));
    assert_eq!(refused("force-release", long).code, Code::Malformed);
}

#[test]
fn what_is_said_twice_is_malformed() {
    for (action, body) in [
        ("acquire", r#"{"agentId":"ada","file":"a","path":"a","ttlMs":1}"#),
        ("acquire", r#"{"agentId":"ada","file":"a","paths":["a"],"ttlMs":1}"#),
        ("acquire", r#"{"agentId":"ada","agentId":"bob","file":"a","ttlMs":1}"#),
        ("acquire", r#"{"agentId":null,"agentId":"bob","file":"a","ttlMs":1}"#),
        ("acquire", r#"{"agentId":"ada","agentId":null,"file":"a","ttlMs":1}"#),
        ("release", r#"{"agentId":"ada","file":"a","token":5}"#),
        ("status", r#"{"file":"a","path":"b"}"#),
    ] {
        assert_eq!(refused(action, body).code, Code::Malformed, "{action} {body}");
    }
}

#[test]
fn a_session_needs_a_request_id_and_a_token_and_a_wait_needs_a_request_id() {
    for (action, body) in [
        ("acquire", r#"{"agentId":"ada","session":"s1","file":"a","ttlMs":1}"#),
        ("acquire", r#"{"agentId":"ada","file":"a","ttlMs":1,"waitMs":1000}"#),
        ("release", r#"{"agentId":"ada","session":"s1","file":"a"}"#),
    ] {
        assert_eq!(refused(action, body).code, Code::Malformed, "{action} {body}");
    }
}

#[test]
fn a_ttl_outside_a_millisecond_to_a_day_is_out_of_range() {
    for ttl in [
        "-5",
        "0",
        "-0",
        "null",
        "\"abc\"",
        "\"1000\"",
        "1e300",
        "1e999",
        "-1e300",
        "1.5",
        "0.999",
        "86400001",
        "86400000.5",
        "18446744073709551616",
        "true",
        "[]",
        "{}",
        "[1000]",
    ] {
        for action in ["acquire", "renew"] {
            let body =
                format!(r#"{{"agentId":"a","request":"r","path":"p","token":1,"ttlMs":{ttl}}}"#);
            let problem = refused(action, body);
            assert_eq!(problem.code, Code::TtlOutOfRange, "{ttl}");
            assert!(problem.detail.contains("`ttlMs`"), "{}", problem.detail);
            assert!(problem.detail.contains("from 1 to 86400000"), "{}", problem.detail);
        }
    }
    let problem = refused("acquire", r#"{"agentId":"ada","file":"a"}"#);
    assert_eq!(problem.code, Code::TtlOutOfRange, "a missing one is a bad one");
    let nan = refused("acquire", r#"{"agentId":"ada","file":"a","ttlMs":NaN}"#);
    assert_eq!(nan.code, Code::Malformed, "NaN is not JSON");
}

#[test]
fn a_wait_outside_a_second_to_ten_minutes_is_out_of_range() {
    for wait in ["0", "999", "600001", "\"1000\"", "1000.5", "-1000", "1e300", "false"] {
        let body =
            format!(r#"{{"agentId":"a","request":"r","path":"p","ttlMs":1,"waitMs":{wait}}}"#);
        let problem = refused("acquire", body);
        assert_eq!(problem.code, Code::TtlOutOfRange, "{wait}");
        assert!(problem.detail.contains("`waitMs`"), "{}", problem.detail);
        assert!(problem.detail.contains("from 1000 to 600000"), "{}", problem.detail);
    }
    let absent = r#"{"agentId":"a","request":"r","path":"p","ttlMs":1,"waitMs":null}"#;
    assert!(
        matches!(read("acquire", absent), Command::Acquire(acquire) if acquire.wait().is_none())
    );
}

#[test]
fn a_number_is_what_it_is_worth() {
    for ttl in ["1000", "1e3", "1E+3", "1000.0", "10000e-1", "1000.000"] {
        let body = format!(r#"{{"agentId":"a","path":"p","ttlMs":{ttl}}}"#);
        assert!(matches!(read("acquire", &body), Command::Acquire(a) if a.ttl().ms() == 1_000));
    }
    let body = r#"{"agentId":"a","token":9007199254740991.0,"call":1e0}"#;
    let call = decode_request("release", body.as_bytes()).unwrap();
    assert_eq!(call.attempt.number, Some(1));
    assert!(matches!(
        call.command,
        Command::Release { target: ReleaseTarget::Token(token), .. } if token.get() == (1 << 53) - 1
    ));
}

#[test]
fn more_than_64_paths_are_too_many() {
    let body = |count: usize| {
        let paths: Vec<String> = (0..count).map(|n| format!("\"f{n}\"")).collect();
        format!(r#"{{"agentId":"a","ttlMs":1,"paths":[{}]}}"#, paths.join(","))
    };
    assert!(decode_request("acquire", body(64).as_bytes()).is_ok());
    for count in [65, 100_000] {
        assert_eq!(refused("acquire", body(count)).code, Code::TooManyPaths);
    }
    let copies = format!(r#"{{"agentId":"a","ttlMs":1,"paths":[{}"a"]}}"#, "\"a\",".repeat(64));
    assert_eq!(refused("acquire", copies).code, Code::TooManyPaths, "as they were given");
}

#[test]
fn a_path_that_is_empty_climbs_out_or_is_too_long_is_invalid() {
    let long = "x".repeat(2_048);
    for path in ["", "/", ".", "a/..", "..", "../a", "a/../../b", r"a\u0000b", r"a\nb", &long] {
        for (action, body) in [
            ("acquire", format!(r#"{{"agentId":"a","ttlMs":1,"file":"{path}"}}"#)),
            ("acquire", format!(r#"{{"agentId":"a","ttlMs":1,"paths":["ok","{path}"]}}"#)),
            ("release", format!(r#"{{"agentId":"a","path":"{path}"}}"#)),
            ("status", format!(r#"{{"file":"{path}"}}"#)),
            ("verify", format!(r#"{{"path":"{path}","token":1}}"#)),
            ("list", format!(r#"{{"after":"{path}"}}"#)),
        ] {
            let problem = refused(action, body);
            assert_eq!(problem.code, Code::PathInvalid, "{action} {path}");
            assert!(problem.detail.len() < 300, "{}", problem.detail);
        }
    }
}

#[test]
fn a_prefix_that_no_path_begins_with_is_invalid() {
    let long = "x".repeat(1_025);
    let prefixes = [
        "a//", "a//b", "a/./", "a/./b", "a/../", "a/../b", "../", "../a", "/../a", "./../a",
        r"a\u0000", r"\u007f", r"a\nb", &long,
    ];
    for prefix in prefixes {
        let problem = refused("list", format!(r#"{{"prefix":"{prefix}","call":7}}"#));
        assert_eq!((problem.code, problem.call), (Code::PathInvalid, Some(7)), "{prefix}");
        assert!(problem.detail.len() < 300, "{}", problem.detail);
    }
}

#[test]
fn a_prefix_is_spelled_as_freely_as_a_path_begins() {
    for (spelled, prefix) in [
        ("", ""),
        ("/", ""),
        ("./", ""),
        ("/src/", "src/"),
        ("//src", "src"),
        ("./src", "src"),
        (".//./src/", "src/"),
        (".", "."),
        ("..", ".."),
        ("src/.", "src/."),
        ("src/..", "src/.."),
        (".git/", ".git/"),
        ("..a/b", "..a/b"),
    ] {
        let command = read("list", &format!(r#"{{"prefix":"{spelled}"}}"#));
        let expected = Command::List { prefix: prefix.into(), after: None, limit: 100 };
        assert_eq!(command, expected, "{spelled}");
    }
}

#[test]
fn a_name_that_is_none_is_invalid() {
    let long = "x".repeat(129);
    for id in ["", r"a\nb", r"\u007f", &long] {
        for (action, body) in [
            ("acquire", format!(r#"{{"agentId":"{id}","file":"a","ttlMs":1}}"#)),
            ("acquire", format!(r#"{{"agentId":"a","request":"{id}","file":"a","ttlMs":1}}"#)),
            ("cancel", format!(r#"{{"agentId":"a","request":"{id}"}}"#)),
            ("renew", format!(r#"{{"agentId":"{id}","token":1,"ttlMs":1}}"#)),
        ] {
            assert_eq!(refused(action, body).code, Code::IdInvalid, "{action} {id}");
        }
        if !id.is_empty() {
            let body = format!(r#"{{"agentId":"a","session":"{id}","token":1}}"#);
            assert_eq!(refused("release", body).code, Code::IdInvalid, "session {id}");
        }
    }
}

#[test]
fn a_recovery_below_2024_or_from_2200_on_is_malformed() {
    let (first, end) = (1_704_067_200_000_u64 << 10, 7_258_118_400_000_u64 << 10);
    let body = |token: u64| format!(r#"{{"atLeast":{token}}}"#);
    for token in [first, end - 1] {
        assert!(matches!(read("recover", &body(token)), Command::Recover { .. }));
    }
    for token in [0, first - 1, end, (1 << 53) - 1, u64::MAX] {
        assert_eq!(refused("recover", body(token)).code, Code::Malformed, "{token}");
    }
}

#[test]
fn unknown_members_and_those_of_other_commands_are_ignored() {
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let body = format!(
        r#"{{"x":{deep},"y":1e999,"ttlMs":"abc","path":"a","token":5,"reason":[],"request":""}}"#
    );
    let call = decode_request("verify", body.as_bytes()).unwrap();
    assert!(matches!(call.command, Command::Verify { .. }));
    assert_eq!(call.attempt.ignored, ["x", "y", "ttlMs", "reason", "request"]);
}

#[test]
fn what_is_null_or_looked_at_is_not_told_as_ignored_and_of_the_rest_the_first_eight() {
    let others: Vec<String> = (0..20).map(|n| format!(r#""{}{n}":1"#, "x".repeat(60))).collect();
    let body = format!(
        r#"{{"action":"status","call":1,"file":"a","path":null,"ttlMs":null,"mode":null,"\u0066ile2":2,{}}}"#,
        others.join(",")
    );
    let call = decode_request("status", body.as_bytes()).unwrap();
    assert_eq!(call.attempt.ignored.len(), mailbus_spec::limits::IGNORED_NAMED);
    assert_eq!(call.attempt.ignored[0], "file2");
    assert!(call.attempt.ignored.iter().all(|name| name.chars().count() <= 41));
}

#[test]
fn a_refusal_carries_the_call_number_where_it_could_be_read() {
    assert_eq!(refused("status", r#"{"call":7,"file":""}"#).call, Some(7));
    assert_eq!(
        refused("status", r#"{"file":"","call":18446744073709551615}"#).call,
        Some(u64::MAX)
    );
    assert_eq!(refused("status", r#"{"call":7,"#).call, None);
}

#[test]
fn only_the_original_spelling_is_answered_as_the_original_does() {
    for (action, body, dialect) in [
        ("acquire", r#"{"agentId":"a","ttlMs":1,"file":"f"}"#, Dialect::Original),
        ("acquire", r#"{"agentId":"a","session":"","ttlMs":1,"file":"f"}"#, Dialect::Original),
        ("acquire", r#"{"agentId":"a","ttlMs":1,"file":"f","request":"r"}"#, Dialect::Mailbus),
        ("acquire", r#"{"agentId":"a","ttlMs":1,"path":"f"}"#, Dialect::Mailbus),
        ("acquire", r#"{"agentId":"a","ttlMs":1,"paths":["f"]}"#, Dialect::Mailbus),
        ("release", r#"{"agentId":"a","file":"f"}"#, Dialect::Original),
        ("release", r#"{"agentId":"a","path":"f"}"#, Dialect::Mailbus),
        ("release", r#"{"agentId":"a","token":5}"#, Dialect::Mailbus),
    ] {
        let call = decode_request(action, body.as_bytes()).unwrap();
        assert_eq!(call.dialect, dialect, "{action} {body}");
    }
}

#[test]
fn bytes_of_something_between_the_two_ends_are_undecodable() {
    for (status, body) in [
        (200, "".as_bytes()),
        (502, b"<html>Bad gateway</html>"),
        (200, b"{}"),
        (200, b"[]"),
        (200, b"\xff"),
        (200, br#"{"outcome":"released","released":true}"#),
        (200, br#"{"outcome":"new","commit":{"sequence":1,"now":1,"generation":1}}"#),
        (500, br#"{"outcome":"cancelled","commit":{"sequence":1,"now":1,"generation":1}}"#),
        (418, br#"{"code":"teapot","detail":"short and stout"}"#),
        (403, br#"{"code":"forbidden","message":"Not from this network."}"#),
        (404, br#"{"type":"about:blank","code":"not_found","status":404}"#),
        (404, br#"{"type":"urn:mailbus:problem:held","code":"not_found"}"#),
    ] {
        let undecodable = decode_reply(status, body).unwrap_err();
        assert!(undecodable.detail.contains(&format!("status {status}")));
    }
}

#[test]
fn a_refusal_without_a_commit_is_not_the_objects() {
    for body in [
        r#"{"type":"urn:mailbus:problem:limit","code":"limit","detail":"Too many requests.","kind":"holder_claims"}"#,
        r#"{"type":"urn:mailbus:problem:lost","code":"lost"}"#,
        r#"{"type":"urn:mailbus:problem:restoring","code":"restoring","commit":{"sequence":1,"now":1,"generation":1}}"#,
        r#"{"type":"urn:mailbus:problem:limit","code":"limit","kind":"of another version","commit":{"sequence":1,"now":1,"generation":1}}"#,
    ] {
        let problem = decode_reply(429, body.as_bytes()).unwrap().result.unwrap_err();
        assert!(body.contains(problem.code.as_str()));
    }
}
