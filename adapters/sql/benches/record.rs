//! How much recording costs: events per second and processor time per event, in PostgreSQL and in this process, on a
//! private cluster with durable commits. `cargo bench -p staticreg-sql`; for some batch sizes only, `-- 64 512`.

use std::{fs, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use staticreg_domain::metrics::{AccessKind, Change, CountKey, MetricsRepository, PullEvent};
use staticreg_sql::{Options, SqlMetrics};
use staticreg_test_support::postgres::{Durability, Postgres};
use tokio::time::Instant;
use uuid::Uuid;

/// How long each batch size runs.
const SPAN: Duration = Duration::from_secs(5);

const BATCH_SIZES: [usize; 4] = [1, 64, 512, 2000];

const IMAGES: u32 = 2000;

#[tokio::main]
async fn main() {
    let cluster = Postgres::start(Durability::Durable);
    println!("{:>6} {:>10} {:>9} {:>14} {:>14}", "batch", "events/s", "ms/batch", "PostgreSQL us", "this process us");
    let given: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    for batch_size in if given.is_empty() { BATCH_SIZES.to_vec() } else { given } {
        let url = cluster.new_database();
        let store = SqlMetrics::open(&Options::new(url.parse().expect("a URL"))).await.expect("opens");
        let mut images = Images::new();
        // The first batches make the rows and prepare the statement.
        for _ in 0..20 {
            store.record(&images.batch(2000), images.now).await.expect("records");
        }
        cluster.psql(&url, "CHECKPOINT");

        // Events are made beforehand, as they are no part of recording.
        let mut batches: Vec<_> = (0..64).map(|_| images.batch(batch_size)).collect();
        let (mut spent, mut events, mut recorded) = (Duration::ZERO, 0_u32, 0_u32);
        let mut own = Duration::ZERO;
        let before = cluster_time(&cluster, &url);
        while spent < SPAN {
            let (own_before, started) = (process_time("self"), Instant::now());
            for batch in &batches {
                store.record(batch, images.now).await.expect("records");
                recorded += 1;
                events += u32::try_from(batch.len()).expect("a small batch");
            }
            spent += started.elapsed();
            own += process_time("self").saturating_sub(own_before);
            for event in batches.iter_mut().flatten() {
                event.id = Uuid::new_v4().into();
            }
        }
        let cluster_spent = cluster_time(&cluster, &url).saturating_sub(before);
        println!(
            "{batch_size:>6} {:>10.0} {:>9.2} {:>14.2} {:>14.2}",
            f64::from(events) / spent.as_secs_f64(),
            spent.as_secs_f64() * 1e3 / f64::from(recorded),
            cluster_spent.as_secs_f64() * 1e6 / f64::from(events),
            own.as_secs_f64() * 1e6 / f64::from(events),
        );
    }
}

/// Pulls of images of which few are pulled often and most are pulled seldom: the frequency falls with the rank.
struct Images {
    keys: Vec<Arc<CountKey>>,
    /// Up to each image, the sum of the frequencies.
    sums: Vec<f64>,
    now: DateTime<Utc>,
}

impl Images {
    fn new() -> Self {
        let now: DateTime<Utc> = "2026-11-21T12:00:00Z".parse().expect("a time");
        let key = |number: u32| CountKey {
            kind: AccessKind::PullByTag,
            date: now.date_naive(),
            repository: format!("team-{}/service-{}", number % 40, number / 4).parse().expect("a name"),
            tag: format!("v1.{}.{number}", number % 7).parse().ok(),
            digest: format!("sha256:{:032x}{:032x}", Uuid::new_v4().as_u128(), number).parse().expect("a digest"),
            architecture: ["amd64", "arm64"][usize::from(number.is_multiple_of(5))].parse().expect("never fails"),
        };
        let sums = (1..=IMAGES).scan(0.0, |sum, rank| {
            *sum += 1.0 / f64::from(rank);
            Some(*sum)
        });
        Self { keys: (0..IMAGES).map(key).map(Arc::new).collect(), sums: sums.collect(), now }
    }

    fn batch(&mut self, size: usize) -> Vec<PullEvent> {
        (0..size).map(|_| self.event()).collect()
    }

    fn event(&mut self) -> PullEvent {
        let id = Uuid::new_v4();
        // Random bits of the id choose the image.
        let chosen =
            f64::from(u32::from_le_bytes(*id.as_bytes().first_chunk().expect("16 bytes"))) / f64::from(u32::MAX);
        let total = self.sums.last().expect("there are images");
        let image = self.sums.partition_point(|sum| *sum < chosen * total).min(self.keys.len() - 1);
        self.now += Duration::from_micros(50);
        // Every event has a key of its own, as those of requests have.
        let key = Arc::new(CountKey::clone(&self.keys[image]));
        PullEvent { id: id.into(), at: self.now, timestamp: self.now, changes: vec![Change { key, delta: 1 }] }
    }
}

/// The processor time of every process of the cluster that is there now.
fn cluster_time(cluster: &Postgres, url: &str) -> Duration {
    let processes = cluster.psql(url, "SELECT pid FROM pg_stat_activity");
    processes.lines().map(process_time).sum()
}

fn process_time(process: &str) -> Duration {
    // Linux counts in hundredths of a second.
    const TICK: Duration = Duration::from_millis(10);
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // User and system time are the 12th and 13th after the name, which may hold spaces.
    let ticks = stat.rsplit(')').next().into_iter().flat_map(|rest| rest.split_whitespace().skip(11).take(2));
    ticks.filter_map(|ticks| ticks.parse::<u32>().ok()).map(|ticks| TICK * ticks).sum()
}
