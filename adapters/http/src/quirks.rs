//! What poem 3.1 and poem-openapi 5.1 do not do, or do their own way: here their sentences are read and their documents
//! patched, so that a new version is checked in one place.

/// The format of dates, as poem-openapi names it.
const NAIVE_DATE: &str = "naive-date";

/// The reason of a wrong parameter as people speak. The framework tells it as a sentence only, which names its types and
/// validators: <https://github.com/poem-web/poem/issues/195>.
pub(crate) fn in_plain_words(reason: &str) -> String {
    if reason.contains(NAIVE_DATE) {
        return "not a date such as 2026-11-21".to_owned();
    }
    if reason.starts_with("failed to parse \"integer") {
        return "not a whole number".to_owned();
    }
    if reason.contains("expects an input value") {
        return "is missing".to_owned();
    }
    let Some((validator, rest)) = reason.strip_prefix("verification failed. ").and_then(|text| text.split_once('('))
    else {
        return reason.to_owned();
    };
    let limit = rest.split([',', ')']).next().unwrap_or_default();
    match validator {
        "minimum" => format!("at least {limit}"),
        "maximum" => format!("at most {limit}"),
        "maxLength" => format!("at most {limit} characters"),
        "maxItems" => format!("at most {limit} of them"),
        _ => reason.to_owned(),
    }
}

/// The OpenAPI document, as JSON, with what poem-openapi does not write: the format OpenAPI has for dates, the
/// media type of JSON, which has no charset (RFC 8259), and that nobody signs in where an operation does not say so.
pub(crate) fn completed(document: &str) -> String {
    document
        // https://github.com/poem-web/poem/pull/753, which was not taken.
        .replace(NAIVE_DATE, "date")
        // `Json::CONTENT_TYPE` of poem-openapi 5.1.
        .replace("application/json; charset=utf-8", "application/json")
        // poem-openapi 5.1 writes what one operation asks for, but not that none asks.
        .replacen("\"openapi\": \"3.0.0\",", "\"openapi\": \"3.0.0\",\n  \"security\": [],", 1)
}

/// What Swagger UI is made of. poem-openapi has it as a page only, of which nothing can be changed, not even its title:
/// <https://github.com/poem-web/poem/issues/1073>.
pub(crate) struct SwaggerUi<'a> {
    pub(crate) style: &'a str,
    /// Swagger UI, and what starts it.
    pub(crate) scripts: Vec<String>,
}

impl<'a> SwaggerUi<'a> {
    /// The parts of its page.
    pub(crate) fn of_page(page: &'a str) -> Self {
        let style = elements(page, "style").next().unwrap_or_default();
        let scripts = elements(page, "script").map(|script| {
            // Whatever changes something is not sent by trying a button.
            script.replacen("deepLinking: true,", "deepLinking: true, supportedSubmitMethods: ['get'],", 1)
        });
        Self { style, scripts: scripts.collect() }
    }
}

/// The contents of the elements of a name. What looks like the beginning of one inside one is part of it.
fn elements<'a>(mut html: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (start, end) = (format!("<{name}"), format!("</{name}>"));
    std::iter::from_fn(move || {
        let (_, element) = html.split_once(&*start)?;
        let (_, content) = element.split_once('>')?;
        let (content, rest) = content.split_once(&*end)?;
        html = rest;
        Some(content)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_parameter_is_explained_without_the_frameworks_words() {
        for (reason, expected) in [
            (
                "failed to parse \"string_naive-date\": input contains invalid characters",
                "not a date such as 2026-11-21",
            ),
            ("verification failed. minimum(1, exclusive: false)", "at least 1"),
            ("verification failed. maximum(1000, exclusive: false)", "at most 1000"),
            ("verification failed. maxLength(255)", "at most 255 characters"),
            ("verification failed. maxItems(20)", "at most 20 of them"),
            ("failed to parse \"integer(uint32)\": invalid digit found in string", "not a whole number"),
            ("Type \"string\" expects an input value.", "is missing"),
            ("something else", "something else"),
        ] {
            assert_eq!(in_plain_words(reason), expected);
        }
    }

    #[test]
    fn a_page_is_taken_apart_and_only_asks() {
        let page = "<head><style charset=\"UTF-8\">a {}</style><script charset=\"UTF-8\">one('<script>')</script></head>\
            <script>\nSwaggerUIBundle({ deepLinking: true, })\n</script>";
        let SwaggerUi { style, scripts } = SwaggerUi::of_page(page);
        assert_eq!(style, "a {}");
        let starts = "\nSwaggerUIBundle({ deepLinking: true, supportedSubmitMethods: ['get'], })\n";
        assert_eq!(scripts, ["one('<script>')", starts]);
    }

    #[test]
    fn the_document_says_that_nobody_signs_in() {
        let json = completed("{\n  \"openapi\": \"3.0.0\",\n  \"info\": {\"version\": \"3.0.0\"}\n}");
        let json: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(json["security"], serde_json::json!([]));
    }
}
