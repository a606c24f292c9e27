//! Paths that traffic takes through the code, without sockets, threads or clocks: what the benchmarks of `benches/` time
//! and what `bench-check` counts instructions of.

pub mod paths;
