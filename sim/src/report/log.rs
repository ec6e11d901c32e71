//! The event log: one line per transition, in the order of true time. What objects did is told in the words
//! of scripts.

use mailbus_conformance::{Epoch, Text};
use mailbus_spec::HostTime;
use mailbus_spec::machine::Event;
use mailbus_spec::mailbox::Connection;

use crate::clock::TrueTime;
use crate::judge::history::{BeliefSpan, Entry, Handling, Happened, History, Sending, Write};
use crate::plan::START_MS;

/// The instant that lines count from: what honest clocks show at the start.
const EPOCH: Epoch = Epoch(HostTime(START_MS));

/// Lines of a history, each with its true time.
#[must_use]
pub fn lines(history: &History) -> Vec<(TrueTime, String)> {
    let mut lines: Vec<(TrueTime, String)> = Vec::new();
    lines.extend(history.leases.entries.iter().map(of_entry));
    lines.extend(history.mail.entries.iter().map(of_entry));
    lines.extend(history.handlings.iter().map(of_handling));
    lines.extend(history.sendings.iter().map(of_sending));
    lines.extend(history.beliefs.iter().flat_map(of_belief));
    lines.extend(history.writes.iter().map(of_write));
    lines.extend(history.notes.iter().cloned());
    lines.sort_by_key(|(at, _)| *at);
    lines
}

fn of_entry<S: Text>(entry: &Entry<S>) -> (TrueTime, String) {
    let (at, line) = match entry {
        Entry::Event(event) => (event.at, of_event(event)),
        Entry::Woken { at, sessions } => {
            let sessions: Vec<String> = sessions.iter().map(Connection::to_string).collect();
            (*at, format!("wakes with [{}]", sessions.join(" ")))
        }
        Entry::Restored { at, back_to } => {
            (*at, format!("restored to what it was after {back_to} entries"))
        }
    };
    (at, format!("{:<11} {line}", S::NAME))
}

fn of_event<S: Text>(event: &Happened<S>) -> String {
    let asked = match &event.event {
        Event::Alarm => "alarm".to_owned(),
        Event::Command(command) => S::spell_command(command, EPOCH),
    };
    let answered = event.step.reply.as_ref().map_or_else(String::new, |reply| {
        let answer = S::spell_answer(&reply.answer, EPOCH);
        format!(" -> {answer} #{}@{}", reply.commit.sequence, reply.commit.now)
    });
    let wrote = if event.step.wrote { "" } else { " (read)" };
    let pushes = event.step.pushes.iter().map(|push| {
        let to = S::spell_peer(S::addressee(push), EPOCH);
        format!(" ; push {to}: {}", S::spell_push(push, EPOCH))
    });
    format!("{asked}{answered}{wrote}{}", pushes.collect::<String>())
}

fn of_handling(handling: &Handling) -> (TrueTime, String) {
    let Handling { at, agent, run, from, id, seq, outcome, .. } = handling;
    let seq = seq.map_or_else(String::new, |seq| format!(" {seq}"));
    (*at, format!("handler     {agent}/{run}: {id} of {from}{seq} {outcome:?}"))
}

fn of_sending(sending: &Sending) -> (TrueTime, String) {
    let Sending { agent, id, end, began, ended, .. } = sending;
    (*ended, format!("sender      {agent}: {id} since {began} {end:?}"))
}

fn of_belief(span: &BeliefSpan) -> [(TrueTime, String); 2] {
    let who = format!("{} {}", span.holder, span.token);
    let begins = format!("belief      {who} begins on {:?}", span.paths);
    [(span.from, begins), (span.until, format!("belief      {who} ends"))]
}

fn of_write(write: &Write) -> (TrueTime, String) {
    let Write { at, holder, path, token, accepted } = write;
    let taken = if *accepted { "taken" } else { "refused" };
    (*at, format!("resource    {path}: {holder} {token} {taken}"))
}
