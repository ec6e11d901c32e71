//! The network of the random runs: what is under way between sessions and their object.

use mailbus_client::session::{CallNumber, Route, SocketNumber};

/// Longest travel of what is not part of a stream.
const TRAVEL_MS: u64 = 60_000;

/// One thing under way: a command `C`, a connect `K`, a reply `R` or a notice `N`.
#[derive(Clone)]
pub enum Packet<C, K, R, N> {
    /// A command over HTTP or, in its order, over a socket.
    Command(CallNumber, C, Route),
    Open(SocketNumber, K),
    Reply(CallNumber, R),
    Greeting(SocketNumber, R),
    /// Notice that the object sends unasked: in the order of its socket, or in any.
    Notice(Option<SocketNumber>, N),
    Close(SocketNumber, u16),
}

impl<C, K, R, N> Packet<C, K, R, N> {
    /// The stream whose order it keeps, and whether it goes to the object.
    pub fn stream(&self) -> Option<(SocketNumber, bool)> {
        match self {
            Self::Command(_, _, Route::Socket(socket)) | Self::Open(socket, _) => {
                Some((*socket, true))
            }
            Self::Greeting(socket, _) | Self::Notice(Some(socket), _) | Self::Close(socket, _) => {
                Some((*socket, false))
            }
            Self::Command(..) | Self::Reply(..) | Self::Notice(None, _) => None,
        }
    }
}

/// A packet on its way to or from a run of a client.
#[derive(Clone)]
pub struct Flight<P> {
    pub client: usize,
    pub run: u64,
    sent: u64,
    pub packet: P,
}

pub struct Network<C, K, R, N> {
    pub now: u64,
    pub flights: Vec<Flight<Packet<C, K, R, N>>>,
}

impl<C: Clone, K: Clone, R: Clone, N: Clone> Network<C, K, R, N> {
    pub fn new() -> Self {
        Self { now: 1_000, flights: Vec::new() }
    }

    pub fn post(&mut self, client: usize, run: u64, packet: Packet<C, K, R, N>) {
        self.flights.push(Flight { client, run, sent: self.now, packet });
    }

    /// The flight of this number, as many times around as it takes.
    pub fn nth(&self, nth: usize) -> Option<&Flight<Packet<C, K, R, N>>> {
        self.flights.get(nth.checked_rem(self.flights.len())?)
    }

    /// Takes a flight; of a stream, the first of it.
    pub fn take(&mut self, nth: usize) -> Option<Flight<Packet<C, K, R, N>>> {
        let whose = |flight: &Flight<Packet<C, K, R, N>>| {
            let stream = flight.packet.stream();
            stream.map(|stream| (flight.client, flight.run, stream))
        };
        let chosen = nth.checked_rem(self.flights.len())?;
        let stream = whose(&self.flights[chosen]);
        let first = self.flights.iter().position(|flight| whose(flight) == stream);
        Some(self.flights.remove(if stream.is_some() { first? } else { chosen }))
    }

    /// A copy of a flight arrives too. Streams copy nothing.
    pub fn repeat(&mut self, nth: usize) {
        let Some(flight) = self.take(nth) else { return };
        if flight.packet.stream().is_none() {
            self.flights.push(flight.clone());
        }
        self.flights.insert(0, flight);
    }

    /// True if something has been under way in this stream for longer than anything travels: it is dead.
    pub fn is_dead(&self, client: usize, run: u64, socket: SocketNumber) -> bool {
        self.flights.iter().any(|flight| {
            let over = flight.packet.stream().map(|(over, _)| over);
            let is_of_it = (flight.client, flight.run, over) == (client, run, Some(socket));
            is_of_it && self.now - flight.sent > TRAVEL_MS
        })
    }

    /// Drops what has been under way for too long.
    pub fn forget_old(&mut self) {
        let now = self.now;
        self.flights
            .retain(|flight| now - flight.sent <= TRAVEL_MS || flight.packet.stream().is_some());
    }
}
