//! The parameters of a page: read leniently, as people edit addresses by hand.

use poem::Request;

/// The query of an address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    pub(crate) fn from_request(request: &Request) -> Self {
        Self(request.params().unwrap_or_default())
    }

    /// The first value of a name, without the space around; none when it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim()).filter(|value| !value.is_empty())
    }

    /// The value of a name, when it reads as what is wanted.
    pub(crate) fn parse<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        self.get(name)?.parse().ok()
    }
}

/// The words that a request searches for.
pub(crate) fn query_of(request: &Request) -> String {
    Parameters::from_request(request).get("q").unwrap_or_default().to_owned()
}
