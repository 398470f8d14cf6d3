//! The database: whether it is there, up to date, and takes what is stored.

use staticreg_domain::{Clock as _, error::describe};
use staticreg_sql::{Examination, Secrecy};

use super::Report;
use crate::{
    settings::{Db, Given},
    wiring::{store, system_clock::SystemClock},
};

pub(super) async fn look(report: &mut Report, given: &Given, db: &Db) {
    report.section("Database");
    if db.url.is_none() {
        return report.doubtful("counts are in memory, and gone when the server ends: STATICREG_DB_URL is not set");
    }
    let database = match store::open_as_it_is(db).await {
        Ok(database) => database,
        Err(failure) => return report.wrong(failure.sentence(given)),
    };
    match Box::pin(database.examine()).await {
        Ok(examination) => tell(report, &examination),
        Err(error) => report.wrong(format_args!(
            "it answers, but not as staticreg's: {}; `staticreg migrate` makes what is missing",
            describe(&error)
        )),
    }
}

fn tell(report: &mut Report, examination: &Examination) {
    let Examination { product, clock, missing_changes, is_watched, takes_batches, tells_tokens, secrecy } = examination;
    report.fine(format_args!("{product} answers"));
    match secrecy {
        Secrecy::Local => {}
        Secrecy::Tls(version) => report.fine(format_args!("what goes to it is encrypted, by {version}")),
        Secrecy::None => report.doubtful(
            "what goes to it is not encrypted: anybody on the way can read it; `sslmode=verify-full` in STATICREG_DB_URL \
             asks for TLS",
        ),
    }
    if !missing_changes.is_empty() {
        let missing = missing_changes.join(", ");
        report.wrong(format_args!("its schema lacks {missing}: `staticreg migrate` brings it up to date"));
    } else if *is_watched {
        report.fine("its schema is up to date, with its triggers");
    } else {
        report.doubtful(
            "its triggers are missing or disabled, or its tables have partitions: counts are right, questions take longer",
        );
    }
    match takes_batches {
        Ok(()) => report.fine("it takes events"),
        Err(error) => report.wrong(format_args!("it takes no events: {}", describe(error))),
    }
    // What the schema lacks is told already.
    if let (Err(error), true) = (tells_tokens, missing_changes.is_empty()) {
        report.wrong(format_args!("its API tokens cannot be read: {}", describe(error)));
    }
    if let Some(clock) = clock {
        report.clock("its", *clock - SystemClock.now());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_anybody_on_the_way_can_read_is_told() {
        for (secrecy, told) in [
            (Secrecy::Local, "PostgreSQL 18.0 answers\n  ok     its schema"),
            (Secrecy::Tls("TLSv1.3".to_owned()), "  ok     what goes to it is encrypted, by TLSv1.3\n"),
            (Secrecy::None, "  look   what goes to it is not encrypted"),
        ] {
            let mut report = Report::default();
            let examination = Examination {
                product: "PostgreSQL 18.0".to_owned(),
                clock: None,
                missing_changes: Vec::new(),
                is_watched: true,
                takes_batches: Ok(()),
                tells_tokens: Ok(()),
                secrecy,
            };
            tell(&mut report, &examination);
            assert!(report.text.contains(told) && report.wrong == 0, "{}", report.text);
        }
    }
}
