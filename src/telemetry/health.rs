//! Readiness and liveness, told to systemd (`sd_notify(3)`). Outside systemd nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::debug;

use super::text::printable;

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        debug!(%error, "systemd not told");
    }
}

/// The start is finished, or a reload is: `READY=1`.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// One line for `systemctl status`.
pub fn status(text: &str) {
    notify(&[NotifyState::Status(&printable(text))]);
}

/// A reload begins; [`ready`] ends it. Carries the time, as `Type=notify-reload` of newer systemds wants.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(error) => debug!(%error, "no monotonic time"),
    }
}

/// The stop begins.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// The loop that matters still turns.
pub fn watchdog() {
    notify(&[NotifyState::Watchdog]);
}

/// How often [`watchdog`] is to be called: half of `WatchdogSec=`; `None` when nobody watches.
#[must_use]
pub fn watchdog_interval() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|limit| limit / 2).filter(|interval| !interval.is_zero())
}
