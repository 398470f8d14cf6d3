//! The configuration: defaults, then a TOML file, then the environment, then flags; the later wins.
//!
//! A setting is declared once, in [`declared`]: flag, variable, template and the README's table come from there. A new
//! type of values implements [`value::Value`].

mod address;
mod declare;
mod declared;
mod log_filter;
#[cfg(test)]
mod readme;
mod secret;
mod sources;
mod template;
#[cfg(test)]
mod tests;
mod value;

use declared::SETTINGS;

pub(crate) use address::ListenAddress;
pub(crate) use declare::{Setting, wrapped};
pub(crate) use declared::{Db, Http, Log, Metrics, Registry, Settings, Spool, Webhook};
pub(crate) use secret::{Secret, SecretList};
pub(crate) use sources::{CONFIG_VARIABLE, Given, InvalidSettings, Sources, Unusable};
pub(crate) use template::template;
pub(crate) use value::{CountingMode, LogFormat, Size, TlsMode};

impl Settings {
    /// What no setting says alone.
    fn check(&self) -> Result<(), Unusable> {
        if self.metrics.flush_interval >= self.metrics.patience {
            let patience = self.metrics.patience;
            return Err(Unusable::new(
                "metrics.flush_interval",
                format!("must be less than the patience of {patience:?}"),
            ));
        }
        if self.registry.password.is_some() && self.registry.user.is_none() {
            return Err(Unusable::new("registry.password", "needs registry.user (STATICREG_REGISTRY_USER) too"));
        }
        if self.registry.user.as_ref().is_some_and(|user| user.contains(':')) {
            return Err(Unusable::new(
                "registry.user",
                "holds a colon, which Basic authentication cannot carry (RFC 7617)",
            ));
        }
        if let Some(name) = &self.registry.public_name
            && !is_registry_name(name)
        {
            return Err(Unusable::new("registry.public_name", "expected HOST or HOST:PORT, without https://"));
        }
        Ok(())
    }
}

/// Whether it may stand before a repository's name in a command, which people copy into a shell.
fn is_registry_name(name: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-:[]".contains(&c));
    !name.starts_with('-') && name.split('/').all(is_part)
}
