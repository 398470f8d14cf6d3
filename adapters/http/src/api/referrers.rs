//! `GET /api/v1/registry/referrers`: what belongs to an image, as the registry tells it.

use poem::http::StatusCode;
use poem_openapi::{ApiResponse, Object, OpenApi, param::Query, payload::Json, types::Example};
use staticreg_application::catalog::{Attached, ImageDetails, ReadImageError};
use staticreg_domain::{RepositoryName, Tag, catalog::Attachment};

use super::{
    ApiTag,
    registry::{no_registry, read_snapshot, unknown_repository},
    selection::parse,
};
use crate::{
    Registry,
    access::SignedIn,
    problem::{Problem, QuestionError, RETRY_AFTER_SECONDS},
};

pub(crate) struct ReferrersApi {
    /// The registry, when there is one.
    pub(crate) registry: Option<Registry>,
}

#[OpenApi]
impl ReferrersApi {
    /// What belongs to an image of the registry: signatures, provenance, lists of what is in it.
    ///
    /// The registry is asked for it, at most every half minute. Of an index it is what belongs to the index itself and to
    /// its image of the platform. Beside the referrers of the OCI distribution specification it is the attestations that
    /// an index lists and what cosign puts under tags; 50 at most.
    #[oai(
        path = "/api/v1/registry/referrers",
        method = "get",
        operation_id = "list_registry_referrers",
        tag = "ApiTag::Registry"
    )]
    async fn referrers(
        &self,
        /// The repository.
        #[oai(validator(max_length = 255))]
        repository: Query<String>,
        /// The tag of the image or index.
        #[oai(validator(max_length = 128))]
        tag: Query<String>,
        /// The platform of an index's image, such as `linux/arm64`; its first when not given.
        #[oai(validator(max_length = 128))]
        platform: Query<Option<String>>,
        _signed_in: SignedIn,
    ) -> Result<ReferrersAnswer, QuestionError> {
        let name: RepositoryName = parse("repository", &repository)?;
        let tag: Tag = parse("tag", &tag)?;
        let Some(registry) = &self.registry else { return Ok(ReferrersAnswer::not_there(no_registry())) };
        let snapshot = read_snapshot(&registry.snapshots)?;
        let Some(entry) = snapshot.repository(&name) else {
            return Ok(ReferrersAnswer::not_there(unknown_repository()));
        };
        let Some(held) = entry.tag(&tag) else { return Ok(ReferrersAnswer::not_there(unknown_tag())) };
        let details = match registry.images.read(name.clone(), held.reference(), platform.0).await {
            Ok(details) => details,
            Err(ReadImageError::Unavailable) => return Err(unavailable()),
            Err(error @ (ReadImageError::NotFound | ReadImageError::Malformed)) => {
                return Ok(ReferrersAnswer::not_there(no_image(error)));
            }
        };
        let tags = details.attachment_tags(entry);
        let attached = registry.images.attachments(&name, &details, tags).await.ok_or_else(unavailable)?;
        Ok(ReferrersAnswer::Ok(Json(Referrers::new(&details, &attached))))
    }
}

/// The registry holds the repository without this tag.
fn unknown_tag() -> Problem {
    let detail = "parameter `tag`: the repository has no such tag, as the registry was read last";
    Problem::new(StatusCode::NOT_FOUND, detail).with_code("unknown_tag").about("tag")
}

fn no_image(error: ReadImageError) -> Problem {
    let detail = format!("What the tag points to cannot be shown for this platform: {error}.");
    Problem::new(StatusCode::NOT_FOUND, detail).with_code("no_image")
}

fn unavailable() -> QuestionError {
    let detail = "The registry does not tell it now; try again.";
    let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_code("registry_unavailable");
    QuestionError::Unavailable(Json(problem), RETRY_AFTER_SECONDS)
}

/// What belongs to an image.
#[derive(Object)]
#[oai(rename = "RegistryReferrers", example)]
struct Referrers {
    /// The image's digest.
    image: String,
    /// The digest of the index that the tag points to; null when it points to the image.
    #[oai(nullable)]
    index: Option<String>,
    /// What belongs to either.
    items: Vec<Referrer>,
}

impl Referrers {
    fn new(details: &ImageDetails, attached: &[Attached]) -> Self {
        Self {
            image: details.image.digest.to_string(),
            index: details.index.as_ref().map(|index| index.digest.to_string()),
            items: attached.iter().map(Referrer::from).collect(),
        }
    }
}

impl Example for Referrers {
    fn example() -> Self {
        let item = Referrer::example();
        Self { image: item.subject.clone(), index: None, items: vec![item] }
    }
}

/// Something that belongs to an image or an index.
#[derive(Object)]
#[oai(rename = "RegistryReferrer", example)]
struct Referrer {
    /// What it is: `signature`, `provenance`, `sbom`, `attestation`, `other`. Mostly one.
    kinds: Vec<String>,
    /// What it says it is, as a type of artifacts or predicates; it may be empty.
    #[oai(rename = "type")]
    told: String,
    /// Its digest.
    digest: String,
    /// The digest of what it belongs to.
    subject: String,
    /// Its tag, where that is how it was found; null elsewhere.
    #[oai(nullable)]
    tag: Option<String>,
}

impl From<&Attached> for Referrer {
    fn from(attached: &Attached) -> Self {
        let Attached { attachments, told, digest, subject, tag } = attached;
        Self {
            kinds: attachments.iter().map(|attachment| kind(*attachment).to_owned()).collect(),
            told: told.clone(),
            digest: digest.to_string(),
            subject: subject.to_string(),
            tag: tag.as_ref().map(ToString::to_string),
        }
    }
}

impl Example for Referrer {
    fn example() -> Self {
        Self {
            kinds: vec!["sbom".to_owned()],
            told: "https://spdx.dev/Document".to_owned(),
            digest: format!("sha256:{}", "4f".repeat(32)),
            subject: "sha256:d7733008a9eb1bdae2308ebe4cc9b17a327adfb2bfd492b92fef97f1aa83210d".to_owned(),
            tag: None,
        }
    }
}

fn kind(attachment: Attachment) -> &'static str {
    match attachment {
        Attachment::Signature => "signature",
        Attachment::Provenance => "provenance",
        Attachment::Sbom => "sbom",
        Attachment::Attestation => "attestation",
        Attachment::Other => "other",
    }
}

#[derive(ApiResponse)]
enum ReferrersAnswer {
    /// What belongs to it.
    #[oai(status = 200)]
    Ok(Json<Referrers>),
    /// No registry is read here, or it holds no such image; the code says which.
    #[oai(status = 404, content_type = "application/problem+json")]
    NotThere(Json<Problem>),
}

impl ReferrersAnswer {
    fn not_there(problem: Problem) -> Self {
        Self::NotThere(Json(problem))
    }
}
