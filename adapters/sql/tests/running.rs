//! Both databases keep what was heard of what runs.

use std::{any::Any, sync::Arc, time::Duration};

use staticreg_contract::{running::Subject, running_suite};
use staticreg_sql::{Options, SqlMetrics};
use staticreg_test_support::postgres::{Postgres, Release};

async fn subject(url: &str, home: Box<dyn Any + Send>) -> Subject {
    let mut options = Options::new(url.parse().expect("a URL"));
    // A busy machine is no fault here.
    options.answer_timeout = Duration::from_mins(2);
    options.question_timeout = options.answer_timeout;
    let open = async || Arc::new(SqlMetrics::open(&options).await.expect("opens"));
    Subject { running: open().await, second: open().await, home }
}

async fn on(release: Release) -> Subject {
    subject(&Postgres::shared_of(release).new_database(), Box::new(())).await
}

mod packaged_postgres {
    use super::{Release, Subject, running_suite};

    async fn subject() -> Subject {
        super::on(Release::Packaged).await
    }

    running_suite!(subject);
}

mod postgres_eighteen {
    use super::{Release, Subject, running_suite};

    async fn subject() -> Subject {
        super::on(Release::Eighteen).await
    }

    running_suite!(subject);
}

mod sqlite {
    use super::{Subject, running_suite};

    async fn subject() -> Subject {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("counts.db").display());
        super::subject(&url, Box::new(folder)).await
    }

    running_suite!(subject);
}
