//! The commands that carry counts out of a database and into one: for backups, reports, and moving between databases.

mod format;

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, IsTerminal as _, Write as _},
    path::PathBuf,
};

use clap::{Arg, ArgAction, ArgMatches, Command, builder::PossibleValuesParser, value_parser};
use staticreg_sql::{ExportError, ImportError, SqlMetrics};

use self::format::{Format, Lines, MAX_COUNT};
use staticreg_domain::{Clock as _, metrics::Folded};

use crate::{
    Failure,
    progress::Progress,
    settings::Db,
    wiring::{store, system_clock::SystemClock},
};

/// What is to be carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TransferTask {
    /// All counts to standard output.
    Export(Format),
    /// All counts of a file, or of standard input.
    Import {
        /// The file.
        file: Option<PathBuf>,
        /// Whether they are added to those that are there.
        merge: bool,
    },
}

/// The commands, made by `task`, which knows the settings.
pub(crate) fn commands(task: impl Fn(&'static str, &[&str]) -> Command) -> [Command; 2] {
    let format = Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .default_value(Format::NAMES[0])
        .value_parser(PossibleValuesParser::new(Format::NAMES))
        .help("How a count is written");
    let file = Arg::new("file")
        .value_name("FILE")
        .value_parser(value_parser!(PathBuf))
        .help("What `staticreg export` wrote; `-`, or nothing, is standard input");
    let merge = Arg::new("merge")
        .long("merge")
        .action(ArgAction::SetTrue)
        .help("Adds to the counts that are there; without it there may be none");
    [
        task("export", &["db."])
            .about("Writes all counts to standard output")
            .arg(format)
            .after_help("Exit status 3: all is written but rows whose names no registry has."),
        task("import", &["db."]).about("Takes over counts that were exported, all or none").arg(file).arg(merge),
    ]
}

impl TransferTask {
    /// What the command line asks for.
    pub(crate) fn from_matches(name: &str, matches: &ArgMatches) -> Option<Self> {
        match name {
            "export" => Format::named(matches.get_one::<String>("format")?).map(Self::Export),
            "import" => Some(Self::Import { file: matches.get_one("file").cloned(), merge: matches.get_flag("merge") }),
            _ => None,
        }
    }

    pub(crate) async fn run(&self, db: &Db) -> Result<(), Failure> {
        match self {
            Self::Export(format) => Box::pin(export(&store::open_as_it_is(db).await?, *format)).await,
            Self::Import { file, merge } => {
                if file.is_none() && std::io::stdin().is_terminal() {
                    return Err(
                        "there is nothing to import: name a file, or pipe what `staticreg export` writes.".into()
                    );
                }
                let input: Box<dyn BufRead> = match file {
                    Some(file) if file.as_os_str() != "-" => {
                        let opened = File::open(file).map_err(|error| format!("{}: {error}.", file.display()))?;
                        Box::new(BufReader::new(opened))
                    }
                    _ => Box::new(std::io::stdin().lock()),
                };
                Box::pin(import(&store::open_and_migrate(db).await?, input, *merge)).await
            }
        }
    }
}

async fn export(database: &SqlMetrics, format: Format) -> Result<(), Failure> {
    let examination = Box::pin(database.examine()).await.map_err(|error| told(&error))?;
    if !examination.missing_changes.is_empty() {
        return Err("the database's schema is an older one: run `staticreg migrate` first.".into());
    }
    // To count very many takes longer than a question may; then it is not told how many there are.
    let mut progress = Progress::new("exported", database.count_rows().await.ok());
    let mut writer = format.writer(BufWriter::new(std::io::stdout().lock()));
    let exported = database
        .export(|row| {
            progress.one_more();
            writer.write(&row)
        })
        .await;
    let exported = match exported {
        Ok(exported) => exported,
        Err(ExportError::Row(error)) => return Err(format!("the counts cannot be written: {error}.").into()),
        Err(ExportError::Store(error)) => return Err(told(&error)),
    };
    writer
        .finish()
        .and_then(|mut output| output.flush())
        .map_err(|error| format!("the counts cannot be written: {error}."))?;
    progress.end();
    if exported.nameless > 0 {
        let left_out = "rows were left out, as no registry has such names; the others are written.";
        return Err(Failure::Incomplete(format!("{} {left_out}", exported.nameless)));
    }
    Ok(())
}

async fn import(database: &SqlMetrics, input: impl BufRead, merge: bool) -> Result<(), Failure> {
    let mut progress = Progress::new("imported", None);
    // None of the days that every database keeps may become part of a month.
    let months_before = Folded::on(SystemClock.now().date_naive(), Folded::MIN_DAILY_DAYS, false).days_before;
    let lines = Lines::new(input, months_before).map_err(|error| format!("the counts cannot be read: {error}."))?;
    let rows = lines.inspect(|_| progress.one_more());
    match database.import(rows, merge).await {
        Ok(_) => {
            progress.end();
            Ok(())
        }
        Err(ImportError::HoldsCounts) => {
            Err("the database holds counts already, and nothing was imported: give --merge \
                                              to add to them, or import into an empty one."
                .into())
        }
        Err(ImportError::KeepsDays { months_before, first_day }) => Err(format!(
            "nothing was imported: the counts of days before {months_before} are by month here, and the database keeps days from \
             {first_day} on. Import into an empty one, or have it keep these days by month first (STATICREG_RETENTION_DAILY)."
        )
        .into()),
        Err(ImportError::TooMany { number }) => {
            let why = format!("count: with the counts of the same key before it, more than {MAX_COUNT}");
            Err(format!("nothing was imported: line {number}: {why}.").into())
        }
        Err(ImportError::Row(wrong)) => Err(format!("nothing was imported: {wrong}.").into()),
        Err(ImportError::Store(error)) => Err(told(&error)),
    }
}

fn told(error: &staticreg_domain::metrics::MetricsError) -> Failure {
    format!("{}.", staticreg_domain::error::describe(error)).into()
}
