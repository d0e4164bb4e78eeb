//! The machine under a node: its datadir, the room and the speed of its disk, how many files it may open.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::statvfs;
use rustix::process::{Resource, getrlimit};

use super::Finding;
use crate::config::Config;
use crate::guard::check_usable;
use crate::server::MAX_CONNECTIONS;

/// How often the disk is made to keep a page: enough for a median and a worst.
const SYNCS: usize = 50;
/// What is written before each of them: a small commit.
const PAGE: [u8; 4096] = [0x5a; 4096];
/// With less than this many times the configured minimum free, room will run out while nobody looks.
const ROOMY: u64 = 4;
/// A commit that takes more than one part in so many of the network's interval holds the node up.
const COMMITS_AN_INTERVAL: u32 = 20;
/// The interval to judge by where the network is not known.
const USUAL_INTERVAL_MS: u64 = 2_000;
/// Files of a node that are neither peers nor callers: journal, index, logs.
const OWN_FILES: u64 = 256;

/// The datadir, if it is there, and the disk it lies on, or would.
pub(super) fn datadir(
    path: &Path,
    is_running: bool,
    min_free_bytes: u64,
    interval_ms: Option<u64>,
) -> Vec<Finding> {
    let Some(there) = nearest_folder(path) else {
        return vec![Finding::fail(
            "datadir",
            format!("{} cannot be made", path.display()),
            "choose another --datadir",
        )];
    };
    let mut findings = vec![folder(path, &there, is_running), room(&there, min_free_bytes)];
    if path.is_dir() {
        findings.push(speed(path, Duration::from_millis(interval_ms.unwrap_or(USUAL_INTERVAL_MS))));
    }
    findings
}

/// The folder itself, or the nearest above it that is there.
fn nearest_folder(path: &Path) -> Option<PathBuf> {
    let path = if path.is_absolute() { path.to_owned() } else { std::env::current_dir().ok()?.join(path) };
    path.ancestors()
        .find(|folder| folder.is_dir())
        .map(|there| if there == path { path.clone() } else { there.to_owned() })
}

fn folder(path: &Path, there: &Path, is_running: bool) -> Finding {
    const CHECK: &str = "datadir";
    if let Err(error) = check_usable(there) {
        return Finding::fail(
            CHECK,
            error.to_string(),
            "run the node as the user whom the datadir belongs to",
        );
    }
    if path.exists() && !path.is_dir() {
        return Finding::fail(CHECK, format!("{} is no folder", path.display()), "choose another --datadir");
    }
    if !path.is_dir() {
        return Finding::ok(CHECK, format!("{} is made at the first start", path.display()));
    }
    let mode = fs::metadata(path).map_or(0o700, |metadata| metadata.permissions().mode() & 0o777);
    if mode & 0o077 != 0 {
        let found = format!("others may look into {} (mode {mode:04o})", path.display());
        return Finding::warn(CHECK, found, format!("chmod 700 {}", path.display()));
    }
    let used = if is_running { ", a node runs on it" } else { "" };
    Finding::ok(CHECK, format!("{}{used}", path.display()))
}

fn room(there: &Path, min_free_bytes: u64) -> Finding {
    const CHECK: &str = "disk room";
    const ADVICE: &str =
        "make room, or lower storage.min_free_mib: below it no orders are taken and nothing is mined";
    let free = match statvfs(there) {
        Ok(stat) => stat.f_bavail.saturating_mul(stat.f_frsize),
        Err(error) => {
            return Finding::fail(CHECK, format!("cannot be told: {error}"), "look at the file system");
        }
    };
    let found = format!("{} MiB free, {} MiB are the least", free >> 20, min_free_bytes >> 20);
    if free < min_free_bytes {
        Finding::fail(CHECK, found, ADVICE)
    } else if free < min_free_bytes.saturating_mul(ROOMY) {
        Finding::warn(CHECK, found, ADVICE)
    } else {
        Finding::ok(CHECK, found)
    }
}

fn speed(path: &Path, interval: Duration) -> Finding {
    const CHECK: &str = "disk speed";
    let file = path.join(format!("doctor-{}", std::process::id()));
    let measured = time_syncs(&file);
    // Where it was not even made, there is nothing to remove.
    let _ = fs::remove_file(&file);
    let mut times = match measured {
        Ok(times) => times,
        Err(error) => {
            return Finding::fail(CHECK, format!("cannot write to it: {error}"), "look at the file system");
        }
    };
    times.sort_unstable();
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    let found = format!("a commit takes {median:.1?} ({worst:.1?} at the worst of {SYNCS})");
    let most = interval / COMMITS_AN_INTERVAL;
    if median > most {
        let advice = format!(
            "use a faster disk: each block is one commit, and {most:.0?} is what this network leaves for it"
        );
        Finding::warn(CHECK, found, advice)
    } else {
        Finding::ok(CHECK, found)
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "it measures; nothing is decided by it but what is said of the disk"
)]
fn time_syncs(path: &Path) -> io::Result<Vec<Duration>> {
    let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    (0..SYNCS)
        .map(|_| {
            let begun = Instant::now();
            file.write_all(&PAGE)?;
            file.sync_data()?;
            Ok(begun.elapsed())
        })
        .collect()
}

/// Whether the process may open as many files as its peers and callers together can make it.
pub(super) fn open_files(config: &Config) -> Finding {
    const CHECK: &str = "open files";
    let callers = u64::try_from(MAX_CONNECTIONS).unwrap_or(u64::MAX);
    let outbound = u64::from(printsy_p2p::Limits::default().max_outbound);
    let needed = OWN_FILES + u64::from(config.network.max_inbound) + outbound + callers;
    match getrlimit(Resource::Nofile).current {
        Some(limit) if limit < needed => Finding::warn(
            CHECK,
            format!("{limit} allowed, up to {needed} needed"),
            format!("ulimit -n {needed}, or LimitNOFILE={needed} in its systemd unit"),
        ),
        Some(limit) => Finding::ok(CHECK, format!("{limit} allowed, up to {needed} needed")),
        None => Finding::ok(CHECK, "no limit"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;

    #[test]
    fn a_folder_that_is_not_there_is_judged_by_the_nearest_above_it() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b");
        assert_eq!(nearest_folder(&path).unwrap(), home.path());
        let findings = datadir(&path, false, 0, None);
        let checks: Vec<&str> = findings.iter().map(|finding| finding.check).collect();
        assert_eq!(checks, ["datadir", "disk room"], "there is nothing to measure yet");
        assert!(!path.exists(), "it makes nothing");
    }

    #[test]
    fn measuring_leaves_nothing_behind() {
        let home = tempfile::tempdir().unwrap();
        let found = speed(home.path(), Duration::from_secs(3_600));
        assert_eq!((found.verdict, found.check), (Verdict::Ok, "disk speed"));
        assert_eq!(speed(home.path(), Duration::ZERO).verdict, Verdict::Warn, "no disk is that fast");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn room_fails_below_the_minimum_and_warns_near_it() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(room(home.path(), 0).verdict, Verdict::Ok);
        assert_eq!(room(home.path(), u64::MAX).verdict, Verdict::Fail);
        let stat = statvfs(home.path()).unwrap();
        let half = stat.f_bavail * stat.f_frsize / 2;
        assert_eq!(room(home.path(), half).verdict, Verdict::Warn);
    }

    #[test]
    fn a_folder_open_to_others_is_told() {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(folder(home.path(), home.path(), false).verdict, Verdict::Warn);
        fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(folder(home.path(), home.path(), false).verdict, Verdict::Ok);
    }
}
