//! What goes into the registry's configuration, so that it posts here.

use poem::Request;

use super::{layout::origin, site::Site};

/// The part of the registry's configuration (Distribution 2.8 and 3), as YAML. A token's secret is never in it.
pub(super) fn configuration(site: &Site, origin: &str) -> String {
    let headers = site.access.words_for_token().map_or_else(String::new, |which| {
        format!("      headers:\n        Authorization: [Bearer TOKEN]   # {which}\n")
    });
    format!(
        "notifications:\n  events:\n    includereferences: true\n  endpoints:\n    - name: staticreg\n      url: {}\n{headers}      \
         timeout: 5s\n      threshold: 3\n      backoff: 1s\n      ignoredmediatypes:\n        - application/octet-stream\n",
        site.webhook(origin)
    )
}

/// The same, where the server is reached as a request reached it.
pub(super) fn configuration_for(site: &Site, request: &Request) -> String {
    configuration(site, &origin(request))
}
