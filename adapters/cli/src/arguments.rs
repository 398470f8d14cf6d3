//! The command line.

use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};

use crate::settings::{CONFIG_VARIABLE, SETTINGS, Sources};

/// What the program is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Serve until told to stop.
    Serve,
    /// Bring the database's schema up to date.
    Migrate,
    /// Print the OpenAPI document.
    PrintDocument,
    /// Ask the running server whether it is alive.
    CheckHealth,
}

/// Reads the command line and the environment; ends the program for `--help`, `--version` and mistakes.
pub(crate) fn read() -> (Task, Sources) {
    let matches = command().get_matches();
    let task = match matches.subcommand_name() {
        Some("migrate") => Task::Migrate,
        Some("openapi") => Task::PrintDocument,
        Some("health") => Task::CheckHealth,
        _ => Task::Serve,
    };
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    (task, sources(&matches, variables))
}

fn sources(matches: &ArgMatches, variables: Vec<(String, String)>) -> Sources {
    let flags = SETTINGS
        .iter()
        .filter(|setting| !setting.secret)
        .filter_map(|setting| Some((setting.key, matches.get_one::<String>(setting.key)?.clone())))
        .collect();
    let variable = |name: &str| variables.iter().find(|(known, value)| known == name && !value.is_empty());
    let file = matches
        .get_one::<PathBuf>("config")
        .cloned()
        .or_else(|| variable(CONFIG_VARIABLE).map(|(_, value)| PathBuf::from(value)));
    Sources { file, variables, flags }
}

fn command() -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .global(true)
        .help(format!("A TOML file with settings [env: {CONFIG_VARIABLE}]"));
    let settings = SETTINGS.iter().filter(|setting| !setting.secret).map(|setting| {
        Arg::new(setting.key).long(setting.flag()).value_name("VALUE").global(true).help(format!(
            "{} [env: {}]",
            setting.help,
            setting.variable()
        ))
    });
    let secrets: Vec<_> = SETTINGS
        .iter()
        .filter(|setting| setting.secret)
        .map(|setting| format!("  {}  {}", setting.variable(), setting.help))
        .collect();
    Command::new("staticreg")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Counts the image pulls of a container registry and shows them.")
        .after_help(format!("Only in the environment or the file:\n{}", secrets.join("\n")))
        .subcommand(Command::new("serve").about("Serves until told to stop; the default"))
        .subcommand(Command::new("migrate").about("Brings the database's schema up to date"))
        .subcommand(Command::new("openapi").about("Prints the OpenAPI document"))
        .subcommand(Command::new("health").about("Asks the server at --http-bind-addr whether it is alive"))
        .arg(config)
        .args(settings)
        .next_line_help(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn every_setting_is_in_the_help_with_its_variable() {
        let help = command().render_long_help().to_string();
        for setting in SETTINGS {
            assert!(help.contains(&setting.variable()), "{}", setting.key);
            assert_eq!(help.contains(&format!("--{} ", setting.flag())), !setting.secret, "{}", setting.key);
        }
    }

    #[test]
    fn flags_and_the_file_are_read() {
        let matches = command()
            .try_get_matches_from(["staticreg", "migrate", "--db-url", "sqlite://x", "--config", "a.toml"])
            .expect("matches");
        let sources = sources(&matches, vec![(CONFIG_VARIABLE.to_owned(), "b.toml".to_owned())]);
        assert_eq!(sources.flags, [("db.url", "sqlite://x".to_owned())]);
        assert_eq!(sources.file, Some(PathBuf::from("a.toml")));
    }
}
