//! Writes what the server tells of itself in Prometheus' text format 0.0.4 and in `OpenMetrics` 1.0.0, with what the
//! system knows of the process.
//!
//! The formats are small, and the one is written here because the usual crate, prometheus-client, writes `OpenMetrics` only.

mod process;
mod text;

use staticreg_application::telemetry::{Exposition, Family, Form};

/// Tells families that are known to whoever makes the parts.
pub type Told = Box<dyn Fn() -> Vec<Family> + Send + Sync>;

/// Writes families, with those of the process.
pub struct PrometheusText {
    told: Told,
}

impl PrometheusText {
    /// One that adds what `told` tells.
    #[must_use]
    pub fn new(told: Told) -> Self {
        Self { told }
    }
}

impl Exposition for PrometheusText {
    fn write(&self, mut families: Vec<Family>, form: Form) -> String {
        families.extend((self.told)());
        families.extend(process::families());
        text::write(&families, form)
    }
}
