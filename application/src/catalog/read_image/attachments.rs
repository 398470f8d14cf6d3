//! What belongs to an image: signatures, provenance, lists of what is in it.
//!
//! Three ways lead to it: the index lists the attestations of `BuildKit`, the registry tells referrers, and cosign puts what
//! it attaches under tags.

use std::{sync::Arc, time::Duration};

use quick_cache::sync::Cache;
use staticreg_domain::{
    Digest, RepositoryName, Tag,
    catalog::{Attachment, CatalogError, Manifest, Reference},
    error::describe,
};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout},
};

use super::{ImageDetails, ReadImage, Reader, entries};
use crate::catalog::RepositoryEntry;

/// How long a page waits.
const PATIENCE: Duration = Duration::from_secs(1);
/// Images whose attachments are read at a time.
const CONCURRENCY: usize = 2;
/// How old what is kept may be: attachments come later than their image.
const NEW: Duration = Duration::from_secs(30);
/// Images whose attachments are kept.
const KEPT: usize = 128;
/// More attachments of an image are left out.
const MAX_ATTACHED: usize = 50;
/// How many manifests are read to know what they are.
const MAX_READ: usize = 8;
/// A longer type is cut.
const MAX_TYPE: usize = 200;

/// Something that belongs to an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attached {
    /// What it is: one thing, mostly.
    pub attachments: Vec<Attachment>,
    /// What it says it is: types of artifacts or predicates.
    pub told: String,
    /// Its manifest.
    pub digest: Digest,
    /// The manifest that it belongs to: the image's or the index's.
    pub subject: Digest,
    /// The tag it has, where that is how it was found.
    pub tag: Option<Tag>,
}

impl ImageDetails {
    /// The tags of a repository under which there may be something that belongs to the image or its index.
    #[must_use]
    pub fn attachment_tags(&self, repository: &RepositoryEntry) -> Vec<Tag> {
        let index = self.index.as_ref().map(|index| &index.digest);
        let of_both = index.into_iter().chain([&self.image.digest]);
        of_both.flat_map(|digest| repository.attachments_of(digest)).cloned().collect()
    }
}

/// What was found of an image, or that it could not be.
type Found = Option<Arc<[Attached]>>;

/// What was found of images, and when, by repository and by the digests of image and index.
pub(super) struct Kept {
    found: Cache<(RepositoryName, Digest, Option<Digest>), (Instant, Found)>,
    turns: Arc<Semaphore>,
}

impl Default for Kept {
    fn default() -> Self {
        Self { found: Cache::new(KEPT), turns: Arc::new(Semaphore::new(CONCURRENCY)) }
    }
}

impl ReadImage {
    /// What belongs to an image or its index, of which these tags are; none when the registry does not tell in time.
    pub async fn attachments(
        &self,
        repository: &RepositoryName,
        details: &ImageDetails,
        tags: Vec<Tag>,
    ) -> Option<Arc<[Attached]>> {
        let (image, index) = (details.image.clone(), details.index.clone());
        let key = (repository.clone(), image.digest.clone(), index.as_ref().map(|index| index.digest.clone()));
        let kept = &self.0.attachments;
        if let Some((at, found)) = kept.found.get(&key)
            && at.elapsed() < NEW
        {
            return found;
        }
        let (reader, turns) = (self.0.clone(), kept.turns.clone());
        let in_time = timeout(PATIENCE, async move {
            let turn = turns.acquire_owned().await.expect("the semaphore is never closed");
            // Read on behind when it takes long, so that a later page has it.
            let reading = tokio::spawn(async move {
                let _turn = turn;
                let found = reader.attached(&key.0, index.as_deref(), &image, &tags).await;
                let found =
                    found.inspect_err(|error| tracing::debug!("Unable to read attachments: {}", describe(error)));
                let found: Found = found.ok().map(Arc::from);
                reader.attachments.found.insert(key, (Instant::now(), found.clone()));
                found
            });
            reading.await
        });
        in_time.await.ok()?.ok()?
    }
}

impl Reader {
    async fn attached(
        &self,
        repository: &RepositoryName,
        index: Option<&Manifest>,
        image: &Manifest,
        tags: &[Tag],
    ) -> Result<Vec<Attached>, CatalogError> {
        let mut found: Vec<Attached> = Vec::new();
        let listed = index.map(entries).unwrap_or_default();
        for entry in listed.iter().filter(|entry| entry.attests.as_ref() == Some(&image.digest)).take(MAX_READ) {
            let reference = Reference::Digest(entry.descriptor.digest.clone());
            found.extend(self.told(repository, &reference, &image.digest, None).await?);
        }
        let subjects = || index.into_iter().chain([image]).map(|manifest| &manifest.digest);
        for subject in subjects() {
            for referrer in self.catalog.referrers(repository, subject).await? {
                let attachments = referrer.attachments();
                let told = referrer.predicate_type.unwrap_or(referrer.artifact_type);
                let told = cut(if told.is_empty() { referrer.descriptor.media_type } else { told });
                let digest = referrer.descriptor.digest;
                found.push(Attached { attachments, told, digest, subject: subject.clone(), tag: None });
            }
        }
        let of_these = |tag: &&Tag| tag.attachment().is_some();
        for tag in tags.iter().filter(of_these).take(MAX_READ) {
            let Some(subject) = subjects().find(|subject| tag.subject().as_ref() == Some(*subject)) else { continue };
            found.extend(self.told(repository, &Reference::Tag(tag.clone()), subject, Some(tag)).await?);
        }
        found.truncate(MAX_ATTACHED);
        Ok(found)
    }

    /// What a manifest tells that belongs to another one; none when it is not there.
    async fn told(
        &self,
        repository: &RepositoryName,
        reference: &Reference,
        subject: &Digest,
        tag: Option<&Tag>,
    ) -> Result<Option<Attached>, CatalogError> {
        let manifest = match self.manifest(repository, reference).await {
            Ok(manifest) => manifest,
            Err(CatalogError::NotFound(_) | CatalogError::Malformed(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut told = manifest.predicate_types.clone();
        told.dedup();
        let told = if told.is_empty() { manifest.artifact_type.clone().unwrap_or_default() } else { told.join(", ") };
        // What was attached with cosign's tags is what the tag says, where nothing says more.
        let attachments = match (manifest.attachments(), tag.and_then(Tag::attachment)) {
            (attachments, Some(by_tag)) if attachments == [Attachment::Other] => vec![by_tag],
            (attachments, _) => attachments,
        };
        Ok(Some(Attached {
            attachments,
            told: cut(told),
            digest: manifest.digest.clone(),
            subject: subject.clone(),
            tag: tag.cloned(),
        }))
    }
}

fn cut(mut text: String) -> String {
    if text.len() > MAX_TYPE {
        text.truncate(text.floor_char_boundary(MAX_TYPE));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use staticreg_domain::catalog::IndexEntry;
    use tokio::time::sleep;

    use super::*;
    use crate::catalog::testing::{FakeRegistry, IMAGE, denied, descriptor, digest, name};

    fn tag(subject: &Digest, suffix: &str) -> Tag {
        format!("{}{suffix}", subject.as_str().replace(':', "-")).parse().unwrap()
    }

    async fn details(images: &ReadImage, of: u32) -> ImageDetails {
        images.read(name("a"), Reference::Digest(digest(of)), None).await.unwrap()
    }

    /// An index (3) of an image (1) and its attestation (2).
    fn attested() -> FakeRegistry {
        let registry = FakeRegistry::default();
        let (image, attestation) = (registry.image(1, Some("amd64")), registry.image(2, None));
        registry.set_predicate_types(&attestation, &["https://slsa.dev/provenance/v1", "https://spdx.dev/Document"]);
        let entry = |seed: u32, attests: Option<Digest>| IndexEntry {
            descriptor: descriptor(IMAGE, digest(seed), 1),
            platform: None,
            attests,
        };
        let elsewhere = entry(9, Some(digest(8)));
        registry.index_of(3, vec![entry(1, None), entry(2, Some(image)), elsewhere]);
        registry
    }

    #[tokio::test(start_paused = true)]
    async fn attestations_of_the_index_referrers_and_cosigns_tags_are_found() {
        let registry = attested();
        let (index, image) = (digest(3), digest(1));
        registry.refer(&index, &registry.image(4, None), "application/vnd.cncf.notary.signature");
        let (signed, listed) = (tag(&index, ".sig"), tag(&image, ".sbom"));
        registry.tag("a", signed.as_str(), &registry.image(5, None));
        registry.tag("a", listed.as_str(), &registry.image(6, None));
        let images = ReadImage::new(Arc::new(registry));
        let tags = vec![signed.clone(), tag(&index, ""), listed.clone(), tag(&digest(7), ".sig")];
        let found = images.attachments(&name("a"), &details(&images, 3).await, tags).await.unwrap();
        let told: Vec<_> =
            found.iter().map(|item| (&*item.attachments, &item.digest, &item.subject, &item.tag)).collect();
        assert_eq!(
            told,
            [
                (&[Attachment::Provenance, Attachment::Sbom][..], &digest(2), &image, &None),
                (&[Attachment::Signature], &digest(4), &index, &None),
                (&[Attachment::Signature], &digest(5), &index, &Some(signed)),
                (&[Attachment::Sbom], &digest(6), &image, &Some(listed)),
            ]
        );
        assert_eq!(found[0].told, "https://slsa.dev/provenance/v1, https://spdx.dev/Document");
        assert_eq!(found[1].told, "application/vnd.cncf.notary.signature");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_found_is_kept_for_a_while() {
        let registry = Arc::new(attested());
        let images = ReadImage::new(registry.clone());
        let details = details(&images, 3).await;
        let ask = async || images.attachments(&name("a"), &details, Vec::new()).await.unwrap().len();
        assert_eq!(ask().await, 1);
        registry.refer(&digest(1), &registry.image(4, None), "text/spdx");
        registry.asked();
        assert_eq!((ask().await, registry.asked()), (1, Vec::new()));
        sleep(NEW).await;
        assert_eq!(ask().await, 2);
        assert_eq!(registry.asked(), ["referrers 1", "referrers 3"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_registry_that_does_not_tell_is_not_asked_again_at_once() {
        let registry = Arc::new(attested());
        registry.fail("referrers", denied);
        let images = ReadImage::new(registry.clone());
        let details = details(&images, 3).await;
        for _ in 0..3 {
            assert_eq!(images.attachments(&name("a"), &details, Vec::new()).await, None);
        }
        let asked = registry.asked().into_iter().filter(|request| request.starts_with("referrers")).count();
        assert_eq!(asked, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_registry_is_given_up_but_read_on_behind() {
        let registry = Arc::new(FakeRegistry::slow(Duration::from_millis(800)));
        registry.image(1, None);
        let images = ReadImage::new(registry);
        let details = details(&images, 1).await;
        let tags = vec![tag(&digest(1), ".sig")];
        let began = Instant::now();
        assert_eq!(images.attachments(&name("a"), &details, tags.clone()).await, None);
        assert_eq!(began.elapsed(), PATIENCE);
        sleep(Duration::from_secs(5)).await;
        // The signature is not there; the registry told that.
        assert_eq!(images.attachments(&name("a"), &details, tags).await.unwrap().len(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_no_end_is_cut() {
        let registry = attested();
        for seed in 10..200 {
            registry.refer(&digest(1), &digest(seed), &"é".repeat(1_000));
        }
        let images = ReadImage::new(Arc::new(registry));
        let found = images.attachments(&name("a"), &details(&images, 3).await, Vec::new()).await.unwrap();
        assert_eq!(found.len(), MAX_ATTACHED);
        assert!(found.iter().all(|item| item.told.len() <= MAX_TYPE + '…'.len_utf8()));
    }
}
