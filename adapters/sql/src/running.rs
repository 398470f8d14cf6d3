//! `RunningImages` in a database: the same statements on both, which sea-query makes.

use std::collections::BTreeSet;

use async_trait::async_trait;
use sea_orm::sea_query::{OnConflict, Order, Query as Build};
use staticreg_domain::{
    metrics::MetricsError,
    running::{Running, RunningImages, SourceName},
};

use crate::{
    SqlMetrics,
    query::{Query, Row, parse},
};

const TABLE: &str = "running_images";

/// In the order in which rows are read.
const COLUMNS: [&str; 3] = ["source", "heard_at", "images"];

#[async_trait]
impl RunningImages for SqlMetrics {
    async fn replace(&self, told: &Running) -> Result<(), MetricsError> {
        let Running { source, heard_at, images } = told;
        let lines: Vec<_> = images.iter().map(ToString::to_string).collect();
        let mut upsert = Build::insert();
        upsert.into_table(TABLE).columns(COLUMNS).values_panic([
            source.as_str().into(),
            self.dialect().time(*heard_at).into(),
            lines.join("\n").into(),
        ]);
        upsert.on_conflict(OnConflict::column("source").update_columns(["heard_at", "images"]).to_owned());
        self.database.change(Query::new(self.dialect(), &upsert)).await.map(drop)
    }

    async fn sources(&self) -> Result<Vec<SourceName>, MetricsError> {
        let rows = self.told(&COLUMNS[..1]).await?;
        rows.iter().map(source).collect()
    }

    async fn all(&self) -> Result<Vec<Running>, MetricsError> {
        let rows = self.told(&COLUMNS).await?;
        rows.iter().map(running).collect()
    }
}

impl SqlMetrics {
    /// Columns of what every source told, by its name.
    async fn told(&self, columns: &'static [&'static str]) -> Result<Vec<Row>, MetricsError> {
        let mut told = Build::select();
        told.columns(columns.iter().copied()).from(TABLE).order_by("source", Order::Asc);
        self.database.ask(Query::new(self.dialect(), &told)).await
    }
}

fn source(row: &Row) -> Result<SourceName, MetricsError> {
    parse(&row.text(0)?)
}

fn running(row: &Row) -> Result<Running, MetricsError> {
    // A line that a later version wrote otherwise is none to this one.
    let images: BTreeSet<_> = row.text(2)?.lines().filter_map(|line| line.parse().ok()).collect();
    Ok(Running { source: source(row)?, heard_at: row.time(1)?, images })
}
