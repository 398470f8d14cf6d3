//! Asks the registry which manifests an index lists, off the way of counting.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex},
};

use futures_util::{StreamExt, stream};
use staticreg_domain::{
    Digest, RepositoryName,
    catalog::{CatalogError, Manifest, ManifestContent, Reference, RegistryCatalog},
    manifest_access::IndexChild,
};
use tokio::sync::mpsc;

use super::{bounded::Bounded, images::lock};
use crate::recorder::describe;

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
