//! Looks at files that may change while the server runs.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::spawn_blocking,
    time::sleep,
};

use crate::settings::SecretList;

/// How often files are looked at. Their content counts, not their time: Kubernetes changes a link above them.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Lets only a regular file be read: to open a pipe would wait for whoever writes into it.
pub(super) fn refuse_irregular(path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.is_file() { Ok(()) } else { Err(io::Error::other("it is no regular file")) }
}

/// Looks at files, and puts what they hold in place of what they held when that is another: every 2 seconds, and at once
/// on SIGHUP.
pub(super) struct Watch {
    /// What is looked at, as a sentence begins with it.
    name: String,
    look: Arc<Look>,
    is_failing: bool,
}

/// What was found; an error when it cannot be used.
type Look = dyn Fn() -> Result<Found, String> + Send + Sync;

/// What a look found.
pub(super) enum Found {
    /// What is in force.
    Same,
    /// Something else, which is in force now; with how many entries, where these count.
    Other(Option<usize>),
}

impl Watch {
    pub(super) fn new(name: String, look: impl Fn() -> Result<Found, String> + Send + Sync + 'static) -> Self {
        Self { name, look: Arc::new(look), is_failing: false }
    }

    /// Of a file of entries; `look` tells how many there are now, when they are others.
    pub(super) fn of_entries(
        file: PathBuf,
        look: impl Fn(&Path) -> Result<Option<usize>, String> + Send + Sync + 'static,
    ) -> Self {
        let name = format!("The file {}", file.display());
        Self::new(name, move || {
            refuse_irregular(&file).map_err(|error| error.to_string())?;
            Ok(look(&file)?.map_or(Found::Same, |entries| Found::Other(Some(entries))))
        })
    }

    /// Of secrets, one a line; `replace` tells whether they are others.
    pub(super) fn of_secrets(
        file: PathBuf,
        replace: impl Fn(&SecretList) -> Result<bool, String> + Send + Sync + 'static,
    ) -> Self {
        Self::of_entries(file, move |file| {
            let list = SecretList::in_file(file).map_err(|error| error.to_string())?;
            Ok(replace(&list)?.then(|| list.expose().count()))
        })
    }

    pub(super) async fn run(mut self) {
        let mut hangup = signal(SignalKind::hangup()).ok();
        loop {
            let asked = async {
                match &mut hangup {
                    Some(hangup) => drop(hangup.recv().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep(LOOK_AGAIN) => {}
                () = asked => tracing::debug!("{} is looked at now, as a signal asks for it", self.name),
            }
            let look = Arc::clone(&self.look);
            if let Ok(looked) = spawn_blocking(move || look()).await {
                self.tell(&looked);
            }
        }
    }

    /// While it cannot be used, what was held before stays in force, which is told once.
    fn tell(&mut self, looked: &Result<Found, String>) {
        let name = &self.name;
        match looked {
            Err(error) if !self.is_failing => {
                tracing::warn!("{name} cannot be used: {error}. What it held before stays in force.");
            }
            Ok(Found::Other(entries)) => tracing::info!(entries, "{name} has changed and is in force."),
            Ok(Found::Same) if self.is_failing => tracing::info!("{name} can be used again."),
            _ => {}
        }
        self.is_failing = looked.is_err();
    }
}

#[cfg(test)]
mod tests {
    use staticreg_http::access::Tokens;

    use super::*;

    /// What becomes of a file, step by step.
    #[test]
    fn a_file_that_changes_is_taken_and_one_that_cannot_be_used_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens");
        let tokens = Tokens::new(["old"]);
        let same = tokens.clone();
        let mut watch = Watch::of_secrets(path.clone(), move |list| Ok(same.replace(list.expose())));
        let mut look = || {
            let looked = (watch.look)();
            watch.tell(&looked);
            watch.is_failing
        };
        let is = |expected: &str| !tokens.replace(expected.split_whitespace());

        fs::write(&path, "one\ntwo\n").expect("written");
        assert!(!look() && is("one two"));
        fs::remove_file(&path).expect("removed");
        for _ in 0..2 {
            assert!(look() && is("one two"));
        }
        fs::write(&path, "one\ntwo\n").expect("written");
        assert!(!look() && is("one two"));
        fs::remove_file(&path).expect("removed");
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, rustix::fs::Mode::RUSR, 0)
            .expect("a pipe, into which nobody writes");
        assert!(look() && is("one two"));
        fs::remove_file(&path).expect("removed");
        fs::write(&path, "").expect("emptied");
        assert!(!look() && is(""), "nobody, not everybody");
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_looked_at_every_two_seconds() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tokens");
        fs::write(&path, "old\n").expect("written");
        let tokens = Tokens::new(["old"]);
        let same = tokens.clone();
        let watch = Watch::of_secrets(path.clone(), move |list| Ok(same.replace(list.expose())));
        let watching = tokio::spawn(watch.run());
        // As Kubernetes does: another file in its place, of the same length.
        fs::write(folder.path().join("next"), "new\n").expect("written");
        fs::rename(folder.path().join("next"), &path).expect("moved");
        sleep(LOOK_AGAIN * 2).await;
        assert!(!tokens.replace(["new"]), "it is in force already");
        watching.abort();
    }
}
