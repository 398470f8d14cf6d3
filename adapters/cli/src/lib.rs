//! The program `staticreg`: reads the configuration, wires the adapters to the use cases and serves.
//!
//! The only crate that knows every adapter. Which store, which way to count and which way in is chosen in [`wiring`].

mod arguments;
mod doctor;
mod health;
mod lifecycle;
mod line_writer;
mod log;
mod own_server;
mod progress;
mod settings;
mod supervisor;
mod token;
mod transfer;
mod wiring;

use std::{
    io::{Write, stderr},
    process::ExitCode,
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use arguments::Task;
use settings::{Given, InvalidSettings, Settings, Sources, Unusable};
use staticreg_domain::metrics::MetricsRepository;
use wiring::store::{self, Store};

/// How long the end of the program waits for its last words to be taken, and for work that cannot be given up.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How it is set up stands in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Runs the program with the process's arguments and environment.
#[must_use]
pub fn main() -> ExitCode {
    exit_code(None)
}

/// Runs the program on a store of the caller's, whatever is configured: for benchmarks.
#[must_use]
pub fn main_with_store(name: &'static str, metrics: Arc<dyn MetricsRepository>) -> ExitCode {
    exit_code(Some(Store::without_database(metrics, name)))
}

fn exit_code(store: Option<Store>) -> ExitCode {
    let (task, sources) = arguments::read();
    match run(&task, &sources, store) {
        Ok(()) => ExitCode::SUCCESS,
        Err((code, sentence)) => {
            say(&sentence);
            code
        }
    }
}

/// Tells on standard error why the program ends; an output that nobody reads does not hold the end up.
fn say(sentence: &str) {
    let line = format!("staticreg: {sentence}\n");
    let (saying, said) = mpsc::channel();
    thread::spawn(move || {
        // There is nobody else to tell.
        let _ = stderr().write_all(line.as_bytes());
        drop(saying);
    });
    // An error is the end of the saying.
    let _: Result<(), _> = said.recv_timeout(LAST_WORDS);
}

/// Prints what was asked for, to the end.
fn print(text: &str) -> Result<(), Failure> {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).map_err(Failure::from)
}

/// The OpenAPI document, as JSON.
#[must_use]
pub fn openapi_document() -> String {
    wiring::openapi_document().expect("a server without settings can be put together")
}

/// Why the program ends early.
#[derive(Debug)]
enum Failure {
    /// A setting cannot be used.
    Setting(Unusable),
    /// What was asked for is done, but for a part.
    Incomplete(String),
    /// Anything else: one sentence for people.
    Other(String),
}

impl Failure {
    /// The sentence for people, which names a setting as it was given.
    fn sentence(self, given: &Given) -> String {
        match self {
            Self::Setting(unusable) => given.sentence(&unusable),
            Self::Incomplete(sentence) | Self::Other(sentence) => sentence,
        }
    }

    /// What scripts tell it by; 2 is a command line that cannot be read.
    fn code(&self) -> ExitCode {
        match self {
            Self::Incomplete(_) => ExitCode::from(3),
            Self::Setting(_) | Self::Other(_) => ExitCode::FAILURE,
        }
    }
}

impl From<Unusable> for Failure {
    fn from(unusable: Unusable) -> Self {
        Self::Setting(unusable)
    }
}

impl<E: std::fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Other(error.to_string())
    }
}

/// Does what is asked, or answers why not, in one sentence and an exit status.
fn run(task: &Task, sources: &Sources, store: Option<Store>) -> Result<(), (ExitCode, String)> {
    let failed = |sentence| (ExitCode::FAILURE, sentence);
    let print = |text: &str| writeln!(std::io::stdout().lock(), "{text}").map_err(|error| failed(error.to_string()));
    match task {
        Task::PrintDocument => return print(&openapi_document()),
        Task::PrintTemplate => return print(&settings::template()),
        Task::Serve | Task::Migrate | Task::CheckHealth | Task::Tokens(_) | Task::Transfer(_) | Task::Examine => {}
    }
    let given = sources.read().map_err(|InvalidSettings(sentence)| failed(sentence))?;
    act(task, sources, &given, store).map_err(|failure| (failure.code(), failure.sentence(&given)))
}

fn act(task: &Task, sources: &Sources, given: &Given, store: Option<Store>) -> Result<(), Failure> {
    if let Task::Tokens(task) = task {
        // Its output is for scripts: what else there is to say goes to standard error.
        sources.warnings().for_each(|warning| say(&warning));
        // Nothing else may keep a token from being revoked.
        return on_runtime(task.run(&given.db()?));
    }
    if let Task::Transfer(task) = task {
        sources.warnings().for_each(|warning| say(&warning));
        return on_runtime(task.run(&given.db()?));
    }
    let settings = given.settings()?;
    if *task == Task::CheckHealth {
        return health::check_all(&settings);
    }
    if *task == Task::Examine {
        sources.warnings().chain(given.taken_over()).for_each(|warning| say(&warning));
        return on_runtime(doctor::run(given, &settings));
    }
    // Dropped last, so that the last lines are written.
    let _written = log::start(&settings.log)?;
    for warning in sources.warnings() {
        tracing::warn!("{warning}");
    }
    if let Some(told) = given.taken_over() {
        tracing::info!("{told}");
    }
    on_runtime(work(task, settings, store))
}

fn on_runtime(work: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // Without a limit a blocking look-up of a name could hold the end up.
    runtime.shutdown_timeout(LAST_WORDS);
    done
}

async fn work(task: &Task, settings: Settings, store: Option<Store>) -> Result<(), Failure> {
    if *task == Task::Migrate { store::migrate(&settings.db).await } else { wiring::serve(settings, store).await }
}
