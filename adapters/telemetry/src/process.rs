//! What the system knows of the process, by the names that all clients of Prometheus have for it. Nothing where there is no
//! `/proc`.

use std::fs;

use staticreg_application::telemetry::{Family, Sample};

pub(crate) fn families() -> Vec<Family> {
    let gauge =
        |name, help, value: Option<f64>| value.map(|value| Family::gauge(name, help, vec![Sample::plain(value)]));
    let status = fs::read_to_string("/proc/self/stat").ok();
    let status = status.as_deref().and_then(Status::parse);
    let cpu = status.as_ref().map(|status| status.cpu_seconds);
    let families = [
        cpu.map(|seconds| {
            Family::counter("process_cpu_seconds", "Time that processors spent on it.", vec![Sample::plain(seconds)])
        }),
        gauge(
            "process_resident_memory_bytes",
            "Memory that it has.",
            status.as_ref().map(|status| status.resident_bytes),
        ),
        gauge(
            "process_start_time_seconds",
            "When it was started, in seconds since 1970.",
            status.as_ref().zip(booted_at()).map(|(status, booted_at)| booted_at + status.started_after_boot),
        ),
        gauge("process_open_fds", "Files and connections that it has open.", open_files()),
    ];
    families.into_iter().flatten().collect()
}

/// What `/proc/self/stat` says, in seconds and bytes.
#[derive(Debug, PartialEq)]
struct Status {
    cpu_seconds: f64,
    started_after_boot: f64,
    resident_bytes: f64,
}

impl Status {
    /// Reads it; the fields are those of proc(5), which counts them from 1.
    fn parse(text: &str) -> Option<Self> {
        // The second is the program's name, which may hold anything.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<_> = rest.split_ascii_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
        let per_second = number(rustix::param::clock_ticks_per_second());
        Some(Self {
            cpu_seconds: (field(14)? + field(15)?) / per_second,
            started_after_boot: field(22)? / per_second,
            resident_bytes: field(24)? * number(rustix::param::page_size() as u64),
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "it is small")]
fn number(small: u64) -> f64 {
    small as f64
}

fn booted_at() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.parse().ok()
}

fn open_files() -> Option<f64> {
    let files = fs::read_dir("/proc/self/fd").ok()?.count() as u64;
    // Reading the folder opens it.
    Some(number(files.saturating_sub(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_confuses_nobody() {
        let text = "7 (a) b) S 1 7 7 0 -1 4194304 9 0 0 0 150 50 0 0 20 0 4 0 12300 900 25 18446744073709551615";
        let status = Status::parse(text).expect("it is well-formed");
        let per_second = number(rustix::param::clock_ticks_per_second());
        assert!((status.cpu_seconds - 200.0 / per_second).abs() < 1e-9);
        assert!((status.started_after_boot - 12_300.0 / per_second).abs() < 1e-9);
        assert!((status.resident_bytes - 25.0 * number(rustix::param::page_size() as u64)).abs() < 1e-9);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_told_of() {
        assert_eq!(families().len(), 4);
    }
}
