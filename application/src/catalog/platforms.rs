//! Asks the registry which manifests an index lists, off the way of counting.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use futures_util::{StreamExt, stream};
use staticreg_domain::{
    Digest, RepositoryName,
    catalog::{CatalogError, Manifest, ManifestContent, Reference, RegistryCatalog},
    error::describe,
    manifest_access::IndexChild,
};
use tokio::sync::mpsc;

use super::{bounded::Bounded, images::lock};

/// Questions that may wait; more are dropped.
const MOST_WAITING: usize = 1_024;
/// Questions asked at a time.
const CONCURRENCY: usize = 2;
/// Bytes of answers that are remembered, about.
const MOST_REMEMBERED: usize = 8 * 1024 * 1024;
/// What one child takes, about.
const CHILD_SIZE: usize = 256;

/// The children of indexes, as far as the registry was asked: cheap to clone, never waits.
#[derive(Clone)]
pub struct IndexChildren {
    shared: Arc<Shared>,
    questions: mpsc::Sender<(RepositoryName, Digest)>,
}

/// The use case: asks the registry for what [`IndexChildren`] does not know.
pub struct IndexLookups {
    catalog: Arc<dyn RegistryCatalog>,
    shared: Arc<Shared>,
    questions: mpsc::Receiver<(RepositoryName, Digest)>,
}

struct Shared {
    remembered: Mutex<Bounded<Arc<[IndexChild]>>>,
    asked: Mutex<HashSet<Digest>>,
}

impl IndexChildren {
    /// Will ask this registry, once the look-ups run.
    #[must_use]
    pub fn new(catalog: Arc<dyn RegistryCatalog>) -> (Self, IndexLookups) {
        let shared =
            Arc::new(Shared { remembered: Mutex::new(Bounded::new(MOST_REMEMBERED)), asked: Mutex::default() });
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        (Self { shared: shared.clone(), questions: sender }, IndexLookups { catalog, shared, questions: receiver })
    }

    /// The children of an index when they are known; else the registry will be asked, unless too much waits. No
    /// children are known of what turned out to be no index, or not there.
    #[must_use]
    pub fn get(&self, repository: &RepositoryName, index: &Digest) -> Option<Arc<[IndexChild]>> {
        if let Some(children) = lock(&self.shared.remembered).get(index) {
            return Some(children);
        }
        let mut asked = lock(&self.shared.asked);
        if !asked.contains(index) && self.questions.try_send((repository.clone(), index.clone())).is_ok() {
            asked.insert(index.clone());
        }
        None
    }
}

impl IndexLookups {
    /// Asks for ever, and tells each answer: the repository, the index and its children. It ends when the last
    /// [`IndexChildren`] is gone.
    pub async fn run(self, mut learned: impl FnMut(&RepositoryName, &Digest, &Arc<[IndexChild]>)) {
        let Self { catalog, shared, mut questions } = self;
        let mut answers = stream::poll_fn(|context| questions.poll_recv(context))
            .map(|(repository, index)| ask(&*catalog, repository, index))
            .buffer_unordered(CONCURRENCY);
        while let Some((repository, index, children)) = answers.next().await {
            if let Some(children) = &children {
                lock(&shared.remembered).insert(&index, children.clone(), CHILD_SIZE * (1 + children.len()));
            }
            lock(&shared.asked).remove(&index);
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
) -> (RepositoryName, Digest, Option<Arc<[IndexChild]>>) {
    let children = match catalog.manifest(&repository, &Reference::Digest(index.clone())).await {
        Ok(Manifest { content: ManifestContent::Index(entries), .. }) => Some(
            entries
                .into_iter()
                .map(|entry| IndexChild { digest: entry.descriptor.digest, platform: entry.platform })
                .collect(),
        ),
        // To ask again would give the same.
        Ok(_) | Err(CatalogError::NotFound | CatalogError::Malformed(_)) => Some(Arc::default()),
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
            lock(&heard).push((index.clone(), platforms));
        }));
        (children, learned, running)
    }

    #[tokio::test(start_paused = true)]
    async fn an_index_is_asked_once_and_then_known() {
        let registry = Arc::new(FakeRegistry::slow(Duration::from_millis(5)));
        let index = registry.index(3, &[(IMAGE, &digest(1), Some("arm64")), (IMAGE, &digest(2), None)]);
        let (children, learned, running) = running(&registry);
        for _ in 0..3 {
            assert_eq!(children.get(&name("a"), &index), None);
        }
        sleep(Duration::from_secs(1)).await;
        let known = children.get(&name("a"), &index).unwrap();
        assert_eq!(known.iter().map(|child| child.digest.clone()).collect::<Vec<_>>(), [digest(1), digest(2)]);
        assert_eq!(*lock(&learned), [(index, vec![Some("linux/arm64".to_owned()), None])]);
        assert_eq!(registry.asked(), ["get 3"]);
        drop(children);
        running.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_index_or_not_there_is_known_to_have_no_children() {
        let registry = Arc::new(FakeRegistry::default());
        let image = registry.image(1, None);
        let (children, learned, _running) = running(&registry);
        for digest in [&image, &digest(9)] {
            assert_eq!(children.get(&name("a"), digest), None);
            sleep(Duration::from_secs(1)).await;
            assert_eq!(children.get(&name("a"), digest).as_deref(), Some(&[][..]));
        }
        assert_eq!(lock(&learned).len(), 2);
        assert_eq!(registry.asked(), ["get 1", "get 9"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_was_away_is_asked_again_for_the_next_event() {
        let registry = Arc::new(FakeRegistry::default());
        let index = registry.index(3, &[]);
        registry.fail("get", unavailable);
        let (children, learned, _running) = running(&registry);
        assert_eq!(children.get(&name("a"), &index), None);
        sleep(Duration::from_secs(1)).await;
        registry.heal();
        assert_eq!(children.get(&name("a"), &index), None);
        sleep(Duration::from_secs(1)).await;
        assert!(children.get(&name("a"), &index).is_some());
        assert_eq!(lock(&learned).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_flood_of_questions_is_bounded_and_holds_nobody_up() {
        let registry = Arc::new(FakeRegistry::slow(Duration::from_hours(1)));
        let (children, _lookups) = IndexChildren::new(registry);
        for seed in 0..10_000 {
            assert_eq!(children.get(&name("a"), &digest(seed)), None);
        }
        assert_eq!(lock(&children.shared.asked).len(), MOST_WAITING);
    }
}
