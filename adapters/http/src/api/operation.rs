//! What the operations that answer a list have in common: their query parameters.

/// An operation of the query API that answers a list, on a struct with an `ask`.
///
/// poem-openapi takes every query parameter as an argument of its own, so those that all lists have stand here, once.
/// Only which `repository` and `tag` a list takes differs: any number of them ([`crate::api::selection::Several`]) or the
/// one that it is about. A list is declared by what it asks, and its item has a `from_row`; one that asks otherwise has a
/// body.
macro_rules! list_operation {
    (
        $(#[doc = $doc:tt])+
        GET $path:tt as $operation:tt on $api:ident(
            $(#[$repository_attribute:meta])+
            repository: $repository:ty,
            $(#[$tag_attribute:meta])+
            tag: $tag:ty,
            $( $(#[doc = $parameter_doc:tt])+ $parameter:ident: $parameter_type:ty, )*
        ) -> $item:ident, |$ask:ident, $filter:ident, $counted:ident, $paging:ident, $format:ident| $body:expr
    ) => {
        #[poem_openapi::OpenApi]
        impl $api {
            $(#[doc = $doc])+
            #[oai(
                path = $path,
                method = "get",
                operation_id = $operation,
                tag = "crate::api::ApiTag::Statistics"
            )]
            #[expect(clippy::too_many_arguments, reason = "one argument per query parameter")]
            async fn list(
                &self,
                /// The first date, inclusive. Not together with `days`.
                from: poem_openapi::param::Query<Option<chrono::NaiveDate>>,
                /// The last date, inclusive; today when not given.
                to: poem_openapi::param::Query<Option<chrono::NaiveDate>>,
                /// The number of days until `to`; 30 when neither `from` nor `days` is given.
                #[oai(validator(minimum(value = "1"), maximum(value = "3660")))]
                days: poem_openapi::param::Query<Option<u32>>,
                /// Which accesses are counted, together when there are several; `pull_by_tag` when not given.
                #[oai(validator(max_items = 20))]
                kind: poem_openapi::param::Query<Option<Vec<crate::api::selection::Kind>>>,
                /// Only repositories in this folder, at any depth: `team-a` holds `team-a/x` and not `team-ab/x`.
                #[oai(validator(max_length = 256))]
                folder: poem_openapi::param::Query<Option<String>>,
                /// Only repositories with this in their names, in capitals or not; every character stands for itself.
                #[oai(validator(max_length = 255))]
                q: poem_openapi::param::Query<Option<String>>,
                $(#[$repository_attribute])+
                repository: poem_openapi::param::Query<$repository>,
                $(#[$tag_attribute])+
                tag: poem_openapi::param::Query<$tag>,
                /// Only these digests.
                #[oai(validator(max_items = 20))]
                digest: poem_openapi::param::Query<crate::api::selection::Several>,
                /// Only these architectures, such as `amd64` or `not-specified`.
                #[oai(validator(max_items = 20))]
                architecture: poem_openapi::param::Query<crate::api::selection::Several>,
                $( $(#[doc = $parameter_doc])+ $parameter: poem_openapi::param::Query<$parameter_type>, )*
                /// The most items of a page; 100 when not given.
                #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
                limit: poem_openapi::param::Query<Option<u32>>,
                /// Where to read on: the `next_cursor` of the page before.
                #[oai(validator(max_length = 2048))]
                cursor: poem_openapi::param::Query<Option<String>>,
                $format: crate::api::list::Format,
                request: &poem::Request,
                _signed_in: crate::access::SignedIn,
            ) -> Result<crate::api::list::ListAnswer<$item>, crate::problem::QuestionError> {
                let $ask = &self.ask;
                let ($filter, $counted) = crate::api::selection::Selection {
                    from: from.0,
                    to: to.0,
                    days: days.0,
                    kind: kind.0.unwrap_or_default(),
                    folder: folder.0,
                    q: q.0,
                    repository: crate::api::selection::Named::values(repository.0),
                    tag: crate::api::selection::Named::values(tag.0),
                    digest: crate::api::selection::Named::values(digest.0),
                    architecture: crate::api::selection::Named::values(architecture.0),
                }
                .filter($ask)
                .await?;
                let question =
                    crate::api::cursor::Question::new(request.uri().path(), request.params().unwrap_or_default());
                let $paging = crate::api::list::Paging { limit: limit.0, cursor: cursor.as_deref(), question };
                let answer: Result<_, crate::problem::QuestionError> = $body;
                answer.map(|answer| answer.of($counted))
            }
        }
    };
    (
        $(#[doc = $doc:tt])+
        GET $path:tt as $operation:tt on $api:ident(
            $(#[$repository_attribute:meta])+
            repository: $repository:ty,
            $(#[$tag_attribute:meta])+
            tag: $tag:ty,
        ) -> $item:ident, $declaration:expr
    ) => {
        crate::api::operation::list_operation! {
            $(#[doc = $doc])+
            GET $path as $operation on $api(
                $(#[$repository_attribute])+
                repository: $repository,
                $(#[$tag_attribute])+
                tag: $tag,
                /// What the items are sorted by; equal ones follow each other by name.
                sort: Option<crate::api::list::Sort>,
                /// Which way; when not given, names rise and all else falls.
                order: Option<crate::api::list::Direction>,
                /// `previous` tells beside each count that of as many days before, and the change. What was counted in these
                /// alone is an item too.
                compare: Option<crate::api::list::Compare>,
            ) -> $item, |ask, filter, counted, paging, format| {
                let list = $declaration.sorted(sort.0, order.0).compared(compare.0, filter.dates, ask).await?;
                let breakdown = list.breakdown(filter, paging)?;
                let rows = ask.store().breakdown(&breakdown).await?;
                crate::api::list::ListAnswer::of_rows(&breakdown, rows, paging.question, format, $item::from_row)
            }
        }
    };
}

pub(crate) use list_operation;
