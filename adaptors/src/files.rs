//! Files that operators and management requests name.
//!
//! A name may lead anywhere: whoever opens a pipe waits for its other end, and a device may never end. Only regular
//! files of a sensible size are read, so that a bad name costs an error and nobody's time.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

/// Octets of the largest file that is read.
pub const MAX_FILE: u64 = 16 * 1024 * 1024;

/// Opens a regular file for reading.
///
/// # Errors
/// Of the operating system, and when it is something else than a regular file.
pub fn open(path: impl AsRef<Path>) -> io::Result<File> {
    let path = path.as_ref();
    if fs::metadata(path)?.is_file() { File::open(path) } else { Err(io::Error::other("Not a regular file")) }
}

/// The octets of a regular file.
///
/// # Errors
/// As [`open`], and when there are more than [`MAX_FILE`].
pub fn read(path: impl AsRef<Path>) -> io::Result<Vec<u8>> {
    let mut octets = Vec::new();
    open(path)?.take(MAX_FILE + 1).read_to_end(&mut octets)?;
    if octets.len() as u64 > MAX_FILE { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(octets) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(path: &str) -> String {
        read(path).expect_err("must be refused").to_string()
    }

    #[test]
    fn only_regular_files_are_read() {
        let folder = std::env::temp_dir().join(format!("files-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let pipe = folder.join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo").success());
        let (file, link) = (folder.join("file"), folder.join("link"));
        fs::write(&file, "text").expect("written");
        std::os::unix::fs::symlink(&file, &link).expect("linked");
        for path in [&file, &link] {
            assert_eq!(read(path).expect("it is a file"), b"text");
        }
        for path in [pipe.to_str().expect("text"), folder.to_str().expect("text"), "/dev/zero"] {
            assert_eq!(refused(path), "Not a regular file", "{path}");
        }
        File::create(&file).and_then(|f| f.set_len(MAX_FILE + 1)).expect("grown");
        assert_eq!(refused(file.to_str().expect("text")), "file too large");
        fs::remove_dir_all(folder).expect("removed");
    }
}
