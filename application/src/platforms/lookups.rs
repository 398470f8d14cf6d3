//! Asks the registry which manifests an index lists, off the way of counting.

use std::{collections::HashSet, sync::Arc};

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use staticreg_domain::{
    Digest, RepositoryName,
    catalog::{Manifest, ManifestContent, Reference, RegistryCatalog},
    error::describe,
    manifest_access::IndexChild,
};
use tokio::sync::mpsc;

/// Questions that may wait; more are dropped.
const MAX_WAITING: usize = 1_024;
/// Questions asked at a time.
const CONCURRENCY: usize = 2;

/// Takes questions for the children of indexes: cheap to clone, never waits.
#[derive(Clone)]
pub struct IndexChildren {
    asked: Arc<Mutex<HashSet<Digest>>>,
    questions: mpsc::Sender<(RepositoryName, Digest)>,
}

/// The use case: asks the registry what [`IndexChildren`] was asked.
pub struct IndexLookups {
    catalog: Arc<dyn RegistryCatalog>,
    /// What waits to be answered.
    asked: Arc<Mutex<HashSet<Digest>>>,
    questions: mpsc::Receiver<(RepositoryName, Digest)>,
}

impl IndexChildren {
    /// Will ask this registry, once the look-ups run.
    #[must_use]
    pub fn new(catalog: Arc<dyn RegistryCatalog>) -> (Self, IndexLookups) {
        let asked = Arc::default();
        let (sender, receiver) = mpsc::channel(MAX_WAITING);
        (Self { asked: Arc::clone(&asked), questions: sender }, IndexLookups { catalog, asked, questions: receiver })
    }

    /// Has the registry asked for the children of an index, unless it is being asked or too much waits.
    pub fn ask(&self, repository: &RepositoryName, index: &Digest) {
        let mut asked = self.asked.lock();
        if !asked.contains(index) && self.questions.try_send((repository.clone(), index.clone())).is_ok() {
            asked.insert(index.clone());
        }
    }
}

impl IndexLookups {
    /// Asks for ever, and tells each answer: the repository, the index and its children, of what turned out to be no
    /// index none. It ends when the last [`IndexChildren`] is gone.
    pub async fn run(self, mut learned: impl FnMut(&RepositoryName, &Digest, &[IndexChild])) {
        let Self { catalog, asked, mut questions } = self;
        let mut answers = stream::poll_fn(|context| questions.poll_recv(context))
            .map(|(repository, index)| ask(&*catalog, repository, index))
            .buffer_unordered(CONCURRENCY);
        while let Some((repository, index, children)) = answers.next().await {
            asked.lock().remove(&index);
            if let Some(children) = &children {
                learned(&repository, &index, children);
            }
        }
    }
}

/// The children; none when the registry must be asked again.
async fn ask(
    catalog: &dyn RegistryCatalog,
    repository: RepositoryName,
    index: Digest,
) -> (RepositoryName, Digest, Option<Vec<IndexChild>>) {
    let children = match catalog.manifest(&repository, &Reference::Digest(index.clone())).await {
        Ok(Manifest { content: ManifestContent::Index(entries), .. }) => Some(
            entries
                .into_iter()
                .map(|entry| IndexChild { digest: entry.descriptor.digest, platform: entry.platform })
                .collect(),
        ),
        // No index: to ask again would give the same.
        Ok(_) => Some(Vec::new()),
        // Not there, not readable for us, or nonsense from a proxy: nothing is learned of the index itself.
        Err(error) => {
            tracing::debug!("Unable to ask for the platforms of {repository}@{index}: {}", describe(&error));
            None
        }
    };
    (repository, index, children)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::{task::JoinHandle, time::sleep};

    use super::*;
    use crate::catalog::testing::{FakeRegistry, IMAGE, digest, name, unavailable};

    /// What was learned: the index's digest and its children's platforms.
    type Learned = Arc<Mutex<Vec<(Digest, Vec<Option<String>>)>>>;

    fn running(registry: &Arc<FakeRegistry>) -> (IndexChildren, Learned, JoinHandle<()>) {
        let (children, lookups) = IndexChildren::new(registry.clone());
        let learned = Learned::default();
        let heard = learned.clone();
        let running = tokio::spawn(lookups.run(move |_, index, children| {
            let platforms = children.iter().map(|child| child.platform.as_ref().map(ToString::to_string)).collect();
            heard.lock().push((index.clone(), platforms));
        }));
        (children, learned, running)
    }

    #[tokio::test(start_paused = true)]
    async fn an_index_is_asked_once_at_a_time() {
        let registry = Arc::new(FakeRegistry::slow(Duration::from_millis(5)));
        let index = registry.index(3, &[(IMAGE, &digest(1), Some("arm64")), (IMAGE, &digest(2), None)]);
        let (children, learned, running) = running(&registry);
        for _ in 0..3 {
            children.ask(&name("a"), &index);
        }
        sleep(Duration::from_secs(1)).await;
        assert_eq!(*learned.lock(), [(index, vec![Some("linux/arm64".to_owned()), None])]);
        assert_eq!(registry.asked(), ["get 3"]);
        drop(children);
        running.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_index_has_no_children() {
        let registry = Arc::new(FakeRegistry::default());
        let image = registry.image(1, None);
        let (children, learned, _running) = running(&registry);
        children.ask(&name("a"), &image);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(*learned.lock(), [(image, vec![])]);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_learned_of_what_is_not_there_or_of_a_registry_that_is_away() {
        let registry = Arc::new(FakeRegistry::default());
        let index = registry.index(3, &[]);
        registry.fail("get 3", unavailable);
        let (children, learned, _running) = running(&registry);
        for index in [&digest(9), &index] {
            children.ask(&name("a"), index);
        }
        sleep(Duration::from_secs(1)).await;
        assert_eq!(*learned.lock(), []);
        registry.heal();
        children.ask(&name("a"), &index);
        sleep(Duration::from_secs(1)).await;
        assert_eq!(*learned.lock(), [(index, vec![])]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_questions_is_bounded_and_holds_nobody_up() {
        let registry = Arc::new(FakeRegistry::slow(Duration::from_hours(1)));
        let (children, _lookups) = IndexChildren::new(registry);
        for seed in 0..10_000 {
            children.ask(&name("a"), &digest(seed));
        }
        assert_eq!(children.asked.lock().len(), MAX_WAITING);
    }
}
