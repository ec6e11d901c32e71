//! Goal: what one end writes, the other end reads as the same. Method: random values of every kind,
//! there and back; and random bytes, of which none may do worse than be refused.

mod strategy;

use mailbus_spec::Reply;
use mailbus_spec::mailbox::{Ask, Command};
use mailbus_spec::wire::mailbox::{
    Call, Received, ServerFrame, decode_frame, decode_message, decode_original_frame, decode_reply,
    decode_request, decode_server_frame, decode_subscribe, encode_call, encode_connected,
    encode_frame, encode_push, encode_reply, encode_subscribe, payload_of, stored_message,
};
use mailbus_spec::wire::{Code, Problem, frame};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use strategy::{
    almost, ask_of, commit, connected, connection, message, notice, reply, some_agent, subscribe,
};

proptest! {
    #[test]
    fn a_command_is_read_as_it_was_written(
        ask in some_agent().prop_flat_map(ask_of),
        number: u64,
    ) {
        let (action, body) = encode_call(number, &ask).unwrap();
        let call = decode_request(action, body.as_bytes()).unwrap();
        let number = (action != "publish").then_some(number);
        prop_assert_eq!(call, Call { attempt: number.into(), command: Command::alone(ask) });
    }

    #[test]
    fn a_frame_is_read_as_it_was_written(
        (socket, asks) in connection().prop_flat_map(|socket| {
            let asks = vec(ask_of(socket.agent.clone()), 1..5);
            (Just(socket), asks)
        }),
    ) {
        let calls: Vec<(u64, &Ask)> = (0..).zip(&asks).collect();
        let read = decode_frame(&encode_frame(&calls), &socket).unwrap();
        let read: Vec<Call> = read.into_iter().map(Result::unwrap).collect();
        let expected: Vec<Call> = calls
            .into_iter()
            .map(|(number, ask)| Call {
                attempt: Some(number).into(),
                command: Command::over(socket.clone(), ask.clone()),
            })
            .collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn a_stored_message_is_the_one_that_was_sent(message in message()) {
        prop_assert_eq!(payload_of(&message.body), message.payload.as_deref());
        prop_assert_eq!(decode_message(&message.body, None), Ok(message.clone()));
        prop_assert_eq!(stored_message(&message.body), Some(message));
    }

    #[test]
    fn a_reply_is_read_as_it_was_written(reply in reply(), call: Option<u64>) {
        let answer = encode_reply(call, &reply);
        prop_assert_eq!(answer.status == 200, reply.answer.is_ok());
        let read = decode_reply(answer.status, answer.body.as_bytes()).unwrap();
        prop_assert_eq!(read.commit(), Some(reply.commit));
        prop_assert_eq!(read, Received { call, result: Ok(reply) });
    }

    #[test]
    fn a_shared_frame_is_read_as_it_was_written(
        begun in connected(),
        commit in commit(),
        replies in vec((any::<u64>(), reply()), 0..4),
        notices in vec(notice(), 0..3),
    ) {
        let begun = Reply { answer: Ok(begun), commit };
        let problem = Problem::new(Code::Malformed, "What happened.");
        let answers: Vec<_> =
            replies.iter().map(|(call, reply)| encode_reply(Some(*call), reply)).collect();
        let mut parts = vec![
            encode_connected(&begun).unwrap(),
            frame::replies(&answers),
            frame::error(&problem),
        ];
        parts.extend(notices.iter().map(|notice| encode_push(notice).unwrap()));
        let received = replies
            .into_iter()
            .map(|(call, reply)| Received { call: Some(call), result: Ok(reply) })
            .collect();
        let mut expected = vec![
            ServerFrame::Connected(begun),
            ServerFrame::Replies(received),
            ServerFrame::Error(problem),
        ];
        expected.extend(notices.into_iter().map(ServerFrame::Notice));
        for part in &parts {
            prop_assert!(serde_json::from_str::<serde::de::IgnoredAny>(part).is_ok(), "{}", part);
        }
        prop_assert_eq!(decode_server_frame(&frame::share(&parts)), expected);
    }

    #[test]
    fn a_subscription_is_read_as_it_was_written(subscribe in subscribe()) {
        prop_assert_eq!(decode_subscribe(&encode_subscribe(&subscribe)), Ok(subscribe));
    }

    #[test]
    fn no_bytes_do_worse_than_be_refused(
        action in select(vec![
            "publish", "send", "acknowledge", "nack", "working", "inbox", "subscriptions", "agents",
            "heartbeat", "dead-letters", "redrive", "disconnect", "forget", "recover",
        ]),
        body in prop_oneof![
            vec(any::<u8>(), 0..64),
            almost().prop_map(String::into_bytes),
            almost().prop_map(|text| format!("{{\"to\":\"b\",\"message\":{text}}}").into_bytes()),
        ],
        status: u16,
        socket in connection(),
    ) {
        if let Err(problem) = decode_request(action, &body) {
            prop_assert_eq!(problem.code.status() / 100, 4);
            prop_assert_eq!(Problem::from_json(&problem.to_json()), Ok(problem));
        }
        let _ = decode_reply(status, &body);
        let _ = decode_reply(200, &body);
        let text = String::from_utf8_lossy(&body);
        let _ = decode_server_frame(&text);
        let _ = decode_subscribe(&text);
        let _ = decode_original_frame(&text, &socket);
        let _ = payload_of(&text);
        if let Some(message) = stored_message(&text) {
            // What is read once is what is read ever after.
            prop_assert_eq!(stored_message(&message.body), Some(message));
        }
        let wrapped = format!("[{text},{text}]");
        for text in [text.as_ref(), &wrapped] {
            if let Err(problem) = decode_frame(text, &socket) {
                prop_assert_eq!(problem.code, Code::Malformed);
            }
        }
    }
}
