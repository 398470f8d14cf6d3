//! The file that was opened, and whether it is still the one at its place.
//!
//! A file that was removed or replaced is written on: what is stored in it is gone when the program ends. Nor is it safe
//! to go on with another file at its place: the journal beside it is that of the first.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use staticreg_domain::metrics::MetricsError;

use crate::error::Reason;

/// What tells a file from another at the same place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    number: u64,
}

impl Identity {
    #[cfg(unix)]
    fn at(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(path).map(|file| Self { device: file.dev(), number: file.ino() })
    }

    /// Other systems let nobody remove a file that is open.
    #[cfg(not(unix))]
    fn at(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|_| Self { device: 0, number: 0 })
    }
}

/// A file that was opened.
#[derive(Debug)]
pub(super) struct OpenedFile {
    path: PathBuf,
    identity: Identity,
}

impl OpenedFile {
    pub(super) fn at(path: &Path) -> io::Result<Self> {
        Ok(Self { path: path.to_owned(), identity: Identity::at(path)? })
    }

    /// Whether what is written to it stays.
    pub(super) fn is_in_place(&self) -> Result<(), MetricsError> {
        let path = self.path.display();
        let reason = match Identity::at(&self.path) {
            Ok(identity) if identity == self.identity => return Ok(()),
            Ok(_) => format!("{path} was replaced while it is in use; start staticreg again to use the new file"),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                format!(
                    "{path} was removed while it is in use; put it back, or start staticreg again to make a new one"
                )
            }
            Err(error) => format!("{path} cannot be looked at: {error}"),
        };
        Err(MetricsError::Unavailable(Reason::new(reason).into()))
    }
}
