//! The benchmark, `make bench`: how fast events are recorded and questions answered, side by side with what the
//! database and the server do by themselves, in one run on one machine.

mod crowds;
mod events;
mod fake_registry;
mod growth;
mod memory;
mod pgbench;
mod program;
mod questions;
mod recording;
mod registry;
mod sender;
mod servers;

use std::{fs, path::PathBuf, thread, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use clap::{Arg, Command, value_parser};

#[tokio::main]
async fn main() {
    let arguments = Command::new("staticreg-load")
        .about("Measures staticreg; prints tables in Markdown.")
        .arg(
            Arg::new("seconds")
                .long("seconds")
                .value_parser(value_parser!(u64).range(1..))
                .default_value("10")
                .help("How long each load is sent"),
        )
        .arg(
            Arg::new("days")
                .long("days")
                .value_parser(value_parser!(u32).range(1..=questions::MAX_DAYS.into()))
                .default_value("365")
                .help("Of how many days there are rows to ask about; ten million in a year"),
        )
        .arg(
            Arg::new("beside")
                .long("beside")
                .value_name("PROGRAM")
                .value_parser(value_parser!(PathBuf))
                .help("Another build of staticreg that records the same loads in turns with this one"),
        )
        .arg(
            Arg::new("millions")
                .long("millions")
                .value_parser(value_parser!(u32).range(1..))
                .value_delimiter(',')
                .default_value("1,10")
                .help("At how many million rows growth is measured; 50 take some 20 GB"),
        )
        .arg(
            Arg::new("parts")
                .num_args(0..)
                .value_parser(["recording", "servers", "questions", "registry", "crowds", "memory", "growth"])
                .help("What to measure; everything when not given"),
        )
        .get_matches();
    // reqwest wants one, also where it speaks without TLS only. None is there yet.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let duration = Duration::from_secs(*arguments.get_one("seconds").expect("there is a default"));
    let parts: Vec<_> = arguments.get_many::<String>("parts").into_iter().flatten().collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|known| *known == part);

    println!("# staticreg {} on {}\n", env!("CARGO_PKG_VERSION"), machine());
    if wanted("recording") {
        let beside = arguments.get_one::<PathBuf>("beside").map(PathBuf::as_path);
        recording::measure(duration, &now().to_rfc3339_opts(SecondsFormat::Nanos, true), beside).await;
    }
    if wanted("servers") {
        servers::measure(duration, &now().to_rfc3339_opts(SecondsFormat::Nanos, true)).await;
    }
    if wanted("questions") {
        questions::measure(*arguments.get_one("days").expect("there is a default")).await;
    }
    if wanted("registry") {
        registry::measure().await;
    }
    let timestamp = now().to_rfc3339_opts(SecondsFormat::Nanos, true);
    if wanted("crowds") {
        crowds::measure(duration, &timestamp).await;
    }
    if wanted("memory") {
        memory::measure(duration, now()).await;
    }
    if wanted("growth") {
        let millions: Vec<u32> = arguments.get_many("millions").into_iter().flatten().copied().collect();
        growth::measure(&millions).await;
    }
}

#[expect(clippy::disallowed_methods, reason = "events are of today")]
fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

/// The processor, its cores and the memory.
fn machine() -> String {
    let processors = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    let model = model.map_or("an unknown processor", |(_, name)| name.trim());
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory.lines().next().unwrap_or_default().trim_start_matches("MemTotal:").trim().to_owned();
    let cores = thread::available_parallelism().map_or(0, usize::from);
    format!("{model}, {cores} cores, {memory} of memory")
}
