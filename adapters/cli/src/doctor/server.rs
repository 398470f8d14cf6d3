//! The running server: whether it answers, what it says of itself, and whether it takes a notification.

use std::fs;

use serde_json::{Value, json};
use staticreg_application::recent::DOCTOR_REPOSITORY;
use staticreg_domain::rules::OWN_PRODUCT;
use staticreg_http::{access::signature_of_body, server::time_fault};

use super::Report;
use crate::{
    health::asks_for_certificate,
    own_server::{Answer, OwnServer, Request},
    settings::{SecretList, Settings},
    wiring::system_clock::SystemClock,
};

/// A pull by staticreg itself, which counts nothing.
fn notification() -> String {
    let event = json!({
        "id": "00000000-0000-4000-8000-000000000000",
        "timestamp": "1970-01-01T00:00:00Z",
        "action": "pull",
        "target": {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "repository": DOCTOR_REPOSITORY,
            "tag": "none",
            "digest": format!("sha256:{}", "0".repeat(64)),
        },
        "request": { "method": "GET", "useragent": format!("{OWN_PRODUCT}{}", env!("CARGO_PKG_VERSION")) },
    });
    json!({ "events": [event] }).to_string()
}

pub(super) fn look(report: &mut Report, settings: &Settings) {
    report.section("Server");
    let pages = OwnServer::of_pages(settings);
    if let Some(file) = &settings.http.tls_cert {
        let certificate = fs::read_to_string(file).unwrap_or_default();
        match time_fault(&certificate, &SystemClock) {
            Some(fault) => report.wrong(fault),
            None => report.fine("its TLS certificate is in force"),
        }
    }
    match pages.ask(&Request::get("/healthz")) {
        Err(error) if asks_for_certificate(&error) => {
            report.doubtful(format_args!(
                "{} answers those who show a certificate, of which this has none",
                pages.address
            ));
            return webhook(report, settings);
        }
        Ok(answer) if answer.status == 200 => report.fine(format_args!("it answers at {}", pages.address)),
        Ok(answer) => return report.wrong(format_args!("{} answers {}", pages.address, answer.told())),
        Err(error) => return report.wrong(format_args!("no answer from {}: {error}; is it running?", pages.address)),
    }
    match pages.ask(&Request::get("/healthz/db")) {
        Ok(answer) if answer.status == 200 => report.fine("its store takes events"),
        Ok(answer) => report.wrong(answer.told()),
        Err(error) => report.wrong(error),
    }
    match pages.ask(&Request::get("/api/v1/summary")) {
        Ok(answer) if answer.status == 200 => summary(report, &answer.json()),
        Ok(answer) if [401, 403].contains(&answer.status) => {
            report
                .doubtful("only who is signed in may read what it counted and refused; its home page and its log tell");
        }
        Ok(answer) => report.wrong(answer.told()),
        Err(error) => report.wrong(error),
    }
    telemetry(report, settings);
    webhook(report, settings);
}

fn telemetry(report: &mut Report, settings: &Settings) {
    let Some(telemetry) = OwnServer::of_telemetry(settings) else { return };
    match telemetry.ask(&Request::get("/metrics")) {
        Ok(answer) if answer.status == 200 => report.fine(format_args!("it tells metrics at {}", telemetry.address)),
        Ok(answer) => report.wrong(format_args!("{} answers {} to /metrics", telemetry.address, answer.told())),
        Err(error) => report.wrong(format_args!("no metrics from {}: {error}", telemetry.address)),
    }
}

fn summary(report: &mut Report, summary: &Value) {
    match summary["last_at"].as_str() {
        Some(at) => report.fine(format_args!("it counted the last pull by tag at {at}")),
        None => report.doubtful("it has counted no pull by tag yet; is the registry told to post notifications to it?"),
    }
    if let Some(seconds) = summary["clock_skew_seconds"].as_i64() {
        report.doubtful(format_args!("events come from a clock that is {seconds} s ahead of this machine's"));
    }
    match summary["events_spooled"].as_u64() {
        None | Some(0) => {}
        Some(events) => report.doubtful(format_args!("{events} events wait in the spool")),
    }
    let refused = &summary["refused_posts"];
    if let (Some(total @ 1..), Some(at), Some(detail)) =
        (refused["total"].as_u64(), refused["last_at"].as_str(), refused["last_detail"].as_str())
    {
        report.wrong(format_args!("it refused {total} POSTs since its start, the last at {at}: {detail}"));
    }
}

/// Posts as the registry does, but from this machine.
fn webhook(report: &mut Report, settings: &Settings) {
    let webhook = &settings.webhook;
    let body = notification();
    let first = |list: &Option<SecretList>| Some(list.as_ref()?.expose().next()?.to_owned());
    let by_token = first(&webhook.tokens).map(|token| ("Authorization", format!("Bearer {token}")));
    let signed = || Some(signature_of_body(&first(&webhook.signature_secrets)?, body.as_bytes()));
    let credentials = by_token.or_else(signed);
    if credentials.is_none() && (webhook.tokens.is_some() || webhook.signature_secrets.is_some()) {
        return report.doubtful("no notification was tried: posting asks for an API token");
    }
    match OwnServer::of_webhook(settings).ask(&Request::post("/api/webhook/registry", credentials, &body)) {
        Ok(answer) if answer.status == 200 && answer.json()["skipped"]["own_request"] == 1 => {
            report.fine("it takes notifications: one was posted that counts nothing");
        }
        Ok(answer) if answer.status == 403 && webhook.allowed_networks.is_some() => {
            report.doubtful("it takes no notification from this machine, by STATICREG_WEBHOOK_ALLOWED_NETWORKS");
        }
        Ok(answer) => report.wrong(format_args!("it does not take a notification: {}", answer.told())),
        Err(error) if asks_for_certificate(&error) => report.wrong(
            "the webhook asks for a TLS certificate, which registries cannot show: STATICREG_WEBHOOK_BIND_ADDR gives it a \
             listener that asks for none",
        ),
        Err(error) => report.wrong(format_args!("it does not take a notification: {error}")),
    }
}

impl Answer {
    /// The answer in words.
    fn told(&self) -> String {
        let detail = self.json()["detail"].as_str().map(|detail| format!(": {}", detail.escape_debug()));
        format!("{}{}", self.status, detail.unwrap_or_default())
    }
}
