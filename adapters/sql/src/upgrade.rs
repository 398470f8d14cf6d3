//! Brings the schema up to date, and tells how far that is: over many rows it takes minutes.

use std::{convert::Infallible, time::Duration};

use sea_orm::{DatabaseTransaction, DbErr};
use sea_orm_migration::MigratorTrait as _;
use staticreg_migration::Migrator;
use tokio::time::{Instant, sleep};

/// How far a change of the schema is: what the database tells of it, behind which change it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpgradeProgress {
    /// What it is at.
    pub words: String,
    /// How much of that is done, when the database tells.
    pub percent: Option<u8>,
}

impl UpgradeProgress {
    pub(crate) fn unknown(why: String) -> Self {
        Self { words: why, percent: None }
    }
}

/// Called about once a second with how far a change is, and with none when what was told of is over.
pub type OnUpgrade = fn(Option<&UpgradeProgress>);

/// Tells how far long work is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Teller {
    /// Who asked to be told; else it is the log.
    pub(crate) to: Option<OnUpgrade>,
}

impl Teller {
    const TOLD_EVERY: Duration = Duration::from_secs(1);
    const LOGGED_EVERY: Duration = Duration::from_secs(10);

    /// Applies what is missing, in the caller's transaction; `counts` says how many the database holds, if any.
    pub(crate) async fn apply<F: Future<Output = UpgradeProgress>>(
        self,
        transaction: &DatabaseTransaction,
        counts: Option<String>,
        how_far: impl Fn() -> F,
    ) -> Result<(), DbErr> {
        let missing = Migrator::get_pending_migrations(transaction).await?;
        let of = missing.len();
        if missing.is_empty() {
            return Ok(());
        }
        if let Some(counts) = &counts {
            tracing::info!("Bringing the schema up to date: {of} changes, to a database with {counts}");
        } else {
            tracing::info!("Making the schema");
        }
        for (number, change) in (1..).zip(&missing) {
            let change = change.name();
            if counts.is_some() {
                tracing::info!("Change {number} of {of} to the schema: {change}");
            }
            let what = format!("Still at change {number} of {of} to the schema, {change}");
            self.during(Migrator::up(transaction, Some(1)), &what, &how_far).await?;
        }
        Ok(())
    }

    /// Does long work, and meanwhile tells how far it is.
    pub(crate) async fn during<T, F: Future<Output = UpgradeProgress>>(
        self,
        work: impl Future<Output = T>,
        what: &str,
        how_far: impl Fn() -> F,
    ) -> T {
        let began = Instant::now();
        let every = if self.to.is_some() { Self::TOLD_EVERY } else { Self::LOGGED_EVERY };
        let telling = async {
            loop {
                sleep(every).await;
                let UpgradeProgress { words, percent } = how_far().await;
                let (words, seconds) = (format!("{what}: {words}"), began.elapsed().as_secs());
                if let Some(tell) = self.to {
                    tell(Some(&UpgradeProgress { words, percent }));
                } else if let Some(percent) = percent {
                    tracing::info!(seconds, "{words}, {percent} %");
                } else {
                    tracing::info!(seconds, "{words}");
                }
            }
        };
        let done = tokio::select! {
            biased;
            done = work => done,
            never = telling => { let never: Infallible = never; match never {} }
        };
        if let Some(tell) = self.to {
            tell(None);
        }
        done
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        future::{pending, ready},
    };

    use super::*;

    thread_local! {
        static TOLD: RefCell<Vec<Option<UpgradeProgress>>> = const { RefCell::new(Vec::new()) };
    }

    fn tell(progress: Option<&UpgradeProgress>) {
        TOLD.with_borrow_mut(|told| told.push(progress.cloned()));
    }

    #[tokio::test(start_paused = true)]
    async fn long_work_is_logged_now_and_then_and_short_work_is_not() {
        let asked = RefCell::new(Vec::new());
        let began = Instant::now();
        let how_far = || {
            asked.borrow_mut().push(began.elapsed().as_secs());
            ready(UpgradeProgress::unknown("?".into()))
        };
        let log = Teller { to: None };
        assert_eq!(log.during(async { 1 }, "at work", how_far).await, 1);
        assert!(asked.borrow().is_empty());
        log.during(sleep(Duration::from_secs(35)), "at work", how_far).await;
        assert_eq!(*asked.borrow(), [10, 20, 30]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_is_told_each_second_and_when_it_is_over() {
        let how_far = || ready(UpgradeProgress { words: "an index".into(), percent: Some(7) });
        Teller { to: Some(tell) }.during(sleep(Duration::from_millis(2_500)), "at work", how_far).await;
        let told = Some(UpgradeProgress { words: "at work: an index".into(), percent: Some(7) });
        assert_eq!(TOLD.take(), [told.clone(), told, None]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_tell_does_not_hold_up_the_work() {
        Teller { to: None }.during(sleep(Duration::from_secs(35)), "at work", pending).await;
    }
}
