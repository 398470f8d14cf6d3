//! Sums in memory keep the contract, whatever database is behind them.

use std::{any::Any, sync::Arc, time::Duration};

use staticreg_contract::{Subject, shared_contract_suite};
use staticreg_rollup::{Options, Rollup};
use staticreg_sql::SqlMetrics;
use staticreg_test_support::{
    postgres::Postgres,
    sample::{self, FixedClock},
};

/// For all that the suite counts.
const MEMORY: usize = 64 << 20;

async fn subject(url: &str, home: Box<dyn Any + Send>) -> Subject {
    let mut options = staticreg_sql::Options::new(url.parse().expect("a URL"));
    // A slow disk is no fault here. Those who wait for each other in a circle are told after a second.
    options.answer_timeout = Duration::from_secs(30);
    let open = async || {
        let store = Arc::new(SqlMetrics::open(&options).await.expect("opens"));
        let clock = Arc::new(FixedClock(sample::now()));
        Arc::new(Rollup::new(store, clock, Options { memory: MEMORY, question_timeout: options.question_timeout }))
    };
    Subject { store: open().await, second: open().await, home }
}

mod postgres {
    use super::{Postgres, Subject, shared_contract_suite};

    async fn subject() -> Subject {
        super::subject(&Postgres::shared().new_database(), Box::new(())).await
    }

    shared_contract_suite!(subject);
}

mod sqlite {
    use super::{Subject, shared_contract_suite};

    async fn subject() -> Subject {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("counts.db").display());
        super::subject(&url, Box::new(folder)).await
    }

    shared_contract_suite!(subject);
}
