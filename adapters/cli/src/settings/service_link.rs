//! The variables that Kubernetes sets in every container for each service of its namespace. Where one is called
//! `staticreg` or `staticreg-db` they look like settings.

use std::ffi::OsStr;

/// Whether a variable tells of a service: `STATICREG_SERVICE_HOST=10.0.0.9`, `STATICREG_DB_PORT=tcp://10.0.0.9:5432`,
/// `STATICREG_PORT_8093_TCP_ADDR=10.0.0.9`.
pub(super) fn is_service_link(name: &str, value: &OsStr) -> bool {
    if let Some((_, rest)) = name.split_once("_SERVICE_") {
        return rest == "HOST" || rest == "PORT" || rest.starts_with("PORT_");
    }
    match name.split_once("_PORT") {
        Some((_, "")) => value.to_str().is_some_and(|value| value.contains("://")),
        Some((_, rest)) => rest.strip_prefix('_').is_some_and(|port| port.starts_with(|c: char| c.is_ascii_digit())),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubernetes_sets_for_a_service_is_no_setting() {
        for (name, value) in [
            ("STATICREG_SERVICE_HOST", "10.0.0.9"),
            ("STATICREG_SERVICE_PORT", "8093"),
            ("STATICREG_SERVICE_PORT_HTTP", "8093"),
            ("STATICREG_PORT", "tcp://10.0.0.9:8093"),
            ("STATICREG_PORT_8093_TCP", "tcp://10.0.0.9:8093"),
            ("STATICREG_PORT_8093_TCP_PROTO", "tcp"),
            ("STATICREG_PORT_8093_TCP_PORT", "8093"),
            ("STATICREG_DB_PORT", "tcp://10.0.0.9:5432"),
        ] {
            assert!(is_service_link(name, value.as_ref()), "{name}={value}");
        }
        for (name, value) in [
            ("STATICREG_DB_PORT", "5432"),
            ("STATICREG_PORT", "8093"),
            ("STATICREG_HTTP_PORTAL", "x"),
            ("STATICREG_SERVICE_NAME", "x"),
        ] {
            assert!(!is_service_link(name, value.as_ref()), "{name}={value}");
        }
    }
}
