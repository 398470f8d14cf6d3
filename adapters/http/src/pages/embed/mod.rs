//! What stands in pages of others, such as a repository's README: badges and charts.
//!
//! What is asked for wrongly is told in the picture: who looks at a README sees nothing else of an answer.

pub(super) mod badge;
pub(super) mod chart;

use std::collections::BTreeMap;

use poem::{
    Request, Response,
    http::{StatusCode, header},
};
use staticreg_domain::{RepositoryName, Tag};

use super::parameters::Parameters;
use crate::{
    api::known_parameters::{Known, check},
    problem::Problem,
};

/// How long others may keep a picture, in seconds.
const KEPT_SECONDS: u32 = 300;

/// A picture of what could not be asked, or was asked for wrongly, is tried again soon.
const KEPT_SECONDS_AWAY: u32 = 30;

const SVG: &str = "image/svg+xml";

/// An answer for the pages of others.
struct Embedded<'a> {
    status: StatusCode,
    content_type: &'static str,
    content: String,
    kept_seconds: u32,
    /// The styles it may have, as its Content-Security-Policy names them.
    style_source: &'a str,
}

impl Embedded<'_> {
    fn answer(self) -> Response {
        Response::builder()
            .status(self.status)
            .content_type(self.content_type)
            .header(header::CACHE_CONTROL, format!("public, max-age={}", self.kept_seconds))
            .header(header::ACCESS_CONTROL_ALLOW_ORIGIN, "*")
            .header(
                header::CONTENT_SECURITY_POLICY,
                format!("default-src 'none'; style-src {}; sandbox allow-popups", self.style_source),
            )
            .body(self.content)
    }
}

/// What a picture is about: a repository, or one of its tags.
struct About {
    name: RepositoryName,
    tag: Option<Tag>,
}

impl About {
    /// None where no repository or tag can have such a name.
    fn read(name: &str, parameters: &Parameters) -> Option<Self> {
        let tag = parameters.get("tag").map(str::parse).transpose().ok()?;
        Some(Self { name: name.parse().ok()?, tag })
    }
}

/// The parameters given, as they are, of those that are known; refuses any other.
fn given(known: &[&str], request: &Request) -> Result<BTreeMap<String, String>, Problem> {
    let known = known.iter().map(|name| ((*name).to_owned(), Known::default()));
    let given: Vec<(String, String)> = request.params().unwrap_or_default();
    check(&known.collect(), &given)?;
    Ok(given.into_iter().collect())
}

/// The value of a parameter that has a choice; without it the first.
fn chosen(given: &BTreeMap<String, String>, name: &str, choices: &[&'static str]) -> Result<&'static str, Problem> {
    let Some(asked) = given.get(name) else { return Ok(choices[0]) };
    let known = choices.iter().find(|choice| *choice == asked).copied();
    known.ok_or_else(|| Problem::of_parameter(name, format!("one of `{}`", choices.join("`, `"))))
}

fn not_found(forms: &'static str) -> Response {
    Response::builder().status(StatusCode::NOT_FOUND).content_type("text/plain; charset=utf-8").body(forms)
}
