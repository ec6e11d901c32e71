fn main() {
    let seed: u64 = std::env::args().nth(1).unwrap().parse().unwrap();
    tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).without_time().with_ansi(false)
        .with_env_filter("turmoil=trace").init();
    let plan = mailbus_sim::plan::Plan::from_seed(seed, None);
    let _ = mailbus_sim::engine::run(&plan, mailbus_sim::subject::Subject::NATIVE);
}
