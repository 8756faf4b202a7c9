//! The unit as systemd itself judges it. Needs `systemd-analyze`, of the package systemd.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("systemd")
}

fn unit() -> String {
    fs::read_to_string(folder().join("innkeeper.service")).unwrap()
}

/// Runs a tool; without it the test says so past the test runner's capture.
fn tool(name: &str, args: &[&str]) -> Option<Output> {
    match Command::new(name).args(args).env("SYSTEMD_COLORS", "0").env("SYSTEMD_PAGER", "").output() {
        Ok(output) => Some(output),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "NOT TRIED: {name}: {error}; install the package systemd");
            None
        }
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The unit with the binary that was just built, since `verify` wants it to be there.
fn with_binary(folder: &Path) -> PathBuf {
    let binary = folder.join("innkeeper");
    symlink(env!("CARGO_BIN_EXE_innkeeper"), &binary).unwrap();
    let path = folder.join("innkeeper.service");
    fs::write(&path, unit().replace("/usr/bin/innkeeper", binary.to_str().unwrap())).unwrap();
    path
}

#[test]
fn the_unit_is_exposed_to_2_0_at_most() {
    let path = folder().join("innkeeper.service");
    // The threshold is in tenths; over it the exit code is not 0.
    let args = ["security", "--offline=true", "--threshold=20", "--no-pager", path.to_str().unwrap()];
    let Some(output) = tool("systemd-analyze", &args) else { return };
    assert!(output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("Overall exposure level for innkeeper.service"), "{}", text(&output));
}

#[test]
fn the_unit_and_its_drop_ins_are_clean() {
    let place = tempfile::tempdir().unwrap();
    let path = with_binary(place.path());
    let drop_ins = place.path().join("innkeeper.service.d");
    fs::create_dir(&drop_ins).unwrap();
    for entry in fs::read_dir(folder().join("innkeeper.service.d")).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().to_string_lossy().replace(".example", "");
        fs::copy(entry.path(), drop_ins.join(name)).unwrap();
    }
    let args = ["verify", "--man=no", path.to_str().unwrap()];
    let Some(output) = tool("systemd-analyze", &args) else { return };
    assert_eq!((output.status.code(), text(&output).as_str()), (Some(0), ""));
}

#[test]
fn the_groups_of_the_unit_are_those_of_sysusers() {
    let sysusers = fs::read_to_string(folder().join("sysusers.d/innkeeper.conf")).unwrap();
    let groups: Vec<_> = sysusers.lines().filter_map(|line| line.strip_prefix("g ")?.split(' ').next()).collect();
    let line = unit().lines().find_map(|line| line.strip_prefix("SupplementaryGroups=").map(str::to_owned)).unwrap();
    assert_eq!(line.split(' ').collect::<Vec<_>>(), groups);
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    let file = folder().join("sysusers.d/innkeeper.conf");
    let args = ["--root", root.path().to_str().unwrap(), file.to_str().unwrap()];
    let Some(output) = tool("systemd-sysusers", &args) else { return };
    assert!(output.status.success(), "{}", text(&output));
    let made = fs::read_to_string(root.path().join("etc/group")).unwrap();
    assert!(groups.iter().all(|group| made.contains(&format!("{group}:"))), "{made}");
}

#[test]
fn the_unit_restarts_as_admins_expect() {
    let unit = unit();
    for line in [
        "Type=notify",
        "Restart=always",
        "RestartSec=2",
        "StartLimitIntervalSec=0",
        "RestartPreventExitStatus=64 78",
        "WatchdogSec=30",
        "TimeoutStopSec=10",
        "DynamicUser=yes",
    ] {
        assert!(unit.lines().any(|known| known == line), "{line}");
    }
    assert!(!unit.contains("Requires="), "a server that is away is no reason to stop");
}
