//! Goal: what one end writes, the other end reads as the same. Method: random values of every kind,
//! there and back; and random bytes, of which none may do worse than be refused.

use mailbus_spec::lease::answer::Notice;
use mailbus_spec::lease::{
    Acquire, Blocker, Command, HeldBy, LeaseEntry, LeaseReply, LimitKind, Outcome, OverReason,
    Rejection, ReleaseTarget, TicketEntry,
};
use mailbus_spec::time::{HOST_END_MS, HOST_FIRST_MS};
use mailbus_spec::wire::lease::{
    Call, Received, ServerFrame, Subscribe, decode_frame, decode_reply, decode_request,
    decode_server_frame, decode_subscribe, encode_call, encode_frame, encode_push, encode_reply,
    encode_subscribe,
};
use mailbus_spec::wire::{Code, Dialect, Extensions, Problem, Protocol, frame};
use mailbus_spec::{
    AgentId, Commit, Holder, HostTime, LeasePath, Ordinal, PathSet, Reply, RequestId, SessionId,
    Timestamp, Ttl, Wait,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

const NAME: &str = r#"[^\p{Cc}]{1,20}|["\\/\u{2028}é🦀]{1,8}"#;

fn session() -> impl Strategy<Value = SessionId> {
    prop_oneof![Just(SessionId::original()), NAME.prop_map(|text| SessionId::new(text).unwrap())]
}

fn holder() -> impl Strategy<Value = Holder> {
    (NAME, session())
        .prop_map(|(agent, session)| Holder { agent: AgentId::new(agent).unwrap(), session })
}

fn request() -> impl Strategy<Value = RequestId> {
    NAME.prop_map(|text| RequestId::new(text).unwrap())
}

fn path() -> impl Strategy<Value = LeasePath> {
    NAME.prop_filter_map("names nothing", |text| LeasePath::new(&text).ok())
}

fn paths() -> impl Strategy<Value = PathSet> {
    vec(path(), 1..5).prop_map(|paths| PathSet::new(paths).unwrap())
}

fn token() -> impl Strategy<Value = Ordinal> {
    (0..=Ordinal::MAX.get()).prop_map(|value| Ordinal::new(value).unwrap())
}

fn instant() -> impl Strategy<Value = Timestamp> {
    (0..=Timestamp::MAX.ms()).prop_map(|ms| Timestamp::from_ms(ms).unwrap())
}

fn ttl() -> impl Strategy<Value = Ttl> {
    (1..=86_400_000_u64).prop_map(|ms| Ttl::from_ms(ms).unwrap())
}

fn wait() -> impl Strategy<Value = Wait> {
    (1_000..=600_000_u64).prop_map(|ms| Wait::from_ms(ms).unwrap())
}

fn acquire() -> impl Strategy<Value = Command> {
    let parts = (holder(), option::of(request()), paths(), ttl(), option::of(wait()));
    parts.prop_filter_map("needs a request", |(holder, request, paths, ttl, wait)| {
        Acquire::new(holder, request, paths, ttl, wait).ok().map(Command::Acquire)
    })
}

/// The first characters of a path.
fn prefix() -> impl Strategy<Value = String> {
    (path(), 0..20_usize)
        .prop_map(|(path, characters)| path.as_str().chars().take(characters).collect())
}

fn command() -> impl Strategy<Value = Command> {
    prop_oneof![
        acquire(),
        (holder(), token(), ttl(), any::<bool>())
            .prop_map(|(holder, token, ttl, drain)| Command::Renew { drain, holder, token, ttl }),
        (holder(), token()).prop_map(|(holder, token)| Command::Release {
            holder,
            target: ReleaseTarget::Token(token)
        }),
        (holder(), path()).prop_map(|(holder, path)| Command::Release {
            holder: Holder { session: SessionId::original(), ..holder },
            target: ReleaseTarget::Path(path)
        }),
        (holder(), request()).prop_map(|(holder, request)| Command::Cancel { holder, request }),
        path().prop_map(|path| Command::Status { path }),
        (prefix(), option::of(path()), 1..=1_000_usize)
            .prop_map(|(prefix, after, limit)| Command::List { prefix, after, limit }),
        (path(), token()).prop_map(|(path, token)| Command::Verify { path, token }),
        (prefix(), any::<u64>(), 1..=1_000_usize)
            .prop_map(|(prefix, after, limit)| Command::Tickets { prefix, after, limit }),
        (any::<u64>(), any::<u64>())
            .prop_map(|(arrival, generation)| Command::ForceTicket { arrival, generation }),
        (token(), ".{0,20}", any::<bool>())
            .prop_map(|(token, reason, drain)| Command::ForceRelease { token, reason, drain }),
        (HOST_FIRST_MS << 10..HOST_END_MS << 10)
            .prop_map(|value| Command::Recover { at_least: Ordinal::new(value).unwrap() }),
    ]
}

fn entry() -> impl Strategy<Value = LeaseEntry> {
    (path(), holder(), token(), instant(), any::<bool>()).prop_map(
        |(path, holder, token, expires_at, draining)| LeaseEntry {
            path,
            holder,
            token,
            expires_at,
            draining,
        },
    )
}

fn ticket() -> impl Strategy<Value = TicketEntry> {
    (any::<u64>(), holder(), request(), paths(), instant()).prop_map(
        |(arrival, holder, request, paths, deadline)| TicketEntry {
            arrival,
            holder,
            request,
            paths,
            deadline,
        },
    )
}

fn reason() -> impl Strategy<Value = OverReason> {
    use OverReason::{Cancelled, Forced, Lapsed, Released, TimedOut};
    select(vec![Released, Lapsed, Forced, Cancelled, TimedOut])
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        (token(), instant(), ttl()).prop_map(|(token, expires_at, ttl)| Outcome::Granted {
            token,
            expires_at,
            ttl
        }),
        any::<u64>().prop_map(|position| Outcome::Queued { position }),
        (reason(), option::of(token())).prop_map(|(reason, token)| Outcome::Over { reason, token }),
        (instant(), any::<u64>(), any::<bool>()).prop_map(|(expires_at, waiting, draining)| {
            Outcome::Renewed { expires_at, waiting, draining }
        }),
        Just(Outcome::Released),
        Just(Outcome::Cancelled),
        (any::<u64>(), option::of(ticket()))
            .prop_map(|(queue, reserved)| Outcome::Free { queue, reserved }),
        (vec(ticket(), 0..3), any::<bool>())
            .prop_map(|(tickets, more)| Outcome::Tickets { tickets, more }),
        (entry(), paths(), any::<u64>()).prop_map(|(lease, paths, queue)| Outcome::Held {
            lease,
            paths,
            queue
        }),
        (vec(entry(), 0..4), any::<bool>())
            .prop_map(|(leases, more)| Outcome::Leases { leases, more }),
        instant().prop_map(|expires_at| Outcome::Current { expires_at }),
        Just(Outcome::Stale),
        Just(Outcome::Recovered),
    ]
}

fn blocker() -> impl Strategy<Value = Blocker> {
    let by = select(vec![HeldBy::Lease, HeldBy::Ticket, HeldBy::Own]);
    (by, holder(), paths(), instant(), any::<u64>(), option::of(any::<u64>())).prop_map(
        |(by, holder, paths, until, queue, arrival)| Blocker {
            by,
            holder,
            paths,
            until,
            queue,
            arrival,
        },
    )
}

fn kind() -> impl Strategy<Value = LimitKind> {
    select(vec![
        LimitKind::WorkspaceClaims,
        LimitKind::WorkspacePaths,
        LimitKind::WorkspaceRemembered,
        LimitKind::AgentClaims,
        LimitKind::AgentPaths,
        LimitKind::AgentRemembered,
        LimitKind::Tokens,
        LimitKind::AgentTickets,
    ])
}

fn rejection() -> impl Strategy<Value = Rejection> {
    prop_oneof![
        blocker().prop_map(Rejection::Held),
        (vec(holder(), 0..4), any::<u64>())
            .prop_map(|(cycle, length)| Rejection::Deadlock { cycle, length }),
        Just(Rejection::Conflict),
        kind().prop_map(Rejection::Limit),
        Just(Rejection::Lost),
        any::<u64>().prop_map(|ms| Rejection::Clock(HostTime(ms))),
    ]
}

fn commit() -> impl Strategy<Value = Commit> {
    (any::<u64>(), instant(), any::<u64>()).prop_map(|(sequence, now, generation)| Commit {
        sequence,
        now,
        generation,
    })
}

fn reply() -> impl Strategy<Value = LeaseReply> {
    let answer = prop_oneof![outcome().prop_map(Ok), rejection().prop_map(Err)];
    (answer, commit()).prop_map(|(answer, commit)| Reply { answer, commit })
}

fn notice() -> impl Strategy<Value = Notice> {
    prop_oneof![
        (request(), token(), instant(), ttl()).prop_map(|(request, token, expires_at, ttl)| {
            Notice::Granted { request, token, expires_at, ttl }
        }),
        token().prop_map(|token| Notice::Lapsed { token }),
        (token(), ".{0,20}", any::<bool>()).prop_map(|(token, reason, drain)| Notice::Forced {
            token,
            reason,
            drain
        }),
    ]
}

fn problem() -> impl Strategy<Value = Problem> {
    // Kept in the words that came: a reader of numbers would round the third, one of objects sort the last.
    let texts = ["null", "-7", "18000125555555555555555555555.50", r#"{"b":1,"a":"\u00e9","b":2}"#];
    let member = ("x[a-z]{0,4}", select(texts.to_vec()));
    let extensions = vec(member, 0..3).prop_map(|members| {
        let each = members.iter().map(|(name, text)| format!("\"{name}\":{text}"));
        let object = format!("{{{}}}", each.collect::<Vec<_>>().join(","));
        let extensions: Extensions = serde_json::from_str(&object).expect("an object");
        assert!(extensions.iter().eq(members.iter().map(|(name, text)| (&**name, *text))));
        extensions
    });
    (select(Code::ALL), ".{0,20}", any::<Option<u64>>(), option::of(commit()), extensions).prop_map(
        |(code, detail, call, commit, extensions)| Problem {
            code,
            detail,
            call,
            commit,
            extensions,
        },
    )
}

/// Something close enough to a command to get past the first checks.
fn almost_a_command() -> impl Strategy<Value = String> {
    let names = [
        "action", "call", "agentId", "session", "request", "paths", "file", "path", "ttlMs",
        "waitMs", "token", "reason", "drain", "prefix", "after", "limit", "atLeast", "outcome",
        "code", "commit", "type", "replies",
    ];
    let values = [
        "null",
        "true",
        "1",
        "-1",
        "1.5",
        "1e9",
        "1e999",
        "\"a\"",
        "\"../a\"",
        "\"\"",
        "[\"a\"]",
        "[]",
        "{}",
        "\"acquire\"",
        "\"held\"",
        "\"$replies\"",
        "86400000",
        "nul",
        "\"\\ud800\"",
    ];
    vec((select(names.to_vec()), select(values.to_vec())), 0..8).prop_map(|members| {
        let members: Vec<String> =
            members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    })
}

proptest! {
    #[test]
    fn a_command_is_read_as_it_was_written(command in command(), number: u64) {
        let (action, body) = encode_call(number, &command);
        let call = decode_request(action, body.as_bytes()).unwrap();
        prop_assert_eq!(call, Call { attempt: Some(number).into(), dialect: Dialect::Mailbus, command });
    }

    #[test]
    fn a_frame_is_read_as_it_was_written(commands in vec(command(), 1..5)) {
        let calls: Vec<(u64, &Command)> = (0..).zip(&commands).collect();
        let read = decode_frame(&encode_frame(&calls), None).unwrap();
        let commands: Vec<_> = read.into_iter().map(|call| call.unwrap().command).collect();
        prop_assert_eq!(commands.iter().collect::<Vec<_>>(), calls.iter().map(|call| call.1).collect::<Vec<_>>());
    }

    #[test]
    fn a_reply_is_read_as_it_was_written(reply in reply(), call: Option<u64>) {
        let answer = encode_reply(call, Dialect::Mailbus, &reply);
        prop_assert_eq!(answer.status == 200, matches!(&reply.answer, Ok(outcome) if !matches!(outcome, Outcome::Over { .. })));
        let read = decode_reply(answer.status, answer.body.as_bytes()).unwrap();
        prop_assert_eq!(read.commit(), Some(reply.commit));
        prop_assert_eq!(read, Received { call, result: Ok(reply) });
    }

    #[test]
    fn a_reply_to_the_original_says_the_same_with_status_200_or_as_a_problem(reply in reply()) {
        let answer = encode_reply(None, Dialect::Original, &reply);
        let plain = matches!(&reply.answer, Err(Rejection::Held(_) | Rejection::Lost));
        prop_assert!(!plain || answer.status == 200);
        let read = decode_reply(answer.status, answer.body.as_bytes()).unwrap();
        prop_assert_eq!(read.result, Ok(reply));
    }

    #[test]
    fn a_shared_frame_is_read_as_it_was_written(
        replies in vec((any::<u64>(), reply()), 0..4),
        notices in vec(notice(), 0..3),
        problem in problem(),
    ) {
        let answers: Vec<_> = replies
            .iter()
            .map(|(call, reply)| encode_reply(Some(*call), Dialect::Mailbus, reply))
            .collect();
        let mut parts = vec![frame::replies(&answers), frame::error(&problem)];
        parts.extend(notices.iter().map(encode_push));
        let received = replies
            .into_iter()
            .map(|(call, reply)| Received { call: Some(call), result: Ok(reply) })
            .collect();
        let mut expected = vec![ServerFrame::Replies(received), ServerFrame::Error(problem)];
        expected.extend(notices.into_iter().map(ServerFrame::Notice));
        prop_assert_eq!(decode_server_frame(&frame::share(&parts)), expected);
        prop_assert_eq!(decode_server_frame(&frame::share(&parts[..1])).len(), 1);
    }

    #[test]
    fn a_problem_is_read_as_it_was_written(problem in problem()) {
        prop_assert_eq!(Problem::from_json(&problem.to_json()), Ok(problem));
    }

    #[test]
    fn a_subscription_is_read_as_it_was_written(holder in holder()) {
        let read = decode_subscribe(&encode_subscribe(&holder));
        prop_assert_eq!(read, Ok(Subscribe { holder, protocol: Protocol::One }));
    }

    #[test]
    fn no_bytes_do_worse_than_be_refused(
        action in select(vec!["acquire", "renew", "release", "cancel", "status", "list", "verify", "force-release", "recover"]),
        body in prop_oneof![vec(any::<u8>(), 0..64), almost_a_command().prop_map(String::into_bytes)],
        status: u16,
    ) {
        if let Err(problem) = decode_request(action, &body) {
            prop_assert_eq!(problem.code.status() / 100, 4);
            prop_assert_eq!(Problem::from_json(&problem.to_json()), Ok(problem));
        }
        let _ = decode_reply(status, &body);
        let text = String::from_utf8_lossy(&body);
        let _ = decode_server_frame(&text);
        let _ = decode_subscribe(&text);
        let wrapped = format!("[{text},{text}]");
        for text in [text.as_ref(), &wrapped] {
            if let Err(problem) = decode_frame(text, None) {
                prop_assert_eq!(problem.code, Code::Malformed);
            }
        }
    }
}
