//! The configuration file of `workerd`, in Cap'n Proto's text form.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::bundle::Deployment;

use super::Options;

/// Address at which what is for this machine alone listens, on any free port.
const LOOPBACK: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
/// The socket that serves the worker, by the name the runtime reports its port under.
pub(super) const HTTP: &str = "http";
/// The socket that serves [`EVICTION_SCRIPT`].
pub(super) const EVICTION: &str = "eviction";
/// The module behind [`EVICTION`], and its file beside the configuration.
pub(super) const EVICTION_SCRIPT: &str = "eviction.js";
/// The socket that serves the companion.
pub(super) const COMPANION: &str = "companion";
/// The companion's module, and its file beside the configuration.
pub(super) const COMPANION_SCRIPT: &str = "companion.js";
/// The module in front of the bundle's, and its file beside the configuration.
pub(super) const FRONT_SCRIPT: &str = "front.js";
/// The folder of the databases, beside the configuration.
pub(super) const OBJECTS: &str = "objects";

/// The configuration for `options`.
///
/// `embed "/…"` is looked up in the bundle's folder, which is the process's import path.
pub(super) fn render(options: &Options, objects: &str) -> String {
    let deployment = options.bundle.deployment();
    let mut services = String::new();
    let mut sockets = socket(HTTP, options.listen, "mailbus");
    let mut workers = mailbus(options, deployment);
    if options.evictable {
        services.push_str("    (name = \"eviction\", worker = .eviction),\n");
        sockets.push_str(&socket(EVICTION, LOOPBACK, "eviction"));
        let by_class = deployment.bindings().iter().map(|binding| (&binding.class, &binding.class));
        let flags = "\"unsafe_module\"";
        workers.push_str(&beside("eviction", EVICTION_SCRIPT, deployment, flags, by_class));
    }
    if options.companion.is_some() {
        services.push_str("    (name = \"companion\", worker = .companion),\n");
        sockets.push_str(&socket(COMPANION, LOOPBACK, "companion"));
        let by_name = deployment.bindings().iter().map(|binding| (&binding.name, &binding.class));
        workers.push_str(&beside("companion", COMPANION_SCRIPT, deployment, "", by_name));
    }
    format!(
        r#"using Workerd = import "/workerd/workerd.capnp";

const config :Workerd.Config = (
  services = [
    (name = "mailbus", worker = .mailbus),
    (name = "objects", disk = (path = {objects}, writable = true)),
{services}  ],
  sockets = [
{sockets}  ],
);
{workers}"#,
        objects = text(objects),
    )
}

/// Key that the runtime knows a class's objects by: the folder of their databases below [`OBJECTS`].
pub(super) fn unique_key(deployment: &Deployment, class: &str) -> String {
    format!("{}-{class}", deployment.name)
}

fn socket(name: &str, address: SocketAddr, service: &str) -> String {
    let address = text(&address.to_string());
    format!("    (name = \"{name}\", address = {address}, http = (), service = \"{service}\"),\n")
}

fn mailbus(options: &Options, deployment: &Deployment) -> String {
    let mut namespaces = String::new();
    let mut bindings = String::new();
    // The first module is the worker's own.
    let front = match options.front {
        Some(_) => {
            format!("    (name = \"{FRONT_SCRIPT}\", esModule = embed \"{FRONT_SCRIPT}\"),\n")
        }
        None => String::new(),
    };
    for binding in deployment.bindings() {
        let class = text(&binding.class);
        let key = text(&unique_key(deployment, &binding.class));
        let name = text(&binding.name);
        let _ =
            writeln!(namespaces, "    (className = {class}, uniqueKey = {key}, enableSql = true),");
        let _ = writeln!(bindings, "    (name = {name}, durableObjectNamespace = {class}),");
    }
    for name in options.environment.keys().map(|name| text(name)) {
        let _ = writeln!(bindings, "    (name = {name}, fromEnvironment = {name}),");
    }
    format!(
        r#"
const mailbus :Workerd.Worker = (
  modules = [
{front}    (name = "index.js", esModule = embed "/index.js"),
    (name = "index_bg.wasm", wasm = embed "/index_bg.wasm"),
  ],
  compatibilityDate = {date},
  durableObjectNamespaces = [
{namespaces}  ],
  durableObjectStorage = (localDisk = "objects"),
  bindings = [
{bindings}  ],
);
"#,
        date = text(&deployment.compatibility_date),
    )
}

/// A worker of one module that is bound to the deployment's objects, each class under a name.
fn beside<'a>(
    name: &str,
    script: &str,
    deployment: &Deployment,
    flags: &str,
    bound: impl Iterator<Item = (&'a String, &'a String)>,
) -> String {
    let mut bindings = String::new();
    for (key, class) in bound.map(|(key, class)| (text(key), text(class))) {
        let _ = writeln!(
            bindings,
            "    (name = {key}, durableObjectNamespace = (className = {class}, serviceName = \"mailbus\")),"
        );
    }
    format!(
        r#"
const {name} :Workerd.Worker = (
  modules = [(name = "{script}", esModule = embed "{script}")],
  compatibilityDate = {date},
  compatibilityFlags = [{flags}],
  bindings = [
{bindings}  ],
);
"#,
        date = text(&deployment.compatibility_date),
    )
}

/// A Cap'n Proto text literal.
fn text(value: &str) -> String {
    let mut literal = String::from("\"");
    for letter in value.chars() {
        match letter {
            '"' | '\\' => literal.extend(['\\', letter]),
            '\n' => literal.push_str("\\n"),
            other => literal.push(other),
        }
    }
    literal.push('"');
    literal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_literal() {
        assert_eq!(text("a\"b\\c\nd"), r#""a\"b\\c\nd""#);
    }
}
