//! Messages: sent, delivered, handled, settled, given up.

use mailbus_client::bus::{BusError, MailBus, TASK_ASSIGNED};
use mailbus_client::clocks::Clocks;
use mailbus_client::mailbox::MailboxError;
use mailbus_spec::Ordinal;
use mailbus_spec::mailbox::{MessageId, Rejection};
use mailbus_worker::router::Access;

use crate::bench::{Bench, Notes, agent, begin, draft, newsroom, note, seconds, setup};

#[test]
fn messages_reach_who_is_subscribed_and_who_is_named() {
    Bench::run(async |bench| {
        let (a, b, c) = (bench.bus("a"), bench.bus("b"), bench.bus("c"));
        let (heard_b, heard_c) = (Notes::default(), Notes::default());
        note(&b, "news.*", &heard_b).await;
        note(&c, "task_assigned", &heard_c).await;
        for bus in [&a, &b, &c] {
            bus.initialize().await.unwrap();
        }
        let published = a.publish(draft("news.today", "rain")).await.unwrap();
        assert_eq!((published.recipients, published.refused.len()), (Some(1), 0));
        let sent = a.send_to(&agent("c"), draft(TASK_ASSIGNED, "dig")).await.unwrap();
        assert!(sent.seq > published.seq);
        bench.pass(seconds(1)).await;
        assert_eq!(heard_b.all(), [r#"a: "rain""#]);
        assert_eq!(heard_c.all(), [r#"a: "dig""#]);
    });
}

#[test]
fn mail_waits_for_an_agent_that_never_connected_and_comes_in_order() {
    Bench::run(async |bench| {
        let a = bench.bus("a");
        a.initialize().await.unwrap();
        for text in ["1", "2", "3"] {
            a.send_to(&agent("b"), draft("news", text)).await.unwrap();
        }
        bench.pass(seconds(3_600)).await;
        let (b, heard) = (bench.bus("b"), Notes::default());
        note(&b, "news", &heard).await;
        b.initialize().await.unwrap();
        bench.pass(seconds(1)).await;
        assert_eq!(heard.all(), [r#"a: "1""#, r#"a: "2""#, r#"a: "3""#]);
    });
}

#[test]
fn what_was_handled_is_settled_and_does_not_come_again() {
    Bench::run(async |bench| {
        let (a, b, heard, _) = newsroom(&bench).await;
        a.publish(draft("news", "once")).await.unwrap();
        bench.pass(seconds(1)).await;
        b.shutdown().await.unwrap();
        let (again, heard_again) = (bench.bus("b"), Notes::default());
        note(&again, "news", &heard_again).await;
        again.initialize().await.unwrap();
        bench.pass(seconds(60)).await;
        assert_eq!((heard.all().len(), heard_again.all().len()), (1, 0));
    });
}

#[test]
fn what_failed_comes_again_and_ends_among_the_dead_letters() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        let (tries, told) = (Notes::default(), Notes::default());
        told.listen(&b);
        let noted = tries.clone();
        b.subscribe("news", move |mail| {
            noted.add(format!("attempt {}", mail.attempt()));
            std::future::ready(Err("too hard".into()))
        })
        .await
        .unwrap();
        begin(&a, &b).await;
        let sent = a.publish(draft("news", "hard")).await.unwrap();
        bench.pass(seconds(700)).await;
        let attempts: Vec<String> = (1..=5).map(|attempt| format!("attempt {attempt}")).collect();
        assert_eq!(tries.all(), attempts);
        let told = told.all();
        assert_eq!(told.iter().filter(|line| *line == "failed: too hard").count(), 5);
        assert!(told.contains(&"lost 1".to_owned()), "{told:?}");
        let (letters, more) = b.mail().dead_letters(Ordinal::ZERO, 10).await.unwrap();
        assert_eq!((letters.len(), more, Some(letters[0].seq)), (1, false, sent.seq));
    });
}

#[test]
fn a_dead_letter_that_is_redriven_is_handled_again() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        b.subscribe("news", |_| std::future::ready(Err("too hard".into()))).await.unwrap();
        begin(&a, &b).await;
        let sent = a.publish(draft("news", "hard")).await.unwrap();
        bench.pass(seconds(700)).await;
        b.unsubscribe("news").await.unwrap();
        let heard = Notes::default();
        note(&b, "news", &heard).await;
        assert_eq!(b.mail().redrive(vec![sent.seq.unwrap()]).await, Ok(1));
        bench.pass(seconds(1)).await;
        assert_eq!(heard.all(), [r#"a: "hard""#]);
        assert_eq!(b.mail().dead_letters(Ordinal::ZERO, 10).await.unwrap().0, []);
    });
}

#[test]
fn a_message_that_nobody_handles_ends_among_the_dead_letters_and_not_in_silence() {
    Bench::run(async |bench| {
        let (a, b, _, told) = newsroom(&bench).await;
        a.send_to(&agent("b"), draft("unheard.of", "hello")).await.unwrap();
        bench.pass(seconds(4)).await;
        assert_eq!(b.mail().dead_letters(Ordinal::ZERO, 10).await.unwrap().0.len(), 0);
        bench.pass(seconds(700)).await;
        assert_eq!(b.mail().dead_letters(Ordinal::ZERO, 10).await.unwrap().0.len(), 1);
        assert!(told.all().contains(&"lost 1".to_owned()), "{:?}", told.all());
    });
}

#[test]
fn a_handler_may_be_registered_after_initialize_and_still_gets_what_came_before() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        begin(&a, &b).await;
        a.send_to(&agent("b"), draft("news", "early")).await.unwrap();
        bench.pass(seconds(3)).await;
        let heard = Notes::default();
        note(&b, "news", &heard).await;
        bench.pass(seconds(1)).await;
        assert_eq!(heard.all(), [r#"a: "early""#]);
    });
}

#[test]
fn several_handlers_of_a_message_all_have_to_succeed() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        let heard = Notes::default();
        note(&b, "*", &heard).await;
        let failures = Notes::default();
        let counted = failures.clone();
        b.subscribe("news", move |_| {
            counted.add("tried");
            let first = counted.all().len() == 1;
            std::future::ready(if first { Err("not yet".into()) } else { Ok(()) })
        })
        .await
        .unwrap();
        begin(&a, &b).await;
        a.publish(draft("news", "x")).await.unwrap();
        bench.pass(seconds(60)).await;
        assert_eq!((heard.all().len(), failures.all().len()), (2, 2));
        assert_eq!(b.mail().dead_letters(Ordinal::ZERO, 10).await.unwrap().0, []);
    });
}

#[test]
fn a_handler_that_takes_too_long_is_stopped_and_its_message_comes_again() {
    Bench::run(async |bench| {
        let a = bench.bus("a");
        let mut slow = setup("b", "slow", 99);
        slow.mail.handler_timeout = Some(seconds(30));
        let b = bench.bus_of(slow);
        let (tries, told) = (Notes::default(), Notes::default());
        told.listen(&b);
        let noted = tries.clone();
        b.subscribe("news", move |mail| {
            noted.add("tried");
            let stuck = mail.attempt() == 1;
            async move {
                if stuck {
                    std::future::pending::<()>().await;
                }
                Ok(())
            }
        })
        .await
        .unwrap();
        begin(&a, &b).await;
        a.publish(draft("news", "x")).await.unwrap();
        bench.pass(seconds(60)).await;
        assert_eq!(tries.all().len(), 2);
        assert!(told.all().contains(&"timed out".to_owned()));
    });
}

#[test]
fn a_handler_of_hours_is_begun_once_and_done_once() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        let tries = Notes::default();
        let (noted, clock) = (tries.clone(), bench.clock());
        b.subscribe("news", move |_| {
            noted.add("begun");
            let noted = noted.clone();
            async move {
                Clocks::sleep(&clock, seconds(3 * 3_600)).await;
                noted.add("done");
                Ok(())
            }
        })
        .await
        .unwrap();
        begin(&a, &b).await;
        let sent = a.send_to(&agent("b"), draft("news", "x")).await.unwrap();
        bench.pass(seconds(3_600)).await;
        let stats = b.mail().stats();
        let oldest = stats.oldest.unwrap();
        assert_eq!((stats.in_hand, Some(oldest.seq)), (1, sent.seq));
        assert!((3_599..=3_600).contains(&oldest.lasted.as_secs()), "{oldest:?}");
        bench.pass(seconds(3 * 3_600)).await;
        assert_eq!(tries.all(), ["begun", "done"]);
        assert_eq!(b.mail().dead_letters(Ordinal::ZERO, 10).await.unwrap().0, []);
        assert_eq!(b.mail().stats().in_hand, 0);
    });
}

#[test]
fn a_handler_that_says_that_it_goes_on_is_not_stopped_at_its_limit() {
    Bench::run(async |bench| {
        let a = bench.bus("a");
        let mut limited = setup("b", "limited", 99);
        limited.mail.handler_timeout = Some(seconds(30));
        let b = bench.bus_of(limited);
        let tries = Notes::default();
        let (noted, clock) = (tries.clone(), bench.clock());
        b.subscribe("news", move |mail| {
            noted.add("begun");
            let noted = noted.clone();
            async move {
                for _ in 0..30 {
                    Clocks::sleep(&clock, seconds(20)).await;
                    mail.progress();
                }
                noted.add("done");
                Ok(())
            }
        })
        .await
        .unwrap();
        begin(&a, &b).await;
        a.publish(draft("news", "x")).await.unwrap();
        bench.pass(seconds(900)).await;
        assert_eq!(tries.all(), ["begun", "done"]);
    });
}

#[test]
fn one_id_is_accepted_once_and_another_message_under_it_is_a_conflict() {
    Bench::run(async |bench| {
        let (a, _b, heard, _) = newsroom(&bench).await;
        let named = |text: &str| draft("news", text).id(MessageId::new("today").unwrap());
        let first = a.publish(named("rain")).await.unwrap();
        let second = a.publish(named("rain")).await.unwrap();
        assert_eq!((first.seq, second.recipients), (second.seq, Some(1)));
        let other = a.publish(named("sun")).await;
        let conflict = BusError::Mail(MailboxError::Rejected(Rejection::Conflict));
        assert_eq!(other, Err(conflict));
        bench.pass(seconds(1)).await;
        assert_eq!(heard.all(), [r#"a: "rain""#]);
    });
}

#[test]
fn heartbeats_reach_who_is_there_and_nobody_keeps_them() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        let heard = Notes::default();
        note(&b, "heartbeat", &heard).await;
        a.initialize().await.unwrap();
        a.send_heartbeat().await.unwrap();
        b.initialize().await.unwrap();
        a.send_heartbeat().await.unwrap();
        bench.pass(seconds(1)).await;
        assert_eq!(heard.all(), ["a: nothing"]);
    });
}

#[test]
fn what_is_acknowledged_by_its_id_does_not_come() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        a.initialize().await.unwrap();
        let named = draft("news", "x").id(MessageId::new("m1").unwrap());
        a.send_to(&agent("b"), named).await.unwrap();
        assert_eq!(b.acknowledge("m1").await, Ok(1));
        assert_eq!(b.acknowledge("m1").await, Ok(0));
        let heard = Notes::default();
        note(&b, "news", &heard).await;
        b.initialize().await.unwrap();
        bench.pass(seconds(5)).await;
        assert_eq!(heard.all(), Vec::<String>::new());
    });
}

#[test]
fn who_is_not_let_in_is_told_so() {
    Bench::run_for(Access::Closed, async |bench| {
        let a = bench.bus("a");
        let refused = a.initialize().await.unwrap_err();
        assert!(refused.to_string().contains("refused the session"), "{refused}");
        let refused = a.publish(draft("news", "x")).await.unwrap_err();
        assert!(matches!(refused, BusError::Mail(_)), "{refused}");
    });
}

#[test]
fn a_session_of_the_original_is_delivered_to_and_settles_over_http() {
    Bench::run(async |bench| {
        let a = bench.bus("a");
        let original = || bench.bus_of(setup("b", "", 5));
        let (b, heard) = (original(), Notes::default());
        note(&b, "news", &heard).await;
        begin(&a, &b).await;
        for text in ["1", "2"] {
            a.publish(draft("news", text)).await.unwrap();
        }
        bench.pass(seconds(1)).await;
        b.shutdown().await.unwrap();
        let again = original();
        note(&again, "news", &heard).await;
        again.initialize().await.unwrap();
        bench.pass(seconds(60)).await;
        assert_eq!(heard.all(), [r#"a: "1""#, r#"a: "2""#]);
    });
}
