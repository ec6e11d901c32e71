//! Rules of the bus, as pages: the same files that `spec/rules` has in a clone.
#![cfg_attr(doc, doc = "")]
#![cfg_attr(doc, doc = include_str!("../rules/links.txt"))]
#![cfg_attr(doc, doc = "")]
#![cfg_attr(doc, doc = include_str!("../rules/README.md"))]

// A page links to its neighbours as files, for whoever reads it in a clone. `links.txt` comes first and
// defines the same links as modules, for whoever reads it here: of two definitions the first counts.
macro_rules! pages {
    ($($(#[$doc:meta])* $page:ident: $file:literal;)*) => {
        $(
            $(#[$doc])*
            #[cfg_attr(doc, doc = "")]
            #[cfg_attr(doc, doc = include_str!("../rules/links.txt"))]
            #[cfg_attr(doc, doc = "")]
            #[cfg_attr(doc, doc = include_str!($file))]
            pub mod $page {}
        )*
    };
}

pages! {
    /// Leases: exclusive claims on files, the queue for them, and what a client may believe.
    leases: "../rules/leases.md";
    /// Mailboxes: messages that are accepted once, kept, and delivered in order until they are settled.
    mailboxes: "../rules/mailboxes.md";
    /// The wire: JSON over HTTP and WebSockets.
    wire: "../rules/wire.md";
    /// The platforms: what Cloudflare's runtime, SQLite and the simulator's network really do.
    platform: "../rules/platform.md";
    /// Refuted rules: what was tried, and the trace that broke it.
    refuted: "../rules/refuted.md";
}
