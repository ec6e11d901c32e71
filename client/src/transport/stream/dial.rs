//! Connecting to a name by whichever of its addresses answers first: Happy Eyeballs (RFC 8305).
//!
//! A network may hand out addresses that lead nowhere, and a connection to one of those does not fail,
//! it hangs. So an address has a short head start, not all the time there is.

#![expect(clippy::disallowed_methods, reason = "this is the shell that dials the real network")]

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt, select_biased};
use tokio::net::{TcpStream, lookup_host};
use tokio::time::{sleep, timeout};

/// Time for which an address is tried before the next is tried beside it (RFC 8305, section 8).
const HEAD_START: Duration = Duration::from_millis(250);
/// Time for which one address is tried. Systems try for minutes, and hold a port meanwhile.
const ATTEMPT_MOST: Duration = Duration::from_secs(10);

/// The addresses of a name, as the system knows them.
pub(super) async fn resolve(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    match lookup_host((host, port)).await {
        Ok(addresses) => Ok(addresses.collect()),
        Err(error) => {
            let text = format!("the name `{host}` has no address: {error}");
            Err(io::Error::new(error.kind(), text))
        }
    }
}

/// A TCP stream to the first of these addresses that takes one.
pub(super) async fn connect(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let stream = race(interleaved(addresses), TcpStream::connect).await?;
    // Commands are small and their senders wait.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// The same addresses with their families by turns, the family first that the system prefers.
fn interleaved(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let preferred_is_6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (preferred, others): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv6() == preferred_is_6);
    let mut others = others.into_iter();
    let mut ordered = Vec::new();
    for address in preferred {
        ordered.push(address);
        ordered.extend(others.next());
    }
    ordered.extend(others);
    ordered
}

/// The first success of attempts that begin one after the other, each [`HEAD_START`] after the one
/// before, or as soon as one has failed.
async fn race<T, F>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    attempt: impl Fn(SocketAddr) -> F,
) -> io::Result<T>
where
    F: Future<Output = io::Result<T>>,
{
    let bounded = |address| {
        let attempt = timeout(ATTEMPT_MOST, attempt(address));
        async move {
            let ended = attempt.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            ended.map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
        }
    };
    let mut waiting = addresses.into_iter();
    let mut attempts = FuturesUnordered::new();
    let mut failure = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        attempts.extend(waiting.next().map(bounded));
        if attempts.is_empty() {
            return Err(failure);
        }
        let mut head_start = pin!(sleep(HEAD_START).fuse());
        select_biased! {
            ended = attempts.select_next_some() => match ended {
                Ok(connected) => return Ok(connected),
                Err(error) => failure = error,
            },
            () = head_start => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use tokio::time::Instant;

    use super::*;

    fn addresses(texts: &[&str]) -> Vec<SocketAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn families_take_turns_and_the_preferred_one_begins() {
        let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "2.2.2.2:1"]);
        let tried = addresses(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]);
        assert_eq!(interleaved(found), tried);
        let found = addresses(&["1.1.1.1:1", "[::1]:1", "[::2]:1"]);
        assert_eq!(interleaved(found.clone()), found);
        assert_eq!(interleaved(Vec::new()), Vec::new());
    }

    /// Story of an address: what it does with an attempt, and how long after the beginning.
    type Story = (&'static str, Option<(u64, bool)>);

    /// Address that answered and when, and when each was tried, in milliseconds.
    async fn raced(story: &[Story]) -> (Result<SocketAddr, io::Error>, u128, Vec<u128>) {
        let began = Instant::now();
        let tried = RefCell::default();
        let texts: Vec<&str> = story.iter().map(|(text, _)| *text).collect();
        let won = race(addresses(&texts), |address| {
            let tried: &RefCell<Vec<u128>> = &tried;
            tried.borrow_mut().push(began.elapsed().as_millis());
            let fate = story.iter().find(|(text, _)| address == text.parse().unwrap());
            let fate = fate.unwrap().1;
            async move {
                match fate {
                    None => std::future::pending().await,
                    Some((after, connects)) => {
                        sleep(Duration::from_millis(after)).await;
                        connects.then_some(address).ok_or(io::ErrorKind::ConnectionRefused.into())
                    }
                }
            }
        });
        let won = won.await;
        (won, began.elapsed().as_millis(), tried.into_inner())
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_never_answers_costs_one_head_start() {
        let story = [("[::1]:1", None), ("1.1.1.1:1", Some((20, true)))];
        let (won, after, tried) = raced(&story).await;
        assert_eq!((won.unwrap().to_string().as_str(), after), ("1.1.1.1:1", 270));
        assert_eq!(tried, [0, 250]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_costs_nothing_and_a_late_first_may_still_win() {
        let story = [("[::1]:1", Some((0, false))), ("1.1.1.1:1", Some((20, true)))];
        assert_eq!(raced(&story).await.1, 20);
        let story = [("[::1]:1", Some((300, true))), ("1.1.1.1:1", None), ("[::2]:1", None)];
        let (won, after, tried) = raced(&story).await;
        assert_eq!((won.unwrap().to_string().as_str(), after), ("[::1]:1", 300));
        assert_eq!(tried, [0, 250]);
    }

    #[tokio::test(start_paused = true)]
    async fn when_no_address_answers_the_last_that_failed_is_named() {
        let story = [("[::1]:1", None), ("1.1.1.1:1", Some((20, false)))];
        let (won, after, _) = raced(&story).await;
        let said = won.unwrap_err().to_string();
        assert_eq!((said.as_str(), after), ("[::1]:1: timed out", 10_000));
        assert!(race(Vec::new(), TcpStream::connect).await.is_err());
    }
}
