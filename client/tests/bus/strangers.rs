//! Strangers between the two: whoever answers in the service's place (proxies, gateways, pages that
//! stand in during a deploy), and slow links.

use futures_util::future::{join, join3};
use mailbus_client::bus::{BusError, MailBus};
use mailbus_client::lease::path_set;
use mailbus_client::session::lease::Acquisition;

use crate::bench::{Bench, Mode, Notes, draft, note, seconds};

/// Answers that are none of the service's.
const ANSWERS: &[(u16, &str)] = &[
    (200, "<html>Please log in to the network.</html>"),
    (200, "{}"),
    (401, ""),
    (403, "<html>Forbidden</html>"),
    (403, r#"{"code":"forbidden","message":"Not from this network."}"#),
    (404, ""),
    (404, "404 page not found"),
    (404, r#"{"type":"about:blank","title":"Not Found","status":404,"code":"not_found"}"#),
    (407, ""),
    (408, ""),
    (409, ""),
    (409, r#"{"code":"ahead","lastSeq":1}"#),
    (413, "<html>Request Entity Too Large</html>"),
    (421, ""),
    (425, ""),
    (426, ""),
    (502, "<html>Bad gateway</html>"),
];

#[test]
fn what_somebody_else_answers_ends_neither_mail_nor_a_lease_nor_a_claim() {
    for &(status, body) in ANSWERS {
        Bench::run(async |bench| {
            let (a, b) = (bench.bus("a"), bench.bus("b"));
            let (heard, told) = (Notes::default(), Notes::default());
            told.listen(&b);
            note(&b, "news", &heard).await;
            a.initialize().await.unwrap();
            b.initialize().await.unwrap();
            a.publish(draft("news", "before")).await.unwrap();
            let wanted = Acquisition::new(path_set(["kept"]).unwrap());
            let lease = b.leases().acquire(wanted).await.unwrap();
            bench.set_mode(Mode::Stranger(status, body));
            bench.break_connections();
            let healed = async {
                bench.pass(seconds(15)).await;
                bench.set_mode(Mode::Whole);
                bench.pass(seconds(20)).await;
            };
            let (sent, acquired, ()) = join3(
                a.publish(draft("news", "meanwhile")),
                b.acquire_lease("wanted", seconds(60)),
                healed,
            )
            .await;
            assert!(sent.is_ok(), "{status} {body}: {sent:?}");
            assert_eq!(acquired.ok(), Some(true), "{status} {body}");
            assert!(lease.is_valid(), "{status} {body}");
            assert_eq!(heard.all(), [r#"a: "before""#, r#"a: "meanwhile""#], "{status} {body}");
            let told = told.all();
            assert!(
                !told.iter().any(|told| told.starts_with("ended")),
                "{status} {body}: {told:?}"
            );
            assert!(!told.contains(&"restored".to_owned()), "{status} {body}: {told:?}");
        });
    }
}

#[test]
fn what_the_service_itself_answers_is_final_however_slowly_it_comes() {
    let forbidden = r#"{"type":"urn:mailbus:problem:forbidden","code":"forbidden","detail":"no"}"#;
    Bench::run(async |bench| {
        bench.set_mode(Mode::Stranger(403, forbidden));
        let refused = bench.bus("a").initialize().await.unwrap_err();
        assert!(matches!(&refused, BusError::Mail(_)), "{refused:?}");
        assert!(refused.to_string().contains("forbidden (403): no"), "{refused}");
    });
}

#[test]
fn a_message_that_the_service_finds_too_large_is_refused_and_not_sent_again() {
    let too_large = concat!(
        r#"{"type":"urn:mailbus:problem:message_too_large","#,
        r#""code":"message_too_large","detail":"at most 1 MiB"}"#
    );
    Bench::run(async |bench| {
        let a = bench.bus("a");
        bench.set_mode(Mode::Stranger(413, too_large));
        let began = bench.now();
        let refused = a.publish(draft("news", "x")).await.unwrap_err();
        assert!(refused.to_string().contains("message_too_large (413)"), "{refused}");
        assert!(bench.now() - began < seconds(1));
    });
}

#[test]
fn the_largest_message_gets_over_a_slow_link_and_costs_no_session() {
    Bench::run(async |bench| {
        bench.set_mode(Mode::Slow);
        let a = bench.bus("a");
        let told = Notes::default();
        told.listen(&a);
        a.initialize().await.unwrap();
        let large = "x".repeat((1 << 20) - 1_024);
        let (first, second) =
            join(a.publish(draft("news", &large)), a.publish(draft("news", "small"))).await;
        assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
        assert_eq!(told.all(), ["connected, resumed: false"]);
    });
}
