//! The command line.

use std::{ffi::OsString, path::PathBuf};

use clap::{Arg, ArgMatches, Command, value_parser};

use crate::{
    settings::{CONFIG_VARIABLE, Setting, Sources, go_staticreg, wrapped},
    token::{self, TokenTask},
    transfer::{self, TransferTask},
};

/// The longest line of a help text, which stands ten columns from the left.
const HELP_WIDTH: usize = 70;

/// The settings of the short help: those that most people need.
const SHORT_HELP: [&str; 3] = ["http.bind_addr", "db.url", "registry.hostname"];

/// What the program is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Task {
    /// Serve until told to stop.
    Serve,
    /// Bring the database's schema up to date.
    Migrate,
    /// Print a configuration file.
    PrintTemplate,
    /// Print the OpenAPI document.
    PrintDocument,
    /// Ask the running server whether it is alive.
    CheckHealth,
    /// Look at everything that must be right.
    Examine,
    /// Make, list or revoke API tokens.
    Tokens(TokenTask),
    /// Carry counts out of a database or into one.
    Transfer(TransferTask),
}

/// Reads the command line and the environment; ends the program for `--help`, `--version` and mistakes.
pub(crate) fn read() -> (Task, Sources) {
    let matches = command().get_matches_from(given(std::env::args_os()));
    let task = task_of(&matches);
    let variables = std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
    (task, sources(&matches, variables))
}

/// The arguments without the program of the Go staticreg's image: that one has no entry point, and so its command begins
/// with the program.
fn given(arguments: impl Iterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    arguments
        .enumerate()
        .filter(|(place, argument)| *place != 1 || argument != "/staticreg")
        .map(|(_, argument)| argument)
}

fn task_of(matches: &ArgMatches) -> Task {
    match matches.subcommand() {
        Some(("migrate", _)) => Task::Migrate,
        Some(("config", _)) => Task::PrintTemplate,
        Some(("openapi", _)) => Task::PrintDocument,
        Some(("health", _)) => Task::CheckHealth,
        Some(("doctor", _)) => Task::Examine,
        Some(("token", matches)) => {
            Task::Tokens(TokenTask::from_matches(matches).expect("one of its commands is required"))
        }
        Some((name, matches)) => TransferTask::from_matches(name, matches).map_or(Task::Serve, Task::Transfer),
        None => Task::Serve,
    }
}

fn sources(matches: &ArgMatches, variables: Vec<(String, OsString)>) -> Sources {
    let flags = Setting::all()
        .filter_map(|setting| Some((setting.key, matches.get_one::<String>(setting.key)?.clone())))
        .collect();
    let variable = |name: &str| variables.iter().find(|(known, value)| known == name && !value.is_empty());
    let file = matches
        .get_one::<PathBuf>("config")
        .cloned()
        .or_else(|| variable(CONFIG_VARIABLE).map(|(_, value)| PathBuf::from(value)));
    Sources { file, variables, flags, go_flags: go_staticreg::flags_of(matches) }
}

fn command() -> Command {
    let config = Arg::new("config")
        .long("config")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .global(true)
        .help("A TOML file with settings; `staticreg config` prints one")
        .long_help(format!("A TOML file with settings; `staticreg config` prints one.\n[env: {CONFIG_VARIABLE}]"));
    Command::new("staticreg")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Counts the image pulls of a container registry and shows them.")
        .after_help("All settings: staticreg --help")
        .after_long_help(
            "A setting comes from its flag, else from its variable, else from the file, else\n\
             it is the default. In the file, --http-bind-addr is `bind_addr` under `[http]`.",
        )
        .subcommand(Command::new("serve").about("Serves until told to stop; the default"))
        .subcommand(task("migrate", &["db.", "log."]).about("Brings the database's schema up to date"))
        .subcommand(task("config", &[]).about("Prints a configuration file with every setting and its default"))
        .subcommand(task("openapi", &[]).about("Prints the OpenAPI document"))
        .subcommand(
            task("health", &["http.bind_addr"]).about("Asks the server at --http-bind-addr whether it is alive"),
        )
        .subcommand(Command::new("doctor").about("Looks at all that must be right, and says what is not"))
        .subcommand(token::command(task))
        .subcommands(transfer::commands(task))
        .arg(config)
        .args(Setting::all().map(|setting| flag(&setting)))
        .args(go_staticreg::flags())
}

/// A command that looks at some settings only: its help leaves out the others, which it still takes.
fn task(name: &'static str, keys: &[&str]) -> Command {
    let others = Setting::all().filter(|setting| !keys.iter().any(|key| setting.key.starts_with(key)));
    Command::new(name).args(others.map(|setting| flag(&setting).hide(true)))
}

fn flag(setting: &Setting) -> Arg {
    let default = setting.default.filter(|default| !default.is_empty());
    let default = default.map(|default| format!(" [default: {default}]")).unwrap_or_default();
    let caution = if setting.secret { " Other users of this machine can read a flag; a file is safer." } else { "" };
    let description = wrapped(&(setting.description() + caution), HELP_WIDTH).join("\n");
    Arg::new(setting.key)
        .long(setting.long_flag())
        .value_name(setting.value_name)
        .help_heading(setting.heading)
        .global(true)
        .allow_negative_numbers(true)
        .hide_short_help(!SHORT_HELP.contains(&setting.key))
        .help(format!("{}{default}", setting.summary().trim_end_matches('.')))
        .long_help(format!("{description}\n[env: {}]{default}", setting.variable()))
}

/// The sources of a command line without the program's name.
#[cfg(test)]
pub(crate) fn sources_of(arguments: &[&str], variables: Vec<(String, OsString)>) -> Sources {
    let matches = command().try_get_matches_from([&["staticreg"], arguments].concat()).expect("matches");
    sources(&matches, variables)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(arguments: &[&str]) -> Sources {
        sources_of(arguments, vec![(CONFIG_VARIABLE.to_owned(), "b.toml".into())])
    }

    #[test]
    fn the_command_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn every_setting_is_in_the_help_with_its_variable_value_name_and_default() {
        let help = command().render_long_help().to_string();
        for setting in Setting::all() {
            let start = format!("\n      {} <{}>\n", setting.flag(), setting.value_name);
            let (_, rest) = help.split_once(&start).unwrap_or_else(|| panic!("{}", setting.key));
            let text = rest.split("\n\n").next().expect("a paragraph");
            assert!(text.contains(&format!("[env: {}]", setting.variable())), "{text}");
            let default = setting.default.filter(|default| !default.is_empty());
            assert!(default.is_none_or(|default| text.contains(&format!("[default: {default}]"))), "{text}");
            assert!(help.contains(&format!("\n{}:\n", setting.heading)), "{}", setting.heading);
        }
    }

    #[test]
    fn help_fits_a_terminal_of_80_columns() {
        let mut command = command();
        command.build();
        let helps = [command.render_help(), command.render_long_help()];
        for help in helps {
            for line in help.to_string().lines() {
                assert!(line.chars().count() <= 80, "{line}");
            }
        }
    }

    #[test]
    fn the_help_of_a_command_shows_what_it_looks_at() {
        let mut command = command();
        command.build();
        let mut help = |name| command.find_subcommand_mut(name).expect(name).render_long_help().to_string();
        let (serve, migrate, health) = (help("serve"), help("migrate"), help("health"));
        assert!(serve.contains("--metrics-patience") && serve.contains("--config"), "{serve}");
        assert!(migrate.contains("--db-url") && !migrate.contains("--metrics-patience"), "{migrate}");
        assert!(health.contains("--http-bind-addr") && !health.contains("--db-url"), "{health}");
        assert_eq!(matches(&["openapi", "--db-url", "x"]).flags, [("db.url", "x".to_owned())]);
    }

    #[test]
    fn a_command_may_begin_with_the_program_as_the_go_image_has_it() {
        for (arguments, expected) in [
            (&["staticreg", "/staticreg", "serve"][..], &["staticreg", "serve"][..]),
            (&["staticreg", "serve", "/staticreg"], &["staticreg", "serve", "/staticreg"]),
            (&["staticreg"], &["staticreg"]),
        ] {
            assert_eq!(given(arguments.iter().map(OsString::from)).collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn flags_and_the_file_are_read() {
        let sources =
            matches(&["migrate", "--db-url", "sqlite://x", "--config", "a.toml", "--metrics-batch-size", "-1"]);
        assert_eq!(sources.flags, [("db.url", "sqlite://x".to_owned()), ("metrics.batch_size", "-1".to_owned())]);
        assert_eq!(sources.file, Some(PathBuf::from("a.toml")));
        assert_eq!(matches(&["--registry-password-file", "p"]).flags, [("registry.password_file", "p".to_owned())]);
    }
}
