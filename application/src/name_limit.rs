//! Leaves out what brings more new names than a day may have, and tells of it.

use std::num::NonZeroUsize;

use chrono::{DateTime, Utc};
use parking_lot::Mutex;
use staticreg_domain::{
    ManifestAccess,
    new_names::{NewNames, TooManyNames},
    rules::SkipReason,
};

#[derive(Debug)]
pub(crate) struct NameLimit(Mutex<NewNames>);

impl NameLimit {
    pub(crate) fn at_most(most: NonZeroUsize) -> Self {
        Self(Mutex::new(NewNames::at_most(most)))
    }

    /// Lets an access in, or says why not; warns once a day.
    pub(crate) fn admit(&self, access: &ManifestAccess, now: DateTime<Utc>) -> Result<(), SkipReason> {
        let admitted = self.0.lock().admit(access, now);
        if let Err(TooManyNames { new, is_first: true }) = admitted {
            tracing::warn!(
                names = new,
                "Too many new names today: until tomorrow (UTC) events of further ones are skipped. If they are names \
                 of your registry, raise STATICREG_METRICS_MAX_NEW_NAMES_PER_DAY; if not, say who may post."
            );
        }
        admitted.map_err(|_| SkipReason::TooManyNames)
    }
}
