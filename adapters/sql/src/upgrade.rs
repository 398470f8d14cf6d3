//! Brings the schema up to date, and tells how far that is: over many rows it takes minutes.

use std::{convert::Infallible, time::Duration};

use sea_orm::{DatabaseTransaction, DbErr};
use sea_orm_migration::MigratorTrait as _;
use staticreg_migration::Migrator;
use tokio::time::{Instant, sleep};

/// How often is told how far it is.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// Applies what is missing, in the caller's transaction; `counts` says how many the database holds, if any, and `how_far`
/// what the database tells of the change that it is at.
pub(crate) async fn apply<F: Future<Output = String>>(
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
        let tell = |seconds: u64| {
            let how_far = how_far();
            async move {
                let how_far = how_far.await;
                tracing::info!(seconds, "Still at change {number} of {of} to the schema, {change}: {how_far}");
            }
        };
        telling(Migrator::up(transaction, Some(1)), tell).await?;
    }
    Ok(())
}

/// Does long work, and meanwhile tells now and then for how many seconds.
pub(crate) async fn telling<T, F: Future<Output = ()>>(work: impl Future<Output = T>, tell: impl Fn(u64) -> F) -> T {
    let began = Instant::now();
    let telling = async {
        loop {
            sleep(TOLD_EVERY).await;
            tell(began.elapsed().as_secs()).await;
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        never = telling => { let never: Infallible = never; match never {} }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        cell::RefCell,
        future::{pending, ready},
    };

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn long_work_is_told_now_and_then_and_short_work_is_not() {
        let told = RefCell::new(Vec::new());
        let tell = |seconds| {
            told.borrow_mut().push(seconds);
            ready(())
        };
        assert_eq!(telling(async { 1 }, &tell).await, 1);
        assert!(told.borrow().is_empty());
        telling(sleep(Duration::from_secs(35)), &tell).await;
        assert_eq!(*told.borrow(), [10, 20, 30]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_cannot_tell_does_not_hold_up_the_work() {
        telling(sleep(Duration::from_secs(35)), |_| pending()).await;
    }
}
