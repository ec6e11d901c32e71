//! Broken connections, dead objects, silent networks, second processes.

use mailbus_client::bus::{BusError, MailBus};
use mailbus_client::mailbox::{MailboxError, Status};
use mailbus_spec::mailbox::Ask;

use crate::bench::{Bench, Mode, Notes, agent, begin, draft, newsroom, note, seconds};

#[test]
fn a_broken_connection_is_opened_again_and_costs_nothing() {
    Bench::run(async |bench| {
        let (a, _b, heard, told) = newsroom(&bench).await;
        for round in 0..5 {
            bench.break_connections();
            a.publish(draft("news", &round.to_string())).await.unwrap();
            bench.pass(seconds(20)).await;
        }
        let expected: Vec<String> = (0..5).map(|round| format!(r#"a: "{round}""#)).collect();
        assert_eq!(heard.all(), expected);
        assert!(told.all().contains(&"connected, resumed: true".to_owned()), "{:?}", told.all());
    });
}

#[test]
fn what_is_published_while_nothing_answers_is_accepted_once_when_it_does() {
    Bench::run(async |bench| {
        let (a, _b, heard, _) = newsroom(&bench).await;
        bench.set_mode(Mode::NoConnection);
        bench.break_connections();
        let healed = async {
            bench.pass(seconds(40)).await;
            bench.set_mode(Mode::Whole);
        };
        let (accepted, ()) =
            futures_util::future::join(a.publish(draft("news", "late")), healed).await;
        accepted.unwrap();
        bench.pass(seconds(30)).await;
        assert_eq!(heard.all(), [r#"a: "late""#]);
    });
}

#[test]
fn what_is_published_while_no_server_listens_for_long_is_accepted_once_when_one_does() {
    Bench::run(async |bench| {
        let (a, _b, heard, _) = newsroom(&bench).await;
        bench.set_mode(Mode::NoConnection);
        bench.break_connections();
        // Both ends see that the sockets are gone.
        bench.pass(seconds(1)).await;
        let healed = async {
            bench.pass(seconds(600)).await;
            assert_eq!(heard.all(), Vec::<String>::new());
            bench.set_mode(Mode::Whole);
        };
        let (accepted, ()) =
            futures_util::future::join(a.publish(draft("news", "late")), healed).await;
        accepted.unwrap();
        bench.pass(seconds(120)).await;
        assert_eq!(heard.all(), [r#"a: "late""#]);
    });
}

#[test]
fn what_nothing_answers_for_a_minute_is_unknown() {
    Bench::run(async |bench| {
        let a = bench.bus("a");
        a.initialize().await.unwrap();
        bench.set_mode(Mode::Deaf);
        bench.break_connections();
        let began = bench.now();
        let outcome = a.publish(draft("news", "x")).await;
        assert_eq!(outcome, Err(BusError::Mail(MailboxError::Unknown)));
        let took = bench.now() - began;
        assert!(took >= seconds(60) && took < seconds(66), "{took:?}");
    });
}

#[test]
fn an_idle_session_stays_the_same_one_for_hours() {
    Bench::run(async |bench| {
        let a = bench.bus("a");
        a.initialize().await.unwrap();
        let before = a.mail().inspect(|session, _| session.epoch());
        bench.pass(seconds(4 * 3_600)).await;
        assert_eq!(a.mail().inspect(|session, _| session.epoch()), before);
    });
}

#[test]
fn a_socket_that_falls_silent_is_noticed_within_half_a_minute() {
    Bench::run(async |bench| {
        let (a, told) = (bench.bus("a"), Notes::default());
        told.listen(&a);
        bench.set_mode(Mode::Deaf);
        let healed = async {
            bench.pass(seconds(1)).await;
            bench.set_mode(Mode::Whole);
        };
        let began = bench.now();
        let (connected, ()) = futures_util::future::join(a.initialize(), healed).await;
        connected.unwrap();
        assert!(bench.now() - began < seconds(12), "an opening that hangs is given up");
    });
}

#[test]
fn an_object_that_dies_has_its_sessions_come_back_with_what_was_in_flight() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        let heard = Notes::default();
        let noted = heard.clone();
        b.subscribe("news", move |mail| {
            noted.add(mail.raw_payload().unwrap_or_default());
            async move {
                // Longer than the object lives.
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
        })
        .await
        .unwrap();
        begin(&a, &b).await;
        for number in 0..20 {
            a.publish(draft("news", &number.to_string())).await.unwrap();
            if number % 5 == 0 {
                bench.crash_mailbox();
            }
        }
        bench.pass(seconds(120)).await;
        let expected: Vec<String> = (0..20).map(|number| format!("\"{number}\"")).collect();
        let mut heard = heard.all();
        heard.sort_by_key(|text| text.trim_matches('"').parse::<u64>().unwrap());
        assert_eq!(heard, expected, "each once");
    });
}

#[test]
fn a_second_process_of_an_agent_takes_over_and_the_first_is_told() {
    Bench::run(async |bench| {
        let (first, told) = (bench.bus("a"), Notes::default());
        told.listen(&first);
        first.initialize().await.unwrap();
        let second = bench.bus("a");
        second.initialize().await.unwrap();
        bench.pass(seconds(60)).await;
        let told = told.all();
        assert_eq!(told.last().unwrap(), "ended: Replaced", "{told:?}");
        assert!(matches!(*second.mail().status().borrow(), Status::Connected { .. }));
        let refused = first.publish(draft("news", "x")).await.unwrap_err();
        assert!(matches!(refused, BusError::Mail(MailboxError::Unsendable(_))), "{refused}");
    });
}

#[test]
fn a_shutdown_is_final_and_mail_waits_for_the_next_run() {
    Bench::run(async |bench| {
        let (a, b, heard, told) = newsroom(&bench).await;
        b.shutdown().await.unwrap();
        b.shutdown().await.unwrap();
        bench.pass(seconds(600)).await;
        let told = told.all();
        assert_eq!(told, ["connected, resumed: false", "ended: ShutDown"], "{told:?}");
        a.send_to(&agent("b"), draft("news", "later")).await.unwrap();
        assert_eq!(heard.all(), Vec::<String>::new());
        let next = bench.bus("b");
        note(&next, "news", &heard).await;
        next.initialize().await.unwrap();
        bench.pass(seconds(1)).await;
        assert_eq!(heard.all(), [r#"a: "later""#]);
    });
}

#[test]
fn an_agent_that_an_admin_forgot_comes_back_with_its_subscriptions() {
    Bench::run(async |bench| {
        let (a, _b, heard, told) = newsroom(&bench).await;
        a.mail().ask(Ask::Forget { agent: agent("b"), epoch: None }).await.unwrap();
        bench.pass(seconds(5)).await;
        assert_eq!(told.all().last().unwrap(), "connected, resumed: false");
        assert_eq!(a.publish(draft("other", "x")).await.unwrap().recipients, Some(0));
        assert_eq!(a.publish(draft("news", "x")).await.unwrap().recipients, Some(1));
        bench.pass(seconds(1)).await;
        assert_eq!(heard.all(), [r#"a: "x""#]);
    });
}

#[test]
fn a_restore_is_told_with_what_had_been_accepted() {
    Bench::run(async |bench| {
        let (a, told) = (bench.bus("a"), Notes::default());
        told.listen(&a);
        a.initialize().await.unwrap();
        let sent = a.publish(draft("news", "x")).await.unwrap();
        let at_least = sent.seq.unwrap();
        a.mail().ask(Ask::Recover { at_least }).await.unwrap();
        bench.pass(seconds(1)).await;
        assert!(told.all().contains(&"restored".to_owned()), "{:?}", told.all());
    });
}
