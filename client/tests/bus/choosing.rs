//! Subscriptions of an agent that connects before it has chosen.

use mailbus_client::bus::MailBus;
use mailbus_spec::Ordinal;

use crate::bench::{Bench, Bus, Notes, agent, begin, draft, note, seconds};

/// Subscriptions of an agent, and how much is pending for it.
async fn known_of(bus: &Bus, name: &str) -> (Vec<String>, u64) {
    let (agents, _) = bus.mail().agents(None, 100).await.unwrap();
    let entry = agents.into_iter().find(|entry| entry.agent == agent(name)).unwrap();
    let types = entry.types.unwrap_or_default();
    (types.iter().map(|pattern| pattern.as_str().to_owned()).collect(), entry.pending)
}

#[test]
fn a_first_subscription_after_initialize_chooses() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        let (heard, told) = (Notes::default(), Notes::default());
        told.listen(&b);
        begin(&a, &b).await;
        note(&b, "news", &heard).await;
        note(&b, "task.*", &heard).await;
        assert_eq!(known_of(&a, "b").await.0, ["news", "task.*"]);
        assert_eq!(a.publish(draft("chatter", "x")).await.unwrap().recipients, Some(0));
        a.publish(draft("news", "x")).await.unwrap();
        a.publish(draft("task.new", "y")).await.unwrap();
        bench.pass(seconds(1)).await;
        assert_eq!(heard.all(), [r#"a: "x""#, r#"a: "y""#]);
        bench.break_connections();
        bench.pass(seconds(30)).await;
        assert_eq!(known_of(&a, "b").await.0, ["news", "task.*"], "every connect says so");
    });
}

#[test]
fn what_nobody_chose_and_nobody_handles_is_settled_and_told() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        let told = Notes::default();
        told.listen(&b);
        begin(&a, &b).await;
        for _ in 0..10 {
            assert_eq!(a.publish(draft("chatter", "x")).await.unwrap().recipients, Some(1));
        }
        bench.pass(seconds(600)).await;
        let told = told.all();
        assert_eq!(told[0], "connected, resumed: false");
        assert_eq!(told[1..], vec!["unhandled chatter".to_owned(); 10], "neither failed nor lost");
        assert_eq!(b.mail().dead_letters(Ordinal::ZERO, 10).await.unwrap().0, []);
        assert_eq!(known_of(&a, "b").await, (vec!["*".to_owned()], 0));
    });
}

#[test]
fn what_came_before_the_choice_is_settled_and_what_comes_after_it_is_not() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        let (heard, told) = (Notes::default(), Notes::default());
        told.listen(&b);
        begin(&a, &b).await;
        a.publish(draft("chatter", "x")).await.unwrap();
        a.publish(draft("news", "early")).await.unwrap();
        bench.pass(seconds(20)).await;
        note(&b, "news", &heard).await;
        bench.pass(seconds(1)).await;
        assert_eq!(heard.all(), [r#"a: "early""#], "it has waited for its handler");
        bench.pass(seconds(10)).await;
        assert!(told.all().contains(&"unhandled chatter".to_owned()), "{:?}", told.all());
        a.send_to(&agent("b"), draft("unheard.of", "hello")).await.unwrap();
        bench.pass(seconds(700)).await;
        assert!(told.all().contains(&"lost 1".to_owned()), "{:?}", told.all());
        assert_eq!(b.mail().dead_letters(Ordinal::ZERO, 10).await.unwrap().0.len(), 1);
    });
}

#[test]
fn what_an_earlier_run_chose_stays_chosen() {
    Bench::run(async |bench| {
        let (a, earlier) = (bench.bus("a"), bench.bus("b"));
        let heard = Notes::default();
        note(&earlier, "news", &heard).await;
        a.initialize().await.unwrap();
        earlier.initialize().await.unwrap();
        earlier.shutdown().await.unwrap();
        let (b, told) = (bench.bus("b"), Notes::default());
        told.listen(&b);
        b.initialize().await.unwrap();
        note(&b, "task", &heard).await;
        assert_eq!(known_of(&a, "b").await.0, ["news", "task"]);
        a.publish(draft("news", "x")).await.unwrap();
        bench.pass(seconds(700)).await;
        assert!(told.all().contains(&"lost 1".to_owned()), "it is missed: {:?}", told.all());
    });
}

#[test]
fn everything_may_be_chosen_too() {
    Bench::run(async |bench| {
        let (a, b) = (bench.bus("a"), bench.bus("b"));
        let heard = Notes::default();
        begin(&a, &b).await;
        note(&b, "*", &heard).await;
        note(&b, "news", &heard).await;
        assert_eq!(known_of(&a, "b").await.0, ["*", "news"]);
        a.publish(draft("chatter", "x")).await.unwrap();
        bench.pass(seconds(1)).await;
        assert_eq!(heard.all(), [r#"a: "x""#]);
    });
}
