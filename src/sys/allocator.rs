//! What the allocator of the system keeps for itself.
//!
//! glibc's malloc has an arena for eight threads a core, each of which keeps what was freed in it, and it raises the size
//! from which on memory goes back to the system at once as soon as a larger buffer was freed. So a process whose many
//! threads use large buffers now and then holds several times what it uses: a server that had decoded sixteen
//! bodies of 15 MB kept 250 MB of their memory. A memory budget is kept to by what is counted, and only if the
//! allocator does not keep as much again.
//!
//! # Why this is unsafe code
//!
//! `mallopt` is a C function. It takes two numbers, keeps no pointer, and sets options of the process's allocator under
//! the allocator's own lock.

#![allow(unsafe_code, reason = "an option of the C library's allocator")]

/// Buffers from this size on have memory of their own, which goes back to the system when they are freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const OWN_MEMORY_BYTES: libc::c_int = 256 << 10;

/// Makes the allocator of the C library give memory back: as many arenas as processors, two at least, and memory of its
/// own for each buffer from 256 KiB on. For programs that keep to a memory budget, at their start; it holds for the
/// whole process, whose allocations may cost a few percent more. Where the C library is not glibc nothing is
/// changed.
pub fn bound_allocator_caches() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        let processors = std::thread::available_parallelism().map_or(2, std::num::NonZero::get);
        let arenas = libc::c_int::try_from(processors.max(2)).unwrap_or(libc::c_int::MAX);
        for (option, value) in
            [(libc::M_ARENA_MAX, arenas), (libc::M_MMAP_THRESHOLD, OWN_MEMORY_BYTES)]
        {
            // SAFETY: numbers alone are passed; see the module. A value that is refused changes nothing.
            unsafe { libc::mallopt(option, value) };
        }
    }
}
