//! What a person needs to know of a panic, and of a fatal signal.
//!
//! A panic costs the task that it is in, and the router goes on. A fatal signal (SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV)
//! ends the process as it would without a handler, core dump included.
//!
//! No code here is `unsafe`, and none can be: signals of these kinds are handled through `vmm-sys-util`, which virtual
//! machine monitors do the same with, and end the process through `signal-hook`, which refuses to handle them itself. The
//! handler runs on the stack of the thread that has failed: of a stack that has overflowed there is no report.
//!
//! ```text
//!  fault --> handler: who and where, by write() alone --> the rest may fail or hang --> default action
//!                                                          '--> cut short by the alarm
//! ```

use management::test_hooks::Fault;
use nix::libc::{c_int, c_void, siginfo_t};
use nix::sys::signal::{Signal, raise};
use nix::unistd::{alarm, gettid};
use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt::{self, Display, Write, from_fn};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};
use std::time::Duration;

const FATAL: [Signal; 5] = [Signal::SIGABRT, Signal::SIGBUS, Signal::SIGFPE, Signal::SIGILL, Signal::SIGSEGV];

/// The variable that leaves fatal signals to the system, or to who attaches a debugger.
const NO_SIGNALS: &str = "SKUPPER_ROUTER_DISABLE_PANIC_HANDLER";

/// Seconds that the report of a fatal signal may take: it does what may wait for ever in a process that is broken.
const PATIENCE: u32 = 10;

/// Panics whose frames are told without being asked for. They cost more than what a peer should be able to spend at will.
const TRACED_PANICS: u32 = 20;

/// The name of the program, known beforehand.
static PROGRAM: OnceLock<String> = OnceLock::new();

/// Has panics and fatal signals reported from now on.
pub(crate) fn report_crashes(program: &str) {
    let name = program.rsplit('/').next().unwrap_or_default().replace(char::is_whitespace, "_");
    let _ = PROGRAM.set(name);
    std::panic::set_hook(Box::new(report_panic));
    if std::env::var_os(NO_SIGNALS).is_some() {
        return;
    }
    for signal in FATAL {
        if let Err(error) = vmm_sys_util::signal::register_signal_handler(signal as c_int, on_fatal_signal) {
            management::log::to_stderr(&format!("Cannot handle {signal}: {error}"));
        }
    }
}

/// Brings the process down, as `--test-hooks` allows clients to ask for.
pub(crate) fn crash(fault: Fault) {
    if fault == Fault::Segmentation {
        let _ = raise(Signal::SIGSEGV);
    }
    // The allocator ends the process like that when it finds damage.
    std::process::abort();
}

/// Tells of a panic without waiting for whoever reads stderr: it may be on a thread that moves traffic.
fn report_panic(panic: &PanicHookInfo<'_>) {
    static TRACED: AtomicU32 = AtomicU32::new(0);
    let trace = if TRACED.fetch_add(1, Ordering::Relaxed) < TRACED_PANICS {
        Backtrace::force_capture()
    } else {
        Backtrace::capture()
    };
    let reason = from_fn(|f| write!(f, "Reason: {panic}"));
    management::log::to_stderr(&format!("{}{}*** END ***", head("PANIC", reason), frames(&trace)));
}

extern "C" fn on_fatal_signal(signal: c_int, _: *mut siginfo_t, _: *mut c_void) {
    static REPORTING: AtomicI32 = AtomicI32::new(0);
    let thread = gettid().as_raw();
    match REPORTING.compare_exchange(0, thread, Ordering::Relaxed, Ordering::Relaxed) {
        Ok(_) => report_signal(signal),
        // The report itself has failed.
        Err(reporting) if reporting == thread => {}
        // Another thread is about to end the process.
        Err(_) => std::thread::sleep(Duration::from_secs(PATIENCE.into())),
    }
    let _ = signal_hook::low_level::emulate_default_handler(signal);
}

/// First what needs neither memory nor locks, for these may be what is broken.
fn report_signal(signal: c_int) {
    alarm::set(PATIENCE);
    let name = Signal::try_from(signal).map_or("?", Signal::as_str);
    let mut stderr = Stderr::new();
    let _ = write!(stderr, "{}", head("FATAL ERROR", format_args!("Signal: {signal} {name}")));
    let _ = write!(stderr, "{}", frames(&Backtrace::force_capture()));
    if let Ok(maps) = std::fs::read_to_string("/proc/self/maps") {
        let _ = write!(stderr, "\n{maps}");
    }
    let _ = stderr.write_str("*** END ***\n");
}

fn head(kind: &str, reason: impl Display) -> impl Display {
    from_fn(move |f| {
        let thread = std::thread::current();
        writeln!(f, "\n*** SKUPPER-ROUTER {kind} ***\nVersion: {}\n{reason}", router_engine::VERSION)?;
        writeln!(f, "Process ID: {} ({})", std::process::id(), PROGRAM.get().map_or("skrouterd", String::as_str))?;
        writeln!(f, "Thread ID: {} ({})", gettid(), thread.name().unwrap_or("?"))
    })
}

/// The frames of a backtrace, each with its place in memory and what is known of it.
fn frames(trace: &Backtrace) -> impl Display {
    from_fn(move |f| {
        if trace.status() != BacktraceStatus::Captured {
            return Ok(());
        }
        f.write_char('\n')?;
        format!("{trace:#}").lines().try_for_each(|line| writeln!(f, "{}", frame(line)))
    })
}

/// A line of a backtrace in the known notation, if it begins a frame.
fn frame(line: &str) -> impl Display {
    from_fn(move |f| {
        let begins = line.trim_start().split_once(": ").filter(|(number, _)| number.parse::<u32>().is_ok());
        match begins.map(|(number, rest)| (number, rest.trim_start())).filter(|(_, rest)| rest.starts_with("0x")) {
            Some((number, rest)) => write!(f, "[{number}] IP: {rest}"),
            None => f.write_str(line),
        }
    })
}

/// Standard error, line by line, without memory of others or a lock.
struct Stderr {
    line: [u8; 256],
    len: usize,
}

impl Stderr {
    const fn new() -> Self {
        Self { line: [0; 256], len: 0 }
    }

    fn flush(&mut self) -> fmt::Result {
        let mut rest = self.line.get(..self.len).unwrap_or_default();
        while !rest.is_empty() {
            let written = nix::unistd::write(std::io::stderr(), rest).map_err(|_| fmt::Error)?;
            rest = rest.get(written..).unwrap_or_default();
        }
        self.len = 0;
        Ok(())
    }
}

impl Write for Stderr {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &octet in text.as_bytes() {
            self.line[self.len] = octet;
            self.len += 1;
            if octet == b'\n' || self.len == self.line.len() {
                self.flush()?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_known_notation() {
        assert_eq!(frame("   3:     0x55d0 - core::main").to_string(), "[3] IP: 0x55d0 - core::main");
        let place = "                 at /src/main.rs:3:4";
        assert_eq!(frame(place).to_string(), place);
        let text = frames(&Backtrace::force_capture()).to_string();
        assert!(text.contains("\n[0] IP: 0x"), "{text}");
    }
}
