//! What a process has spent: CPU time and peak memory, as the kernel counts them.

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub user_s: f64,
    pub sys_s: f64,
    pub peak_mib: f64,
}

impl Usage {
    /// Of the calling process so far.
    pub fn so_far() -> Self {
        let mut usage = empty();
        // SAFETY: the pointer is to a live, writable rusage.
        let answer = unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
        assert_eq!(answer, 0, "getrusage(RUSAGE_SELF) cannot fail");
        usage.into()
    }
}

/// Waits for `child` and tells what it alone has spent; one that is not done within `limit` is
/// killed.
///
/// `RUSAGE_CHILDREN` would not do: its peak memory is the largest of all children so far.
pub fn wait(child: &Child, limit: Duration) -> std::io::Result<(ExitStatus, Usage)> {
    let pid = child.id() as libc::pid_t;
    let start = Instant::now();
    let mut killed = false;
    loop {
        let (mut status, mut usage) = (0, empty());
        // SAFETY: `pid` is our child, not yet waited for; both pointers are to live, writable
        // values.
        match unsafe { libc::wait4(pid, &mut status, libc::WNOHANG, &mut usage) } {
            0 if start.elapsed() > limit && !killed => {
                // SAFETY: the child has not been waited for, so the id is still its own.
                unsafe { libc::kill(pid, libc::SIGKILL) };
                killed = true;
            }
            0 => std::thread::sleep(Duration::from_millis(20)),
            -1 => return Err(std::io::Error::last_os_error()),
            _ => return Ok((ExitStatus::from_raw(status), usage.into())),
        }
    }
}

fn empty() -> libc::rusage {
    // SAFETY: rusage is plain integers, for which zero is a value.
    unsafe { std::mem::zeroed() }
}

impl From<libc::rusage> for Usage {
    fn from(usage: libc::rusage) -> Self {
        let seconds = |t: libc::timeval| t.tv_sec as f64 + t.tv_usec as f64 / 1e6;
        // Linux counts it in KiB, macOS in bytes.
        let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
        Usage {
            user_s: seconds(usage.ru_utime),
            sys_s: seconds(usage.ru_stime),
            peak_mib: (usage.ru_maxrss * unit) as f64 / f64::from(1 << 20),
        }
    }
}
