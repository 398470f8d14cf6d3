//! Both databases keep the contract.

use std::{any::Any, sync::Arc, time::Duration};

use staticreg_contract::{Subject, shared_contract_suite};
use staticreg_sql::{Options, SqlMetrics};
use staticreg_test_support::postgres::{Postgres, Release};

async fn subject(url: &str, home: Box<dyn Any + Send>) -> Subject {
    let mut options = Options::new(url.parse().expect("a URL"));
    // A busy machine is no fault here. Those who wait for each other in a circle are told after a second.
    options.answer_timeout = Duration::from_mins(2);
    options.question_timeout = options.answer_timeout;
    let open = async || Arc::new(SqlMetrics::open(&options).await.expect("opens"));
    Subject { store: open().await, second: open().await, home }
}

/// The suite on every release of PostgreSQL.
macro_rules! on_each_release {
    ($subject:path) => {
        mod packaged {
            use super::{Release, Subject, shared_contract_suite};

            async fn subject() -> Subject {
                $subject(Release::Packaged).await
            }

            shared_contract_suite!(subject);
        }

        mod eighteen {
            use super::{Release, Subject, shared_contract_suite};

            async fn subject() -> Subject {
                $subject(Release::Eighteen).await
            }

            shared_contract_suite!(subject);
        }
    };
}

mod postgres {
    use super::{Postgres, Release, Subject, shared_contract_suite};

    /// In a database whose own order of text is ICU's.
    async fn in_a_database(release: Release) -> Subject {
        super::subject(&Postgres::shared_of(release).new_database(), Box::new(())).await
    }

    on_each_release!(super::in_a_database);
}

mod postgres_in_a_table_of_the_go_program {
    use super::{Postgres, Release, Subject, shared_contract_suite};

    /// Its columns have no order of their own, so they have the database's.
    async fn in_its_table(release: Release) -> Subject {
        let cluster = Postgres::shared_of(release);
        let url = cluster.new_database();
        cluster.psql(&url, include_str!("go_schema.sql"));
        super::subject(&url, Box::new(())).await
    }

    on_each_release!(super::in_its_table);
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
