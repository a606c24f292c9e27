//! The ends that test suites ask for.

use management::test_hooks::Fault;
use nix::sys::signal::{Signal, raise};

/// Brings the process down, as `--test-hooks` allows clients to ask for.
pub(crate) fn crash(fault: Fault) {
    if fault == Fault::Segmentation {
        // The runtime's own handler ignores the first one, that no access to memory has caused.
        let _ = raise(Signal::SIGSEGV);
        let _ = raise(Signal::SIGSEGV);
    }
    // The allocator ends the process like that when it finds damage.
    std::process::abort();
}
