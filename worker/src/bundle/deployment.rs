//! Content of `wrangler.toml`: the one place that names the classes, their bindings and the date of
//! the runtime's behaviour.

use std::path::Path;

use serde::Deserialize;

use super::Error;

/// The part of `wrangler.toml` that another way of running the worker must agree with.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Deployment {
    /// The worker's name.
    pub name: String,
    /// Day of the runtime behaviour that the worker was written for.
    pub compatibility_date: String,
    durable_objects: DurableObjects,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct DurableObjects {
    bindings: Vec<Binding>,
}

/// A class of Durable Objects, and the name the worker finds its namespace under.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Binding {
    /// The name in the worker's environment, such as `LEASE`.
    pub name: String,
    /// The exported class, such as `LeaseDurableObject`.
    #[serde(rename = "class_name")]
    pub class: String,
}

impl Deployment {
    /// Every class of objects.
    #[must_use]
    pub fn bindings(&self) -> &[Binding] {
        &self.durable_objects.bindings
    }

    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(Error::file("read", path))?;
        toml::from_str(&text).map_err(|reason| Error::malformed(path, reason))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_class_is_stored_in_sqlite() {
        #[derive(Deserialize)]
        struct Migrations {
            migrations: Vec<Migration>,
        }
        #[derive(Deserialize)]
        struct Migration {
            new_sqlite_classes: BTreeSet<String>,
        }
        let text = include_str!("../../wrangler.toml");
        let deployment: Deployment = toml::from_str(text).unwrap();
        let migrations: Migrations = toml::from_str(text).unwrap();
        let stored: BTreeSet<String> =
            migrations.migrations.into_iter().flat_map(|step| step.new_sqlite_classes).collect();
        let bound: BTreeSet<String> =
            deployment.bindings().iter().map(|binding| binding.class.clone()).collect();
        assert_eq!(bound, stored);
    }
}
