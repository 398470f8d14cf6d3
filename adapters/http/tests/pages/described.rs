//! Badges, charts and tables as the OpenAPI document describes them.

use poem::http::StatusCode;
use serde_json::Value;

use crate::site;

#[tokio::test(start_paused = true)]
async fn what_the_document_describes_is_there() {
    let site = site::sample().await;
    let document: Value = serde_json::from_str(&site.get("/openapi.json").await.body).expect("JSON");
    let choices = |path: &str, name: &str| -> Vec<String> {
        let parameters = document["paths"][path]["get"]["parameters"].as_array().expect("parameters").iter();
        let choice = parameters
            .filter(|parameter| parameter["name"] == name)
            .filter_map(|parameter| parameter["schema"]["enum"].as_array());
        choice.flatten().map(|value| value.as_str().expect("text").to_owned()).collect()
    };
    let tables = choices("/export/{table}.csv", "table");
    assert_eq!(tables.len(), 13);
    for table in tables {
        let answer = site.get(&format!("/export/{table}.csv?repository=base/alpine&tag=3.22&days=7")).await;
        // The registry may have to be read for some.
        assert!(
            [StatusCode::OK, StatusCode::SERVICE_UNAVAILABLE].contains(&answer.status),
            "{table}: {}",
            answer.status
        );
    }
    for extension in ["svg", "json"] {
        let shown = choices(&format!("/badge/{{repository}}.{extension}"), "show");
        assert_eq!(shown, ["total", "month", "last"]);
        for show in shown {
            let answers =
                ["base/alpine", "base%2Falpine"].map(|name| format!("/badge/{name}.{extension}?tag=3.22&show={show}"));
            let [as_it_is, encoded] = [site.get(&answers[0]).await, site.get(&answers[1]).await];
            assert_eq!((as_it_is.status, encoded.status), (StatusCode::OK, StatusCode::OK), "{show}");
            assert_eq!(as_it_is.body, encoded.body, "{show}");
        }
        let answer = site.get(&format!("/badge/base/alpine.{extension}?show=")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    }
    for theme in choices("/chart/{repository}.svg", "theme") {
        let answer = site.get(&format!("/chart/base%2Falpine.svg?tag=3.22&days=7&theme={theme}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (StatusCode::OK, "image/svg+xml"), "{theme}");
    }
    assert_eq!(site.get("/chart/base/alpine.svg?theme=").await.status, StatusCode::BAD_REQUEST);
}
