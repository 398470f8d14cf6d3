//! Parameters that no operation has: a question whose filter was misspelt would be answered with wrong sums, in silence.

use std::collections::{BTreeMap, HashMap};

use poem::{Endpoint, Error, IntoResponse as _, Request};
use poem_openapi::error::ParseParamError;
use serde_json::Value;

use crate::{pages::text::shortened, problem::Problem};

/// What the framework calls too many values of a parameter.
const MAX_ITEMS: &str = "maxItems";

/// How alike two names must be for one to be a misspelling of the other, from 0 to 1 (Jaro and Winkler).
const ALIKE: f64 = 0.75;

/// The most characters of a name that are told again: it may be of any length.
const NAME_MOST: usize = 64;

/// The query parameters of each path.
pub(crate) struct KnownParameters(HashMap<String, BTreeMap<String, Known>>);

/// A query parameter.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its values, when it has a choice.
    choice: Vec<String>,
    /// Whether it may be given several times.
    takes_several: bool,
}

impl KnownParameters {
    /// Those of the operations that an OpenAPI document describes.
    pub(crate) fn of_document(document: &Value) -> Self {
        let of_path = |(path, operations): (&String, &Value)| {
            let operation = operations.get("get").or_else(|| operations.get("post"))?;
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let known = parameters.filter(|parameter| parameter["in"] == "query").filter_map(|parameter| {
                Some((parameter["name"].as_str()?.to_owned(), Known::of_schema(document, &parameter["schema"])))
            });
            Some((path.clone(), known.collect()))
        };
        Self(document["paths"].as_object().into_iter().flatten().filter_map(of_path).collect())
    }

    /// Answers a request, unless it has a parameter that its path has not, or one twice.
    pub(crate) async fn ask<E: Endpoint>(&self, endpoint: &E, request: Request) -> poem::Result<E::Output> {
        let Some(known) = self.0.get(request.uri().path()) else { return endpoint.call(request).await };
        let given: Vec<_> = request.params().unwrap_or_default();
        check(known, &given).map_err(|problem| Error::from_response(problem.into_response()))?;
        endpoint.call(request).await.map_err(|error| match error.downcast_ref::<ParseParamError>() {
            Some(ParseParamError { name, reason })
                if !reason.contains(MAX_ITEMS) && known.get(*name).is_some_and(|known| !known.choice.is_empty()) =>
            {
                let one_of = format!("one of `{}`", known[*name].choice.join("`, `"));
                Error::from_response(Problem::of_parameter(name, one_of).into_response())
            }
            _ => error,
        })
    }
}

impl Known {
    fn of_schema(document: &Value, schema: &Value) -> Self {
        let takes_several = schema["type"] == "array";
        let of_value = if takes_several { &schema["items"] } else { schema };
        Self { choice: choice(document, of_value), takes_several }
    }
}

/// The values that a schema lists.
fn choice(document: &Value, schema: &Value) -> Vec<String> {
    let named = schema["$ref"].as_str().and_then(|reference| document.pointer(reference.strip_prefix('#')?));
    let values = named.unwrap_or(schema)["enum"].as_array();
    values.into_iter().flatten().filter_map(|value| value.as_str().map(str::to_owned)).collect()
}

/// Refuses a parameter that is not known, or is given twice where one is taken.
pub(crate) fn check(known: &BTreeMap<String, Known>, given: &[(String, String)]) -> Result<(), Problem> {
    for (place, (name, _)) in given.iter().enumerate() {
        let Some(parameter) = known.get(name) else {
            return Err(Problem::of_unknown_parameter(&shortened(name, NAME_MOST), hint(known, name)));
        };
        if !parameter.takes_several && given[..place].iter().any(|(before, _)| before == name) {
            return Err(Problem::of_parameter(name, "is given more than once"));
        }
    }
    Ok(())
}

fn hint(known: &BTreeMap<String, Known>, name: &str) -> String {
    let likeness = |known: &String| strsim::jaro_winkler(known, name);
    let nearest = known.keys().max_by(|a, b| likeness(a).total_cmp(&likeness(b)));
    match nearest {
        None => "is not known: there are no parameters here".to_owned(),
        Some(nearest) if likeness(nearest) >= ALIKE => format!("is not known; `{nearest}` is"),
        Some(_) => {
            let names: Vec<_> = known.keys().map(String::as_str).collect();
            format!("is not known; these are: `{}`", names.join("`, `"))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_and_choices_are_read_from_the_document() {
        let document = json!({
            "paths": {"/api/v1/images": {"get": {"parameters": [
                {"name": "kind", "in": "query", "schema": {"$ref": "#/components/schemas/Kind"}},
                {"name": "tag", "in": "query", "schema": {"type": "array", "items": {"type": "string"}}},
                {"name": "also", "in": "query", "schema": {"type": "array", "items": {"$ref": "#/components/schemas/Kind"}}},
                {"name": "interval", "in": "query", "schema": {"type": "string", "enum": ["day", "week"]}},
                {"name": "limit", "in": "query", "schema": {"type": "integer"}},
                {"name": "x-key", "in": "header", "schema": {"type": "string"}},
            ]}}},
            "components": {"schemas": {"Kind": {"type": "string", "enum": ["push"]}}},
        });
        let KnownParameters(known) = KnownParameters::of_document(&document);
        let expected = [
            ("also", &["push"][..], true),
            ("interval", &["day", "week"], false),
            ("kind", &["push"], false),
            ("limit", &[], false),
            ("tag", &[], true),
        ];
        let expected = expected.map(|(name, choice, takes_several)| {
            let choice = choice.iter().copied().map(str::to_owned).collect();
            (name.to_owned(), Known { choice, takes_several })
        });
        assert_eq!(known["/api/v1/images"], BTreeMap::from(expected));
    }

    #[test]
    fn a_misspelt_name_is_answered_with_the_nearest() {
        let known =
            ["days", "from", "limit", "repository", "tag"].map(|name| (name.to_owned(), Known::default())).into();
        for (name, expected) in [
            ("lmit", "is not known; `limit` is"),
            ("Repository", "is not known; `repository` is"),
            ("repo", "is not known; `repository` is"),
            ("tags", "is not known; `tag` is"),
            ("q", "is not known; these are: `days`, `from`, `limit`, `repository`, `tag`"),
        ] {
            assert_eq!(hint(&known, name), expected, "{name}");
        }
        assert_eq!(hint(&BTreeMap::new(), "days"), "is not known: there are no parameters here");
    }
}
