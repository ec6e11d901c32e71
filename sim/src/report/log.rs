//! The event log: one line per transition, in the order of true time.

use mailbus_spec::mailbox::Connection;

use crate::clock::TrueTime;
use crate::judge::history::{
    BeliefSpan, Entry, Handling, Happened, History, Recorded, Sending, Write,
};
use crate::report::{line, mail_line};

/// Lines of a history, each with its true time.
#[must_use]
pub fn lines(history: &History) -> Vec<(TrueTime, String)> {
    let mut lines: Vec<(TrueTime, String)> = Vec::new();
    lines
        .extend(history.leases.entries.iter().map(|entry| of_entry(entry, "storage", line::event)));
    lines.extend(
        history.mail.entries.iter().map(|entry| of_entry(entry, "mail store", mail_line::event)),
    );
    lines.extend(history.handlings.iter().map(of_handling));
    lines.extend(history.sendings.iter().map(of_sending));
    lines.extend(history.beliefs.iter().flat_map(of_belief));
    lines.extend(history.writes.iter().map(of_write));
    lines.extend(history.notes.iter().cloned());
    lines.sort_by_key(|(at, _)| *at);
    lines
}

fn of_entry<S: Recorded>(
    entry: &Entry<S>,
    store: &str,
    event: fn(&Happened<S>) -> String,
) -> (TrueTime, String) {
    match entry {
        Entry::Event(happened) => (happened.at, event(happened)),
        Entry::Woken { at, sessions } => {
            let sessions: Vec<String> = sessions.iter().map(Connection::to_string).collect();
            (*at, format!("{store:<11} wakes with [{}]", sessions.join(" ")))
        }
        Entry::Restored { at, back_to } => {
            (*at, format!("{store:<11} restored to what it was after {back_to} entries"))
        }
    }
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
