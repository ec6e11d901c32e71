//! Bytes as members that the wire knows, so that chance alone writes what is worth reading.

/// A member's name, and values that fit it, so some of them do not quite.
type Word = (&'static str, &'static [&'static str]);

const ORDINALS: &[&str] = &["7", "1843200000000001", "0", "9007199254740991", "9007199254740992"];
const NUMBERS: &[&str] = &["1", "100", "0", "1e3", "86400000", "18446744073709551615", "2.5"];
const NAMES: &[&str] = &[r#""ann""#, r#""ann""#, r#""bob""#, r#""a\"\u00e9""#, r#""""#];
const COMMIT: &str = r#"{"sequence":12,"now":1800000000000,"generation":1}"#;
const GAP: &str = r#"{"count":2,"first":7,"last":9,"through":9}"#;
const PATTERNS: &[&str] = &[r#"["a","a.*"]"#, r#"["*"]"#, "[]", r#"["a*"]"#, r#"["$gap"]"#];
const SEQS: &[&str] = &["[7,9]", "[]", "[9,7,7]", "[7.0,1e3]", "[-1]"];

const MESSAGE: &str = r#"{"id":"i", "type":"a.b","payload":{"n" : 1.0},"from":"ann","x":null}"#;
const BARE: &str = r#"{"type":"a","seq":3,"attempt":"x","redriven":true,"id":""}"#;
const EPHEMERAL: &str = r#"{"from":null,"type":"heartbeat","ephemeral":false, "type2":[{}] }"#;
const DELIVERED: &str =
    r#"{"type":"a","from":"bob","id":"m-9","seq":9,"attempt":2,"redriven":true}"#;

const WORDS: [Word; 54] = [
    ("action", &[r#""publish""#, r#""send""#, r#""acknowledge""#, r#""nack""#, r#""working""#]),
    ("action", &[r#""inbox""#, r#""subscriptions""#, r#""agents""#, r#""heartbeat""#]),
    ("action", &[r#""dead-letters""#, r#""redrive""#, r#""disconnect""#, r#""forget""#]),
    ("action", &[r#""recover""#, r#""subscribe""#, r#""unsubscribe""#, r#""connect""#]),
    ("call", NUMBERS),
    ("agentId", NAMES),
    ("agentId", NAMES),
    ("from", NAMES),
    ("to", NAMES),
    ("targetAgent", NAMES),
    ("message", &[MESSAGE, BARE, EPHEMERAL, DELIVERED, "[]"]),
    ("message", &[MESSAGE, BARE, EPHEMERAL, DELIVERED, "7"]),
    ("messageId", NAMES),
    ("id", NAMES),
    ("id", &[r#""m-7""#, r#""m-0""#, r#""m-1843200000000001""#]),
    ("type", &[r#""a""#, r#""a.b""#, r#""heartbeat""#, r#""a.*""#, r#""*""#]),
    ("type", &[r#""$connected""#, r#""$gap""#, r#""$replies""#, r#""$error""#, r#""$x""#]),
    ("payload", &["1", r#""p""#, "{ }", r#"[1 ,{"a":null}]"#]),
    ("ackRequired", &["true", "false", "1"]),
    ("ephemeral", &["true", "false", r#""true""#]),
    ("seqs", SEQS),
    ("seqs", SEQS),
    ("upTo", ORDINALS),
    ("gap", NUMBERS),
    ("gap", &[GAP, r#"{"count":0}"#]),
    ("seq", ORDINALS),
    ("seq", ORDINALS),
    ("attempt", NUMBERS),
    ("delayMs", NUMBERS),
    ("after", ORDINALS),
    ("after", NAMES),
    ("limit", NUMBERS),
    ("add", PATTERNS),
    ("remove", PATTERNS),
    ("types", PATTERNS),
    ("epoch", ORDINALS),
    ("atLeast", &["1843200000000007", "1745000000000000", "0", "9007199254740991"]),
    ("outcome", &[r#""connected""#, r#""disconnected""#, r#""subscribed""#, r#""accepted""#]),
    ("outcome", &[r#""duplicate""#, r#""sent""#, r#""settled""#, r#""returned""#, r#""noted""#]),
    ("outcome", &[r#""inbox""#, r#""agents""#, r#""heard""#, r#""dead_letters""#]),
    ("outcome", &[r#""redriven""#, r#""forgotten""#, r#""recovered""#]),
    ("code", &[r#""conflict""#, r#""replaced""#, r#""ahead""#, r#""limit""#, r#""overloaded""#]),
    ("code", &[r#""clock""#, r#""malformed""#, r#""internal""#, r#""unheard_of""#]),
    ("commit", &[COMMIT, COMMIT, COMMIT, r#"{"sequence":1}"#]),
    ("commit", &[COMMIT]),
    ("messages", &["[]", r#"[{"type":"a","from":"bob","id":"m-9","seq":9,"redriven":true}]"#]),
    ("completeThrough", ORDINALS),
    (
        "letters",
        &[
            "[]",
            r#"[{"reason":"failed","attempts":5,"givenUpAt":7,"message":{"type":"a","from":"b","seq":1}}]"#,
            r#"[{"reason":"refused","attempts":0,"givenUpAt":7,"message":{"type":"a","from":"b"}}]"#,
        ],
    ),
    (
        "agents",
        &["[]", r#"[{"agentId":"ann","types":["*"],"pending":5},{"agentId":"b","pending":0}]"#],
    ),
    ("fate", &[r#""due""#, r#""dead""#, r#""unknown""#]),
    ("dueAt", NUMBERS),
    (
        "replies",
        &["[]", "[7]", r#"[{"outcome":"heard","commit":{"sequence":1,"now":2,"generation":3}}]"#],
    ),
    ("problem", &[r#"{"code":"malformed","detail":"d","x":1.50,"call":3}"#, "{}"]),
    ("kind", &[r#""agents""#, r#""patterns""#, r#""unknown_names""#, r#""ordinals""#, r#""x""#]),
];

/// Members that many replies have, and that chance would seldom bring together.
const SETS: [&str; 8] = [
    r#""epoch":7,"resumed":true,"refused":0"#,
    r#""accepted":true,"seq":7,"recipients":2,"refused":["bob"]"#,
    r#""settled":2,"unknown":1"#,
    r#""redriven":1,"unknown":0,"refused":2"#,
    r#""known":true,"more":false"#,
    r#""duplicate":true,"refused":3"#,
    r#""count":2,"first":7,"last":9,"through":9"#,
    r#""lastSeq":7,"hostMs":5,"detail":"d","title":"t","status":409"#,
];

/// Values that fit nothing.
const ODD: [&str; 6] = ["null", "[]", "{}", "-1", "[[7]]", r#""\ud800""#];

/// One JSON object: two bytes a member, a name seldom twice.
pub(super) fn object(bytes: &[u8]) -> String {
    let mut names: Vec<&str> = Vec::new();
    let mut object = String::from("{");
    for member in bytes.chunks_exact(2) {
        let (number, choice) = (usize::from(member[0]), usize::from(member[1]));
        let before = if object.len() > 1 { "," } else { "" };
        if number >= 224 {
            object.extend([before, SETS[number % SETS.len()]]);
            continue;
        }
        let (name, values) = WORDS[number % WORDS.len()];
        let value = match choice {
            0..8 => ODD[choice % ODD.len()],
            _ => values[choice % values.len()],
        };
        let is_new = !names.contains(&name);
        if is_new || choice >= 250 {
            names.push(name);
            object.extend([before, "\"", name, "\":", value]);
        }
    }
    object.push('}');
    object
}

/// One JSON object, or an array of them: a member of the name 255 ends one.
pub(super) fn frame(bytes: &[u8]) -> String {
    let mut objects = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.chunks(2).position(|member| member[0] == 255) {
        let (one, more) = rest.split_at(2 * end);
        objects.push(object(one));
        rest = more.get(2..).unwrap_or_default();
    }
    let last = object(rest);
    if objects.is_empty() {
        return last;
    }
    objects.push(last);
    format!("[{}]", objects.join(","))
}

/// A query: two bytes a pair.
pub(super) fn query(bytes: &[u8]) -> String {
    const PAIRS: [(&str, &[&str]); 7] = [
        ("agentId", &["ann", "a%22%C3%A9", "a+b", "", "%zz"]),
        ("session", &["s", "", "a%26b"]),
        ("protocol", &["1", "1", "2", ""]),
        ("window", &["1", "256", "1024", "0", "1025"]),
        ("windowBytes", &["1", "16777216", "16777217", "x"]),
        ("types", &["a", "a.*", "*", "", "%24gap", "a%2Cb"]),
        ("lastSeen", &["7", "9007199254740991", "9007199254740992", "-1"]),
    ];
    let pairs = bytes.chunks_exact(2).map(|pair| {
        let (name, values) = PAIRS[usize::from(pair[0]) % PAIRS.len()];
        format!("{name}={}", values[usize::from(pair[1]) % values.len()])
    });
    pairs.collect::<Vec<_>>().join("&")
}
