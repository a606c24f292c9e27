//! Real servers and clients of other protocols, and the routers between them.
//!
//! ```text
//!   client --+--> Stage: one router, or two --+--> Server, from one of the modules
//!            '------- Encryption -------------'
//! ```
//!
//! A server is started, waited for until it takes connections, and stopped when dropped. What is not installed leaves
//! its tests out ([`require`]).

pub mod ftp;
pub mod grpc;
pub mod mariadb;
pub mod ncat;
pub mod nghttpd;
pub mod nginx;
pub mod postgres;
mod python;
pub mod redis;
mod server;
pub mod smtp;
pub mod ssh;
mod stage;
pub mod websocket;

pub use python::{python_with, script};
pub use server::{Server, Site};
pub use stage::{Encryption, Routers, Stage};

use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::harness::skip_unless;

/// Looks for a program on the path, and where servers are.
pub fn found(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    // Servers live in sbin, which is not on everybody's path.
    let folders = std::env::split_paths(&path).chain(["/usr/sbin".into()]);
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// A program without which the test is left out.
pub fn require(program: &str) -> Result<PathBuf> {
    skip_unless(found(program), &format!("{program} is not installed"))
}

/// A path as an argument.
fn text(path: &Path) -> String {
    path.display().to_string()
}
