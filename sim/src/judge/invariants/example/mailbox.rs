//! Histories of the mailbox object. Every message is of one type, and 40 bytes and its key long.

use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::{
    Ask, CloseReason, Command, Connection, DeadLetter, DeadReason, Delay, Fate, Gap, MailboxStep,
    Message, MessageId, MessageType, Notice, Outcome, Pending, Push, Rejection, Settled, Window,
};
use mailbus_spec::{AgentId, Ordinal, SessionId};

use super::{agent, host, ordinal, time};
use crate::clock::TrueTime;
use crate::judge::history::{Entry, HandlerOutcome, Handling, Sending, SendingEnd};
use crate::judge::observer::mailbox::MailboxObserver;

pub type Example = super::Example<MailboxObserver>;

fn message(from: &str, id: &str) -> Message {
    let payload = format!("\"{id}\"");
    Message {
        from: agent(from),
        id: Some(MessageId::new(id).unwrap()),
        kind: MessageType::new("news").unwrap(),
        ack_required: false,
        ephemeral: false,
        body: format!(r#"{{"id":"{id}","type":"news","payload":{payload}}}"#),
        payload: Some(payload),
    }
}

fn seqs(numbers: &[u64]) -> Vec<Ordinal> {
    numbers.iter().copied().map(ordinal).collect()
}

fn a_sending(from: &str, to: &str, id: &str) -> Command {
    let (to, message) = (agent(to), message(from, id));
    Command::alone(Ask::Send { to, message, must_know: false })
}

fn accepted(seq: u64, recipients: u64, known: Option<bool>) -> Outcome {
    let (refused, near) = (Vec::new(), Vec::new());
    Outcome::Accepted { seq: ordinal(seq), recipients, refused, known, near }
}

impl Example {
    pub fn a_publish(id: &str) -> Command {
        Command::alone(Ask::Publish { message: message("a", id) })
    }

    /// A session begins, and is sent something.
    pub fn some_commands() -> Vec<(u64, Command)> {
        vec![(0, Self::a_connect("b", None)), (10_000, Self::a_publish("m1"))]
    }

    fn a_connect(who: &str, window: Option<Window>) -> Command {
        Self::a_session(who, window.or(Some(Window::DEFAULT)))
    }

    /// A session begins, without a window in the original's protocol.
    pub fn a_session(who: &str, window: Option<Window>) -> Command {
        Command::alone(Ask::Connect {
            agent: agent(who),
            session: SessionId::new("1").unwrap(),
            window,
            types: None,
            last_seen: None,
        })
    }

    /// The object wakes, and no socket is open.
    pub fn woken(self, at_ms: u64) -> Self {
        self.woken_with(at_ms, Vec::new())
    }

    /// The object wakes, and the sockets of these sessions are open.
    pub fn woken_with(mut self, at_ms: u64, sessions: Vec<Connection>) -> Self {
        let at = TrueTime::from_ms(at_ms);
        self.push(Entry::Woken { at, sessions });
        self
    }

    fn connected_to(self, at_ms: u64, command: Command, epoch: u64, gap: Option<Gap>) -> Self {
        let known = command.ask.agent().is_some_and(|agent| self.has_asked(agent));
        let outcome = Outcome::Connected { epoch: ordinal(epoch), resumed: known, gap, refused: 0 };
        self.answered(at_ms, command, Ok(outcome), Vec::new())
    }

    /// True if an agent has asked for anything so far.
    fn has_asked(&self, agent: &AgentId) -> bool {
        self.history.mail.entries.iter().any(|entry| {
            let event = entry.as_event().map(|event| &event.event);
            matches!(event, Some(Event::Command(asked)) if asked.ask.agent() == Some(agent))
        })
    }

    /// Begins a session with a window that says nothing.
    pub fn connected(self, at_ms: u64, who: &str, epoch: u64) -> Self {
        self.connected_to(at_ms, Self::a_connect(who, None), epoch, None)
    }

    /// The same, of somebody whom the object says that it has never known.
    pub fn connected_as_new(self, at_ms: u64, who: &str, epoch: u64) -> Self {
        let outcome =
            Outcome::Connected { epoch: ordinal(epoch), resumed: false, gap: None, refused: 0 };
        self.answered(at_ms, Self::a_connect(who, None), Ok(outcome), Vec::new())
    }

    /// Begins a session of a run of that name.
    pub fn connected_as(self, at_ms: u64, who: &str, epoch: u64, run: &str) -> Self {
        let mut command = Self::a_connect(who, None);
        if let Ask::Connect { session, .. } = &mut command.ask {
            *session = SessionId::new(run).unwrap();
        }
        self.connected_to(at_ms, command, epoch, None)
    }

    /// A session announces that it is about to handle a delivery.
    pub fn announced(self, at_ms: u64, who: &str, epoch: u64, seq: u64) -> Self {
        let over = Connection { agent: agent(who), epoch: ordinal(epoch) };
        let ask = Ask::Working { agent: agent(who), seq: ordinal(seq) };
        let noted = Ok(Outcome::Noted { known: true });
        self.answered(at_ms, Command::over(over, ask), noted, Vec::new())
    }

    pub fn ended(self, at_ms: u64, who: &str, epoch: u64) -> Self {
        let connection = Connection { agent: agent(who), epoch: ordinal(epoch) };
        let command = Command::alone(Ask::Disconnect { connection });
        self.answered(at_ms, command, Ok(Outcome::Disconnected), Vec::new())
    }

    pub fn connected_with(self, at_ms: u64, who: &str, epoch: u64, window: (u64, u64)) -> Self {
        let window = Window::new(window.0, window.1);
        self.connected_to(at_ms, Self::a_connect(who, window), epoch, None)
    }

    pub fn connected_as_original(self, at_ms: u64, who: &str, epoch: u64) -> Self {
        let mut command = Self::a_connect(who, None);
        if let Ask::Connect { window, .. } = &mut command.ask {
            *window = None;
        }
        self.connected_to(at_ms, command, epoch, None)
    }

    pub fn connected_after_losses(
        self,
        at_ms: u64,
        who: &str,
        epoch: u64,
        seq: u64,
        count: u64,
        through: u64,
    ) -> Self {
        let gap = Gap { count, first: ordinal(seq), last: ordinal(seq), through };
        self.connected_to(at_ms, Self::a_connect(who, None), epoch, Some(gap))
    }

    pub fn published(self, at_ms: u64, from: &str, id: &str, seq: u64, recipients: u64) -> Self {
        let command = Command::alone(Ask::Publish { message: message(from, id) });
        self.answered(at_ms, command, Ok(accepted(seq, recipients, None)), Vec::new())
    }

    /// Something is sent to one agent that is known.
    pub fn sent(self, at_ms: u64, from: &str, to: &str, id: &str, seq: u64) -> Self {
        self.addressed(at_ms, from, to, id, seq, true)
    }

    /// An alarm in which this is pushed.
    pub fn pushed(self, at_ms: u64, to: &str, epoch: u64, from: &str, id: &str, seq: u64) -> Self {
        let notice = Notice::Message {
            seq: ordinal(seq),
            attempt: 1,
            redriven: false,
            message: message(from, id),
        };
        self.told(at_ms, to, epoch, notice)
    }

    /// Something is sent to one agent, and its sender is told whether that one is known.
    pub fn addressed(
        self,
        at_ms: u64,
        from: &str,
        to: &str,
        id: &str,
        seq: u64,
        known: bool,
    ) -> Self {
        let outcome = accepted(seq, 1, Some(known));
        self.answered(at_ms, a_sending(from, to, id), Ok(outcome), Vec::new())
    }

    /// Something is sent to one agent if that one is known, and accepted as for one who is, for a stranger or
    /// refused.
    pub fn addressed_if_known(
        self,
        at_ms: u64,
        from: &str,
        to: &str,
        id: &str,
        seq: u64,
        refused: bool,
    ) -> Self {
        let known = self.has_asked(&agent(to));
        let mut command = a_sending(from, to, id);
        if let Ask::Send { must_know, .. } = &mut command.ask {
            *must_know = true;
        }
        let unknown = Rejection::UnknownAgent { near: Vec::new() };
        let answer = if refused { Err(unknown) } else { Ok(accepted(seq, 1, Some(known))) };
        self.answered(at_ms, command, answer, Vec::new())
    }

    /// Something is sent to one agent whose inbox is full.
    pub fn refused(self, at_ms: u64, from: &str, to: &str, id: &str, seq: u64) -> Self {
        let mut outcome = accepted(seq, 0, Some(true));
        if let Outcome::Accepted { refused, .. } = &mut outcome {
            refused.push(agent(to));
        }
        self.answered(at_ms, a_sending(from, to, id), Ok(outcome), Vec::new())
    }

    /// It is sent again, and these are said to have refused it.
    pub fn repeated(
        self,
        at_ms: u64,
        from: &str,
        to: &str,
        id: &str,
        seq: u64,
        refused: &[&str],
    ) -> Self {
        let refused = refused.iter().map(|name| agent(name)).collect();
        let outcome = Outcome::Duplicate { seq: ordinal(seq), recipients: Some(0), refused };
        self.answered(at_ms, a_sending(from, to, id), Ok(outcome), Vec::new())
    }

    /// An alarm in which this session's socket is closed.
    pub fn closed(self, at_ms: u64, to: &str, epoch: u64) -> Self {
        self.told(at_ms, to, epoch, Notice::Closed(CloseReason::Replaced))
    }

    fn told(self, at_ms: u64, to: &str, epoch: u64, notice: Notice) -> Self {
        let to = Connection { agent: agent(to), epoch: ordinal(epoch) };
        let step = MailboxStep { reply: None, pushes: vec![Push { to, notice }], wrote: false };
        self.entry(at_ms, host(at_ms), Event::Alarm, step)
    }

    pub fn acked(self, at_ms: u64, who: &str, numbers: &[u64], settled: u64) -> Self {
        let ask = Ask::Ack { agent: agent(who), what: Settled::Seqs(seqs(numbers)) };
        self.answered(
            at_ms,
            Command::alone(ask),
            Ok(Outcome::Settled { settled, unknown: 0 }),
            Vec::new(),
        )
    }

    /// An ack by id, as the original's client says it.
    pub fn acked_by_id(self, at_ms: u64, who: &str, id: &str, settled: u64) -> Self {
        let what = Settled::Id(MessageId::new(id).unwrap());
        let ask = Ask::Ack { agent: agent(who), what };
        let outcome = Outcome::Settled { settled, unknown: 0 };
        self.answered(at_ms, Command::alone(ask), Ok(outcome), Vec::new())
    }

    pub fn acked_over(
        self,
        at_ms: u64,
        who: &str,
        epoch: u64,
        numbers: &[u64],
        settled: u64,
    ) -> Self {
        let ask = Ask::Ack { agent: agent(who), what: Settled::Seqs(seqs(numbers)) };
        let over = Connection { agent: agent(who), epoch: ordinal(epoch) };
        let outcome = Outcome::Settled { settled, unknown: 0 };
        self.answered(at_ms, Command::over(over, ask), Ok(outcome), Vec::new())
    }

    pub fn acked_gap(self, at_ms: u64, who: &str, through: u64, settled: u64) -> Self {
        let ask = Ask::Ack { agent: agent(who), what: Settled::Gap(through) };
        self.answered(
            at_ms,
            Command::alone(ask),
            Ok(Outcome::Settled { settled, unknown: 0 }),
            Vec::new(),
        )
    }

    fn returned(self, at_ms: u64, who: &str, seq: u64, delay: Delay, fate: Fate) -> Self {
        let ask = Ask::Nack { agent: agent(who), seq: ordinal(seq), fence: None, delay };
        self.answered(at_ms, Command::alone(ask), Ok(Outcome::Returned(fate)), Vec::new())
    }

    pub fn nacked(self, at_ms: u64, who: &str, seq: u64, delay_ms: u64) -> Self {
        let fate = Fate::Due { at: time(at_ms + delay_ms) };
        self.returned(at_ms, who, seq, Delay::from_ms(delay_ms).unwrap(), fate)
    }

    pub fn died(self, at_ms: u64, who: &str, seq: u64) -> Self {
        self.returned(at_ms, who, seq, Delay::NONE, Fate::Dead)
    }

    pub fn listed(self, at_ms: u64, who: &str, numbers: &[u64], through: u64) -> Self {
        let ask = Ask::Inbox { agent: agent(who), after: Ordinal::ZERO, limit: 100 };
        let pending = numbers.iter().map(|seq| Pending {
            seq: ordinal(*seq),
            redriven: false,
            message: message("a", &format!("m{}", seq - 10)),
        });
        let outcome = Outcome::Inbox {
            messages: pending.collect(),
            complete_through: ordinal(through),
            gap: None,
            refused: 0,
        };
        self.answered(at_ms, Command::alone(ask), Ok(outcome), Vec::new())
    }

    pub fn letters(self, at_ms: u64, who: &str, numbers: &[u64]) -> Self {
        let ask = Ask::DeadLetters { agent: agent(who), after: Ordinal::ZERO, limit: 100 };
        let letters = numbers.iter().map(|seq| DeadLetter {
            seq: ordinal(*seq),
            reason: DeadReason::Failed,
            attempts: 5,
            at: time(at_ms),
            message: message("a", &format!("m{}", seq - 10)),
        });
        let outcome = Outcome::DeadLetters { letters: letters.collect(), more: false };
        self.answered(at_ms, Command::alone(ask), Ok(outcome), Vec::new())
    }

    /// A handler succeeds with the message of this key, which came as that `seq`.
    pub fn handled(
        mut self,
        at_ms: u64,
        who: &str,
        run: &str,
        from: &str,
        id: &str,
        seq: u64,
    ) -> Self {
        let accepted = format!("m{}", seq - 10);
        self.history.handlings.push(Handling {
            began: TrueTime::from_ms(at_ms),
            at: TrueTime::from_ms(at_ms),
            agent: agent(who),
            run: run.to_owned(),
            from: agent(from),
            id: accepted,
            seq: Some(ordinal(seq)),
            payload: format!("\"{id}\""),
            outcome: HandlerOutcome::Done,
        });
        self
    }

    /// A client is told that it sent something.
    pub fn sent_by_client(self, at_ms: u64, who: &str, id: &str, seq: u64) -> Self {
        self.ended_for_client(at_ms, who, id, SendingEnd::Accepted(ordinal(seq)))
    }

    /// A client is told that what it sent was refused.
    pub fn refused_to_client(self, at_ms: u64, who: &str, id: &str) -> Self {
        self.ended_for_client(at_ms, who, id, SendingEnd::Refused(String::new()))
    }

    fn ended_for_client(mut self, at_ms: u64, who: &str, id: &str, end: SendingEnd) -> Self {
        let at = TrueTime::from_ms(at_ms);
        let (agent, payload, id) = (agent(who), format!("\"{id}\""), id.to_owned());
        self.history.sendings.push(Sending { began: at, ended: at, agent, id, payload, end });
        self
    }

    /// The world has healed by then, and this agent waits for its mail.
    pub fn healed(mut self, at_ms: u64, listening: &str) -> Self {
        self.history.healing_ended = TrueTime::from_ms(at_ms);
        self.history.listening = [agent(listening)].into();
        self.history.alarms_ring = true;
        self
    }
}
