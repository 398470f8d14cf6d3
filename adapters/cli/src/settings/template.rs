//! The commented configuration file that `staticreg config` prints.

use std::fmt::Write as _;

use super::{Setting, declare::wrapped, sources::CONFIG_VARIABLE, value::Toml};

/// The longest line of a comment.
const WIDTH: usize = 100;

/// A configuration file with every setting, each commented out, with its default or else an example.
pub(crate) fn template() -> String {
    let mut lines = vec![
        "# The settings of staticreg. A line with a value shows the default, or an example where there is none;"
            .to_owned(),
        "# remove its # and change it.".to_owned(),
        format!(
            "# staticreg reads the file that --config FILE or {CONFIG_VARIABLE} names. A variable takes the place of"
        ),
        "# the value here, and a flag that of both: `key` in [section] is STATICREG_SECTION_KEY and --section-key."
            .to_owned(),
    ];
    let mut section = "";
    for setting in Setting::all() {
        let (of, key) = setting.place();
        if of != section {
            section = of;
            lines.extend([String::new(), format!("[{section}]")]);
        }
        lines.extend(wrapped(&setting.description(), WIDTH).into_iter().map(|line| format!("# {line}")));
        lines.push(format!("#{key} = {}", written(&setting)));
    }
    lines.join("\n")
}

/// What the template shows of a setting, as TOML has it.
fn written(setting: &Setting) -> String {
    let value = setting.default.or(setting.sample()).unwrap_or_default();
    match setting.toml {
        Toml::Plain => value.to_owned(),
        Toml::Quoted => quoted(value),
        Toml::List => {
            let words: Vec<_> = value.split(',').filter(|word| !word.is_empty()).map(quoted).collect();
            format!("[{}]", words.join(", "))
        }
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    write!(quoted, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")).expect("memory takes all");
    quoted
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::settings::{Http, Settings, Sources};

    fn read(text: &str) -> Settings {
        let mut file = tempfile::NamedTempFile::new().expect("a file");
        write!(file, "{text}").expect("written");
        let sources = Sources { file: Some(file.path().to_owned()), ..Sources::default() };
        let given = sources.read().expect("a file without mistakes");
        given.settings().unwrap_or_else(|unusable| panic!("{}", given.sentence(&unusable)))
    }

    #[test]
    fn the_template_changes_nothing() {
        assert_eq!(format!("{:?}", read(&template())), format!("{:?}", read("")));
    }

    #[test]
    fn every_line_of_the_template_is_the_default_or_an_example_that_can_be_used() {
        // A secret and the file that holds it are never both given, nor a proxy's header where no proxy is trusted.
        let used: Vec<_> = template()
            .lines()
            .filter(|line| !line.contains("_file = ") && !line.contains("proxy_header = "))
            .map(|line| line.strip_prefix('#').filter(|line| !line.starts_with(' ')).unwrap_or(line).to_owned())
            .collect();
        let mut settings = read(&used.join("\n"));
        assert_eq!(settings.db.schema.as_ref().map(staticreg_sql::SchemaName::as_str), Some("public"));
        let defaults = read("");
        let Http { tls_cert, tls_key, tls_client_ca, .. } = &mut settings.http;
        assert!([tls_cert, tls_key, tls_client_ca].into_iter().all(|example| example.take().is_some()));
        assert_eq!(settings.metrics.max_age.take(), Some(std::time::Duration::from_hours(24 * 30)));
        assert_eq!(format!("{:?}", settings.http), format!("{:?}", defaults.http));
        assert_eq!(format!("{:?}", settings.metrics), format!("{:?}", defaults.metrics));
        assert_eq!(format!("{:?}", settings.log), format!("{:?}", defaults.log));
    }

    #[test]
    fn every_setting_is_in_the_template_with_its_help() {
        let template = template();
        for setting in Setting::all() {
            let (section, key) = setting.place();
            let (_, rest) = template.split_once(&format!("[{section}]\n")).expect(section);
            let rest = rest.split("\n[").next().expect("the section");
            assert!(rest.contains(&format!("\n#{key} = ")) && rest.contains(setting.summary()), "{}", setting.key);
        }
        assert!(template.lines().all(|line| line.len() <= 120), "{template}");
    }
}
