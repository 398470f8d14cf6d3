//! The two formats: <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::fmt::{self, Write as _};

use staticreg_application::telemetry::{Distribution, Family, Form, Kind, Sample, Value};

pub(crate) fn write(families: &[Family], form: Form) -> String {
    let mut text = String::new();
    for family in families {
        of_family(&mut text, family, form).expect("memory takes all");
    }
    if form == Form::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn of_family(text: &mut String, family: &Family, form: Form) -> fmt::Result {
    let Family { name, help, kind, samples } = family;
    let (suffix, kind) = match kind {
        Kind::Counter => ("_total", "counter"),
        Kind::Gauge => ("", "gauge"),
        Kind::Histogram => ("", "histogram"),
    };
    // OpenMetrics calls a family by its name, the older format by that of its samples.
    let told_suffix = if form == Form::Text { suffix } else { "" };
    writeln!(text, "# HELP {name}{told_suffix} {}", escaped(help))?;
    writeln!(text, "# TYPE {name}{told_suffix} {kind}")?;
    for Sample { labels, value } in samples {
        match value {
            Value::Number(number) => line(text, name, suffix, labels, None, *number)?,
            Value::Distribution(Distribution { buckets, count, sum }) => {
                for (bound, observed) in buckets {
                    line(text, name, "_bucket", labels, Some(&format!("{bound:?}")), *observed)?;
                }
                line(text, name, "_bucket", labels, Some("+Inf"), *count)?;
                line(text, name, "_sum", labels, None, *sum)?;
                line(text, name, "_count", labels, None, *count)?;
            }
        }
    }
    Ok(())
}

fn line(
    text: &mut String,
    name: &str,
    suffix: &str,
    labels: &[(&'static str, String)],
    bound: Option<&str>,
    value: impl fmt::Display,
) -> fmt::Result {
    write!(text, "{name}{suffix}")?;
    let labels = labels.iter().map(|(name, value)| (*name, value.as_str())).chain(bound.map(|bound| ("le", bound)));
    let mut before = '{';
    for (name, value) in labels {
        write!(text, "{before}{name}=\"{}\"", escaped(value).replace('"', "\\\""))?;
        before = ',';
    }
    if before == ',' {
        text.push('}');
    }
    writeln!(text, " {value}")
}

fn escaped(words: &str) -> String {
    words.replace('\\', "\\\\").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn families() -> Vec<Family> {
        let times = Distribution { buckets: vec![(0.5, 1), (1.0, 1)], count: 2, sum: 3.25 };
        vec![
            Family::counter("staticreg_a", "All \\ of it.", vec![Sample::labelled([("b", "\"c\"\n\\")], 2_u64)]),
            Family::gauge("staticreg_d", "Now.", vec![Sample::plain(0.5)]),
            Family::histogram(
                "staticreg_e_seconds",
                "Times.",
                vec![Sample { labels: vec![("f", "g".to_owned())], value: Value::Distribution(times) }],
            ),
        ]
    }

    #[test]
    fn prometheus_text_calls_a_counter_as_its_samples() {
        let expected = r#"# HELP staticreg_a_total All \\ of it.
# TYPE staticreg_a_total counter
staticreg_a_total{b="\"c\"\n\\"} 2
# HELP staticreg_d Now.
# TYPE staticreg_d gauge
staticreg_d 0.5
# HELP staticreg_e_seconds Times.
# TYPE staticreg_e_seconds histogram
staticreg_e_seconds_bucket{f="g",le="0.5"} 1
staticreg_e_seconds_bucket{f="g",le="1.0"} 1
staticreg_e_seconds_bucket{f="g",le="+Inf"} 2
staticreg_e_seconds_sum{f="g"} 3.25
staticreg_e_seconds_count{f="g"} 2
"#;
        assert_eq!(write(&families(), Form::Text), expected);
    }

    #[test]
    fn openmetrics_calls_a_counter_by_its_family_and_ends() {
        let text = write(&families(), Form::OpenMetrics);
        assert!(text.starts_with("# HELP staticreg_a All"), "{text}");
        assert!(text.contains("# TYPE staticreg_a counter\nstaticreg_a_total{"), "{text}");
        assert!(text.ends_with("_count{f=\"g\"} 2\n# EOF\n"), "{text}");
    }
}
