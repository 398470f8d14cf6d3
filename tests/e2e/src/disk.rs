//! A disk that is soon full.

use std::{
    ffi::CString,
    fs::{self, OpenOptions},
    io::Write as _,
    path::Path,
};

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use tempfile::TempDir;

/// A small file system in memory. A filler takes most of its room until it is removed.
#[derive(Debug)]
pub struct SmallDisk {
    mount: TempDir,
}

impl SmallDisk {
    /// The name of the filler.
    const FILLER: &str = "filler";

    /// A disk of so many KiB, of which all but `free` are taken.
    #[must_use]
    pub fn new(size: usize, free: usize) -> Self {
        let dir = tempfile::tempdir().expect("a folder to mount on");
        let options = CString::new(format!("size={size}k")).expect("no zero byte");
        mount("tmpfs", dir.path(), "tmpfs", MountFlags::empty(), options.as_c_str())
            .unwrap_or_else(|error| panic!("a small disk needs the right to mount a tmpfs, run as root: {error}"));
        let disk = Self { mount: dir };
        fs::write(disk.path().join(Self::FILLER), vec![0; (size - free) * 1024]).expect("the filler fits");
        disk
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.mount.path()
    }

    /// Takes all the room there is.
    pub fn fill(&self) {
        let mut filler = OpenOptions::new().append(true).open(self.path().join(Self::FILLER)).expect("the filler");
        while filler.write_all(&[0; 1024]).is_ok() {}
    }

    /// Makes room.
    pub fn make_room(&self) {
        fs::remove_file(self.path().join(Self::FILLER)).expect("the filler is there");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What cannot be unmounted is left to the end of the process.
        let _ = unmount(self.path(), UnmountFlags::DETACH);
    }
}
