//! Child processes and waiting: bounded, by process id, without blind sleeps.

use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Between two looks at a condition; short beside everything that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// The least that something expected is waited for: what takes a moment on a free machine may take long on one that is busy
/// with other tests, and where it comes, waiting costs nothing. A promise about time is measured, never waited for.
const BUSY: Duration = Duration::from_secs(30);

/// How long something that must come is waited for, where a free machine needs `limit` at most.
pub fn patience(limit: Duration) -> Duration {
    limit.max(BUSY)
}

/// Looks again and again until `look` finds something; gives up after `limit`.
pub fn wait_for<T>(limit: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let end = Instant::now() + limit;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= end {
            return None;
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Looks until `look` finds something, and fails the test with `what` when it does not within the [`patience`] for `limit`.
#[track_caller]
pub fn until<T>(what: &str, limit: Duration, look: impl FnMut() -> Option<T>) -> T {
    let limit = patience(limit);
    match wait_for(limit, look) {
        Some(found) => found,
        None => panic!("not within {limit:?}: {what}"),
    }
}

/// Sends `signal` to a child that may already have ended.
pub fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // an error means that it is gone, which is as good
        let _ = kill_process(pid, signal);
    }
}

/// Ends a child by SIGTERM, and by SIGKILL when it has not ended within `patience`. Returns its status.
pub fn terminate(child: &mut Child, patience: Duration) -> Option<std::process::ExitStatus> {
    if let Ok(Some(status)) = child.try_wait() {
        return Some(status);
    }
    signal(child, Signal::TERM);
    wait_for(patience, || child.try_wait().ok().flatten()).or_else(|| kill(child))
}

/// Ends a child by SIGKILL and waits for it.
pub fn kill(child: &mut Child) -> Option<std::process::ExitStatus> {
    let _ = child.kill();
    child.wait().ok()
}

/// CPU seconds (user and system) that a process has used so far.
pub fn cpu_seconds(pid: u32) -> f64 {
    // 100 ticks a second on every Linux that we build for (USER_HZ)
    let ticks = |field: &str| field.parse::<u64>().unwrap_or(0) as f64 / 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // the name in parentheses may hold blanks; utime and stime are the 12th and 13th field behind it
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    fields.get(11).copied().map_or(0.0, ticks) + fields.get(12).copied().map_or(0.0, ticks)
}

/// CPU seconds that a process's living threads have used, to the nanosecond; for differences too small for ticks.
pub fn cpu_of_threads(pid: u32) -> f64 {
    let threads = std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let nanoseconds = threads.filter_map(|thread| {
        let text = std::fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<u64>().ok()
    });
    nanoseconds.sum::<u64>() as f64 / 1e9
}

/// Resident memory of a process in KiB.
pub fn rss_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse().ok()).unwrap_or(0)
}

/// The last `lines` lines of a log, for a failing test to show.
pub fn tail(path: &Path, lines: usize) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned();
    let all: Vec<&str> = text.lines().collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
