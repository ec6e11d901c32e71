//! A text on its way to one socket or many.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Budget, Outbox};

/// A text on its way to one socket or many, held once: cloning it gives another handle to the same.
#[derive(Clone)]
pub struct Text(Arc<Held>);

/// Invariant: its bytes are taken from the budget while it lives.
struct Held {
    text: Arc<str>,
    budget: Option<Arc<Budget>>,
}

impl Text {
    /// A text that is taken from a budget, once, until its last handle is gone.
    fn taken_from(budget: &Arc<Budget>, text: Arc<str>) -> Self {
        budget.take(text.len());
        Self(Arc::new(Held { text, budget: Some(Arc::clone(budget)) }))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Length in bytes.
    pub(super) fn len(&self) -> usize {
        self.0.text.len()
    }
}

/// The texts of one event, each of which counts once for all its sockets.
#[derive(Default)]
pub(in crate::native::namespace) struct Texts(BTreeMap<*const u8, Text>);

impl Texts {
    /// This text, for this outbox.
    pub(in crate::native::namespace) fn of(&mut self, outbox: &Outbox, text: Arc<str>) -> Text {
        // Who is listed is held, so that no other can have its address.
        let listed = self.0.entry(text.as_ptr());
        listed.or_insert_with(|| Text::taken_from(&outbox.budget, text)).clone()
    }
}

/// One that counts nowhere: it is short.
impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Self(Arc::new(Held { text: text.into(), budget: None }))
    }
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        self.as_str().as_bytes()
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.as_str().fmt(f)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.give_back(self.text.len());
        }
    }
}
