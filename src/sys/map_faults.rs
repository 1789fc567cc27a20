//! Faults of memory maps: a signal handler by which a file that is cut, or a disk that fails, under a map
//! becomes an error of the read instead of the end of the process.
//!
//! Owns the process's action for SIGBUS once it was asked to. Called by who starts a process, through
//! [`turn_map_faults_into_errors`]; what it does is noticed by `mapping.rs`, whose copies fail.
//!
//! # What happens at a fault
//!
//! 1. A copy out of a map touches a page that the system cannot read: SIGBUS on the copying thread.
//! 2. The handler looks for the map that holds the address (`map_registry.rs`).
//! 3. It notes the fault with the map, then puts pages of zeros in the place of the **whole** map, and returns.
//!    The touch is repeated, reads a zero, and the copy goes on to its end.
//! 4. After each copy the reader asks whether the map had a fault. If so the copy is thrown away, whichever
//!    thread or page the fault was of, and the bytes are read by pread, which gives them or says why not.
//! 5. Every later read of this open file goes through pread, so a zero page is never copied from for good,
//!    and a bad sector costs those alone who need it.
//!
//! The fault is noted *before* the pages are replaced: another thread that copies zeros from them finds the
//! note afterwards. The whole map is replaced, not the page, since nothing of it is used any more; so a
//! map takes one fault however long it is, no map is split into many (the system limits how many
//! there are, and a handler that ran into that limit would have to give up), and the page size does not matter.
//!
//! # What is not ours
//!
//! A SIGBUS whose address no map of ours holds, that another process sent, or that tells of memory that
//! nobody touched yet, goes to whom it went before: to the handler that was installed (Rust's own, for the
//! overflow of a stack, among them), or to the system, which ends the process. Such a handler is called
//! as the system would, but for the mask of signals that it asked for.
//!
//! # Inside the handler
//!
//! Only loads and stores of atomics, `mmap`, `sigaction` and `raise`: no lock, no memory, no panic, no log. errno is as
//! it was. It runs on the thread's alternate stack, if it has one.

#![allow(unsafe_code, reason = "signal handlers are unsafe by nature; the rules are above")]

use std::io;

/// From now on, a fault in a memory map of a segment is an error of the read that met it, in the whole
/// process.
///
/// With [`ReadMode::Map`](crate::ReadMode::Map) (the default), segments are read through memory maps. A file that somebody
/// truncates, or a device that fails, is SIGBUS at the touch, which ends a process that has no handler for
/// it. This call installs one: the read is then repeated without the map, and gives the right bytes or
/// [`Error::Io`](crate::Error::Io) or [`Error::Corrupt`](crate::Error::Corrupt), with the name of the file. The command `siltstone`
/// calls it at its start. A library does not take a process's signals unasked: who embeds it calls this
/// once, before or after stores were opened, or reads by [`ReadMode::Pread`](crate::ReadMode::Pread).
///
/// Any other SIGBUS goes to the handler that was there before, or ends the process, as before. Who installs
/// a handler of SIGBUS later replaces this one, and has to hand on to it what is not his. Calling it
/// again does nothing.
///
/// # Errors
/// [`Unsupported`](io::ErrorKind::Unsupported) on systems other than Linux; the system's error if it takes no handler.
///
/// ```
/// siltstone::turn_map_faults_into_errors()?;
/// # Ok::<(), std::io::Error>(())
/// ```
#[cfg(target_os = "linux")]
pub fn turn_map_faults_into_errors() -> io::Result<()> {
    handler::install()
}

/// As on Linux, where it is built; here it changes nothing.
///
/// # Errors
/// [`Unsupported`](io::ErrorKind::Unsupported): use [`ReadMode::Pread`](crate::ReadMode::Pread).
#[cfg(not(target_os = "linux"))]
pub fn turn_map_faults_into_errors() -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "faults of maps are handled on Linux only"))
}

#[cfg(target_os = "linux")]
mod handler {
    use std::ffi::{c_int, c_void};
    use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
    use std::sync::{Mutex, PoisonError};
    use std::{io, mem, ptr};

    use libc::{sigaction, siginfo_t};

    use crate::sys::map_registry::{Registry, Slot};

    /// The action that was there before, written before ours can be called.
    static PREVIOUS_ACTION: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);
    static PREVIOUS_FLAGS: AtomicI32 = AtomicI32::new(0);

    pub(super) fn install() -> io::Result<()> {
        static IS_INSTALLED: Mutex<bool> = Mutex::new(false);
        let mut is_installed = IS_INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
        if *is_installed {
            return Ok(());
        }
        remember(&change_action(None)?);
        let ours: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) = on_fault;
        let flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // Somebody may have installed another one in between: that one is the previous one then.
        remember(&change_action(Some(&action(ours as usize, flags)))?);
        *is_installed = true;
        Ok(())
    }

    fn remember(previous: &sigaction) {
        PREVIOUS_FLAGS.store(previous.sa_flags, Ordering::Relaxed);
        PREVIOUS_ACTION.store(previous.sa_sigaction, Ordering::Release);
    }

    fn action(function: usize, flags: c_int) -> sigaction {
        // SAFETY: all fields are integers, bits (of signals to block: none) or a function that may be absent.
        let mut action: sigaction = unsafe { mem::zeroed() };
        action.sa_sigaction = function;
        action.sa_flags = flags;
        action
    }

    /// Sets the action for SIGBUS, if there is one to set; returns the one before. In a handler, too.
    fn change_action(new: Option<&sigaction>) -> io::Result<sigaction> {
        let mut before = action(libc::SIG_DFL, 0);
        let new = new.map_or(ptr::null(), ptr::from_ref);
        // SAFETY: both pointers are null or to actions that live until the call returns. A new action is the
        // default or `on_fault`, which has the type that its flag SA_SIGINFO says.
        //
        // That a safe function installs it is sound: the handler changes no memory but maps that `mapping.rs`
        // has made and reads by copies alone, which take any bytes; everything else it leaves to whom it went
        // before. It does not return from a fault without that, so no code goes on behind one that
        // it does not know of.
        match unsafe { libc::sigaction(libc::SIGBUS, new, &mut before) } {
            0 => Ok(before),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Whether the thread was stopped at the access to the address that the signal tells.
    fn is_of_an_access(code: c_int) -> bool {
        code > 0 && code != libc::SI_KERNEL && code != libc::BUS_MCEERR_AO
    }

    extern "C" fn on_fault(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
        // SAFETY: with SA_SIGINFO the system passes what happened; a SIGBUS of an access has an address, and
        // of others the field is read and not used.
        let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as usize) };
        let is_of_an_access = is_of_an_access(code);
        if is_of_an_access
            && let Some(slot) = Registry::of_process().find(address)
            && replace(slot)
        {
            return;
        }
        hand_on(signal, info, context, is_of_an_access);
    }

    /// Puts zeros in the place of a map; false if the system does not.
    fn replace(slot: &Slot) -> bool {
        slot.note_fault();
        let (start, len) = slot.place();
        let flags = libc::MAP_FIXED | libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: the thread was stopped at an access to this map, so it holds it, and the map lives until the
        // handler returns: its slot does not change, and the range is the map's, whole pages from its
        // first, which the system rounds up to as it did when it mapped it. Nobody has references into it
        // (`mapping.rs`), only copies under way, which take any bytes. When the map is dropped, the same range
        // is unmapped. errno is the thread's own and is put back.
        unsafe {
            let errno = libc::__errno_location();
            let before = *errno;
            let pages =
                libc::mmap(ptr::without_provenance_mut(start), len, libc::PROT_READ, flags, -1, 0);
            *errno = before;
            pages != libc::MAP_FAILED
        }
    }

    /// Does what would have happened without this handler.
    fn hand_on(signal: c_int, info: *mut siginfo_t, context: *mut c_void, is_of_an_access: bool) {
        let function = PREVIOUS_ACTION.load(Ordering::Acquire);
        match function {
            // The system lets nobody ignore a fault.
            libc::SIG_IGN if !is_of_an_access => {}
            libc::SIG_DFL | libc::SIG_IGN => {
                // An access is repeated, and ends the process, with its own address, on return.
                let _ = change_action(Some(&action(libc::SIG_DFL, 0)));
                if !is_of_an_access {
                    // SAFETY: no pointers. The signal is blocked until this handler returns.
                    unsafe { libc::raise(signal) };
                }
            }
            // SAFETY: the process has installed this function for SIGBUS, and its flags say of which of the
            // two types it is. The arguments are the system's own.
            _ => unsafe {
                if PREVIOUS_FLAGS.load(Ordering::Relaxed) & libc::SA_SIGINFO != 0 {
                    let function: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                        mem::transmute(function);
                    function(signal, info, context);
                } else {
                    let function: extern "C" fn(c_int) = mem::transmute(function);
                    function(signal);
                }
            },
        }
    }
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs::File;
    use std::io::{ErrorKind, Write};
    use std::os::unix::process::ExitStatusExt;
    use std::path::Path;
    use std::process::{Command, ExitStatus};
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

    use super::turn_map_faults_into_errors;
    use crate::sys::mapping::Mapping;
    use crate::sys::{DiskFs, ReadMode, Vfs};

    const PAGE: usize = 4096;

    fn file_of_sevens(bytes: usize) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![7; bytes]).unwrap();
        file
    }

    fn copy(mapping: &Mapping) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        mapping.copy(0..mapping.len(), &mut bytes).then_some(bytes)
    }

    #[test]
    fn a_map_of_a_file_that_was_cut_gives_no_bytes_any_more() {
        turn_map_faults_into_errors().unwrap();
        turn_map_faults_into_errors().unwrap();
        let (cut, whole) = (file_of_sevens(5 * PAGE + 100), file_of_sevens(PAGE));
        let [first, second] = [0; 2].map(|_| Mapping::new(&cut, 5 * PAGE as u64 + 100).unwrap());
        let other = Mapping::new(&whole, PAGE as u64).unwrap();
        assert_eq!(copy(&first), Some(vec![7; 5 * PAGE + 100]));
        cut.set_len(PAGE as u64).unwrap();
        let mut bytes = vec![1];
        assert!(second.copy(0..PAGE, &mut bytes), "what is there is read still");
        for range in [PAGE..PAGE + 1, 0..PAGE, 0..0] {
            assert!(!first.copy(range, &mut bytes) && bytes.is_empty());
        }
        assert!(!first.is_sound() && second.is_sound() && other.is_sound());
        // Not even if the file is as it was: its zeros are still mapped.
        (&cut).write_all(&[7; PAGE]).unwrap();
        cut.set_len(5 * PAGE as u64 + 100).unwrap();
        first.give_back(0..first.len());
        assert_eq!(copy(&first), None);
        assert_eq!(copy(&other), Some(vec![7; PAGE]));
        drop(first);
        assert!(Mapping::new(&cut, 5 * PAGE as u64 + 100).unwrap().is_sound());
    }

    /// The last threads to notice read zeros that another's fault has put there.
    #[test]
    fn no_thread_takes_zeros_for_bytes_of_the_file() {
        const THREADS: usize = 3;
        turn_map_faults_into_errors().unwrap();
        let refused = AtomicUsize::new(0);
        for _ in 0..200 {
            let file = file_of_sevens(64 * PAGE);
            let mapping = Mapping::new(&file, 64 * PAGE as u64).unwrap();
            let start = Barrier::new(THREADS + 1);
            std::thread::scope(|scope| {
                for thread in 0..THREADS {
                    let (mapping, start, refused) = (&mapping, &start, &refused);
                    scope.spawn(move || {
                        let mut bytes = Vec::new();
                        start.wait();
                        let mut page = thread;
                        while mapping.copy(page * PAGE..(page + 1) * PAGE, &mut bytes) {
                            assert!(bytes.iter().all(|&byte| byte == 7), "page {page}");
                            page = (page + 7) % 64;
                        }
                        refused.fetch_add(1, Ordering::Relaxed);
                    });
                }
                start.wait();
                file.set_len(0).unwrap();
            });
        }
        assert_eq!(refused.into_inner(), 200 * THREADS);
    }

    #[test]
    fn reads_of_an_open_file_go_on_without_the_map() {
        turn_map_faults_into_errors().unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("000001.seg");
        let bytes: Vec<u8> = (0..10 * PAGE).map(|i| (i % 251) as u8 + 1).collect();
        DiskFs.create_new(&path).unwrap().append(&bytes).unwrap();
        let file = DiskFs.open_read(&path).unwrap();
        let read = |at: usize, len| file.read(at as u64, len, ReadMode::Map);
        assert_eq!(&read(0, 10 * PAGE).unwrap()[..], bytes);
        cut(&path, 3 * PAGE as u64 + 10);
        // Behind the cut in its page there are zeros, and no fault: what checksums are for.
        assert_eq!(
            &read(3 * PAGE, 20).unwrap()[8..],
            [[bytes[3 * PAGE + 8], bytes[3 * PAGE + 9]].as_slice(), &[0; 10]].concat()
        );
        for _ in 0..2 {
            for (at, len) in [(5 * PAGE, 1), (0, 10 * PAGE), (3 * PAGE, 11)] {
                let refused = read(at, len).unwrap_err();
                assert_eq!(refused.kind(), ErrorKind::InvalidData);
                let says = "the file changed from 40960 to 12298 bytes since it was opened";
                assert_eq!(refused.to_string(), says);
            }
            assert_eq!(&read(PAGE, 2 * PAGE + 10).unwrap()[..], &bytes[PAGE..3 * PAGE + 10]);
        }
        assert_eq!(read(0, 11 * PAGE).unwrap_err().kind(), ErrorKind::UnexpectedEof);
        assert!(file.reread(5 * PAGE as u64, 1).is_err());
        assert_eq!(&file.reread(7, 9).unwrap()[..], &bytes[7..16]);
    }

    #[expect(clippy::disallowed_methods, reason = "damages a file from outside")]
    fn cut(path: &Path, len: u64) {
        File::options().write(true).open(path).unwrap().set_len(len).unwrap();
    }

    const CASE: &str = "SILTSTONE_MAP_FAULT_CASE";

    /// Runs [`child`] in a process of its own.
    fn run_child(case: &str) -> ExitStatus {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "sys::map_faults::tests::child", "--test-threads=1"]);
        let output = command.env(CASE, case).output().unwrap();
        println!("{case}: {}", String::from_utf8_lossy(&output.stderr));
        output.status
    }

    #[test]
    fn other_faults_end_the_process_or_reach_their_handler_as_before() {
        for (case, code, signal) in [
            ("ours", Some(0), None),
            ("foreign", None, Some(libc::SIGBUS)),
            ("default foreign", None, Some(libc::SIGBUS)),
            ("ignored foreign", None, Some(libc::SIGBUS)),
            ("ignored sent", Some(0), None),
            ("default sent", None, Some(libc::SIGBUS)),
            ("handler foreign", Some(42), None),
            ("handler sent", Some(42), None),
            ("handler ours", Some(0), None),
            ("plain foreign", Some(43), None),
        ] {
            let status = run_child(case);
            assert_eq!((status.code(), status.signal()), (code, signal), "{case}");
        }
    }

    extern "C" fn exit_42(_: i32, info: *mut libc::siginfo_t, _: *mut std::ffi::c_void) {
        // SAFETY: the system passes what happened; ending the process needs nothing else.
        unsafe { libc::_exit(if (*info).si_signo == libc::SIGBUS { 42 } else { 1 }) }
    }

    extern "C" fn exit_43(signal: i32) {
        // SAFETY: as above.
        unsafe { libc::_exit(if signal == libc::SIGBUS { 43 } else { 1 }) }
    }

    fn install_before(function: usize, flags: i32) {
        // SAFETY: an action of zeros blocks nothing; the functions are of the types that the flags say.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            (action.sa_sigaction, action.sa_flags) = (function, flags);
            assert_eq!(libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut()), 0);
        }
    }

    /// Does nothing but in a process of its own.
    #[test]
    fn child() {
        static IS_HERE: AtomicBool = AtomicBool::new(false);
        let Ok(case) = std::env::var(CASE) else { return };
        let (before, what) = case.split_once(' ').unwrap_or(("", &case));
        // SAFETY: an array of two numbers of the right type; it leaves no core behind.
        unsafe { libc::setrlimit(libc::RLIMIT_CORE, &libc::rlimit { rlim_cur: 0, rlim_max: 0 }) };
        let with_info: extern "C" fn(i32, *mut libc::siginfo_t, *mut std::ffi::c_void) = exit_42;
        let plain: extern "C" fn(i32) = exit_43;
        match before {
            "default" => install_before(libc::SIG_DFL, 0),
            "ignored" => install_before(libc::SIG_IGN, 0),
            "handler" => install_before(with_info as usize, libc::SA_SIGINFO),
            "plain" => install_before(plain as usize, 0),
            _ => {}
        }
        turn_map_faults_into_errors().unwrap();
        let file = file_of_sevens(2 * PAGE);
        let ours = Mapping::new(&file, 2 * PAGE as u64).unwrap();
        let foreign = memmap2::MmapOptions::new().len(2 * PAGE).map_raw_read_only(&file).unwrap();
        file.set_len(0).unwrap();
        match what {
            // SAFETY: within a map that lives.
            "foreign" => IS_HERE.store(
                unsafe { foreign.as_ptr().add(PAGE).read_volatile() } == 0,
                Ordering::Relaxed,
            ),
            // SAFETY: no pointers.
            "sent" => assert_eq!(unsafe { libc::raise(libc::SIGBUS) }, 0),
            _ => {
                set_errno(1234);
                assert_eq!(copy(&ours), None);
                assert_eq!(std::io::Error::last_os_error().raw_os_error(), Some(1234));
            }
        }
    }

    fn set_errno(code: i32) {
        // SAFETY: errno is the thread's own.
        unsafe { *libc::__errno_location() = code }
    }
}
