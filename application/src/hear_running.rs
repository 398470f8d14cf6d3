//! Hear what runs somewhere, so that nobody is told to delete it.

use std::{collections::BTreeSet, sync::Arc};

use staticreg_domain::{
    Clock,
    metrics::MetricsError,
    running::{Running, RunningImage, RunningImages, SourceName},
};

/// The most sources: whoever may tell may not fill the store with names.
pub const MAX_SOURCES: usize = 100;

/// The most references of a source.
pub const MAX_REFERENCES: usize = 20_000;

/// What was made of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard {
    /// References that name an image.
    pub taken: usize,
    /// References that name none.
    pub not_understood: usize,
}

/// Why a list is not kept.
#[derive(Debug, thiserror::Error)]
pub enum HearError {
    /// There are as many sources as there may be, and this is a new one.
    #[error("{MAX_SOURCES} sources have told what runs there, and no more may")]
    TooManySources,
    /// The list is too long.
    #[error("a list holds at most {MAX_REFERENCES} references")]
    TooManyReferences,
    /// It could not be kept.
    #[error(transparent)]
    Store(#[from] MetricsError),
}

/// The use case.
#[derive(Clone)]
pub struct HearRunning {
    kept: Arc<dyn RunningImages>,
    clock: Arc<dyn Clock>,
}

impl HearRunning {
    /// Keeps what it hears in this store.
    #[must_use]
    pub fn new(kept: Arc<dyn RunningImages>, clock: Arc<dyn Clock>) -> Self {
        Self { kept, clock }
    }

    /// Takes a source's list in place of the one before.
    pub async fn hear<'a>(
        &self,
        source: SourceName,
        references: impl IntoIterator<Item = &'a str> + Send,
    ) -> Result<Heard, HearError> {
        let mut heard = Heard { taken: 0, not_understood: 0 };
        let mut images = BTreeSet::new();
        for reference in references.into_iter().map(str::trim).filter(|reference| !reference.is_empty()) {
            match RunningImage::of_reference(reference) {
                Ok(named) => {
                    images.extend(named);
                    heard.taken += 1;
                }
                Err(_) => heard.not_understood += 1,
            }
            if heard.taken + heard.not_understood > MAX_REFERENCES {
                return Err(HearError::TooManyReferences);
            }
        }
        let known = self.kept.sources().await?;
        if known.len() >= MAX_SOURCES && !known.contains(&source) {
            return Err(HearError::TooManySources);
        }
        self.kept.replace(&Running { source, heard_at: self.clock.now(), images }).await?;
        Ok(heard)
    }
}

#[cfg(test)]
mod tests {
    use staticreg_domain::{clock::MockClock, running::MockRunningImages};

    use super::*;

    fn hearing(kept: MockRunningImages) -> HearRunning {
        let mut clock = MockClock::new();
        clock.expect_now().returning(|| "2026-11-21T12:00:00Z".parse().unwrap());
        HearRunning::new(Arc::new(kept), Arc::new(clock))
    }

    #[tokio::test]
    async fn a_list_is_kept_with_its_time_and_what_it_does_not_name_is_told() {
        let mut kept = MockRunningImages::new();
        kept.expect_sources().returning(|| Ok(Vec::new()));
        kept.expect_replace().once().returning(|told| {
            assert_eq!(
                (told.source.as_str(), told.heard_at.to_rfc3339()),
                ("a", "2026-11-21T12:00:00+00:00".to_owned())
            );
            assert_eq!(told.images.iter().map(ToString::to_string).collect::<Vec<_>>(), ["team/app:1"]);
            Ok(())
        });
        let references = ["registry.example/team/app:1", "", " team/app:1\r", "<none>"];
        let heard = hearing(kept).hear("a".parse().unwrap(), references).await.unwrap();
        assert_eq!(heard, Heard { taken: 2, not_understood: 1 });
    }

    #[tokio::test]
    async fn there_are_only_so_many_sources_and_references() {
        let mut kept = MockRunningImages::new();
        kept.expect_sources()
            .returning(|| Ok((0..MAX_SOURCES).map(|number| format!("s{number}").parse().unwrap()).collect()));
        kept.expect_replace().once().returning(|_| Ok(()));
        let hearing = hearing(kept);
        let heard = hearing.hear("new".parse().unwrap(), ["team/app:1"]).await;
        assert!(matches!(heard, Err(HearError::TooManySources)), "{heard:?}");
        assert!(hearing.hear("s7".parse().unwrap(), ["team/app:1"]).await.is_ok());
        let heard = hearing.hear("s7".parse().unwrap(), vec!["team/app:1"; MAX_REFERENCES + 1]).await;
        assert!(matches!(heard, Err(HearError::TooManyReferences)), "{heard:?}");
    }
}
