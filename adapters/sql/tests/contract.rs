//! Both databases keep the contract.

use std::sync::Arc;

use staticreg_contract::{Subject, contract_suite};
use staticreg_sql::{Options, SqlMetrics};

async fn open(options: &Options) -> Arc<SqlMetrics> {
    Arc::new(SqlMetrics::open(options).await.expect("opens"))
}

mod postgres {
    use super::{Options, Subject, contract_suite, open};
    use staticreg_test_support::postgres::Postgres;

    /// In a database whose own order of text is ICU's.
    async fn subject() -> Subject {
        let url = Postgres::shared().new_database();
        let options = Options::new(url.parse().expect("a URL"));
        Subject { store: open(&options).await, second: open(&options).await, home: Box::new(()) }
    }

    contract_suite!(subject);
}

mod postgres_in_a_table_of_the_go_program {
    use super::{Options, Subject, contract_suite, open};
    use staticreg_test_support::postgres::Postgres;

    /// Its columns have no order of their own, so they have the database's.
    async fn subject() -> Subject {
        let cluster = Postgres::shared();
        let url = cluster.new_database();
        cluster.psql(&url, include_str!("go_schema.sql"));
        let options = Options::new(url.parse().expect("a URL"));
        Subject { store: open(&options).await, second: open(&options).await, home: Box::new(()) }
    }

    contract_suite!(subject);
}

mod sqlite {
    use super::{Options, Subject, contract_suite, open};

    async fn subject() -> Subject {
        let folder = tempfile::tempdir().expect("a folder");
        let url = format!("sqlite://{}", folder.path().join("counts.db").display());
        let options = Options::new(url.parse().expect("a URL"));
        Subject { store: open(&options).await, second: open(&options).await, home: Box::new(folder) }
    }

    contract_suite!(subject);
}
