//! The page for the person who runs the server.

use staticreg_e2e::{Release, Staticreg};
use staticreg_test_support::postgres::Postgres;

use crate::one_pull;

#[test]
fn what_is_answered_is_on_the_page_already_and_another_server_is_told() {
    let url = Postgres::shared_of(Release::Packaged).new_database();
    let [one, other] = [(); 2].map(|()| Staticreg::start(&[("STATICREG_DB_URL", &url)]));
    [&one, &other].into_iter().for_each(Staticreg::wait_for_store);
    let page = one.get("/status").body;
    assert!(page.contains("Waiting for the first notification") && page.contains("PostgreSQL takes events."), "{page}");
    assert!(page.contains("None stored events in this database since the start"), "{page}");

    assert_eq!(one.post(&one_pull()).status, 200);
    let page = one.get("/status").body;
    assert!(page.contains("The registry posts its notifications here."), "{page}");
    assert_eq!(page.matches("class=\"badge good\"").count(), 1, "{page}");

    assert_eq!(other.post(&one_pull()).status, 200);
    assert_eq!(one.post(&one_pull()).status, 200);
    let page = one.get("/status").body;
    assert!(page.contains("Another one stored events in this database"), "{page}");
    assert_eq!(page.matches("class=\"badge good\"").count(), 2, "its own: {page}");
}
