//! A store that fails in every way a store can.

use std::{
    collections::{BTreeMap, HashSet},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use parking_lot::Mutex;
use staticreg_domain::{
    EventId, PullEvent,
    event_id::EventStamp,
    journal::{
        Appended, JOURNAL_WINDOW, JournalBatch, JournalEntry, JournalPart, JournalPosition, JournalRow, TakeTurn, Turn,
    },
    metrics::{
        Breakdown, BreakdownRow, CountKey, Filter, Folded, MetricsError, MetricsReader, MetricsRepository, MetricsRow,
        Page, Recording, Slice, Summary,
    },
};
use tokio::time::{Instant, sleep};
use uuid::Uuid;

/// What is stored.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) counts: BTreeMap<CountKey, i64>,
    ids: HashSet<EventId>,
    rows: Vec<(JournalPosition, Instant, Vec<JournalEntry>)>,
}

/// What goes wrong with a call.
#[derive(Clone, Copy)]
enum Fault {
    /// It fails, and nothing is stored.
    Fails,
    /// It is stored, and the answer is lost.
    AnswerLost,
    /// Its connection breaks, and the database goes on with it for a while.
    StoredLater,
}

/// The store that all servers share. Its clones are other connections to it.
#[derive(Clone)]
pub(crate) struct Store {
    state: Arc<Mutex<State>>,
    turn: Arc<tokio::sync::Mutex<()>>,
    random: Arc<Mutex<fastrand::Rng>>,
    /// Of a hundred calls so many fail.
    faults: u32,
}

impl Store {
    pub(crate) fn new(random: fastrand::Rng, faults: u32) -> Self {
        let first = JournalPosition { number: 0, batch: Uuid::nil() };
        let state = State { counts: BTreeMap::new(), ids: HashSet::new(), rows: vec![(first, Instant::now(), vec![])] };
        Self { state: Arc::new(Mutex::new(state)), turn: Arc::default(), random: Arc::new(Mutex::new(random)), faults }
    }

    pub(crate) fn state(&self) -> State {
        self.state.lock().clone()
    }

    /// A fail-over to a state of before.
    pub(crate) fn restore(&self, state: State) {
        *self.state.lock() = state;
    }

    async fn takes_a_while(&self) {
        let milliseconds = self.random.lock().u64(0..30);
        sleep(Duration::from_millis(milliseconds)).await;
    }

    fn fault(&self) -> Option<Fault> {
        let mut random = self.random.lock();
        let faults = [Fault::Fails, Fault::AnswerLost, Fault::StoredLater];
        (random.u32(0..100) < self.faults).then(|| faults[random.usize(0..faults.len())])
    }

    /// Stores a batch, or fails as it is drawn.
    fn store(&self, batch: &JournalBatch) -> Result<Appended, MetricsError> {
        let fault = self.fault();
        match fault {
            Some(Fault::Fails) => return Err(away()),
            Some(Fault::StoredLater) => {
                let (state, batch) = (Arc::clone(&self.state), batch.clone());
                let later = Duration::from_millis(self.random.lock().u64(0..3_000));
                tokio::spawn(async move {
                    sleep(later).await;
                    let _ = state.lock().append(&batch);
                });
                return Err(away());
            }
            Some(Fault::AnswerLost) | None => {}
        }
        let appended = self.state.lock().append(batch);
        if fault.is_some() { Err(away()) } else { Ok(appended) }
    }
}

impl State {
    /// What the journal told, in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = &JournalEntry> {
        self.rows().flat_map(|(_, entries)| entries)
    }

    /// When the rows of the journal were stored, and what they told, in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (DateTime<Utc>, &[JournalEntry])> {
        let began = self.rows.first().map(|(_, stored, _)| *stored);
        let time = move |stored: &Instant| {
            let passed = began.map(|began| stored.duration_since(began)).unwrap_or_default();
            DateTime::UNIX_EPOCH + TimeDelta::from_std(passed).unwrap_or_default()
        };
        self.rows.iter().map(move |(_, stored, entries)| (time(stored), &**entries))
    }

    fn append(&mut self, batch: &JournalBatch) -> Appended {
        let is_known = batch.events.iter().any(|event| self.ids.contains(&event.id));
        if self.end() != batch.behind || is_known {
            return Appended::Conflict;
        }
        for event in &batch.events {
            assert!(self.ids.insert(event.id), "an id stands twice in a batch");
            for change in &event.changes {
                *self.counts.entry((*change.key).clone()).or_default() += i64::from(change.delta);
            }
        }
        self.counts.retain(|key, count| {
            assert!(*count >= 0, "{count} of {key:?}");
            *count > 0
        });
        self.rows.push((batch.position(), Instant::now(), batch.entries.clone()));
        Appended::Stored
    }

    fn end(&self) -> JournalPosition {
        self.rows.last().map_or(JournalPosition { number: 0, batch: Uuid::nil() }, |(position, ..)| *position)
    }

    fn part(&self, behind: Option<JournalPosition>, at_most: usize) -> JournalPart {
        let place = behind.and_then(|behind| self.rows.iter().position(|(position, ..)| *position == behind));
        let window = JOURNAL_WINDOW.to_std().unwrap_or_default();
        let beginning = || self.rows.partition_point(|(_, stored, _)| stored.elapsed() > window).saturating_sub(1);
        let rows = &self.rows[place.map_or_else(beginning, |place| place + 1)..];
        let row = |(position, stored, entries): &(JournalPosition, Instant, Vec<JournalEntry>)| JournalRow {
            position: *position,
            age: TimeDelta::from_std(stored.elapsed()).unwrap_or_default(),
            entries: entries.clone(),
        };
        JournalPart { continues: place.is_some(), rows: rows.iter().take(at_most).map(row).collect() }
    }
}

fn away() -> MetricsError {
    MetricsError::Unavailable("the connection broke".into())
}

#[async_trait]
impl MetricsRepository for Store {
    async fn record(&self, _: &[PullEvent], _: DateTime<Utc>) -> Result<Vec<Recording>, MetricsError> {
        Err(away())
    }

    async fn append(&self, batch: &JournalBatch, _: DateTime<Utc>) -> Result<Appended, MetricsError> {
        self.takes_a_while().await;
        let appended = self.store(batch);
        self.takes_a_while().await;
        appended
    }

    async fn append_in_turn(
        &self,
        behind: Option<JournalPosition>,
        events: &[EventStamp],
        batch: &mut dyn TakeTurn,
        _: DateTime<Utc>,
    ) -> Result<Appended, MetricsError> {
        let _turn = self.turn.lock().await;
        self.takes_a_while().await;
        let turn = {
            let state = self.state.lock();
            let recorded = events.iter().map(|event| event.id).filter(|id| state.ids.contains(id)).collect();
            Turn { news: state.part(behind, usize::MAX), end: state.end(), recorded }
        };
        let Some(batch) = batch.take_turn(turn) else { return Ok(Appended::Stored) };
        self.takes_a_while().await;
        self.store(&batch)
    }

    async fn journal(
        &self,
        behind: Option<JournalPosition>,
        at_most: u32,
        _: DateTime<Utc>,
    ) -> Result<JournalPart, MetricsError> {
        self.takes_a_while().await;
        Ok(self.state.lock().part(behind, at_most as usize))
    }

    async fn forget_journal(&self, _: TimeDelta, _: u32, _: DateTime<Utc>) -> Result<u64, MetricsError> {
        Ok(0)
    }

    async fn archive_ids(&self, _: DateTime<Utc>, _: u32) -> Result<u64, MetricsError> {
        Ok(0)
    }

    async fn forget_ids(&self, _: DateTime<Utc>, _: u32) -> Result<u64, MetricsError> {
        Ok(0)
    }

    async fn fold_changes(&self, _: u32) -> Result<u64, MetricsError> {
        Ok(0)
    }

    async fn keep_by_month(&self, _: Folded) -> Result<(), MetricsError> {
        Ok(())
    }

    async fn day_to_fold(&self, _: Option<NaiveDate>) -> Result<Option<NaiveDate>, MetricsError> {
        Ok(None)
    }

    async fn fold_day(&self, _: NaiveDate, _: u32) -> Result<u64, MetricsError> {
        Ok(0)
    }

    async fn forget_counts(&self, _: NaiveDate, _: u32) -> Result<u64, MetricsError> {
        Ok(0)
    }

    async fn check(&self) -> Result<(), MetricsError> {
        Ok(())
    }
}

/// Nobody asks.
#[async_trait]
impl MetricsReader for Store {
    async fn summary(&self, _: NaiveDate) -> Result<Summary, MetricsError> {
        Err(away())
    }

    async fn breakdown(&self, _: &Breakdown) -> Result<Slice<BreakdownRow>, MetricsError> {
        Err(away())
    }

    async fn rows(&self, _: &Filter, _: &Page<MetricsRow>) -> Result<Slice<MetricsRow>, MetricsError> {
        Err(away())
    }

    async fn folded(&self) -> Result<Folded, MetricsError> {
        Ok(Folded::NOTHING)
    }
}
