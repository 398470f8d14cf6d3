//! What the operations that answer a list have in common: their query parameters.

/// An operation of the query API that answers a list, on a struct with an `ask`.
///
/// poem-openapi takes every query parameter as an argument of its own, so those that all lists have stand here, once.
/// Only whether a list needs a `repository` and a `tag` differs. A list is declared by what it asks, and its item has a
/// `from_row`; one that asks otherwise has a body.
macro_rules! list_operation {
    (
        $(#[doc = $doc:tt])+
        GET $path:tt as $operation:tt on $api:ident(
            $(#[doc = $repository_doc:tt])+
            repository: $repository:ty,
            $(#[doc = $tag_doc:tt])+
            tag: $tag:ty,
            $( $(#[doc = $parameter_doc:tt])+ $parameter:ident: $parameter_type:ty, )*
        ) -> $item:ident, |$ask:ident, $filter:ident, $paging:ident, $format:ident| $body:expr
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
                /// Which accesses are counted; `pull_by_tag` when not given.
                kind: poem_openapi::param::Query<Option<crate::api::selection::Kind>>,
                $(#[doc = $repository_doc])+
                #[oai(validator(max_length = 255))]
                repository: poem_openapi::param::Query<$repository>,
                $(#[doc = $tag_doc])+
                #[oai(validator(max_length = 128))]
                tag: poem_openapi::param::Query<$tag>,
                /// Only this digest.
                #[oai(validator(max_length = 255))]
                digest: poem_openapi::param::Query<Option<String>>,
                /// Only this architecture, such as `amd64` or `not-specified`.
                #[oai(validator(max_length = 32))]
                architecture: poem_openapi::param::Query<Option<String>>,
                $( $(#[doc = $parameter_doc])+ $parameter: poem_openapi::param::Query<$parameter_type>, )*
                /// The most items of a page; 100 when not given.
                #[oai(validator(minimum(value = "1"), maximum(value = "1000")))]
                limit: poem_openapi::param::Query<Option<u32>>,
                /// Where to read on: the `next_cursor` of the page before.
                #[oai(validator(max_length = 2048))]
                cursor: poem_openapi::param::Query<Option<String>>,
                $format: crate::api::list::Format,
                _signed_in: crate::access::SignedIn,
            ) -> Result<crate::api::list::ListAnswer<$item>, crate::problem::QuestionError> {
                let $ask = &self.ask;
                let ($filter, counted) = crate::api::selection::Selection {
                    from: from.0,
                    to: to.0,
                    days: days.0,
                    kind: kind.0,
                    repository: repository.0.into(),
                    tag: tag.0.into(),
                    digest: digest.0,
                    architecture: architecture.0,
                }
                .filter($ask)
                .await?;
                let $paging = crate::api::list::Paging { limit: limit.0, cursor: cursor.as_deref() };
                let answer: Result<_, crate::problem::QuestionError> = $body;
                answer.map(|answer| answer.of(counted))
            }
        }
    };
    (
        $(#[doc = $doc:tt])+
        GET $path:tt as $operation:tt on $api:ident(
            $(#[doc = $repository_doc:tt])+
            repository: $repository:ty,
            $(#[doc = $tag_doc:tt])+
            tag: $tag:ty,
        ) -> $item:ident, $declaration:expr
    ) => {
        crate::api::operation::list_operation! {
            $(#[doc = $doc])+
            GET $path as $operation on $api(
                $(#[doc = $repository_doc])+
                repository: $repository,
                $(#[doc = $tag_doc])+
                tag: $tag,
            ) -> $item, |ask, filter, paging, format| {
                let breakdown = $declaration.breakdown(filter, paging)?;
                let rows = ask.store().breakdown(&breakdown).await?;
                crate::api::list::ListAnswer::of_rows(&breakdown, rows, format, $item::from_row)
            }
        }
    };
}

pub(crate) use list_operation;
