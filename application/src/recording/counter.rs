//! Counts what was told, and stores it with what it counts.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use staticreg_domain::{
    Clock, Digest, EventId, ManifestAccess, PullEvent, RepositoryName,
    counting::Counting,
    journal::{Appended, JournalBatch, JournalEntry, JournalPart, JournalPosition, JournalRow, TakeTurn, Turn, ago},
    metrics::{MetricsError, MetricsRepository, Recording},
};
use tokio::time::Instant;
use uuid::Uuid;

use super::batches::Recorded;

/// How long after another server wrote its next batch is expected: a turn is taken before counting.
const OTHERS_EXPECTED: Duration = Duration::from_mins(1);

/// After a batch that met another's, or an id that is recorded, so many batches take a turn: either seldom comes alone.
const CAREFUL_BATCHES: u32 = 64;

/// How long after it was read the journal is read again before a turn is taken, so that a turn does not take long.
const FRESH: Duration = Duration::from_secs(1);

/// How many rows of the journal are read at once.
const PAGE: u32 = 1_000;

/// How often a batch is counted anew because others were faster.
const MAX_TRIES: u32 = 10;

/// Asks for an index's children: of which repository, and which index.
pub type AskForIndex = Box<dyn Fn(&RepositoryName, &Digest) + Send + Sync>;

/// Counts with what is remembered, and keeps that in step with the store's journal.
pub(super) struct Counter {
    pub(super) store: Arc<dyn MetricsRepository>,
    pub(super) clock: Arc<dyn Clock>,
    counting: Box<dyn Counting>,
    ask_for_index: Option<AskForIndex>,
    journal: Journal,
    /// Whether something of the last batch took from a count.
    takes: bool,
}

/// What is known of the journal.
#[derive(Default)]
struct Journal {
    /// The last row that was read or written.
    end: Option<JournalPosition>,
    read_at: Option<Instant>,
    /// When another server's row was read.
    others_wrote: Option<Instant>,
    /// For how many batches a turn is taken in any case.
    careful: u32,
    /// A batch of which it is not known whether it was stored, and what its events were counted as when it was found.
    unsure: Option<Uuid>,
    found: HashMap<EventId, Recorded>,
}

/// A batch, and what its entries are counted as when it is stored.
struct CountedBatch {
    batch: Option<JournalBatch>,
    recorded: Vec<Recorded>,
}

impl Counter {
    pub(super) fn new(
        store: Arc<dyn MetricsRepository>,
        clock: Arc<dyn Clock>,
        counting: Box<dyn Counting>,
        ask_for_index: Option<AskForIndex>,
    ) -> Self {
        Self { store, clock, counting, ask_for_index, journal: Journal::default(), takes: false }
    }

    /// Counts entries and stores them, all or nothing; answers what each was counted as. `without_taking`: nothing is
    /// taken from any count.
    pub(super) async fn store(
        &mut self,
        entries: &mut [JournalEntry],
        without_taking: bool,
    ) -> Result<Vec<Recorded>, MetricsError> {
        let now = self.clock.now();
        if self.counting.memory().is_none() {
            return self.store_each(entries, without_taking, now).await;
        }
        // Of a call that was given up.
        self.take_back();
        for _ in 0..MAX_TRIES {
            let recorded = if self.needs_turn(entries, now) {
                if self.journal.read_at.is_none_or(|read| read.elapsed() > FRESH) {
                    self.catch_up(now).await?;
                }
                self.in_turn(entries, without_taking, now).await?
            } else {
                self.alone(entries, without_taking, now).await?
            };
            if let Some(recorded) = recorded {
                self.ask_for_indexes();
                return Ok(recorded);
            }
        }
        Err(MetricsError::Unavailable("other servers were faster each time".into()))
    }

    /// When another server's row was read, if any was since the start.
    pub(super) fn others_wrote(&self) -> Option<Instant> {
        self.journal.others_wrote
    }

    /// Whether something of the last batch took from a count.
    pub(super) fn takes(&self) -> bool {
        self.takes
    }

    /// Without a memory each access counts for itself, and needs no journal.
    async fn store_each(
        &mut self,
        entries: &[JournalEntry],
        without_taking: bool,
        now: DateTime<Utc>,
    ) -> Result<Vec<Recorded>, MetricsError> {
        let counted: Vec<_> = entries
            .iter()
            .map(|entry| match entry {
                JournalEntry::Access(access) => Some(self.counting.count(access, now)),
                JournalEntry::Index { .. } => None,
            })
            .collect();
        let events = counted.iter().flatten().flatten().cloned().collect();
        let events = self.leave_out(events, without_taking);
        let recordings = if events.is_empty() { Vec::new() } else { self.store.record(&events, now).await? };
        let mut recordings = recordings.into_iter();
        let recorded = |counted: Option<_>| match counted {
            None => Recorded::Learned,
            Some(Err(reason)) => Recorded::Skipped(reason),
            Some(Ok(event)) => match recordings.next() {
                Some(Recording::Counted) => Recorded::Counted(event),
                Some(Recording::Duplicate) | None => Recorded::Duplicate,
            },
        };
        Ok(counted.into_iter().map(recorded).collect())
    }

    /// Whether the batch may meet what it does not know of.
    fn needs_turn(&mut self, entries: &[JournalEntry], now: DateTime<Utc>) -> bool {
        let Journal { end, others_wrote, careful, unsure, .. } = &self.journal;
        let others_write = others_wrote.is_some_and(|wrote| wrote.elapsed() < OTHERS_EXPECTED);
        let is_unsure = end.is_none() || others_write || *careful > 0 || unsure.is_some();
        let Some(memory) = self.counting.memory() else { return is_unsure };
        let mut accesses = entries.iter().filter_map(JournalEntry::access);
        is_unsure || accesses.any(|access| memory.knows(access.id) || access.stamp().may_be_archived(now))
    }

    /// Stores a batch behind the last row that is known; none when that is not the last.
    async fn alone(
        &mut self,
        entries: &mut [JournalEntry],
        without_taking: bool,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<Recorded>>, MetricsError> {
        let Some(end) = self.journal.end else { return Ok(None) };
        let CountedBatch { batch, recorded } = self.count(entries, &HashSet::new(), end, without_taking, now);
        let Some(batch) = batch else { return Ok(Some(recorded)) };
        let appended = self.store.append(&batch, now).await;
        self.conclude(appended, Some(batch.position()), now).map(|stored| stored.then_some(recorded))
    }

    /// Stores a batch when it is this server's turn; none when another was faster all the same.
    async fn in_turn(
        &mut self,
        entries: &mut [JournalEntry],
        without_taking: bool,
        now: DateTime<Utc>,
    ) -> Result<Option<Vec<Recorded>>, MetricsError> {
        let stamps: Vec<_> = entries.iter().filter_map(JournalEntry::access).map(ManifestAccess::stamp).collect();
        let (store, behind) = (Arc::clone(&self.store), self.journal.end);
        let mut turn = InTurn { counter: self, entries, without_taking, now, taken: None };
        let appended = store.append_in_turn(behind, &stamps, &mut turn, now).await;
        let taken = turn.taken.take();
        let (position, recorded) = taken.unwrap_or_default();
        let stored = self.conclude(appended, position, now)?;
        if stored {
            if recorded.iter().any(|recorded| matches!(recorded, Recorded::Duplicate)) {
                self.journal.careful = CAREFUL_BATCHES;
            } else {
                self.journal.careful = self.journal.careful.saturating_sub(1);
            }
        }
        Ok(stored.then_some(recorded))
    }

    /// Takes what became of a batch: only what is stored is remembered. Answers whether it is.
    fn conclude(
        &mut self,
        appended: Result<Appended, MetricsError>,
        position: Option<JournalPosition>,
        now: DateTime<Utc>,
    ) -> Result<bool, MetricsError> {
        match appended {
            Ok(Appended::Stored) => {
                if let Some(memory) = self.counting.memory() {
                    memory.settle(now);
                }
                self.journal.end = position.or(self.journal.end);
                self.journal.read_at = Some(Instant::now());
                self.journal.unsure = None;
                self.journal.found.clear();
                Ok(true)
            }
            Ok(Appended::Conflict) => {
                self.take_back();
                self.journal.careful = self.journal.careful.max(CAREFUL_BATCHES);
                Ok(false)
            }
            Err(error) => {
                self.take_back();
                if !matches!(error, MetricsError::Refused(_)) {
                    self.journal.unsure = position.map(|position| position.batch).or(self.journal.unsure);
                }
                Err(error)
            }
        }
    }

    /// Counts entries, on trial, but those that are recorded.
    fn count(
        &mut self,
        entries: &mut [JournalEntry],
        known: &HashSet<EventId>,
        behind: JournalPosition,
        without_taking: bool,
        now: DateTime<Utc>,
    ) -> CountedBatch {
        let id = Uuid::new_v4();
        let (mut told, mut events, mut recorded) = (Vec::new(), Vec::new(), Vec::with_capacity(entries.len()));
        let Some(memory) = self.counting.memory() else { return CountedBatch { batch: None, recorded } };
        // Each batch is read knowing what is not too old when it comes, whoever reads it.
        memory.settle(now);
        memory.begin_trial();
        for entry in entries {
            recorded.push(match entry {
                JournalEntry::Access(access) if known.contains(&access.id) || memory.knows(access.id) => {
                    self.journal.found.get(&access.id).cloned().unwrap_or(Recorded::Duplicate)
                }
                JournalEntry::Access(access) => {
                    memory.prepare(access, now);
                    let (event, recorded) = count(memory, access, now);
                    events.push(event);
                    told.push(entry.clone());
                    recorded
                }
                JournalEntry::Index { digest, children } => {
                    for correction in memory.learn(digest, children, now) {
                        let number = events.len();
                        events.push(PullEvent { id: EventId::from(id).derive(&number.to_string()), ..correction });
                    }
                    told.push(entry.clone());
                    Recorded::Learned
                }
            });
        }
        let events = self.leave_out(events, without_taking);
        let batch = (!told.is_empty()).then_some(JournalBatch { behind, id, entries: told, events });
        CountedBatch { batch, recorded }
    }

    /// Notes whether an event takes something from a count, and leaves that out on demand.
    fn leave_out(&mut self, events: Vec<PullEvent>, without_taking: bool) -> Vec<PullEvent> {
        self.takes = events.iter().any(PullEvent::takes);
        if !without_taking {
            return events;
        }
        events.into_iter().map(|event| event.without_taking().unwrap_or(event)).collect()
    }

    fn take_back(&mut self) {
        if let Some(memory) = self.counting.memory() {
            memory.take_back();
        }
    }

    /// Reads the journal up to its end, while others may go on writing.
    async fn catch_up(&mut self, now: DateTime<Utc>) -> Result<(), MetricsError> {
        let mut is_news = true;
        loop {
            let part = self.store.journal(self.journal.end, PAGE, now).await?;
            let count = part.rows.len();
            // Behind a page of the window comes the next one.
            is_news &= part.continues;
            self.read(part, is_news, now);
            if count < PAGE as usize {
                return Ok(());
            }
        }
    }

    /// Remembers what others stored just now, which is news, or what was stored before this server was started.
    fn read(&mut self, part: JournalPart, is_news: bool, now: DateTime<Utc>) {
        let Some(memory) = self.counting.memory() else { return };
        if !part.continues {
            memory.clear();
        }
        for JournalRow { position, age, entries } in part.rows {
            let is_unsure = self.journal.unsure == Some(position.batch);
            let arrived = ago(now, age);
            memory.settle(arrived);
            memory.begin_trial();
            for entry in &entries {
                match entry {
                    JournalEntry::Index { digest, children } => {
                        memory.learn(digest, children, arrived);
                    }
                    JournalEntry::Access(access) if memory.knows(access.id) => {}
                    JournalEntry::Access(access) => {
                        let (_, recorded) = count(memory, access, arrived);
                        if is_unsure {
                            self.journal.found.insert(access.id, recorded);
                        }
                    }
                }
            }
            memory.settle(arrived);
            if is_news && !is_unsure {
                self.journal.others_wrote = Some(Instant::now());
            }
            self.journal.end = Some(position);
        }
        self.journal.read_at = Some(Instant::now());
    }

    fn ask_for_indexes(&mut self) {
        let Some(memory) = self.counting.memory() else { return };
        let wanted = memory.wanted();
        if let Some(ask) = &self.ask_for_index {
            for (repository, index) in &wanted {
                ask(repository, index);
            }
        }
    }
}

/// A batch that waits for its turn.
struct InTurn<'a> {
    counter: &'a mut Counter,
    entries: &'a mut [JournalEntry],
    without_taking: bool,
    now: DateTime<Utc>,
    /// Where the batch stands and what it was counted as, once it was its turn.
    taken: Option<(Option<JournalPosition>, Vec<Recorded>)>,
}

impl TakeTurn for InTurn<'_> {
    fn take_turn(&mut self, Turn { news, end, recorded: known }: Turn) -> Option<JournalBatch> {
        let Self { counter, entries, without_taking, now, .. } = self;
        let is_news = news.continues;
        counter.read(news, is_news, *now);
        counter.journal.end = Some(end);
        let CountedBatch { batch, recorded } = counter.count(entries, &known, end, *without_taking, *now);
        self.taken = Some((batch.as_ref().map(JournalBatch::position), recorded));
        batch
    }
}

/// What an access changes, as an event to be stored, and what it is counted as. One that does not count is stored too: a
/// later access may belong to it.
fn count(counting: &mut dyn Counting, access: &ManifestAccess, now: DateTime<Utc>) -> (PullEvent, Recorded) {
    match counting.count(access, now) {
        Ok(event) => (event.clone(), Recorded::Counted(event)),
        Err(reason) => (PullEvent::new(access, Vec::new()), Recorded::Skipped(reason)),
    }
}
