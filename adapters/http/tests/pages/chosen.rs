//! What a page counts: dates, kind and architecture, compared with the period before, and kept on the way.

use std::collections::BTreeMap;

use poem::{Endpoint, Response, http::Method};
use serde_json::Value;

use crate::site::{self, Answer, Site};

/// The pages with counts.
const PAGES: [&str; 5] =
    ["/", "/?folder=library", "/repo/library/nginx", "/repo/library/nginx?tag=latest", "/insights"];

/// The same with other parameters.
fn with(page: &str, query: &str) -> String {
    match query {
        "" => page.to_owned(),
        _ => format!("{page}{}{query}", if page.contains('?') { '&' } else { '?' }),
    }
}

/// The value of an input.
fn value<'a>(body: &'a str, name: &str) -> &'a str {
    let (_, rest) = body.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("{name}: {body}"));
    rest.split('"').next().unwrap_or_default()
}

/// The number of a label at the head of a page.
fn figure(body: &str, label: &str) -> u64 {
    let (_, rest) = body.split_once(&format!("<dt>{label}</dt><dd>")).unwrap_or_else(|| panic!("{label}: {body}"));
    let number: String = rest.split('<').next().unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
    number.parse().unwrap_or_else(|_| panic!("{label}: {body}"))
}

/// The addresses that a page links to, but for those that lead to other dates.
fn links(body: &str) -> Vec<String> {
    let (before, rest) = body.split_once("aria-label=\"Days shown\"").expect("a choice of days");
    let (_, after) = rest.split_once("</nav>").expect("its end");
    let of = |part: &str| -> Vec<String> {
        let links = part.split(" href=\"").skip(1);
        links.filter_map(|link| Some(link.split('"').next()?.replace("&#38;", "&"))).collect()
    };
    [of(before), of(after)].concat()
}

async fn json(site: &Site<impl Endpoint<Output = Response>>, path: &str) -> Value {
    let answer = site.ask(Method::GET, path, &[("accept", "application/json")]).await;
    serde_json::from_str(&answer.body).unwrap_or_else(|_| panic!("{path}: {}", answer.body))
}

/// The sum of all counts that the API tells.
async fn sum(site: &Site<impl Endpoint<Output = Response>>, query: &str) -> u64 {
    let answer = json(site, &format!("/api/v1/pulls?limit=1000&{query}")).await;
    let items = answer["items"].as_array().unwrap_or_else(|| panic!("{answer}"));
    items.iter().map(|item| item["count"].as_u64().expect("a count")).sum()
}

/// The count of each repository.
async fn repositories(site: &Site<impl Endpoint<Output = Response>>, query: &str) -> BTreeMap<String, u64> {
    let answer = json(site, &format!("/api/v1/repositories?limit=1000&{query}")).await;
    let items = answer["items"].as_array().unwrap_or_else(|| panic!("{answer}"));
    let text = |item: &Value| item["repository"].as_str().expect("a name").to_owned();
    items.iter().map(|item| (text(item), item["count"].as_u64().expect("a count"))).collect()
}

/// The dates that the page counts, as the API takes them.
fn dates(page: &Answer) -> String {
    format!("from={}&to={}", value(&page.body, "from"), value(&page.body, "to"))
}

#[tokio::test(start_paused = true)]
async fn every_page_takes_every_range_and_says_which_dates_it_counts() {
    let site = site::sample().await;
    for (query, dates) in [
        ("", "21 Oct to 19 Nov 2026"),
        ("days=1", "19 Nov 2026"),
        ("days=7", "13 Nov to 19 Nov 2026"),
        ("days=90", "22 Aug to 19 Nov 2026"),
        ("days=365", "20 Nov 2025 to 19 Nov 2026"),
        ("range=month", "1 Nov to 19 Nov 2026"),
        ("range=all", "23 Jul to 19 Nov 2026"),
        ("from=2026-08-30&to=2026-09-02", "30 Aug to 2 Sep 2026"),
    ] {
        for page in PAGES {
            let answer = site.page(&with(page, query)).await;
            let told = format!("Dates: {dates} From");
            assert!(answer.text().contains(&told), "{page} {query}: {}", answer.text());
            let is_chosen = answer.body.matches("aria-current=\"true\"><span class=\"long\">").count();
            assert_eq!(is_chosen, usize::from(!query.starts_with("from")), "{page} {query}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_chosen_is_kept_on_the_way_to_every_page_and_table() {
    let site = site::sample().await;
    for query in [
        "days=7",
        "range=month&kind=version_check&architecture=arm64&interval=week&split=tag",
        "from=2026-08-30&to=2026-09-02&kind=pull_by_digest",
    ] {
        for page in PAGES {
            let answer = site.page(&with(page, query)).await;
            let mut kept = 0;
            for link in links(&answer.body) {
                let path = link.split(['?', '#']).next().unwrap_or_default();
                let is_of_dates = path == "/"
                    || path == "/insights"
                    || path.starts_with("/repo/")
                    || ["repositories", "tags", "digests", "daily", "kinds", "images", "architectures"]
                        .iter()
                        .any(|table| path == format!("/export/{table}.csv"));
                if is_of_dates {
                    kept += 1;
                    for parameter in query.split('&') {
                        assert!(link.contains(parameter), "{page}?{query} leads to {link}");
                    }
                }
            }
            assert!(kept > 4, "{page}: {kept}");
            // Forms keep it too: they leave out what they ask for themselves.
            let forms: Vec<&str> = answer.body.split("<form").skip(1).collect();
            for form in forms {
                let form = form.split("</form>").next().unwrap_or_default();
                for name in query.split('&').filter_map(|parameter| parameter.split('=').next()) {
                    let is_asked_for = form.contains(&format!("name=\"{name}\""))
                        || (form.contains("type=\"date\"") && ["days", "range"].contains(&name));
                    assert!(is_asked_for, "{page}?{query}: {name} is not in {form}");
                }
            }
        }
    }
    // To the other dates goes all but the dates.
    let body = site.page("/?days=7&kind=push&q=nginx").await.body;
    assert!(body.contains("<a href=\"/?q=nginx&#38;days=90&#38;kind=push\""), "{body}");
}

#[tokio::test(start_paused = true)]
async fn pages_and_api_tell_the_same_numbers_of_the_same_dates() {
    let site = site::sample().await;
    for query in ["", "days=1", "days=90", "range=month", "range=all", "from=2026-08-30&to=2026-09-02"] {
        for (how, label) in [
            ("", "Pulls"),
            ("kind=version_check", "Version checks"),
            ("kind=pull_by_digest&architecture=arm64", "Pulls by digest"),
        ] {
            let asked = [query, how].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join("&");
            for (page, of) in [
                ("/", ""),
                ("/insights", ""),
                ("/repo/library/nginx", "&repository=library/nginx"),
                ("/repo/library/nginx?tag=latest", "&repository=library/nginx&tag=latest"),
            ] {
                let answer = site.page(&with(page, &asked)).await;
                let api = sum(&site, format!("{}{of}&{how}", dates(&answer)).trim_end_matches('&')).await;
                assert_eq!(figure(&answer.body, label), api, "{page} {asked}");
            }
            let home = site.page(&with("/", &asked)).await;
            let api = repositories(&site, format!("{}&{how}", dates(&home)).trim_end_matches('&')).await;
            let csv = site.get(&with("/export/repositories.csv", &asked)).await.body;
            let csv: BTreeMap<String, u64> = csv
                .lines()
                .skip(1)
                .map(|line| line.split(',').collect::<Vec<_>>())
                .map(|cells| (cells[0].to_owned(), cells[2].parse().expect("a count")))
                .filter(|(_, count)| *count > 0)
                .collect();
            assert_eq!(csv, api, "{asked}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn counts_are_compared_with_as_many_days_before() {
    let site = site::sample().await;
    // The 30 days before 21 October.
    let before = "from=2026-09-21&to=2026-10-20";
    for (page, of) in [("/", ""), ("/insights", ""), ("/repo/library/nginx", "&repository=library/nginx")] {
        let answer = site.page(page).await;
        let api = sum(&site, &format!("{before}{of}")).await;
        let (_, pulls) = answer.body.split_once("<dt>Pulls</dt>").expect("pulls");
        let (pulls, _) = pulls.split_once("</dd>").expect("its end");
        let digits: String =
            pulls.split_once("title=\"").expect("a change").1.chars().take_while(|c| *c != ' ').collect();
        assert_eq!(digits.replace(',', "").parse::<u64>().expect("a number"), api, "{page}: {pulls}");
        assert!(answer.text().contains("Compared with 21 Sep to 20 Oct 2026."), "{}", answer.text());
    }
    let api = repositories(&site, before).await;
    let csv = site.get("/export/repositories.csv").await.body;
    for line in csv.lines().skip(1) {
        let cells: Vec<&str> = line.split(',').collect();
        assert_eq!(cells[3].parse().ok(), Some(api.get(cells[0]).copied().unwrap_or_default()), "{line}");
    }
    // Not with days that nobody watched, and not before all.
    for query in ["days=90", "range=all"] {
        for page in PAGES {
            let answer = site.page(&with(page, query)).await;
            assert!(!answer.body.contains("class=\"change"), "{page} {query}: {}", answer.body);
            assert!(!answer.text().contains("Compared with"), "{page} {query}");
            assert!(!answer.body.contains("class=\"ghost"), "{page} {query}");
        }
    }
    let chart = site.page("/repo/library/nginx").await.body;
    assert!(chart.contains("class=\"ghost\""), "{chart}");
}

#[tokio::test(start_paused = true)]
async fn the_list_is_sorted_by_what_grows_and_what_dies() {
    let site = site::sample().await;
    for (order, falls) in [("", true), ("&order=reverse", false)] {
        let csv = site.get(&format!("/export/repositories.csv?sort=change&days=7{order}")).await.body;
        let number = |cell: &str| cell.parse::<i64>().expect("a number");
        let growth: Vec<i64> = csv
            .lines()
            .skip(1)
            .map(|line| line.split(',').collect::<Vec<_>>())
            .map(|cells| number(cells[2]) - number(cells[3]))
            .collect();
        assert!(growth.len() > 20 && growth.is_sorted_by(|a, b| if falls { a >= b } else { a <= b }), "{growth:?}");
    }
    let body = site.page("/?sort=change").await.body;
    assert!(body.contains("aria-sort=\"descending\"><a href=\"/?sort=change&#38;order=reverse\">Change"), "{body}");
    // Where there is nothing to compare with, by what was counted.
    let body = site.page("/?sort=change&days=90").await.body;
    assert!(
        body.contains("aria-sort=\"descending\"><a href=\"/?order=reverse&#38;days=90\">Pulls in 90 days"),
        "{body}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_counted_is_said() {
    let site = site::sample().await;
    let query = "kind=version_check&architecture=arm64&days=7";
    let home = site.page(&with("/", query)).await.text();
    assert!(home.contains("Version checks of arm64 in 7 days"), "{home}");
    let insights = site.page(&with("/insights", query)).await.text();
    for told in ["Images with the most version checks", "Pulls and version checks of arm64"] {
        assert!(insights.contains(told), "{told}: {insights}");
    }
    let repository = site.page(&with("/repo/library/nginx", query)).await.text();
    assert!(repository.contains("4 tags, version checks of arm64 in 7 days"), "{repository}");
    let csv = site.get(&with("/export/tags.csv?repository=library/nginx", query)).await.body;
    let head = "tag,digest,platforms,size,created_at,version_checks,version_checks_before,version_checks_total,\
                last_checked_at";
    assert_eq!(csv.lines().next(), Some(head));
    let odd = site.page("/insights?architecture=a%20b&kind=nothing&interval=year&range=never").await.text();
    assert!(odd.contains("No architecture can be called “a b”: all are shown."), "{odd}");
    assert!(odd.contains("Pulls by architecture") && odd.contains("21 Oct to 19 Nov 2026"), "{odd}");
    // Another one than the usual can be chosen all the same.
    let body = site.page("/insights?architecture=mips").await.body;
    assert!(body.contains("<option value=\"mips\" selected>mips</option>"), "{body}");
}

#[tokio::test(start_paused = true)]
async fn a_known_repository_is_there_though_nothing_of_a_kind_was_counted() {
    let site = site::sample().await;
    for path in ["/repo/library/nginx?architecture=mips", "/repo/library/nginx?tag=latest&architecture=mips"] {
        assert!(site.page(path).await.text().contains("Nothing was counted"), "{path}");
    }
    let unknown = site.get("/repo/no/such?architecture=mips").await;
    assert_eq!(unknown.status, poem::http::StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn who_reads_chooses_the_interval_and_the_split_of_a_chart() {
    let site = site::sample().await;
    for (interval, unit) in [("", "7 days from"), ("day", "Day"), ("week", "7 days from"), ("month", "Month from")] {
        for page in ["/insights", "/repo/library/nginx", "/repo/library/nginx?tag=latest"] {
            let answer = site.page(&with(page, &format!("range=all&interval={interval}"))).await;
            assert!(answer.body.contains(&format!("<th scope=\"col\">{unit}</th>")), "{page} {interval}");
        }
    }
    let answer = site.page("/repo/library/nginx?split=tag").await;
    let legend = answer.body.split_once("<ul class=\"legend\">").expect("a legend").1;
    let names: Vec<&str> = legend
        .split_once("</ul>")
        .expect("its end")
        .0
        .split("data-name=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert!(names.len() == 4 && names.contains(&"latest"), "{names:?}");
    assert!(answer.body.contains(">Pulls by tag</h2>"), "{}", answer.body);
    let csv = site.get("/export/daily.csv?repository=library/nginx&days=7&split=tag").await.body;
    assert_eq!(csv.lines().next(), Some("date,tag,pulls"));
    let total: u64 = csv.lines().skip(1).filter_map(|line| line.rsplit(',').next()?.parse::<u64>().ok()).sum();
    assert_eq!(total, sum(&site, "days=7&repository=library/nginx").await);
}

/// Pages that count nothing lie on the way too.
#[tokio::test(start_paused = true)]
async fn what_was_chosen_is_passed_on_by_pages_where_nothing_is_chosen() {
    let site = site::sample().await;
    for page in ["/status", "/cleanup?unused_days=30", "/cleanup?folder=team-a&show=kept"] {
        let answer = site.page(&with(page, "range=month&kind=version_check&architecture=%22x%20y")).await;
        for path in ["/", "/insights", "/status"] {
            let link = format!("href=\"{path}?range=month&#38;kind=version_check&#38;architecture=%22x%20y\"");
            assert!(answer.body.contains(&link), "{page}: {link}");
        }
        for form in answer.body.split("action=\"/cleanup\"").skip(1) {
            assert_eq!(value(form, "kind"), "version_check", "{page}");
            assert_eq!(value(form, "architecture"), "&#34;x y", "{page}");
        }
    }
    let insights = site.page("/insights?days=7").await;
    assert!(insights.body.contains("href=\"/cleanup?unused_days=90&#38;days=7\""), "{}", insights.body);
}

/// What one waits for on a slow line.
#[tokio::test(start_paused = true)]
async fn no_page_weighs_much_however_many_bars_it_has() {
    let site = site::sample().await;
    for page in PAGES {
        let path = with(page, "days=365&interval=day&split=tag");
        let answer = site.ask(Method::GET, &path, &[("accept", "text/html"), ("accept-encoding", "br, gzip")]).await;
        assert!(answer.size < 60_000, "{path}: {}", answer.size);
    }
}
