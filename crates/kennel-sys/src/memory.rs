//! Memory that was needed once: code of the start, and what the allocator keeps for later.
//!
//! The pages of a program file that were touched stay mapped for as long as the process runs, and with each of them its
//! neighbours: the kernel maps up to 64 KiB around a fault. A process that works for a moment and then waits for weeks holds its
//! parsers, its relocations and its start for all of that time.

use std::ffi::{c_int, c_void};

/// Lets go of everything that can be read again: clean pages of the files of the program and its libraries, and free memory
/// of the heap. What is used next comes back by a fault without a read, for it stays in the page cache; some 100 of them
/// follow, 0.4 ms altogether.
///
/// Breakpoints that a debugger has written into the code are gone after it.
pub fn release() {
    release_heap();
    release_code();
}

/// How much of this process is resident, KiB: pages of files that others have mapped as well are counted in full.
/// May be off by some dozen pages.
/// Source: `proc_pid_statm(5)`, "inaccurate".
#[must_use]
pub fn resident_kib() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split_ascii_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64 / 1024)
}

/// Unmaps clean pages of program files.
fn release_code() {
    // SAFETY: the callback has the type that is asked for, reads nothing behind the call, and needs no data.
    unsafe {
        libc::dl_iterate_phdr(Some(release_object), std::ptr::null_mut());
    }
}

/// One object: the program, a library, the vdso.
///
/// Source: `dl_iterate_phdr(3)`, `elf(5)`, `madvise(2)`.
unsafe extern "C" fn release_object(info: *mut libc::dl_phdr_info, _: usize, _: *mut c_void) -> c_int {
    // SAFETY: the loader passes a valid object for the time of the call.
    let info = unsafe { &*info };
    if info.dlpi_phdr.is_null() {
        return 0;
    }
    // SAFETY: the loader's headers: this many, never changed, there for as long as the object is.
    let headers = unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) };
    let page = rustix::param::page_size();
    for header in headers {
        // Writable ones hold relocations and data, also where they were made read-only afterwards.
        if header.p_type != libc::PT_LOAD || header.p_flags & libc::PF_W != 0 {
            continue;
        }
        let begin = (info.dlpi_addr as usize).wrapping_add(header.p_vaddr as usize);
        // Whole pages of its own: a page at either end could be shared with a segment that is written to.
        let first = begin.next_multiple_of(page);
        let end = begin.wrapping_add(header.p_memsz as usize) & !(page - 1);
        if first >= end {
            continue;
        }
        // SAFETY: these pages are a private mapping of a file that nobody has written to (the segment is not writable), so
        // that what is read there next is what was there before. The vdso refuses, which changes nothing.
        let _refused =
            unsafe { rustix::mm::madvise(first as *mut c_void, end - first, rustix::mm::Advice::LinuxDontNeed) };
    }
    0
}

/// Gives free memory of the heap back to the system. Source: `malloc_trim(3)`.
#[cfg(target_env = "gnu")]
fn release_heap() {
    // SAFETY: takes the allocator's own locks; touches nothing that is in use.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Other allocators decide for themselves.
#[cfg(not(target_env = "gnu"))]
fn release_heap() {}

#[cfg(test)]
mod tests {
    use super::*;

    fn resident_kib() -> u64 {
        let text = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
        let line = text.lines().find(|line| line.starts_with("Rss:")).unwrap();
        line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Statics, code and heap are what they were, and less of them is resident.
    #[test]
    fn what_is_released_comes_back_as_it_was() {
        static WORDS: [&str; 3] = ["one", "two", "three"];
        let heap: Vec<Vec<u8>> = (0..2000_u32).map(|n| n.to_le_bytes().repeat(1000)).collect();
        let kept = heap.get(7).cloned();
        drop(heap);
        // Code that is there twice is compared with itself.
        let text = format!("{:?} {:?}", WORDS, kept);
        let before = resident_kib();
        release();
        let after = resident_kib();
        assert!(after + 1000 < before, "{before} kB became {after} kB");
        assert_eq!(format!("{:?} {:?}", WORDS, kept), text);
    }
}
