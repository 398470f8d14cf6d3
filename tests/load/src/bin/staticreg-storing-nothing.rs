//! The program with a store that stores nothing: what everything but the store costs.

use std::{collections::HashSet, process::ExitCode, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use staticreg_domain::{
    event_id::EventStamp,
    journal::{Appended, JournalBatch, JournalPart, JournalPosition, TakeTurn, Turn},
    metrics::{
        Breakdown, BreakdownRow, Filter, Folded, MetricsError, MetricsReader, MetricsRepository, MetricsRow, Page,
        PullEvent, Recording, Slice, Summary,
    },
};
use uuid::Uuid;

/// Takes every event and forgets it.
struct Nothing;

const fn nothing<T>() -> Slice<T> {
    Slice { items: Vec::new(), more: false }
}

#[async_trait]
impl MetricsRepository for Nothing {
    async fn record(&self, batch: &[PullEvent], _: DateTime<Utc>) -> Result<Vec<Recording>, MetricsError> {
        Ok(vec![Recording::Counted; batch.len()])
    }

    async fn append(&self, _: &JournalBatch, _: DateTime<Utc>) -> Result<Appended, MetricsError> {
        Ok(Appended::Stored)
    }

    async fn append_in_turn(
        &self,
        _: Option<JournalPosition>,
        _: &[EventStamp],
        batch: &mut dyn TakeTurn,
        _: DateTime<Utc>,
    ) -> Result<Appended, MetricsError> {
        let end = JournalPosition { number: 0, batch: Uuid::nil() };
        batch.take_turn(Turn { news: JournalPart::default(), end, recorded: HashSet::new() });
        Ok(Appended::Stored)
    }

    async fn journal(&self, _: Option<JournalPosition>, _: u32, _: DateTime<Utc>) -> Result<JournalPart, MetricsError> {
        Ok(JournalPart::default())
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

#[async_trait]
impl MetricsReader for Nothing {
    async fn summary(&self, _: NaiveDate) -> Result<Summary, MetricsError> {
        Ok(Summary::default())
    }

    async fn breakdown(&self, _: &Breakdown) -> Result<Slice<BreakdownRow>, MetricsError> {
        Ok(nothing())
    }

    async fn rows(&self, _: &Filter, _: &Page<MetricsRow>) -> Result<Slice<MetricsRow>, MetricsError> {
        Ok(nothing())
    }

    async fn folded(&self) -> Result<Folded, MetricsError> {
        Ok(Folded::NOTHING)
    }
}

fn main() -> ExitCode {
    staticreg::main_with_store("nothing", Arc::new(Nothing))
}
