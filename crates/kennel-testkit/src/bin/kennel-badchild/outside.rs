//! Programs that tests start beside a service, to hold its processes from outside.

use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::process::ExitCode;

use crate::os;

/// Traces processes and never looks at what happens to them. With `hold_exit` none can end until we do.
pub(crate) fn trace(pids: &[String], hold_exit: bool) -> ExitCode {
    let options = if hold_exit { libc::PTRACE_O_TRACEEXIT } else { 0 };
    for pid in pids {
        let Ok(number) = pid.parse::<i32>() else { return ExitCode::from(2) };
        // SAFETY: takes numbers; this request has no address.
        let traced = unsafe { libc::ptrace(libc::PTRACE_SEIZE, number, 0_usize, options as usize) };
        if traced != 0 {
            os::fail(&format!("cannot trace {pid}"), std::io::Error::last_os_error());
        }
    }
    os::say_up();
    os::forever()
}

/// Opcodes and the version spoken. Source: `linux/fuse.h`.
const LOOKUP: u32 = 1;
const INIT: u32 = 26;
const VERSION: [u32; 2] = [7, 31];
/// Smallest buffer the kernel accepts.
const BUFFER: usize = 64 * 1024;
/// Length of a request's header, and of the answer to `INIT` with its own header.
const HEADER: usize = 40;
const INIT_ANSWER: usize = 16 + 64;

/// Mounts a file system that takes requests and answers none. Its lookups say `taken`, so that a test knows that
/// somebody hangs. Whoever started this unmounts it.
pub(crate) fn hung_files(dir: &str) -> ExitCode {
    let device = OpenOptions::new().read(true).write(true).open("/dev/fuse");
    let mut device = device.unwrap_or_else(|error| os::fail("/dev/fuse", error));
    mount(&device, dir);
    let mut request = vec![0; BUFFER];
    loop {
        let length = match device.read(&mut request) {
            Ok(length) if length >= HEADER => length,
            Ok(_) => continue,
            Err(error) if matches!(error.raw_os_error(), Some(libc::EINTR | libc::ENOENT | libc::EAGAIN)) => continue,
            Err(error) => os::fail("fuse", error),
        };
        let word = |at: usize| u32::from_ne_bytes(request[at..at + 4].try_into().unwrap_or_default());
        match word(4) {
            INIT if length >= HEADER => {
                answer_init(&mut device, &request[8..16]);
                os::say_up();
            }
            LOOKUP => println!("taken"),
            _ => {}
        }
    }
}

fn answer_init(device: &mut File, unique: &[u8]) {
    let mut answer = vec![0; INIT_ANSWER];
    answer[0..4].copy_from_slice(&u32::try_from(INIT_ANSWER).unwrap_or_default().to_ne_bytes());
    answer[8..16].copy_from_slice(unique);
    answer[16..20].copy_from_slice(&VERSION[0].to_ne_bytes());
    answer[20..24].copy_from_slice(&VERSION[1].to_ne_bytes());
    if let Err(error) = device.write_all(&answer) {
        os::fail("fuse", error);
    }
}

fn mount(device: &File, dir: &str) {
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0,allow_other", device.as_raw_fd());
    let (Ok(dir), Ok(options)) = (CString::new(dir), CString::new(options)) else { os::fail("mount", "a zero byte") };
    let flags = libc::MS_NOSUID | libc::MS_NODEV;
    // SAFETY: four strings that end with a zero byte and outlive the call.
    let mounted =
        unsafe { libc::mount(c"kennel-hung".as_ptr(), dir.as_ptr(), c"fuse".as_ptr(), flags, options.as_ptr().cast()) };
    if mounted != 0 {
        os::fail("mount", std::io::Error::last_os_error());
    }
}
