//! Sums of the counts, kept in memory: questions about all repositories are answered from them, in milliseconds, where
//! the database would have to go through millions of rows.
//!
//! They are never out of date. The database gives a day whose counts change a new version (`day_version`, by triggers),
//! drawn at random so that none comes back when the database is restored to an older state. Every question first asks
//! for these versions: a day that changed is read again, which is usually today alone. Where more is missing (after the
//! start, or when rows were brought in by hand), the database answers from the rows themselves while the days are read
//! in the background, the latest first.
//!
//! With the versions every question asks for the watch: whether the triggers are there. While they are not, the database
//! answers; when they are others than before, nothing that was kept is trusted.

mod answer;
mod day;
mod kept;
mod keys;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use staticreg_domain::metrics::{AccessKind, DateRange, Filter, MetricsError};
use tokio::{
    sync::{Mutex, Notify},
    time::timeout,
};

use sea_orm::sea_query::{Expr, ExprTrait, Query as Build, UnionType};

use crate::{
    Database,
    query::{Dialect, Query, Row, counts},
};

use self::kept::{Counted, DayKey};
pub(crate) use self::{answer::can_answer, day::Sum, kept::Kept};

/// How often it is looked whether days changed that nobody asks about.
const PERIOD: Duration = Duration::from_secs(10);

/// The most days that a question reads again before it is answered.
const READ_AT_ONCE: usize = 8;

/// The most days that are read in the background before a question gets its turn.
const READ_BETWEEN: usize = 4;

/// The most counts of a day and kind that are kept; to read more again takes longer than the database's own answer.
const MOST_COUNTS: u32 = 150_000;

/// How long a question waits for its turn, before it is asked from the database.
const PATIENCE: Duration = Duration::from_millis(500);

/// The versions of days that have or had counts.
type Versions = BTreeMap<DayKey, i64>;

/// What tells the triggers that are there from those that were there before.
type Watch = i64;

/// What a database says of its counts.
struct Seen {
    watch: Watch,
    versions: Versions,
}

/// The sums that are kept of a database's counts.
#[derive(Debug)]
pub(crate) struct Sums {
    /// The bytes they take at most, by and large; the days before are asked from the database.
    capacity: usize,
    kept: RwLock<Kept>,
    /// Held by who reads days: nobody reads the same twice, and no day is replaced by an older state.
    reading: Mutex<()>,
    missed: Notify,
    /// Whether the watch was missing when last looked for.
    unwatched: AtomicBool,
}

impl Sums {
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            capacity,
            kept: RwLock::default(),
            reading: Mutex::default(),
            missed: Notify::new(),
            unwatched: AtomicBool::new(false),
        }
    }

    /// What a question finds in the sums, as they are now or a moment later; none when not all of them are kept.
    ///
    /// Without a kind, the sums of all kinds are needed.
    pub(crate) async fn answer<T: Send + 'static>(
        self: &Arc<Self>,
        database: &Database,
        dates: DateRange,
        kind: Option<AccessKind>,
        question: impl FnOnce(&Kept) -> T + Send + 'static,
    ) -> Result<Option<T>, MetricsError> {
        if self.capacity == 0 {
            return Ok(None);
        }
        let Some(mut seen) = self.look(database, dates, kind).await? else { return Ok(None) };
        if !self.kept().is_current(dates, kind, &seen) {
            let Ok(_turn) = timeout(PATIENCE, self.reading.lock()).await else { return Ok(None) };
            let Some(again) = self.look(database, dates, kind).await? else { return Ok(None) };
            seen = again;
            self.kept_mut().keep_of(seen.watch);
            let stale = self.kept().stale(dates, kind, &seen.versions);
            if stale.len() > READ_AT_ONCE || stale.iter().any(|(day, _)| self.has_no_room_for(*day)) {
                self.missed.notify_one();
                return Ok(None);
            }
            if self.read(database, &stale).await.is_err() {
                // The question itself may read less, or tells why it cannot be answered.
                return Ok(None);
            }
        }
        let sums = Arc::clone(self);
        let answer = aside(move || {
            let kept = sums.kept();
            // Between then and now they may have become too many.
            kept.has_all(&seen).then(|| question(&kept))
        });
        Ok(answer.await)
    }

    /// Reads the days that are missing, and goes on to look for such days.
    pub(crate) async fn keep(self: Arc<Self>, database: Arc<Database>) {
        loop {
            while let Ok(true) = self.read_some(&database).await {}
            // Looked at again after a while, or when a question missed something: both are fine.
            let _ = timeout(PERIOD, self.missed.notified()).await;
        }
    }

    /// Reads some of the days that are missing; answers whether there may be more. A few that merely changed are left to
    /// the next question about them.
    async fn read_some(self: &Arc<Self>, database: &Database) -> Result<bool, MetricsError> {
        let _turn = self.reading.lock().await;
        let Some(Seen { watch, versions }) = self.look(database, DateRange::EVER, None).await? else {
            return Ok(false);
        };
        self.kept_mut().keep_of(watch);
        let mut stale = self.kept().stale(DateRange::EVER, None, &versions);
        stale.retain(|(day, _)| !self.has_no_room_for(*day));
        if stale.len() <= READ_AT_ONCE {
            stale.retain(|(day, _)| !self.kept().has(*day));
        }
        stale.truncate(READ_BETWEEN);
        self.read(database, &stale).await?;
        // When there was no room even for these, not at once again.
        Ok(!stale.is_empty() && self.kept().first().is_some())
    }

    async fn read(self: &Arc<Self>, database: &Database, days: &[(DayKey, i64)]) -> Result<(), MetricsError> {
        for &(day, version) in days {
            // Asked after the version: if counts changed between, their new version shows next time.
            let rows = database.ask(counts_query(database, day)).await?;
            if rows.len() > MOST_COUNTS as usize {
                self.kept_mut().leave_out(day);
                continue;
            }
            let sums = Arc::clone(self);
            aside(move || {
                let counts = rows.iter().map(counted).collect::<Result<Vec<_>, _>>()?;
                sums.kept_mut().put(day, version, &counts);
                Ok(())
            })
            .await?;
        }
        let mut kept = self.kept_mut();
        if kept.size() > self.capacity + self.capacity / 4 {
            // Names of old days would stay; all is read anew, up to the capacity.
            kept.forget();
        }
        Ok(())
    }

    /// Whether there is no room for a day: it is too large, or all that is kept is later.
    fn has_no_room_for(&self, day: DayKey) -> bool {
        let kept = self.kept();
        kept.is_left_out(day) || kept.size() >= self.capacity && Some(day) < kept.first()
    }

    /// Asks for the versions; none while the database does not say what changes, which is told once.
    async fn look(
        &self,
        database: &Database,
        dates: DateRange,
        kind: Option<AccessKind>,
    ) -> Result<Option<Seen>, MetricsError> {
        let seen = see(database, dates, kind).await?;
        let was_unwatched = self.unwatched.swap(seen.is_none(), Ordering::Relaxed);
        match (&seen, was_unwatched) {
            (None, false) => tracing::warn!(
                "Changes by others to the counts cannot be noticed: triggers of container_pull_metrics, \
                 container_access_metrics or day_version are missing or disabled, or one of these tables has \
                 partitions. Every question is answered by the database, which takes longer. To bring the triggers \
                 back, apply migration/sql/{}/schema.sql again.",
                match database.dialect() {
                    Dialect::Postgres => "postgres",
                    Dialect::Sqlite => "sqlite",
                }
            ),
            (Some(_), true) => tracing::info!("The triggers are back; sums in memory answer again"),
            _ => {}
        }
        Ok(seen)
    }

    fn kept(&self) -> RwLockReadGuard<'_, Kept> {
        self.kept.read()
    }

    fn kept_mut(&self) -> RwLockWriteGuard<'_, Kept> {
        self.kept.write()
    }
}

/// The triggers, in one number; null unless all are there and enabled, on tables that are no sum of others: what is done
/// to a partition fires none of its parent's.
fn watch(dialect: Dialect) -> &'static str {
    match dialect {
        // The transaction that changed a trigger last tells whether it was disabled meanwhile.
        Dialect::Postgres => {
            "SELECT CASE WHEN count(*) = 13 \
             THEN hashtextextended(string_agg(concat(t.oid, ' ', t.xmin), ',' ORDER BY t.oid), 0) END \
             FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid \
             WHERE t.tgrelid IN (to_regclass('container_pull_metrics'), to_regclass('container_access_metrics'), \
             to_regclass('day_version')) AND t.tgname IN ('note_inserted', 'note_updated', 'note_deleted', \
             'note_moved', 'note_truncated', 'draw_version', 'keep_deleted', 'keep_truncated') \
             AND t.tgenabled IN ('O', 'A') AND c.relkind = 'r' AND NOT c.relhassubclass"
        }
        Dialect::Sqlite => {
            "SELECT CASE WHEN count(*) = 9 THEN (SELECT schema_version FROM pragma_schema_version) END \
             FROM sqlite_schema WHERE type = 'trigger' \
             AND tbl_name IN ('container_pull_metrics', 'container_access_metrics', 'day_version') \
             AND (name LIKE 'note\\_%' ESCAPE '\\' OR name = 'keep_deleted_day')"
        }
    }
}

async fn see(database: &Database, dates: DateRange, kind: Option<AccessKind>) -> Result<Option<Seen>, MetricsError> {
    let dialect = database.dialect();
    let mut query = Build::select();
    query.columns(["day", "kind", "version"]).from("day_version");
    query.and_where(Expr::col("day").between(dialect.date(dates.from()), dialect.date(dates.to())));
    query.and_where_option(kind.map(|kind| Expr::col("kind").eq(kind.as_str())));
    // The watch is of no kind.
    let watch = Expr::cust(format!("({})", watch(dialect)));
    query.union(UnionType::All, Build::select().exprs([Expr::cust("NULL"), Expr::cust("''"), watch]).take());
    let (mut watch, mut versions) = (None, Versions::new());
    for row in database.ask(Query::new(dialect, &query)).await? {
        let name = row.text(1)?;
        if name.is_empty() {
            watch = row.number_if_any(2)?;
        }
        // A later version of the program may keep kinds that this one does not know.
        if let Some(kind) = AccessKind::named(&name) {
            versions.insert((row.date(0)?, kind), row.number(2)?);
        }
    }
    Ok(watch.map(|watch| Seen { watch, versions }))
}

fn counts_query(database: &Database, (date, kind): DayKey) -> Query {
    let day = Filter::of_dates(DateRange::days_until(date, 1));
    let mut counts = counts(database.dialect(), &day, Some(kind));
    counts.columns(["repo_name", "tag", "architecture"]).expr(Expr::col("n").cast_as("bigint")).column("updated_at");
    Query::new(database.dialect(), counts.limit(u64::from(MOST_COUNTS) + 1))
}

fn counted(row: &Row) -> Result<Counted, MetricsError> {
    Ok(Counted {
        repository: row.text(0)?,
        tag: row.text(1)?,
        architecture: row.text(2)?,
        count: row.count(3)?,
        updated_at: row.time(4)?,
    })
}

/// Runs what takes long enough to keep others waiting beside them.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
