//! The OpenAPI document as it is given to people: what the framework writes of the API, with what it cannot write. That is
//! an example of every error and of a notification, and what is answered beside the API.

use serde_yaml::{Mapping, Value};

use crate::{
    api,
    operations::health,
    pages,
    problem::{PROBLEM_JSON, Problem, QuestionError},
    quirks, webhook,
};

/// What a registry posts.
const NOTIFICATION: &str = include_str!("webhook/example.json");

/// What is answered beside the API for programs to read: as the document has it, for its handlers are none of the
/// framework's operations. A repository's name holds slashes, which no pattern of a path has.
const BESIDE: &str = include_str!("pages/described.json");

/// The document in both its forms.
pub(crate) struct Described {
    pub(crate) json: String,
    pub(crate) yaml: String,
}

impl Described {
    /// From the framework's document, as JSON.
    pub(crate) fn new(document: &str) -> Self {
        // YAML's values keep the order of what is written.
        let mut document: Value = serde_json::from_str(&quirks::completed(document)).unwrap_or_default();
        add_beside(&mut document);
        for operation in operations(&mut document) {
            add_examples(operation);
        }
        Self {
            json: serde_json::to_string_pretty(&document).unwrap_or_default(),
            yaml: serde_yaml::to_string(&document).unwrap_or_default(),
        }
    }
}

fn add_beside(document: &mut Value) {
    let beside: Mapping = serde_json::from_str(BESIDE).unwrap_or_default();
    for (member, more) in beside {
        match (document.get_mut(&member), more) {
            (Some(Value::Mapping(members)), Value::Mapping(more)) => members.extend(more),
            (Some(Value::Sequence(items)), Value::Sequence(more)) => items.extend(more),
            _ => {}
        }
    }
}

fn operations(document: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = document.get_mut("paths").and_then(Value::as_mapping_mut);
    let operations = paths.into_iter().flat_map(Mapping::values_mut).filter_map(Value::as_mapping_mut);
    operations.flat_map(Mapping::values_mut)
}

fn add_examples(operation: &mut Value) {
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default().to_owned();
    if id == "receive_notification"
        && let Some(body) = in_content(operation.get_mut("requestBody"), "application/json")
    {
        set_example(body, serde_json::from_str(NOTIFICATION).unwrap_or_default());
    }
    let examples = errors_of(&id);
    let responses = operation.get_mut("responses").and_then(Value::as_mapping_mut);
    for (status, response) in responses.into_iter().flatten() {
        let example = examples.iter().find(|problem| status.as_str() == Some(&*problem.status().to_string()));
        if let (Some(example), Some(content)) = (example, in_content(Some(response), PROBLEM_JSON)) {
            set_example(content, serde_json::from_value(example.to_value()).unwrap_or_default());
        }
    }
}

/// What is said of a body of a media type.
fn in_content<'a>(of: Option<&'a mut Value>, media_type: &str) -> Option<&'a mut Mapping> {
    of?.get_mut("content")?.get_mut(media_type)?.as_mapping_mut()
}

fn set_example(content: &mut Mapping, example: Value) {
    content.insert("example".into(), example);
}

/// The errors of an operation, one of each, as they are answered.
fn errors_of(operation: &str) -> Vec<Problem> {
    match operation {
        "receive_notification" => webhook::error_examples(),
        "tell_running" => api::running::error_examples(),
        "get_health" | "get_store_health" => health::error_examples(),
        "export_table" => with_own(pages::error_examples()),
        _ if operation.contains("_registry_") => with_own(api::registry::error_examples()),
        _ => QuestionError::examples(),
    }
}

/// Errors of some operations, and those that all questions may end with.
fn with_own(own: [Problem; 2]) -> Vec<Problem> {
    own.into_iter().chain(QuestionError::examples()).collect()
}
