//! `GET /api/v1/registry/...`: what the registry holds, as it was read last.

use std::sync::Arc;

use chrono::{DateTime, SecondsFormat, Utc};
use poem::{
    IntoResponse, Request, Response,
    http::{StatusCode, header},
};
use poem_openapi::{
    ApiResponse, Object, OpenApi,
    param::Query,
    payload::Json,
    registry::{MetaMediaType, MetaResponse, MetaResponses, Registry},
    types::{Example, ParseFromJSON, ToJSON, Type},
};
use serde::{Serialize, Serializer};
use staticreg_application::{
    aside::aside,
    catalog::{CatalogSnapshot, CatalogSnapshots, HeldFilter, HeldTag, ImagesOfRepository, RepositoryEntry},
};
use staticreg_domain::{ManifestKind, RepositoryName, Tag, catalog::Artifact, metrics::Slice};

use super::{
    ApiTag,
    cursor::{self, Question},
    example_time,
    list::{Format, Item, NEXT_CURSOR, Paging, as_csv, header_meta, page_meta},
    selection::{Named as _, Several, parse, parse_all},
    time::Time,
};
use crate::{
    access::SignedIn,
    problem::{PROBLEM_JSON, Problem, QuestionError, RETRY_AFTER_SECONDS},
};

/// When the registry was last read, beside a page as CSV.
const READ_AT: &str = "Registry-Read-At";
/// Whether all is known that a page is about, beside it as CSV.
const COMPLETE: &str = "Registry-Complete";

pub(crate) struct RegistryApi {
    /// What is in the registry, when there is one.
    pub(crate) snapshots: Option<CatalogSnapshots>,
}

#[OpenApi]
impl RegistryApi {
    /// The repositories that the registry holds, by name.
    ///
    /// As the registry was read last, and so without a look at it. Those without tags are listed too.
    #[oai(
        path = "/api/v1/registry/repositories",
        method = "get",
        operation_id = "list_registry_repositories",
        tag = "ApiTag::Registry"
    )]
    #[expect(clippy::too_many_arguments, reason = "one argument per query parameter")]
    async fn repositories(
        &self,
        /// Only repositories in this folder, at any depth.
        #[oai(validator(max_length = 256))]
        folder: Query<Option<String>>,
        /// Only repositories with this in their names, in capitals or not.
        #[oai(validator(max_length = 255))]
        q: Query<Option<String>>,
        /// Only these repositories.
        #[oai(validator(max_items = 20))]
        repository: Query<Several>,
        /// The most items of a page; 100 when not given.
        #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
        limit: Query<Option<u32>>,
        /// Where to read on: the `next_cursor` of the page before.
        #[oai(validator(max_length = 2048))]
        cursor: Query<Option<String>>,
        format: Format,
        request: &Request,
        _signed_in: SignedIn,
    ) -> Result<RegistryAnswer<RegistryRepository>, QuestionError> {
        let filter = filter(folder.0, q.0, &repository.0.values(), &[])?;
        let paging = paging(limit.0, cursor.as_deref(), request);
        let (asked, limit) = (paging.question, paging.limit());
        let after = paging.after(|cursor| name_in(asked, cursor))?;
        self.answer(format, move |snapshot| {
            let Slice { items, more } = snapshot.held_repositories(&filter, after.as_ref(), limit);
            let last = items.last().filter(|_| more);
            Some(Page {
                next_cursor: last.and_then(|entry| cursor::encode(asked, &entry.name.as_str())),
                complete: items.iter().all(|entry| entry.is_complete()),
                items: items.iter().map(RegistryRepository::from).collect(),
            })
        })
        .await
    }

    /// The tags of a repository that the registry holds, and what they point to.
    ///
    /// By their bytes. 404 when the registry holds no such repository, as far as it was read.
    #[oai(
        path = "/api/v1/registry/tags",
        method = "get",
        operation_id = "list_registry_tags",
        tag = "ApiTag::Registry"
    )]
    #[expect(clippy::too_many_arguments, reason = "one argument per query parameter")]
    async fn tags(
        &self,
        /// The repository.
        #[oai(validator(max_length = 255))]
        repository: Query<String>,
        /// Only these tags.
        #[oai(validator(max_items = 20))]
        tag: Query<Several>,
        /// The most items of a page; 100 when not given.
        #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
        limit: Query<Option<u32>>,
        /// Where to read on: the `next_cursor` of the page before.
        #[oai(validator(max_length = 2048))]
        cursor: Query<Option<String>>,
        format: Format,
        request: &Request,
        _signed_in: SignedIn,
    ) -> Result<RegistryAnswer<RegistryTag>, QuestionError> {
        let name: RepositoryName = parse("repository", &repository)?;
        let filter = filter(None, None, &repository.0.values(), &tag.0.values())?;
        let paging = paging(limit.0, cursor.as_deref(), request);
        let (asked, limit) = (paging.question, paging.limit());
        let after = paging.after(|cursor| place_in(asked, cursor))?;
        self.answer(format, move |snapshot| {
            let complete = snapshot.repository(&name)?.is_complete();
            Some(Page { complete, ..page_of_tags(snapshot, &filter, after.as_ref(), limit, asked) })
        })
        .await
    }

    /// The images that the registry holds, by repository and tag.
    ///
    /// As the tags of one repository, of all of them.
    #[oai(
        path = "/api/v1/registry/images",
        method = "get",
        operation_id = "list_registry_images",
        tag = "ApiTag::Registry"
    )]
    #[expect(clippy::too_many_arguments, reason = "one argument per query parameter")]
    async fn images(
        &self,
        /// Only repositories in this folder, at any depth.
        #[oai(validator(max_length = 256))]
        folder: Query<Option<String>>,
        /// Only repositories with this in their names, in capitals or not.
        #[oai(validator(max_length = 255))]
        q: Query<Option<String>>,
        /// Only these repositories.
        #[oai(validator(max_items = 20))]
        repository: Query<Several>,
        /// Only these tags.
        #[oai(validator(max_items = 20))]
        tag: Query<Several>,
        /// The most items of a page; 100 when not given.
        #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
        limit: Query<Option<u32>>,
        /// Where to read on: the `next_cursor` of the page before.
        #[oai(validator(max_length = 2048))]
        cursor: Query<Option<String>>,
        format: Format,
        request: &Request,
        _signed_in: SignedIn,
    ) -> Result<RegistryAnswer<RegistryTag>, QuestionError> {
        let filter = filter(folder.0, q.0, &repository.0.values(), &tag.0.values())?;
        let paging = paging(limit.0, cursor.as_deref(), request);
        let (asked, limit) = (paging.question, paging.limit());
        let after = paging.after(|cursor| place_in(asked, cursor))?;
        self.answer(format, move |snapshot| Some(page_of_tags(snapshot, &filter, after.as_ref(), limit, asked))).await
    }
}

impl RegistryApi {
    /// A page of a list; none when it is about what the registry does not hold.
    async fn answer<T: Item + 'static>(
        &self,
        format: Format,
        page: impl FnOnce(&CatalogSnapshot) -> Option<Page<T>> + Send + 'static,
    ) -> Result<RegistryAnswer<T>, QuestionError> {
        let Some(snapshots) = &self.snapshots else { return Ok(RegistryAnswer::NotThere(no_registry())) };
        let snapshot = read_snapshot(snapshots)?;
        let status = snapshot.status().clone();
        // It may walk over half a million tags.
        let Some(Page { items, next_cursor, complete }) = aside(move || page(&snapshot)).await else {
            return Ok(RegistryAnswer::NotThere(unknown_repository()));
        };
        let list = RegistryList {
            items,
            next_cursor,
            read_at: status.read_at.map(Time::from),
            complete: complete && status.read_at.is_some() && status.progress.is_none() && status.fault.is_none(),
            fault: status.fault.map(|fault| fault.text.into_owned()),
        };
        Ok(RegistryAnswer::List(list, status.read_at, format))
    }
}

/// What is known of the registry, once anything is.
pub(super) fn read_snapshot(snapshots: &CatalogSnapshots) -> Result<Arc<CatalogSnapshot>, QuestionError> {
    let snapshot = snapshots.snapshot();
    if snapshot.status().read_at.is_none() && snapshot.repositories().is_empty() {
        return Err(QuestionError::Unavailable(Json(not_read()), RETRY_AFTER_SECONDS));
    }
    Ok(snapshot)
}

/// No registry is to be read.
pub(super) fn no_registry() -> Problem {
    let detail = "No registry is read here; STATICREG_REGISTRY_HOSTNAME names one.";
    Problem::new(StatusCode::NOT_FOUND, detail).with_code("no_registry")
}

/// The registry was not read yet, not even in part.
fn not_read() -> Problem {
    let detail = "The registry was not read yet; try again. Where it stays so, the page /status says why.";
    Problem::new(StatusCode::SERVICE_UNAVAILABLE, detail).with_code("registry_not_read")
}

/// One of each error that is these lists' own, for the document.
pub(crate) fn error_examples() -> [Problem; 2] {
    [no_registry(), not_read()]
}

pub(super) fn unknown_repository() -> Problem {
    let detail = "parameter `repository`: the registry holds no such repository, as it was read last";
    Problem::new(StatusCode::NOT_FOUND, detail).with_code("unknown_repository").about("repository")
}

fn filter(
    folder: Option<String>,
    q: Option<String>,
    repository: &[String],
    tag: &[String],
) -> Result<HeldFilter, QuestionError> {
    Ok(HeldFilter {
        folder: folder.map(|folder| parse("folder", &folder)).transpose()?,
        part: q.map(|part| parse("q", &part)).transpose()?,
        repository: parse_all("repository", repository)?,
        tag: parse_all("tag", tag)?,
    })
}

fn paging<'a>(limit: Option<u32>, cursor: Option<&'a str>, request: &Request) -> Paging<'a> {
    let question = Question::new(request.uri().path(), request.params().unwrap_or_default());
    Paging { limit, cursor, question }
}

fn name_in(question: Question, cursor: &str) -> Option<RepositoryName> {
    RepositoryName::as_stored(&cursor::decode::<String>(question, cursor)?).ok()
}

fn place_in(question: Question, cursor: &str) -> Option<(RepositoryName, Tag)> {
    let (name, tag) = cursor::decode::<(String, String)>(question, cursor)?;
    Some((RepositoryName::as_stored(&name).ok()?, tag.parse().ok()?))
}

/// Some items of a list.
struct Page<T> {
    items: Vec<T>,
    next_cursor: Option<String>,
    /// Whether all is known of the repositories that they are of.
    complete: bool,
}

fn page_of_tags(
    snapshot: &CatalogSnapshot,
    filter: &HeldFilter,
    after: Option<&(RepositoryName, Tag)>,
    limit: u32,
    asked: Question,
) -> Page<RegistryTag> {
    let Slice { items, more } = snapshot.held_tags(filter, after.map(|(name, tag)| (name, tag)), limit);
    let last = items.last().filter(|_| more);
    let place = |held: &HeldTag| cursor::encode(asked, &(held.repository.name.as_str(), held.entry().tag.as_str()));
    Page {
        next_cursor: last.and_then(place),
        complete: items.iter().all(|held| held.repository.is_complete()),
        items: items.iter().map(RegistryTag::from).collect(),
    }
}

/// A repository of the registry.
#[derive(Debug, Object, Serialize)]
#[oai(example)]
pub(crate) struct RegistryRepository {
    /// The repository.
    repository: String,
    /// How many tags it has; signatures and other attachments are none.
    tags: u64,
    /// How many different images and indexes they point to, of those that could be read.
    images: u64,
    /// What a pull of each of these moves, in bytes, together; layers that they share count for each.
    size: u64,
    /// The platforms of its images.
    #[serde(serialize_with = "joined")]
    platforms: Vec<String>,
    /// When the newest of its images was made; null when none tells.
    #[oai(nullable)]
    created_at: Option<Time>,
    /// When its tags were last read; null when they were not yet.
    #[oai(nullable)]
    read_at: Option<Time>,
    /// Whether all of it could be read.
    complete: bool,
}

impl From<&Arc<RepositoryEntry>> for RegistryRepository {
    fn from(entry: &Arc<RepositoryEntry>) -> Self {
        let ImagesOfRepository { totals, platforms, created } = entry.images();
        Self {
            repository: entry.name.to_string(),
            tags: totals.tags as u64,
            images: totals.images as u64,
            size: totals.size,
            platforms: platforms.iter().map(ToString::to_string).collect(),
            created_at: created.map(Time::from),
            read_at: entry.read_at.map(Time::from),
            complete: entry.is_complete(),
        }
    }
}

impl Example for RegistryRepository {
    fn example() -> Self {
        Self {
            repository: "library/nginx".to_owned(),
            tags: 4,
            images: 3,
            size: 213_000_000,
            platforms: vec!["linux/amd64".to_owned(), "linux/arm64".to_owned()],
            created_at: Some(example_time().into()),
            read_at: Some(example_time().into()),
            complete: true,
        }
    }
}

impl Item for RegistryRepository {
    const COLUMNS: &'static [&'static str] =
        &["repository", "tags", "images", "size", "platforms", "created_at", "read_at", "complete"];
}

/// A tag of the registry and what it points to.
#[derive(Debug, Object, Serialize)]
#[oai(rename = "RegistryImage", example)]
pub(crate) struct RegistryTag {
    /// The repository.
    repository: String,
    /// The tag.
    tag: String,
    /// What it points to; null where that is not known.
    #[oai(nullable)]
    digest: Option<String>,
    /// What the digest is of: `image` or `index`; null where it could not be read.
    #[oai(nullable)]
    manifest: Option<String>,
    /// What it is to people: `image`, `chart`, `build_cache`, or the media type of another artifact; null where it could not
    /// be read.
    #[oai(nullable)]
    artifact: Option<String>,
    /// What one pull moves, in bytes; of an index that of its first image. Null where it could not be read.
    #[oai(nullable)]
    size: Option<u64>,
    /// The platforms, in the registry's order.
    #[serde(serialize_with = "joined")]
    platforms: Vec<String>,
    /// When it was made; null where that is not told.
    #[oai(nullable)]
    created_at: Option<Time>,
    /// What refers to it, such as signatures: their tags in the same repository. What has no tag
    /// `/api/v1/registry/referrers` tells.
    #[serde(serialize_with = "joined")]
    referrers: Vec<String>,
}

impl From<&HeldTag> for RegistryTag {
    fn from(held: &HeldTag) -> Self {
        let (repository, entry) = (&held.repository, held.entry());
        let (digest, image) = (entry.digest(), entry.image());
        Self {
            repository: repository.name.to_string(),
            tag: entry.tag.to_string(),
            digest: digest.map(ToString::to_string),
            manifest: image.map(|image| {
                let name = match image.kind {
                    ManifestKind::Image => "image",
                    ManifestKind::Index => "index",
                };
                name.to_owned()
            }),
            artifact: image.map(|image| artifact_name(&image.artifact).to_owned()),
            size: image.map(|image| image.size),
            platforms: image.into_iter().flat_map(|image| image.platforms.iter()).map(ToString::to_string).collect(),
            created_at: image.and_then(|image| image.created).map(Time::from),
            referrers: digest
                .into_iter()
                .flat_map(|digest| repository.attachments_of(digest))
                .map(ToString::to_string)
                .collect(),
        }
    }
}

fn artifact_name(artifact: &Artifact) -> &str {
    match artifact {
        Artifact::Image => "image",
        Artifact::Chart => "chart",
        Artifact::BuildCache => "build_cache",
        Artifact::Other(media_type) => media_type,
    }
}

impl Example for RegistryTag {
    fn example() -> Self {
        let hex = "d7733008a9eb1bdae2308ebe4cc9b17a327adfb2bfd492b92fef97f1aa83210d";
        Self {
            repository: "library/nginx".to_owned(),
            tag: "1.27.3".to_owned(),
            digest: Some(format!("sha256:{hex}")),
            manifest: Some("index".to_owned()),
            artifact: Some("image".to_owned()),
            size: Some(71_000_000),
            platforms: vec!["linux/amd64".to_owned(), "linux/arm64/v8".to_owned()],
            created_at: Some(example_time().into()),
            referrers: vec![format!("sha256-{hex}.sig")],
        }
    }
}

impl Item for RegistryTag {
    const COLUMNS: &'static [&'static str] =
        &["repository", "tag", "digest", "manifest", "artifact", "size", "platforms", "created_at", "referrers"];
}

/// Several values in one cell of CSV.
fn joined<S: Serializer>(texts: &[String], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&texts.join(" "))
}

/// A page of a list, and how well the registry is known.
#[derive(Object)]
pub(crate) struct RegistryList<T: Type + ToJSON + ParseFromJSON + Send + Sync> {
    /// The items, in the list's order.
    items: Vec<T>,
    /// Give it as `cursor` to read on; null after the last item.
    #[oai(nullable)]
    next_cursor: Option<String>,
    /// When the registry was last read to its end; null while it is read for the first time.
    #[oai(nullable)]
    read_at: Option<Time>,
    /// Whether it was then read without failures, and all is known of the repositories on this page.
    complete: bool,
    /// What went wrong when it was read, in words; null when nothing did.
    #[oai(nullable)]
    fault: Option<String>,
}

/// A page in the format the client asked for, or why there is none.
pub(crate) enum RegistryAnswer<T: Item> {
    List(RegistryList<T>, Option<DateTime<Utc>>, Format),
    NotThere(Problem),
}

impl<T: Item> IntoResponse for RegistryAnswer<T> {
    fn into_response(self) -> Response {
        match self {
            Self::NotThere(problem) => problem.into_response(),
            Self::List(list, _, Format::Json) => {
                Json(list).into_response().with_header(header::VARY, "Accept").into_response()
            }
            Self::List(list, read_at, Format::Csv) => {
                let read_at = read_at.map(|at| at.to_rfc3339_opts(SecondsFormat::AutoSi, true));
                let complete = Some(list.complete.to_string());
                as_csv(&list.items, [(NEXT_CURSOR, list.next_cursor), (READ_AT, read_at), (COMPLETE, complete)])
            }
        }
    }
}

impl<T: Item> ApiResponse for RegistryAnswer<T> {
    fn meta() -> MetaResponses {
        let read_at = header_meta(READ_AT, "When the registry was last read to its end; missing while it never was.");
        let complete = header_meta(COMPLETE, "`true` when all is known that the page is about, else `false`.");
        let mut meta = page_meta::<RegistryList<T>>([read_at, complete]);
        meta.responses.push(MetaResponse {
            description: "No registry is read here, or it holds no such repository; the code says which.",
            status: Some(404),
            status_range: None,
            content: vec![MetaMediaType { content_type: PROBLEM_JSON, schema: Problem::schema_ref() }],
            headers: Vec::new(),
        });
        meta
    }

    fn register(registry: &mut Registry) {
        RegistryList::<T>::register(registry);
        Problem::register(registry);
    }
}
